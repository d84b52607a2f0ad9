//! What a format has to offer, what it is told, and how bytes are written.

use std::io::{self, Write};
use std::time::Duration;

use crate::trace::{BytePattern, Captures, Header, ResponsePattern};

/// What happens in a trace, byte by byte.
pub(super) enum Happening<'a> {
    /// The card comes or is reset; its answer to reset, if the trace has it.
    Reset(Option<Vec<u8>>),
    /// The card leaves.
    Leaves,
    Command(Vec<u8>),
    /// The response, and what it must be.
    Response(Vec<u8>, &'a ResponsePattern),
    /// The card left instead of answering.
    NoResponse,
    /// What no terminal sees, in words.
    Aside(String),
}

/// A format that is written.
pub(super) trait Form {
    fn begin(&mut self, header: &Header, out: &mut dyn Write) -> io::Result<()>;
    /// `made_up` is the line if not all of its bytes are the trace's own.
    fn tell(
        &mut self,
        what: Happening<'_>,
        at: Option<Duration>,
        made_up: Option<usize>,
        out: &mut dyn Write,
    ) -> io::Result<()>;
}

/// Bytes with spaces between them.
pub(super) fn spaced(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(3 * bytes.len());
    for (n, digits) in hex::encode_upper(bytes).as_bytes().chunks(2).enumerate() {
        if n > 0 {
            text.push(' ');
        }
        text.extend(digits.iter().copied().map(char::from));
    }
    text
}

/// A comment for bytes that the trace does not have.
pub(super) fn made_up(line: usize) -> String {
    format!("line {line} of the trace has not all of these bytes: they are made up")
}

/// A pattern as scripts write it; `None` if it may have any length.
pub(super) fn with_marks(pattern: &BytePattern, mark: &str) -> Option<String> {
    let text = pattern.window(0, usize::MAX, &Captures::new()).replace("??", mark);
    (!text.contains("..") && !pattern.to_string().contains('$')).then_some(text)
}
