//! Scripts for scriptor: `reset`, and commands a line each. What the card answered stands in comments, `# < 90 00`.

use std::io::{self, Write};
use std::time::Duration;

use onetap_apdu_spec::foreign::Shown;

use super::form::{Form, Happening, made_up, spaced};
use crate::trace::Header;

pub(super) struct Script;

impl Form for Script {
    fn begin(&mut self, header: &Header, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "# {}", Shown(&header.description))
    }

    fn tell(
        &mut self,
        what: Happening<'_>,
        _: Option<Duration>,
        line: Option<usize>,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        if let Some(line) = line {
            writeln!(out, "# {}", made_up(line))?;
        }
        match what {
            Happening::Reset(atr) => {
                writeln!(out, "reset")?;
                atr.map_or(Ok(()), |atr| writeln!(out, "# < OK: {}", spaced(&atr)))
            }
            Happening::Leaves => writeln!(out, "# the card leaves"),
            Happening::Command(bytes) => writeln!(out, "{}", spaced(&bytes)),
            Happening::Response(bytes, _) => writeln!(out, "# < {}", spaced(&bytes)),
            Happening::NoResponse => writeln!(out, "# the card left instead of answering"),
            Happening::Aside(words) => writeln!(out, "# {}", Shown(&words)),
        }
    }
}
