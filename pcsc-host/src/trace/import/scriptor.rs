//! What scriptor prints: `> 00 A4 …`, then `< 6F …` in rows of 16 bytes up to a colon and what the status means; `> RESET`
//! and `< OK: 3B …`. The lines between are its input.

use super::hexadecimal;
use super::log::{Log, Tell, Wrong};

#[derive(Default)]
pub(super) struct Output {
    /// The response whose rows come.
    response: Option<Vec<u8>>,
}

impl Log for Output {
    fn line(&mut self, line: &[u8], tell: &mut dyn Tell) -> Result<(), Wrong> {
        if let Some(response) = self.response.take() {
            return self.row(response, line, tell);
        }
        if let Some(command) = line.strip_prefix(b"> ") {
            return if command.trim_ascii() == b"RESET" {
                Ok(())
            } else {
                tell.command(&hexadecimal::bytes(command)?)
            };
        }
        match line.strip_prefix(b"< ") {
            Some(answer) => match answer.strip_prefix(b"OK:") {
                Some(atr) => {
                    tell.reset(Some(&hexadecimal::bytes(atr)?));
                    Ok(())
                }
                None => self.row(Vec::new(), answer, tell),
            },
            None => Ok(()),
        }
    }

    fn end(&mut self, _: &mut dyn Tell) -> Result<(), Wrong> {
        self.response.as_ref().map_or(Ok(()), |_| Err(Wrong::Cut("the end of a response")))
    }
}

impl Output {
    fn row(&mut self, mut response: Vec<u8>, row: &[u8], tell: &mut dyn Tell) -> Result<(), Wrong> {
        match row.iter().position(|byte| *byte == b':') {
            Some(colon) => {
                hexadecimal::read(row.get(..colon).unwrap_or_default(), &mut response)?;
                tell.response(&response)
            }
            None => {
                hexadecimal::read(row, &mut response)?;
                self.response = Some(response);
                Ok(())
            }
        }
    }
}
