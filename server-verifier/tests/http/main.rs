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
mod clients;
mod console;
mod contract;
mod encrypted;
mod exchange;
mod ledger;
mod limits;
mod once;
mod outbox;
mod proposals;
mod scene;
mod searching;
#[path = "../support/mod.rs"]
mod support;
mod watching;
mod wire;
