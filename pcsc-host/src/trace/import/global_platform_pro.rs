//! GlobalPlatformPro with `-d`: `A>> T=1 (4+0000) 00A40400 00` and `A<< (0018+2) (23ms) 6F10… 9000`, perhaps with words
//! of a logger before it.

use super::hexadecimal;
use super::log::{Log, Tell, Wrong};

#[derive(Default)]
pub(super) struct Debug;

/// What follows `mark`, from the first word on that is neither in brackets nor the protocol.
fn after<'l>(line: &'l [u8], mark: &[u8]) -> Option<&'l [u8]> {
    let (_, mut rest) = split_once(line, mark)?;
    rest = rest.trim_ascii();
    while let Some(word) = rest.split(|byte| *byte == b' ').next()
        && (word.starts_with(b"(") || word.starts_with(b"T="))
    {
        rest = rest.get(word.len()..)?.trim_ascii_start();
    }
    Some(rest)
}

impl Log for Debug {
    fn line(&mut self, line: &[u8], tell: &mut dyn Tell) -> Result<(), Wrong> {
        if let Some(command) = after(line, b"A>>") {
            return tell.command(&hexadecimal::bytes(command)?);
        }
        if let Some(response) = after(line, b"A<<") {
            let bytes = hexadecimal::bytes(response)?;
            let announced = split_once(line, b"(").and_then(|(_, text)| hexadecimal::number(text));
            return match announced.map(|data| data + 2).filter(|announced| *announced != bytes.len()) {
                Some(announced) => Err(Wrong::Length { announced, got: bytes.len() }),
                None => tell.response(&bytes),
            };
        }
        // SCardConnect("Reader", T=*) -> T=1, 3B85…
        if line.windows(13).any(|window| window == b"SCardConnect(")
            && let Some((_, answer)) = split_once(line, b"-> ")
            && let Some((_, atr)) = split_once(answer, b", ")
        {
            tell.reset(Some(&hexadecimal::bytes(atr)?));
        }
        Ok(())
    }
}

fn split_once<'l>(line: &'l [u8], mark: &[u8]) -> Option<(&'l [u8], &'l [u8])> {
    let at = line.windows(mark.len()).position(|window| window == mark)?;
    Some((line.get(..at)?, line.get(at + mark.len()..)?))
}
