//! OpenSC's debug log: `Outgoing APDU (5 bytes):`, then rows of up to 16 bytes, each followed by the same as text. Only the
//! number in brackets tells bytes from text.

use super::hexadecimal;
use super::log::{Log, Tell, Wrong};

/// Bytes in a row.
const ROW: usize = 16;

#[derive(Default)]
pub(super) struct Debug {
    open: Option<Open>,
}

/// An APDU whose rows come.
struct Open {
    outgoing: bool,
    announced: usize,
    bytes: Vec<u8>,
}

impl Log for Debug {
    fn line(&mut self, line: &[u8], tell: &mut dyn Tell) -> Result<(), Wrong> {
        if let Some(open) = self.open.take() {
            return self.row(open, line, tell);
        }
        for (words, outgoing) in [(&b"Outgoing APDU ("[..], true), (b"Incoming APDU (", false)] {
            if let Some(at) = line.windows(words.len()).position(|window| window == words) {
                let rest = line.get(at + words.len()..).unwrap_or_default();
                let announced = hexadecimal::number(rest).ok_or(Wrong::Cut("the length of an APDU"))?;
                self.open = Some(Open { outgoing, announced, bytes: Vec::new() });
                return Ok(());
            }
        }
        // Where it looks the card up: `match_atr_table: ATR     : 3b:85:…`.
        if let Some(at) = line.windows(10).position(|window| window == b"ATR     : ") {
            tell.reset(Some(&hexadecimal::bytes(line.get(at + 10..).unwrap_or_default())?));
        }
        Ok(())
    }

    fn end(&mut self, _: &mut dyn Tell) -> Result<(), Wrong> {
        self.open.as_ref().map_or(Ok(()), |open| Err(open.cut()))
    }
}

impl Open {
    fn cut(&self) -> Wrong {
        Wrong::Length { announced: self.announced, got: self.bytes.len() }
    }
}

impl Debug {
    fn row(&mut self, mut open: Open, line: &[u8], tell: &mut dyn Tell) -> Result<(), Wrong> {
        let wanted = (open.announced - open.bytes.len()).min(ROW);
        // `12 34 … `: the text begins behind the bytes.
        let row = line.get(..3 * wanted).or_else(|| line.get(..(3 * wanted).saturating_sub(1)));
        hexadecimal::read(row.ok_or_else(|| open.cut())?, &mut open.bytes)?;
        if open.bytes.len() < open.announced {
            self.open = Some(open);
            return Ok(());
        }
        if open.outgoing { tell.command(&open.bytes) } else { tell.response(&open.bytes) }
    }
}
