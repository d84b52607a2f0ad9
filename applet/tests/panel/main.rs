//! The panel's REST interface, over its socket, on a card whose clock is moved by hand.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod automation;
mod bad_input;
mod bench;
mod clients;
mod events;
mod guard;
mod memory;
mod openapi;
mod other_kinds;
mod reader;
mod screen;
mod stage;
