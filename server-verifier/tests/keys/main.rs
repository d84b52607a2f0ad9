//! Keys: sealed on disk, rotated with overlap, in a token.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod format;
mod rotation;
mod sealing;
#[path = "../support/mod.rs"]
mod support;
#[cfg(feature = "pkcs11")]
mod token;
