//! The holder's hands, whoever's they are.

use std::fmt;
use std::time::Duration;

use onetap_pcsc_host::trace::StageError;

/// A blocked PIN stays so.
pub(super) const NOBODY_UNBLOCKS: StageError = StageError::Unsupported(
    "take payments again: its PIN is blocked, its issuer's keys are not lent, and its holder cannot have it unblocked",
);

/// A key of the card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandKey {
    /// Confirm.
    Confirm,
    /// Cancel.
    Cancel,
    /// Clear.
    Clear,
    /// Next page.
    Next,
    /// Previous page.
    Previous,
    /// A digit, 0 to 9.
    Digit(u8),
}

impl fmt::Display for HandKey {
    /// As panel and robot name it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Confirm => f.write_str("confirm"),
            Self::Cancel => f.write_str("cancel"),
            Self::Clear => f.write_str("clear"),
            Self::Next => f.write_str("next"),
            Self::Previous => f.write_str("previous"),
            Self::Digit(digit) => write!(f, "{digit}"),
        }
    }
}

/// Someone who holds the card under test.
pub trait Hands {
    /// Presses a key. A key that the card refuses does nothing, and that is no error.
    ///
    /// # Errors
    /// [`StageError`] if it could not be pressed.
    fn press(&mut self, key: HandKey) -> Result<(), StageError>;

    /// Reads the display, line by line; a dark one has none.
    ///
    /// # Errors
    /// [`StageError`].
    fn look(&mut self) -> Result<Vec<String>, StageError>;

    /// Puts the card into the reader's field, or takes it out.
    ///
    /// # Errors
    /// [`StageError`].
    fn hold_in_field(&mut self, there: bool) -> Result<(), StageError>;

    /// Lets time pass on the card's clock.
    ///
    /// # Errors
    /// [`StageError`].
    fn wait(&mut self, time: Duration) -> Result<(), StageError>;

    /// Has the PIN given new tries by whoever can, where the issuer's keys are not lent.
    ///
    /// # Errors
    /// [`StageError::Unsupported`] if nobody can.
    fn have_unblocked(&mut self) -> Result<(), StageError> {
        Err(NOBODY_UNBLOCKS)
    }

    /// How exactly times are kept.
    fn grain(&self) -> Duration;
}
