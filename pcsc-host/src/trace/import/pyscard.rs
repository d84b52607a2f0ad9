//! Pyscard's `ConsoleCardConnectionObserver`: `> 00 A4 …`, `< 6F … 90 00`, and `<  [] 90 0` where there is no data.

use super::hexadecimal;
use super::log::{Log, Tell, Wrong};

#[derive(Default)]
pub(super) struct Observer;

impl Log for Observer {
    fn line(&mut self, line: &[u8], tell: &mut dyn Tell) -> Result<(), Wrong> {
        if let Some(command) = line.strip_prefix(b"> ") {
            return tell.command(&hexadecimal::bytes(command)?);
        }
        if let Some(response) = line.strip_prefix(b"< ") {
            let response = response.trim_ascii();
            return tell.response(&hexadecimal::bytes(response.strip_prefix(b"[]").unwrap_or(response))?);
        }
        if line.starts_with(b"connecting to ") {
            tell.reset(None);
        }
        Ok(())
    }
}
