//! What a format has to offer, and who is told.

use onetap_apdu_spec::foreign::Shown;

use crate::trace::ResponsePattern;

/// Longest line of a log: an extended APDU of 65 545 bytes, each written as `12 `, with room before it.
pub(super) const MAX_LINE: u64 = 1 << 20;

/// What is wrong with a line of a log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// Something else than bytes in hexadecimal.
    #[error("bytes in hexadecimal are expected, not \"{}\"", Shown(.0))]
    NotHex(String),
    /// The log says how many bytes come, and others come.
    #[error("{announced} bytes were announced, {got} came: the log was cut")]
    Length {
        /// How many.
        announced: usize,
        /// How many came.
        got: usize,
    },
    /// A command before the one before was answered.
    #[error(
        "a command, though the one of line {0} has no response yet: the log was cut there, or mixes two programs; log one at a time"
    )]
    Unanswered(u64),
    /// A response to nothing.
    #[error("a response without a command before it: the log was cut, or mixes two programs")]
    Unasked,
    /// None of a script's statements.
    #[error("\"{}\" is none of the statements CMD, RST, OFF and REM", Shown(.0))]
    NoStatement(String),
    /// Fewer than four bytes are no command, fewer than two no response.
    #[error("{0} bytes are too few")]
    Short(usize),
    /// No line of a log is that long.
    #[error("longer than {MAX_LINE} bytes: this is no such log")]
    TooLong,
    /// The last line tells of a card, and has no line break.
    #[error("the line has no end: the log was cut there; if it is whole, put a line break behind it")]
    Unended,
    /// The log ends where more must come.
    #[error("the log ends before {0}: it was cut")]
    Cut(&'static str),
}

/// A log of one format.
pub(super) trait Log {
    /// Reads one line, without its end. Lines that tell nothing of a card are passed over.
    fn line(&mut self, line: &[u8], tell: &mut dyn Tell) -> Result<(), Wrong>;

    /// The log is over.
    fn end(&mut self, _tell: &mut dyn Tell) -> Result<(), Wrong> {
        Ok(())
    }
}

/// Who is told what a log has.
pub(super) trait Tell {
    /// The card was powered up or reset; its answer to reset, if the log has it.
    fn reset(&mut self, atr: Option<&[u8]>);
    /// A command.
    fn command(&mut self, bytes: &[u8]) -> Result<(), Wrong>;
    /// The response to it.
    fn response(&mut self, bytes: &[u8]) -> Result<(), Wrong>;
    /// What the response to it must be: a script knows no more.
    fn expected(&mut self, pattern: ResponsePattern) -> Result<(), Wrong>;
    /// The card loses its power.
    fn leaves(&mut self);
}
