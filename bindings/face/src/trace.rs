//! Recorded exchanges: read, shown in words, and made of other programs' logs.

use onetap_pcsc_host::trace::{self, Header, LogFormat, Recorder, Trace};

use crate::error::{Error, Kind, Result};
use crate::handle::entry;

/// A trace in words, a line for each event.
///
/// # Errors
/// [`Kind::Trace`] if the text is no trace.
pub fn show(text: &str) -> Result<String> {
    entry(|| {
        let read = Trace::parse(text);
        let cure = "give a trace that `onetap` recorded or imported, of this version";
        Ok(read.map_err(|error| Error::new(Kind::Trace, error, cure))?.show())
    })
}

/// A trace made of another program's log. `format` is `apdu4j`, `gp`, `pcscd`, `opensc`, `scriptor`, `pyscard` or
/// `pcsc-spy`. Secrets are left out.
///
/// # Errors
/// [`Kind::Argument`] for another format, [`Kind::Trace`] for a log that cannot be read.
pub fn import(format: &str, log: &[u8], description: &str) -> Result<String> {
    entry(|| {
        let format: LogFormat = format.parse().map_err(|_| {
            let formats = <LogFormat as strum::VariantNames>::VARIANTS.join(", ");
            Error::argument(format!("no log format is named {format:?}"), format!("give one of {formats}"))
        })?;
        let unread = |error: &dyn std::fmt::Display| {
            Error::new(Kind::Trace, error, "say which program wrote the log, and give all of it")
        };
        let recorder = Recorder::new(Vec::new(), &Header::new(description));
        trace::import(format, log, &recorder).map_err(|error| unread(&error))?;
        let written = recorder.finish().map_err(|error| unread(&error))?;
        String::from_utf8(written).map_err(|error| unread(&error))
    })
}
