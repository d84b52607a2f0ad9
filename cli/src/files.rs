//! Files of JSON, and questions to the person at the terminal.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use onetap_apdu_spec::foreign::unframed;
use onetap_applet::Pin;
use onetap_pcsc_host::{Keyboard as _, LineKeyboard};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::TempDir;
use zeroize::Zeroizing;

use crate::exit::Failure;
use crate::interrupt;

/// Who may read a file that is written.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Secrecy {
    Public,
    OwnerOnly,
}

/// Largest text that is read.
const MAX_TEXT: usize = 16 << 20;

pub(crate) fn read_json<T: DeserializeOwned>(path: &Path, what: &'static str) -> Result<T, Failure> {
    let text = Zeroizing::new(read_text(path)?);
    serde_json::from_str(unframed(&text)).map_err(|source| Failure::Content {
        what,
        path: path.to_owned(),
        source,
    })
}

/// The file's text; `-` stands for standard input.
pub(crate) fn read_text(path: &Path) -> Result<String, Failure> {
    let text = String::from_utf8(read_bytes(path, MAX_TEXT)?).map_err(|error| {
        drop(Zeroizing::new(error.into_bytes()));
        io::ErrorKind::InvalidData.into()
    });
    text.map_err(|source| Failure::file("read", path, source))
}

/// The file; `-` stands for standard input.
pub(crate) fn open(path: &Path) -> Result<Box<dyn io::Read>, Failure> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin().lock()));
    }
    Ok(Box::new(File::open(path).map_err(|source| Failure::file("read", path, source))?))
}

/// The file's bytes, unless there are more than `most`; `-` stands for standard input.
pub(crate) fn read_bytes(path: &Path, most: usize) -> Result<Vec<u8>, Failure> {
    let failed = |source| Failure::file("read", path, source);
    let mut bytes = Vec::new();
    open(path)?.take(most as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > most { Err(failed(io::ErrorKind::FileTooLarge.into())) } else { Ok(bytes) }
}

/// A new file. It is made before what it is for is done, so that nothing is done that could not be written
/// down; until it is written it goes away by itself.
pub(crate) struct NewFile<'p> {
    path: &'p Path,
    file: File,
    written: bool,
}

impl<'p> NewFile<'p> {
    /// Makes it empty; one that is there is left alone.
    pub(crate) fn create(path: &'p Path, secrecy: Secrecy) -> Result<Self, Failure> {
        let mode = match secrecy {
            Secrecy::Public => 0o644,
            Secrecy::OwnerOnly => 0o600,
        };
        let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
        let file = file.map_err(|source| Failure::file("write", path, source))?;
        Ok(Self { path, file, written: false })
    }

    pub(crate) fn write_json(self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value).map_err(io::Error::from);
        let text = Zeroizing::new(text.map_err(|source| Failure::file("write", self.path, source))?);
        self.write_text(&text)
    }

    /// Writes what `write` writes, and keeps it if that goes well.
    pub(crate) fn fill<T>(
        mut self,
        write: impl FnOnce(&mut dyn io::Write) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut out = io::BufWriter::new(&self.file);
        let value = write(&mut out)?;
        let flushed = out.flush();
        drop(out);
        self.keep(flushed)?;
        Ok(value)
    }

    /// Has `write` write for as long as it takes. Not buffered, and kept whatever becomes of it: what was written was true.
    pub(crate) fn stream<T>(mut self, write: impl FnOnce(&File) -> Result<T, Failure>) -> Result<T, Failure> {
        let value = write(&self.file);
        self.keep(Ok(()))?;
        value
    }

    /// Not buffered: what is written may be a secret, and a buffer is not wiped.
    pub(crate) fn write_text(mut self, text: &str) -> Result<(), Failure> {
        let written = writeln!(self.file, "{}", text.trim_end());
        self.keep(written)
    }

    /// Keeps the file, if all of it was written and is on the disk.
    fn keep(&mut self, written: io::Result<()>) -> Result<(), Failure> {
        let durable = written.and_then(|()| self.file.sync_all());
        self.written = durable.is_ok();
        durable.map_err(|source| Failure::file("write", self.path, source))
    }
}

impl Drop for NewFile<'_> {
    fn drop(&mut self) {
        if !self.written {
            // Made here, a moment ago; there is nothing in it that anybody needs.
            let _ = std::fs::remove_file(self.path);
        }
    }
}

/// Asks on standard error, reads a line from standard input.
pub(crate) fn ask(question: &str) -> Result<Zeroizing<String>, Failure> {
    prompt(question)?;
    let line = LineKeyboard(io::stdin().lock()).read_line();
    end_prompt(line.is_err())?;
    line.map_err(Failure::Input)
}

/// Asks for a secret: typed at a terminal, it is not shown.
pub(crate) fn ask_secret(question: &str) -> Result<Zeroizing<String>, Failure> {
    if !io::stdin().is_terminal() {
        return ask(question);
    }
    prompt(question)?;
    rpassword::read_password().map(Zeroizing::new).map_err(Failure::Input)
}

/// The PIN given, or else asked for.
pub(crate) fn pin(given: Option<&str>, question: &str) -> Result<Pin, Failure> {
    match given {
        Some(pin) => Ok(pin.parse()?),
        None => Ok(ask_secret(question)?.trim().parse()?),
    }
}

/// A folder that goes with the process, even if it is interrupted. Once in a process.
pub(crate) fn temporary_folder() -> Result<TempDir, Failure> {
    let folder = tempfile::tempdir()
        .map_err(|source| Failure::file("make a folder in", &std::env::temp_dir(), source))?;
    interrupt::remove_and_exit(folder.path().to_owned())?;
    Ok(folder)
}

/// Writes a question to standard error.
pub(crate) fn prompt(question: &str) -> Result<(), Failure> {
    let mut stderr = io::stderr().lock();
    stderr.write_all(question.as_bytes()).and_then(|()| stderr.flush()).map_err(Failure::Output)
}

/// Ends the question's line where no Enter key did: at the end of input, or if nobody types.
pub(crate) fn end_prompt(no_line: bool) -> Result<(), Failure> {
    if no_line || !io::stdin().is_terminal() { prompt("\n") } else { Ok(()) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    /// A file that was made at `path`, on a disk that is full.
    fn full(path: &Path) -> NewFile<'_> {
        let mut made = NewFile::create(path, Secrecy::Public).unwrap();
        made.file = OpenOptions::new().write(true).open("/dev/full").unwrap();
        made
    }

    fn is_full(written: Result<(), Failure>) -> bool {
        matches!(written, Err(Failure::File { source, .. }) if source.kind() == io::ErrorKind::StorageFull)
    }

    #[test]
    fn what_a_full_disk_did_not_take_is_an_error_and_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new");
        let few_bytes = |out: &mut dyn io::Write| out.write_all(b"few").map_err(Failure::Output);
        assert!(is_full(full(&path).fill(few_bytes)), "they stay in the buffer until it is flushed");
        assert!(!path.exists());
        assert!(is_full(full(&path).write_text("few")));
        assert!(!path.exists());
    }
}
