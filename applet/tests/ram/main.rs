//! What is left of a secret in this process's memory once the card has wiped it (TM-12, REQ-K-6). In a program of its
//! own: other tests draw the same passwords.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

mod keys;
mod password;
#[allow(dead_code, reason = "made for more tests than these")]
#[path = "../card/rig.rs"]
mod rig;
mod scan;

use onetap_keeping_allocator::Keeping;

#[global_allocator]
static ALLOCATOR: Keeping = Keeping;
