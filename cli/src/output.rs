//! What goes to standard output: prose for people, or JSON for programs, never both. What would steer a terminal
//! is escaped, wherever it comes from.

use std::fmt::Display;
use std::io::{self, Write};

use onetap_apdu_spec::foreign::{ShownLines, json_shown};
use serde::Serialize;

use crate::exit::Failure;

/// Standard output in one of two languages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// A line for people; nothing in JSON.
    pub(crate) fn say(self, line: impl AsRef<str>) -> Result<(), Failure> {
        if self.json { Ok(()) } else { write_line(ShownLines(line.as_ref())) }
    }

    /// A result: `prose` for people, `value` for programs.
    pub(crate) fn result(self, value: &impl Serialize, prose: impl AsRef<str>) -> Result<(), Failure> {
        if self.json { self.json_line(value) } else { write_line(ShownLines(prose.as_ref())) }
    }

    /// One JSON object on one line, whatever was asked for.
    pub(crate) fn json_line(self, value: &impl Serialize) -> Result<(), Failure> {
        let line = serde_json::to_string(value).map_err(io::Error::from).map_err(Failure::Output)?;
        write_line(json_shown(&line))
    }

    /// Text that is the result itself, line for line.
    pub(crate) fn raw(self, text: &str) -> Result<(), Failure> {
        write_line(ShownLines(text.trim_end()))
    }
}

fn write_line(line: impl Display) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}").and_then(|()| stdout.flush()).map_err(Failure::Output)
}
