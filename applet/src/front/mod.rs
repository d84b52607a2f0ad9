//! The two ways in: from the same process, and as a card in the virtual reader of vsmartcard.

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
