//! GlobalPlatform on the card: an issuer and what it does to cards, and somebody who is not the issuer.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is how a test fails")]

mod attacks;
mod content;
mod first;
mod foreign;
mod hostile;
mod issuing;
mod keys;
mod listing;
mod orders;
mod rig;
mod tear;
mod variants;
