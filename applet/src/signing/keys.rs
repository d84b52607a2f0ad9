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
