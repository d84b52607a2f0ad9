//! Terminals in other languages: each pays with the virtual card at a service over TLS, keeps its memory over many payments,
//! and tells what goes wrong.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests")]

#[path = "../support/mod.rs"]
mod support;

mod c;
mod jvm;
mod python;
mod rig;
