//! The daemon with `--apdu`: `00000159 APDU: 00 A4 04 00 00 ` and `00000052 SW: 6F … 90 00 `; the first number is the time
//! since the line before, in microseconds. It mixes all programs without naming them.

use std::borrow::Cow;

use super::hexadecimal;
use super::log::{Log, Tell, Wrong};

const ESCAPE: u8 = 0x1B;

#[derive(Default)]
pub(super) struct Daemon;

impl Log for Daemon {
    fn line(&mut self, line: &[u8], tell: &mut dyn Tell) -> Result<(), Wrong> {
        let line = uncoloured(line);
        let line = line.as_ref();
        let digits = line.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let Some(rest) = line.get(digits..).filter(|_| digits > 0) else { return Ok(()) };
        let rest = rest.trim_ascii();
        if let Some(command) = rest.strip_prefix(b"APDU:") {
            tell.command(&hexadecimal::bytes(command)?)
        } else if let Some(response) = rest.strip_prefix(b"SW:") {
            tell.response(&hexadecimal::bytes(response)?)
        } else if let Some(atr) = rest.strip_prefix(b"Card ATR:") {
            tell.reset(Some(&hexadecimal::bytes(atr)?));
            Ok(())
        } else {
            Ok(())
        }
    }
}

/// Without the colours that it writes to a terminal.
fn uncoloured(line: &[u8]) -> Cow<'_, [u8]> {
    let mut parts = line.split(|byte| *byte == ESCAPE);
    let first = parts.next().unwrap_or_default();
    if first.len() == line.len() {
        return Cow::Borrowed(line);
    }
    // Each other part begins with the rest of a sequence, such as `[36m`.
    let texts = parts
        .map(|part| part.iter().position(|byte| *byte == b'm').map_or(part, |at| part.split_at(at + 1).1));
    Cow::Owned([first].into_iter().chain(texts).collect::<Vec<_>>().concat())
}
