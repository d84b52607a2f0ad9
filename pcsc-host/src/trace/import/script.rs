//! Scripts, that is what a program is to send: scriptor's input, and those of ETSI TS 101 955 (Annex B), which SATL runs.
//! A line goes on in the next one if it ends in a backslash.

use super::hexadecimal;
use super::log::{Log, MAX_LINE, Tell, Wrong};
use crate::trace::{BytePattern, ResponsePattern, SwPattern};

/// Lines that go on in the next one.
#[derive(Default)]
struct Whole(Vec<u8>);

impl Whole {
    /// The whole line, once it is.
    fn line(&mut self, line: &[u8]) -> Result<Option<Vec<u8>>, Wrong> {
        let line = line.trim_ascii_end();
        if let Some(part) = line.strip_suffix(b"\\") {
            self.0.extend(part);
            self.0.push(b' ');
            return if self.0.len() as u64 > MAX_LINE { Err(Wrong::TooLong) } else { Ok(None) };
        }
        self.0.extend(line);
        Ok(Some(std::mem::take(&mut self.0)))
    }

    fn end(&self) -> Result<(), Wrong> {
        if self.0.is_empty() { Ok(()) } else { Err(Wrong::Cut("the rest of a line that goes on")) }
    }
}

/// Scriptor's input: commands in hexadecimal, `reset`, and comments. The answers that our export writes into comments
/// (`# < 90 00`) are read; a command without one may be answered anything.
#[derive(Default)]
pub(super) struct Scriptor {
    whole: Whole,
    /// A command without an answer so far.
    asked: bool,
    /// A reset whose answer may follow.
    reset: bool,
}

impl Scriptor {
    /// Before anything but an answer.
    fn settle(&mut self, tell: &mut dyn Tell) -> Result<(), Wrong> {
        if std::mem::take(&mut self.reset) {
            tell.reset(None);
        }
        if std::mem::take(&mut self.asked) { tell.expected(anything()) } else { Ok(()) }
    }

    fn comment(&mut self, comment: &[u8], tell: &mut dyn Tell) -> Result<(), Wrong> {
        let Some(answer) = comment.trim_ascii().strip_prefix(b"< ") else { return Ok(()) };
        match answer.strip_prefix(b"OK:") {
            Some(atr) if std::mem::take(&mut self.reset) => tell.reset(Some(&hexadecimal::bytes(atr)?)),
            None if std::mem::take(&mut self.asked) => tell.response(&hexadecimal::bytes(answer)?)?,
            _ => {}
        }
        Ok(())
    }
}

impl Log for Scriptor {
    fn line(&mut self, line: &[u8], tell: &mut dyn Tell) -> Result<(), Wrong> {
        if let Some(comment) = line.strip_prefix(b"#") {
            return self.comment(comment, tell);
        }
        let Some(line) = self.whole.line(line)? else { return Ok(()) };
        let line = line.trim_ascii();
        if line.is_empty() {
            return Ok(());
        }
        self.settle(tell)?;
        if line.eq_ignore_ascii_case(b"reset") {
            self.reset = true;
            return Ok(());
        }
        tell.command(&hexadecimal::bytes(line)?)?;
        self.asked = true;
        Ok(())
    }

    fn end(&mut self, tell: &mut dyn Tell) -> Result<(), Wrong> {
        self.whole.end()?;
        self.settle(tell)
    }
}

/// Scripts of ETSI TS 101 955: `RST`, `OFF`, `REM`, and `CMD command [data] (status words)`. Data is what the response must
/// have, with `XX` for any byte; without status words, any will do.
#[derive(Default)]
pub(super) struct Etsi {
    whole: Whole,
}

impl Log for Etsi {
    fn line(&mut self, line: &[u8], tell: &mut dyn Tell) -> Result<(), Wrong> {
        let Some(line) = self.whole.line(line)? else { return Ok(()) };
        let line = line.trim_ascii();
        let (word, rest) = line.split_at(line.len().min(3));
        match word {
            b"" | b"REM" => Ok(()),
            b"RST" => {
                tell.reset(None);
                Ok(())
            }
            b"OFF" => {
                tell.leaves();
                Ok(())
            }
            b"CMD" => command(rest, tell),
            other => Err(Wrong::NoStatement(String::from_utf8_lossy(other).into_owned())),
        }
    }

    fn end(&mut self, _: &mut dyn Tell) -> Result<(), Wrong> {
        self.whole.end()
    }
}

fn command(text: &[u8], tell: &mut dyn Tell) -> Result<(), Wrong> {
    let end = text.iter().position(|byte| matches!(byte, b'[' | b'(')).unwrap_or(text.len());
    let (command, expected) = text.split_at(end);
    tell.command(&hexadecimal::bytes(command)?)?;
    let data = between(expected, b'[', b']')?;
    let status_words = between(expected, b'(', b')')?;
    let mut pattern = anything();
    if let Some(words) = status_words {
        pattern.sw = SwPattern::one_of(words.to_ascii_uppercase().split(',').map(|sw| sw.replace('X', "x")))
            .map_err(|_| Wrong::NotHex(words))?;
    }
    // Empty brackets say that some data comes.
    if let Some(data) = data.filter(|data| !data.is_empty()) {
        let text = data.to_ascii_uppercase().replace("XX", "??");
        pattern.data = Some(BytePattern::try_from(text.as_str()).map_err(|_| Wrong::NotHex(data))?);
    }
    tell.expected(pattern)
}

/// What stands between these two, without spaces.
fn between(text: &[u8], open: u8, close: u8) -> Result<Option<String>, Wrong> {
    let Some(start) = text.iter().position(|byte| *byte == open) else { return Ok(None) };
    let inside = text.get(start + 1..).unwrap_or_default();
    let end = inside.iter().position(|byte| *byte == close).ok_or(Wrong::Cut("a closing bracket"))?;
    let inside = inside.iter().take(end).filter(|byte| !byte.is_ascii_whitespace());
    Ok(Some(inside.copied().map(char::from).collect()))
}

/// Any response.
fn anything() -> ResponsePattern {
    ResponsePattern {
        sw: SwPattern::any(),
        data: Some(BytePattern::default()),
        length: None,
        tlv: Default::default(),
        predicates: Vec::new(),
        recorded: None,
    }
}
