//! Cryptography for applets.
//!
//! | what | where |
//! |---|---|
//! | what keys do, as another program computed it | `vectors` |
//! | keys as objects: persistence, tears, transactions, types, clearing | `keys` |
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

mod keys;
mod rig;
mod vectors;
