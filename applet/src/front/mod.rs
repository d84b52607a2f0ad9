//! The ways in: from the same process, as a card in the virtual reader of vsmartcard, and the panel.

mod in_process;
#[cfg(feature = "panel")]
pub mod panel;
pub mod vpcd;

use std::sync::{MutexGuard, PoisonError};

pub use in_process::InProcess;

use crate::card::{Card, SharedCard};

/// The card. A panic elsewhere does not take it away: its state changes only after a commit.
fn lock(card: &SharedCard) -> MutexGuard<'_, Card> {
    card.lock().unwrap_or_else(PoisonError::into_inner)
}
