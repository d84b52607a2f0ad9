//! Trace files, and what is said of them.

use std::path::Path;

use onetap_pcsc_host::trace::Trace;

use crate::exit::Failure;
use crate::files;

/// Which lines have no bytes of their own.
pub(super) fn not_recorded(trace: &Trace) -> Option<String> {
    let lines: Vec<_> = trace.made_up().iter().map(ToString::to_string).collect();
    (!lines.is_empty()).then(|| {
        format!(
            "of these lines the trace does not have all bytes; what is there instead is made up: {}",
            lines.join(", ")
        )
    })
}

pub(super) fn read(file: &Path) -> Result<Trace, Failure> {
    let text = files::read_text(file)?;
    Trace::parse(&text).map_err(|error| in_file(file, format!("not a trace: {error}")))
}

pub(super) fn in_file(file: &Path, error: impl std::fmt::Display) -> Failure {
    Failure::NotAsExpected(format!("{}: {error}", file.display()))
}

pub(super) fn not_as_expected(error: impl std::fmt::Display) -> Failure {
    Failure::NotAsExpected(error.to_string())
}
