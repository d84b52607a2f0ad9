//! The ways in, for cards of every kind: from the same process, the virtual reader of vsmartcard, the panel, and a whole
//! program around a card.

mod in_process;
#[cfg(feature = "panel")]
pub mod panel;
#[cfg(feature = "program")]
pub mod program;
#[cfg(feature = "tui")]
pub mod tui;
pub mod vpcd;

use std::sync::{MutexGuard, PoisonError};

pub use in_process::InProcess;

use crate::card::{Card, SharedCard};

/// The card. A panic elsewhere does not take it away: its state changes only after a commit.
fn lock(card: &SharedCard) -> MutexGuard<'_, Card> {
    card.lock().unwrap_or_else(PoisonError::into_inner)
}
