//! `onetap trace`: record, replay, play and read traces.

use std::io::{BufWriter, Write as _, stderr, stdout};
use std::path::Path;

use onetap_apdu_spec::foreign::json_shown;
use onetap_pcsc_host::trace::{self, ExportFormat, Header, ImportError, Imported, LogFormat, Recorder};
use serde_json::json;

use crate::args;
use crate::exit::Failure;
use crate::files;
use crate::output::Output;

mod card_at;
mod file;
mod play;
mod proxy;
mod record;
mod replay;
mod slot;

use file::{not_as_expected, not_recorded, read};

pub(crate) fn run(command: &args::Trace, out: Output) -> Result<(), Failure> {
    match command {
        args::Trace::Record(options) => record::record(options, out),
        args::Trace::Import { from, log, out: path } => import(*from, log, path.as_deref(), out),
        args::Trace::Export { to, file, out: path } => export(*to, file, path.as_deref(), out),
        args::Trace::Replay(options) => replay::replay(options, out),
        args::Trace::Play(options) => play::play(options, out),
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
        let recorder = Recorder::new(BufWriter::new(stdout().lock()), &header).keeping();
        trace::import(format, from, &recorder).map_err(failed)?;
        return recorder.finish().map(drop).map_err(|source| Failure::file("write", Path::new("-"), source));
    };
    let file = files::NewFile::create(path, files::Secrecy::Public)?;
    let found = file.fill(|file| {
        let recorder = Recorder::new(BufWriter::new(file), &header).keeping();
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

/// Writes the trace as another program reads it.
fn export(format: ExportFormat, file: &Path, path: Option<&Path>, out: Output) -> Result<(), Failure> {
    let trace = read(file)?;
    let note = not_recorded(&trace);
    let Some(path) = path else {
        let written = trace::export(format, &trace, &mut stdout().lock());
        // What is on standard output is for another program.
        if let Some(note) = note {
            let _ = writeln!(stderr().lock(), "{note}");
        }
        return written.map(drop).map_err(Failure::Output);
    };
    let exchanges = files::NewFile::create(path, files::Secrecy::Public)?.fill(|mut file| {
        trace::export(format, &trace, &mut file).map_err(|source| Failure::file("write", path, source))
    })?;
    out.result(
        &json!({ "file": path.to_string_lossy(), "exchanges": exchanges, "made-up": trace.made_up() }),
        [Some(format!("{exchanges} commands with their responses")), note]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join("\n"),
    )
}
