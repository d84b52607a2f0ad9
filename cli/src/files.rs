//! Files of JSON, and questions to the person at the terminal.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use onetap_pcsc_host::{Keyboard as _, KeyboardError, LineKeyboard};
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::exit::Failure;

/// Who may read a file that is written.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Secrecy {
    Public,
    OwnerOnly,
}

/// Largest file that is read whole.
const MAX_FILE: u64 = 1 << 20;

pub(crate) fn read_json<T: DeserializeOwned>(path: &Path, what: &'static str) -> Result<T, Failure> {
    let text = Zeroizing::new(read_text(path)?);
    serde_json::from_str(&text).map_err(|source| Failure::Content { what, path: path.to_owned(), source })
}

/// The file's text; `-` stands for standard input.
pub(crate) fn read_text(path: &Path) -> Result<String, Failure> {
    use io::Read as _;
    let mut text = String::new();
    let read = if path == Path::new("-") {
        io::stdin().lock().take(MAX_FILE).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(MAX_FILE).read_to_string(&mut text))
    };
    read.map_err(|source| Failure::file("read", path, source))?;
    Ok(text)
}

/// Writes a new file; one that is there is left alone.
pub(crate) fn write_json(path: &Path, value: &impl Serialize, secrecy: Secrecy) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(io::Error::from);
    let text = Zeroizing::new(text.map_err(|source| Failure::file("write", path, source))?);
    write_text(path, &text, secrecy)
}

/// Writes a new file; one that is there is left alone.
pub(crate) fn write_text(path: &Path, text: &str, secrecy: Secrecy) -> Result<(), Failure> {
    let failed = |source| Failure::file("write", path, source);
    let mode = match secrecy {
        Secrecy::Public => 0o644,
        Secrecy::OwnerOnly => 0o600,
    };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(failed)?;
    writeln!(file, "{}", text.trim_end()).and_then(|()| file.sync_all()).map_err(failed)
}

/// Asks on standard error, reads a line from standard input.
pub(crate) fn ask(question: &str) -> Result<Zeroizing<String>, Failure> {
    let mut stderr = io::stderr().lock();
    stderr.write_all(question.as_bytes()).and_then(|()| stderr.flush()).map_err(Failure::Output)?;
    LineKeyboard(io::stdin().lock()).read_line().map_err(|error| KeyboardError::Io(error).into())
}
