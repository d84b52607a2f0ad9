//! The service over real sockets.

#![cfg(feature = "http")]
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests"
)]

mod access;
mod administering;
mod authorising;
mod cancelling;
mod console;
mod encrypted;
mod ledger;
mod limits;
mod outbox;
mod scene;
#[path = "../support/mod.rs"]
mod support;
mod wire;
