//! Who brings the reader's field, and its switch.

use crate::card::SharedCard;
use crate::front::lock;
use crate::front::vpcd::Stop;

/// Who brings the reader's field.
#[derive(Debug, Clone)]
pub enum Field {
    /// The panel itself: it is the reader, too.
    Panel,
    /// The virtual reader that this switch belongs to. With the switch off, the card is out of it.
    Vpcd(Stop),
}

impl Field {
    /// Puts the card into the field, or takes it out. A virtual reader follows a moment later.
    pub fn switch(&self, card: &SharedCard, on: bool) {
        match (self, on) {
            (Self::Vpcd(reader), true) => reader.resume(),
            (Self::Vpcd(reader), false) => reader.hold(),
            (Self::Panel, true) => {
                let mut card = lock(card);
                if !card.in_field() {
                    card.enter_field();
                    card.power_on();
                }
            }
            (Self::Panel, false) => {
                let mut card = lock(card);
                if card.in_field() {
                    card.leave_field();
                }
            }
        }
    }

    /// Where the switch stands. In a virtual reader, the card may still be on its way in or out.
    #[must_use]
    pub fn is_on(&self, card: &SharedCard) -> bool {
        match self {
            Self::Vpcd(reader) => !reader.is_held(),
            Self::Panel => lock(card).in_field(),
        }
    }

    /// The reader's name.
    pub(crate) fn reader(&self) -> &'static str {
        match self {
            Self::Vpcd(_) => "vpcd",
            Self::Panel => "panel",
        }
    }
}
