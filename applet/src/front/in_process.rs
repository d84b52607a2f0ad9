//! A reader that is a function call.

use super::lock;
use crate::card::SharedCard;

/// One contact with a card in the same process. Dropping it takes the card out of the field.
#[derive(Debug)]
pub struct InProcess {
    card: SharedCard,
}

impl InProcess {
    /// Puts the card into the field and powers it.
    #[must_use]
    pub fn connect(card: SharedCard) -> Self {
        {
            let mut card = lock(&card);
            card.enter_field();
            card.power_on();
        }
        Self { card }
    }

    /// The answer to reset.
    #[must_use]
    pub fn atr(&self) -> Vec<u8> {
        lock(&self.card).atr().to_vec()
    }

    /// One command APDU, one response APDU of at least two bytes.
    #[must_use]
    pub fn transmit(&self, command: &[u8]) -> Vec<u8> {
        lock(&self.card).transmit(command)
    }

    /// Resets the card, as a reader would.
    pub fn reset(&self) {
        lock(&self.card).reset();
    }

    /// Takes the card out of the field.
    pub fn release(self) {
        drop(self);
    }
}

impl Drop for InProcess {
    fn drop(&mut self) {
        lock(&self.card).leave_field();
    }
}
