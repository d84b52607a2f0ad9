//! How a card stands when a case begins.

use std::fmt;

use onetap_apdu_spec::command::CardState;
use serde::Serialize;

use crate::target::Capability;

/// How the card stands when the case begins. The runner brings it there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precondition {
    /// Beside the reader.
    OutOfField,
    /// In the field, the application not selected: nothing is, or what the card selects by default.
    PoweredUp,
    /// In the field, the application selected, in this state.
    State(CardState),
}

impl fmt::Display for Precondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfField => f.write_str("the card is out of the field"),
            Self::PoweredUp => f.write_str("the card is powered up, the application is not selected"),
            Self::State(state) => write!(f, "the application is selected and in state {state:?}"),
        }
    }
}

impl Precondition {
    /// What it takes to bring a card there.
    pub(super) fn needs(self) -> &'static [Capability] {
        use Capability::{Field, Fresh, Holder};
        match self {
            Self::OutOfField | Self::PoweredUp | Self::State(CardState::Idle | CardState::Loaded) => &[],
            Self::State(CardState::Signed | CardState::Delivered) => &[Fresh],
            Self::State(CardState::Showing | CardState::Revealed) => &[Fresh, Field, Holder],
        }
    }

    /// Signatures that it takes to bring a card there.
    pub(super) fn signatures(self) -> u32 {
        use CardState::{Delivered, Revealed, Showing, Signed};
        u32::from(matches!(self, Self::State(Signed | Delivered | Showing | Revealed)))
    }
}
