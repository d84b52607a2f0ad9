//! Logs that other programs wrote, read as traces: line by line, in constant memory, whatever their size.
//!
//! | format | file | what it is |
//! |---|---|---|
//! | [`LogFormat::Apdu4j`] | `import/apdu4j.rs` | dumps of apdu4j |
//! | [`LogFormat::GlobalPlatformPro`] | `import/global_platform_pro.rs` | `gp -d` |
//! | [`LogFormat::Pcscd`] | `import/pcscd.rs` | `pcscd --apdu` |
//! | [`LogFormat::OpenSc`] | `import/opensc.rs` | OpenSC's debug log |
//! | [`LogFormat::Scriptor`] | `import/scriptor.rs` | what scriptor prints |
//! | [`LogFormat::Pyscard`] | `import/pyscard.rs` | pyscard's `ConsoleCardConnectionObserver` |
//! | [`LogFormat::PcscSpy`] | `import/pcsc_spy.rs` | what libpcscspy writes |
//! | [`LogFormat::ScriptorInput`] | `import/script.rs` | a script for scriptor |
//! | [`LogFormat::Satl`] | `import/script.rs` | a script of ETSI TS 101 955, as SATL runs it |
//!
//! Each is a `Log`: it is told lines, and tells what it found in them. What is found goes through the [`Recorder`], which
//! leaves secrets out and generalises what differs from run to run, as when it records by itself.

use std::io::{self, BufRead as _, BufReader, Read, Write};

use encoding_rs_io::DecodeReaderBytesBuilder;

use super::{Recorder, ResponsePattern};
use crate::atr::Atr;

mod apdu4j;
mod global_platform_pro;
mod hexadecimal;
mod log;
mod opensc;
mod pcsc_spy;
mod pcscd;
mod pyscard;
mod script;
mod scriptor;

pub use log::Wrong;
use log::{Log, MAX_LINE, Tell};

/// Which program wrote a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display, strum::EnumString, strum::VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum LogFormat {
    /// A dump of apdu4j: command and response, a line each.
    Apdu4j,
    /// GlobalPlatformPro with `-d`.
    #[strum(serialize = "gp")]
    GlobalPlatformPro,
    /// The daemon with `--apdu`.
    Pcscd,
    /// OpenSC with a debug level of at least 6.
    #[strum(serialize = "opensc")]
    OpenSc,
    /// The output of scriptor.
    Scriptor,
    /// Pyscard's observer that prints.
    Pyscard,
    /// What libpcscspy writes into `~/pcsc-spy`.
    PcscSpy,
    /// The input of scriptor: commands, and any response.
    ScriptorInput,
    /// A script of ETSI TS 101 955, Annex B: commands, and what must come.
    Satl,
}

/// Why a log is not imported, or no further.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// It cannot be read.
    #[error("the log cannot be read: {0}")]
    Io(#[from] io::Error),
    /// Something is wrong with a line, or with the end.
    #[error("line {line}: {wrong}")]
    Line {
        /// Which, from 1; the end is the line after the last.
        line: u64,
        /// What.
        wrong: Wrong,
    },
    /// No line tells of a command.
    #[error("none of its {lines} lines tells of a command: is it a log of {format}?")]
    Nothing {
        /// How many lines there are.
        lines: u64,
        /// As what it was read.
        format: LogFormat,
    },
}

/// How much was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Imported {
    /// Lines of the log.
    pub lines: u64,
    /// Commands with their responses.
    pub exchanges: u64,
}

/// Reads a whole log into a trace that `recorder` has begun. Logs in UTF-16, as Windows writes them, are read by their
/// byte order mark.
///
/// # Errors
/// [`ImportError`]; what came before it is in the trace.
pub fn import<W: Write>(
    format: LogFormat,
    log: impl Read,
    recorder: &Recorder<W>,
) -> Result<Imported, ImportError> {
    let mut reading = format.log();
    let mut telling = Telling { recorder, line: 0, open: None, asked: 0, powered: false, exchanges: 0 };
    let decoded = DecodeReaderBytesBuilder::new().utf8_passthru(true).strip_bom(true).build(log);
    let mut decoded = BufReader::with_capacity(1 << 16, decoded);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = decoded.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)?;
        telling.line += 1;
        if read == 0 {
            break;
        }
        let told = match line.strip_suffix(b"\n") {
            Some(whole) => reading.line(whole.strip_suffix(b"\r").unwrap_or(whole), &mut telling),
            None if read as u64 == MAX_LINE => Err(Wrong::TooLong),
            None => unended(&mut *reading, &line),
        };
        told.map_err(|wrong| telling.wrong(wrong))?;
    }
    reading.end(&mut telling).map_err(|wrong| telling.wrong(wrong))?;
    if telling.open.is_some() {
        return Err(telling.wrong(Wrong::Cut("the response to the last command")));
    }
    let (lines, exchanges) = (telling.line - 1, telling.exchanges);
    if exchanges == 0 {
        Err(ImportError::Nothing { lines, format })
    } else {
        Ok(Imported { lines, exchanges })
    }
}

/// Reads a last line that has no end: half a response looks like a whole one.
fn unended(reading: &mut dyn Log, line: &[u8]) -> Result<(), Wrong> {
    struct Heard(bool);
    impl Tell for Heard {
        fn reset(&mut self, _: Option<&[u8]>) {
            self.0 = true;
        }
        fn command(&mut self, _: &[u8]) -> Result<(), Wrong> {
            self.0 = true;
            Ok(())
        }
        fn response(&mut self, _: &[u8]) -> Result<(), Wrong> {
            self.0 = true;
            Ok(())
        }
        fn expected(&mut self, _: ResponsePattern) -> Result<(), Wrong> {
            self.0 = true;
            Ok(())
        }
        fn leaves(&mut self) {
            self.0 = true;
        }
    }
    let mut heard = Heard(false);
    reading.line(line, &mut heard)?;
    if heard.0 { Err(Wrong::Unended) } else { Ok(()) }
}

impl LogFormat {
    fn log(self) -> Box<dyn Log> {
        match self {
            Self::Apdu4j => Box::<apdu4j::Dump>::default(),
            Self::GlobalPlatformPro => Box::<global_platform_pro::Debug>::default(),
            Self::Pcscd => Box::<pcscd::Daemon>::default(),
            Self::OpenSc => Box::<opensc::Debug>::default(),
            Self::Scriptor => Box::<scriptor::Output>::default(),
            Self::Pyscard => Box::<pyscard::Observer>::default(),
            Self::PcscSpy => Box::<pcsc_spy::Spy>::default(),
            Self::ScriptorInput => Box::<script::Scriptor>::default(),
            Self::Satl => Box::<script::Etsi>::default(),
        }
    }
}

/// Tells the recorder, and sees to it that commands and responses take turns.
struct Telling<'r, W> {
    recorder: &'r Recorder<W>,
    line: u64,
    /// The command that has no response yet.
    open: Option<Vec<u8>>,
    /// Its line.
    asked: u64,
    powered: bool,
    exchanges: u64,
}

impl<W: Write> Telling<'_, W> {
    fn wrong(&self, wrong: Wrong) -> ImportError {
        ImportError::Line { line: self.line, wrong }
    }
}

impl<W: Write> Tell for Telling<'_, W> {
    fn reset(&mut self, atr: Option<&[u8]>) {
        let atr = atr.map(|bytes| Atr::new(bytes.to_vec()));
        self.recorder.power(self.powered, atr.as_ref());
        self.powered = true;
    }

    fn command(&mut self, bytes: &[u8]) -> Result<(), Wrong> {
        if self.open.is_some() {
            return Err(Wrong::Unanswered(self.asked));
        }
        if bytes.len() < 4 {
            return Err(Wrong::Short(bytes.len()));
        }
        if !self.powered {
            self.reset(None);
        }
        (self.open, self.asked) = (Some(bytes.to_vec()), self.line);
        Ok(())
    }

    fn response(&mut self, bytes: &[u8]) -> Result<(), Wrong> {
        let command = self.open.take().ok_or(Wrong::Unasked)?;
        if bytes.len() < 2 {
            return Err(Wrong::Short(bytes.len()));
        }
        self.recorder.exchange(&command, bytes);
        self.exchanges += 1;
        Ok(())
    }

    fn expected(&mut self, pattern: ResponsePattern) -> Result<(), Wrong> {
        let command = self.open.take().ok_or(Wrong::Unasked)?;
        self.recorder.expectation(&command, pattern);
        self.exchanges += 1;
        Ok(())
    }

    fn leaves(&mut self) {
        if std::mem::take(&mut self.powered) {
            self.recorder.field_out();
        }
    }
}

#[cfg(test)]
mod tests;
