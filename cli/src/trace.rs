//! `onetap trace`: record, replay and read traces.

use std::io::{BufWriter, stdout};
use std::path::Path;

use onetap_apdu_spec::foreign::json_shown;
use onetap_conformance::traces::{self, Place};
use onetap_pcsc_host::trace::{self, Header, ImportError, Imported, LogFormat, Recorder, Trace};
use serde_json::json;

use crate::args::{self, Target};
use crate::exit::Failure;
use crate::files;
use crate::output::Output;
use crate::readers::reader_named;

pub(crate) fn run(command: &args::Trace, out: Output) -> Result<(), Failure> {
    match command {
        args::Trace::Record { profile, scenario, out: path } => {
            let file = path.as_deref().map(|path| files::NewFile::create(path, files::Secrecy::Public));
            let file = file.transpose()?;
            let trace = traces::record(*scenario, *profile).map_err(not_as_expected)?;
            let text = trace.to_text().map_err(not_as_expected)?;
            let Some(file) = file else {
                return out.raw(&json_shown(&text));
            };
            file.write_text(&text)?;
            let events = trace.events.len();
            out.result(
                &json!({ "trace": path.as_deref().map(Path::to_string_lossy), "events": events }),
                format!("{events} events"),
            )
        }
        args::Trace::Import { from, log, out: path } => import(*from, log, path.as_deref(), out),
        args::Trace::Replay { files, target } => {
            let place = place(target)?;
            files.iter().try_for_each(|file| replay(file, &place, out))
        }
        args::Trace::Show { file } => {
            let trace = read(file)?;
            let lines = trace.to_text().map_err(not_as_expected)?;
            if out.is_json() { out.raw(&json_shown(&lines)) } else { out.raw(&trace.show()) }
        }
    }
}

/// Writes the trace while it reads the log, which may be of any size.
fn import(format: LogFormat, log: &Path, path: Option<&Path>, out: Output) -> Result<(), Failure> {
    let from = files::open(log)?;
    let header =
        Header { recorded_by: Some(format.to_string()), ..Header::new(format!("a log of {format}")) };
    let failed = |why: ImportError| Failure::NotAsExpected(format!("{}: {why}", log.display()));
    let Some(path) = path else {
        let recorder = Recorder::new(BufWriter::new(stdout().lock()), &header);
        trace::import(format, from, &recorder).map_err(failed)?;
        return recorder.finish().map(drop).map_err(|source| Failure::file("write", Path::new("-"), source));
    };
    let file = files::NewFile::create(path, files::Secrecy::Public)?;
    let found = file.fill(|file| {
        let recorder = Recorder::new(BufWriter::new(file), &header);
        let found = trace::import(format, from, &recorder).map_err(failed)?;
        recorder.finish().map_err(|source| Failure::file("write", path, source))?;
        Ok(found)
    })?;
    let Imported { lines, exchanges } = found;
    out.result(
        &json!({ "trace": path.to_string_lossy(), "lines": lines, "exchanges": exchanges }),
        format!("{exchanges} commands with their responses, of {lines} lines"),
    )
}

fn place(target: &Target) -> Result<Place, Failure> {
    match target {
        Target::InProcess => Ok(Place::InProcess),
        Target::Pcsc(part) => {
            Ok(Place::Vpcd { reader: reader_named(part)?, addr: onetap_applet::front::vpcd::DEFAULT_ADDR })
        }
    }
}

fn replay(file: &Path, place: &Place, out: Output) -> Result<(), Failure> {
    let summary = traces::replay(&read(file)?, place).map_err(|error| in_file(file, error))?;
    let events = summary.events;
    out.result(
        &json!({ "trace": file.to_string_lossy(), "result": "same", "events": events }),
        format!("same  {}", file.display()),
    )
}

fn read(file: &Path) -> Result<Trace, Failure> {
    let text = files::read_text(file)?;
    Trace::parse(&text).map_err(|error| in_file(file, format!("not a trace: {error}")))
}

fn in_file(file: &Path, error: impl std::fmt::Display) -> Failure {
    Failure::NotAsExpected(format!("{}: {error}", file.display()))
}

fn not_as_expected(error: impl std::fmt::Display) -> Failure {
    Failure::NotAsExpected(error.to_string())
}
