//! `onetap readers`, and readers by a part of their name.

use std::time::Duration;

use onetap_pcsc_host::pcsc::readers;
use onetap_pcsc_host::{Deadline, ReaderError};

use crate::exit::Failure;
use crate::output::Output;

/// How long the PC/SC service may take to name its readers.
pub(crate) const LISTING: Duration = Duration::from_secs(5);

pub(crate) fn list(out: Output) -> Result<(), Failure> {
    let names = readers(&Deadline::after(LISTING))?;
    let prose = if names.is_empty() { "no reader is connected".to_owned() } else { names.join("\n") };
    out.result(&serde_json::json!({ "readers": names }), prose)
}

/// The reader of this name, or else the one that has `part` in its name.
pub(crate) fn reader_named(part: &str) -> Result<String, Failure> {
    let found: Vec<String> =
        readers(&Deadline::after(LISTING))?.into_iter().filter(|name| name.contains(part)).collect();
    match found.as_slice() {
        [name] => Ok(name.clone()),
        [] => Err(ReaderError::UnknownReader(part.to_owned()).into()),
        several if several.iter().any(|name| name == part) => Ok(part.to_owned()),
        several => Err(Failure::Usage(format!(
            "several readers have \"{part}\" in their name, give more of it: {}",
            several.join(", ")
        ))),
    }
}
