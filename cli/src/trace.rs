//! `onetap trace`: record, replay and read traces.

use std::path::Path;

use onetap_conformance::traces::{self, Place};
use onetap_pcsc_host::trace::Trace;
use serde_json::json;

use crate::args::{self, Target};
use crate::exit::Failure;
use crate::files;
use crate::output::Output;
use crate::pay::reader_named;

pub(crate) fn run(command: &args::Trace, out: Output) -> Result<(), Failure> {
    match command {
        args::Trace::Record { profile, scenario, out: path } => {
            let trace = traces::record(*scenario, *profile).map_err(not_as_expected)?;
            let text = trace.to_text().map_err(not_as_expected)?;
            match path {
                None => out.raw(&text),
                Some(path) => {
                    files::write_text(path, &text, files::Secrecy::Public)?;
                    let events = trace.events.len();
                    out.result(&json!({ "trace": path, "events": events }), format!("{events} events"))
                }
            }
        }
        args::Trace::Replay { files, target } => {
            let place = place(target)?;
            files.iter().try_for_each(|file| replay(file, &place, out))
        }
        args::Trace::Show { file } => {
            let trace = read(file)?;
            let lines = trace.to_text().map_err(not_as_expected)?;
            if out.is_json() { out.raw(&lines) } else { out.raw(&trace.show()) }
        }
    }
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
    let summary = traces::replay(&read(file)?, place).map_err(not_as_expected)?;
    let events = summary.events;
    out.result(
        &json!({ "trace": file, "result": "same", "events": events }),
        format!("same  {}", file.display()),
    )
}

fn read(file: &Path) -> Result<Trace, Failure> {
    Trace::parse(&files::read_text(file)?).map_err(not_as_expected)
}

fn not_as_expected(error: impl std::fmt::Display) -> Failure {
    Failure::NotAsExpected(error.to_string())
}
