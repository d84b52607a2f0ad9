//! Dumps of apdu4j: lines of command and response by turns; `#` begins a comment, `# ATR: 3B…` says what card it is.

use super::hexadecimal;
use super::log::{Log, Tell, Wrong};

#[derive(Default)]
pub(super) struct Dump {
    asked: bool,
}

impl Log for Dump {
    fn line(&mut self, line: &[u8], tell: &mut dyn Tell) -> Result<(), Wrong> {
        let line = line.trim_ascii();
        if let Some(comment) = line.strip_prefix(b"#") {
            if let Some(atr) = comment.trim_ascii().strip_prefix(b"ATR:") {
                tell.reset(Some(&hexadecimal::bytes(atr)?));
            }
            return Ok(());
        }
        if line.is_empty() {
            return Ok(());
        }
        let bytes = hexadecimal::bytes(line)?;
        self.asked = !self.asked;
        if self.asked { tell.command(&bytes) } else { tell.response(&bytes) }
    }
}
