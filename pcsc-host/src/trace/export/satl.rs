//! Scripts of ETSI TS 101 955, Annex B: `RST`, `OFF`, `REM` before a comment, and
//! `CMD command [expected data] (expected status words)`, where `XX` stands for any byte.

use std::io::{self, Write};
use std::time::Duration;

use onetap_apdu_spec::foreign::Shown;

use super::form::{Form, Happening, made_up, spaced, with_marks};
use crate::trace::{Header, ResponsePattern};

/// Bytes in a line.
const ROW: usize = 16;

#[derive(Default)]
pub(super) struct Script {
    command: Vec<u8>,
}

impl Form for Script {
    fn begin(&mut self, header: &Header, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "REM {}", Shown(&header.description))
    }

    fn tell(
        &mut self,
        what: Happening<'_>,
        _: Option<Duration>,
        line: Option<usize>,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        // Of a response only what must come is written, and that is the trace's own.
        if let Some(line) = line.filter(|_| matches!(what, Happening::Command(_))) {
            writeln!(out, "REM {}", made_up(line))?;
        }
        match what {
            Happening::Reset(None) => writeln!(out, "RST"),
            Happening::Reset(Some(atr)) => writeln!(out, "RST\nREM ATR: {}", spaced(&atr)),
            Happening::Leaves => writeln!(out, "OFF"),
            Happening::Command(bytes) => {
                self.command = bytes;
                Ok(())
            }
            Happening::Response(bytes, pattern) => self.command(&bytes, pattern, out),
            Happening::NoResponse => {
                writeln!(out, "REM {}: the card left instead of answering", spaced(&self.command))
            }
            Happening::Aside(words) => writeln!(out, "REM {}", Shown(&words)),
        }
    }
}

impl Script {
    fn command(&self, response: &[u8], pattern: &ResponsePattern, out: &mut dyn Write) -> io::Result<()> {
        let (header, body) = self.command.split_at(self.command.len().min(5));
        write!(out, "CMD {}", spaced(header))?;
        in_rows(&spaced(body), out)?;
        let length = response.len().saturating_sub(2);
        let any = || Some(vec!["XX"; length].join(" "));
        let expected = match &pattern.data {
            Some(data) => with_marks(data, "XX"),
            // A length that is not told cannot be written down.
            None if pattern.length.is_some() || !pattern.tlv.is_empty() => any(),
            None => None,
        };
        if let Some(expected) = expected.filter(|expected| !expected.is_empty()) {
            in_rows(&format!("[{expected}"), out)?;
            write!(out, "]")?;
        }
        writeln!(out, " \\\n ({})", status_words(&pattern.sw.to_string()))
    }
}

/// Sixteen bytes a row, each row after the first a line that goes on.
fn in_rows(text: &str, out: &mut dyn Write) -> io::Result<()> {
    let words: Vec<_> = text.split(' ').filter(|word| !word.is_empty()).collect();
    words.chunks(ROW).try_for_each(|row| write!(out, " \\\n {}", row.join(" ")))
}

/// `6985 or 61xx` as `69 85, 61 XX`.
fn status_words(text: &str) -> String {
    let one = |sw: &str| {
        let (high, low) = sw.split_at(sw.len().min(2));
        format!("{high} {low}").to_uppercase()
    };
    text.split(" or ").map(one).collect::<Vec<_>>().join(", ")
}
