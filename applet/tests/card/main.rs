//! The card from outside: through APDUs, keys, display, field and clock.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

mod attacks;
mod bad_input;
mod confirming;
mod faults;
mod grid;
mod image;
mod limits;
mod products;
mod profiles;
mod properties;
mod rig;
mod states;
mod tear;
mod vpcd;
