//! The keys (P-21): the confirm key, the PIN, or both. Only this module makes a [`Confirmed`].

use super::confirm::Condition;
use super::pin::PinVerified;

/// A key of the card's keypad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Key {
    /// Confirm, and submit a typed PIN.
    Confirm,
    /// Cancel the transaction.
    Cancel,
    /// Next page.
    Next,
    /// Previous page.
    Previous,
    /// A digit of the PIN; above 9 it does nothing.
    Digit(u8),
    /// Clear what was typed of the PIN.
    Clear,
}

/// What can be asked to be pressed: a key, or `read`, which turns to the last page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Press {
    /// As often the next page as it takes.
    Read,
    /// A key.
    Key(Key),
}

/// All words but the digits.
const WORDS: [(&str, Press); 6] = [
    ("read", Press::Read),
    ("confirm", Press::Key(Key::Confirm)),
    ("cancel", Press::Key(Key::Cancel)),
    ("next", Press::Key(Key::Next)),
    ("previous", Press::Key(Key::Previous)),
    ("clear", Press::Key(Key::Clear)),
];

impl Press {
    /// The press of that word, or of one digit.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        if let [digit @ b'0'..=b'9'] = word.as_bytes() {
            return Some(Self::Key(Key::Digit(digit - b'0')));
        }
        WORDS.iter().find(|(known, _)| *known == word).map(|(_, press)| *press)
    }

    /// Its word; `None` for a digit, which may be part of the PIN.
    #[must_use]
    pub fn word(self) -> Option<&'static str> {
        WORDS.iter().find(|(_, press)| *press == self).map(|(word, _)| *word)
    }
}

/// Proof that the holder confirmed on the card's own keypad. It is used up by decrypting one joint
/// password.
#[derive(Debug)]
pub(crate) struct Confirmed(());

/// What pressing the confirm key comes to.
#[derive(Debug)]
pub(crate) enum Decision {
    /// Enough was done.
    Confirmed(Confirmed),
    /// The PIN was right; the confirm key has to be pressed once more.
    PressOnceMore(PinVerified),
    /// The PIN is missing.
    PinMissing,
}

/// Judges a press of the confirm key: `typed` is the PIN verified by this very press, `before` one
/// verified by an earlier press.
pub(crate) fn decide(
    condition: Condition,
    typed: Option<PinVerified>,
    before: Option<&PinVerified>,
) -> Decision {
    match (condition, typed, before) {
        (Condition::Key, ..) | (Condition::Pin, Some(_), _) | (Condition::PinAndKey, None, Some(_)) => {
            Decision::Confirmed(Confirmed(()))
        }
        (Condition::PinAndKey, Some(pin), _) => Decision::PressOnceMore(pin),
        (Condition::Pin | Condition::PinAndKey, None, _) => Decision::PinMissing,
    }
}
