//! The verifier on PostgreSQL: the suite, and what can happen to a store on another machine.
#![allow(unreachable_pub, clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "test code")]

mod broken;
mod carry;
mod contention;
mod failover;
mod home;
mod moving;
mod opening;
mod pooling;
mod proxy;
mod roles;
#[path = "../suite/mod.rs"]
mod suite;
#[path = "../support/mod.rs"]
mod support;
mod tls;
