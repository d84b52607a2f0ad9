//! The applet's states (protocol, "Card states"). Each carries its data; [`CardState`] is its name.

use std::sync::Arc;

use onetap_apdu_spec::command::CardState;
use onetap_apdu_spec::password::Password;
use onetap_apdu_spec::txn::TransactionMessage;

use super::memory::{Pending, Signed};
use super::pin::PinVerified;

/// Where the applet stands.
#[derive(Debug, Clone, Default)]
pub(crate) enum State {
    /// Nothing pending.
    #[default]
    Idle,
    /// A transaction message was accepted; in RAM only.
    Loaded(Arc<TransactionMessage>),
    /// Signed; something is still owed to the terminal; in RAM only.
    Signed(Arc<Signed>),
    /// The terminal has all it needs; committed.
    Delivered(Arc<Pending>),
    /// The contact is over, the display is awake; committed.
    Showing(Arc<Pending>, Option<Arc<PinVerified>>),
    /// Confirmed. The joint password is nowhere but here.
    Revealed(Arc<Password>),
}

impl State {
    /// Its name.
    pub(crate) fn name(&self) -> CardState {
        match self {
            Self::Idle => CardState::Idle,
            Self::Loaded(_) => CardState::Loaded,
            Self::Signed(_) => CardState::Signed,
            Self::Delivered(_) => CardState::Delivered,
            Self::Showing(..) => CardState::Showing,
            Self::Revealed(_) => CardState::Revealed,
        }
    }

    /// Power gone, reset, selected anew or out of the field: what was not delivered is void, and a PIN
    /// typed before does not count any more.
    pub(crate) fn interrupted(self) -> Self {
        match self {
            Self::Loaded(_) | Self::Signed(_) => Self::Idle,
            Self::Showing(pending, _) => Self::Showing(pending, None),
            other => other,
        }
    }

    /// The contact is over: the display may show what was delivered.
    pub(crate) fn contact_over(self) -> Self {
        match self {
            Self::Delivered(pending) => Self::Showing(pending, None),
            other => other.interrupted(),
        }
    }

    /// What waits for the holder, delivered or shown.
    pub(crate) fn pending(&self) -> Option<&Arc<Pending>> {
        match self {
            Self::Delivered(pending) | Self::Showing(pending, _) => Some(pending),
            _ => None,
        }
    }
}
