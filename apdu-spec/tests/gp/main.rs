//! GlobalPlatform: the secure channel against exchanges of real cards and against itself, the commands,
//! and the issuer's conversation with a card in memory.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is how a test fails")]

mod aes;
mod bench_card;
mod ceremony;
mod commands;
mod computed;
mod recorded;
mod rig;
mod session;
