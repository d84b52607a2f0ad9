//! Dumps of apdu4j: lines of command and response by turns; `#` begins a comment.

use std::io::{self, Write};
use std::time::Duration;

use onetap_apdu_spec::foreign::Shown;

use super::form::{Form, Happening, made_up};
use crate::atr::Atr;
use crate::trace::Header;

#[derive(Default)]
pub(super) struct Dump {
    /// A command without its response is no part of a dump.
    command: Vec<u8>,
    asked: Option<Duration>,
}

impl Form for Dump {
    fn begin(&mut self, header: &Header, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "# {}", Shown(&header.description))
    }

    fn tell(
        &mut self,
        what: Happening<'_>,
        at: Option<Duration>,
        line: Option<usize>,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        if let Some(line) = line {
            writeln!(out, "# {}", made_up(line))?;
        }
        match what {
            Happening::Reset(None) => writeln!(out, "# the card is reset"),
            Happening::Reset(Some(atr)) => {
                let digits = hex::encode_upper(&atr);
                writeln!(out, "# ATR: {digits}\n# PROTOCOL: T={}", Atr::new(atr).first_protocol())
            }
            Happening::Leaves => writeln!(out, "# the card leaves"),
            Happening::Command(bytes) => {
                (self.command, self.asked) = (bytes, at);
                Ok(())
            }
            Happening::Response(bytes, _) => {
                writeln!(out, "{}", hex::encode_upper(&self.command))?;
                if let (Some(asked), Some(at)) = (self.asked, at) {
                    writeln!(out, "# {}ms", at.saturating_sub(asked).as_millis())?;
                }
                writeln!(out, "{}", hex::encode_upper(bytes))
            }
            Happening::NoResponse => {
                writeln!(out, "# {}: the card left", hex::encode_upper(&self.command))
            }
            Happening::Aside(words) => writeln!(out, "# {}", Shown(&words)),
        }
    }
}
