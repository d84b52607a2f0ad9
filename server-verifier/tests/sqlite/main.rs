//! The verifier on SQLite, in memory and on disk.
#![allow(unreachable_pub, clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "test code")]

mod files;
mod home;
#[path = "../suite/mod.rs"]
mod suite;
#[path = "../support/mod.rs"]
mod support;
