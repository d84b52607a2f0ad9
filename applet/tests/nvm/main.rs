//! The card's non-volatile memory from outside: commits, tears, damage, files.
#![allow(clippy::print_stdout, reason = "how much was tried is part of the result")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

mod damage;
mod failing;
mod file;
mod kill;
mod legacy;
mod limits;
mod model;
mod power;
mod rig;
mod tear;
