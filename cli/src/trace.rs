//! `onetap trace`: read traces.

use onetap_pcsc_host::trace::Trace;

use crate::args;
use crate::exit::Failure;
use crate::files;
use crate::output::Output;

pub(crate) fn run(command: &args::Trace, out: Output) -> Result<(), Failure> {
    match command {
        args::Trace::Show { file } => {
            let text = files::read_text(file)?;
            let trace = Trace::parse(&text).map_err(|error| Failure::NotAsExpected(error.to_string()))?;
            if out.is_json() { out.json_line(&trace.events) } else { out.say(trace.show()) }
        }
    }
}
