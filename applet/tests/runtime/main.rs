//! The runtime from outside: each thing that a Java-Card-style card owes, with at least one test.
//!
//! | what | where |
//! |---|---|
//! | installation and deletion are whole or nothing | `install`, `deletion` |
//! | SELECT, and the default applet | `selection` |
//! | logical channels | `channels` |
//! | transient memory | `transient` |
//! | transactions and tears | `transactions` |
//! | the owner's PIN | `pin` |
//! | cases 1 to 4, GET RESPONSE, class bytes | `lengths`; under T=0: `t0` |
//! | command chaining, applets with their own transport | `chaining` |
//! | panics and errors | `faults` |
//! | firewall | `firewall`, and what does not compile at `Context` |
//! | interfaces that applets share | `sharing` |
//! | what a chip has room and time for | `limits` |
//! | life cycles | `life_cycle` |
//! | any sequence of commands | `model`: as a small model says; `random`: bytes of any kind |
//! | the example applets | `purse` |
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]
#![allow(clippy::print_stdout, reason = "how much a sweep covers")]

mod chaining;
mod channels;
mod deletion;
mod faults;
mod firewall;
mod install;
mod lengths;
mod life_cycle;
mod limits;
mod model;
mod pin;
mod probe;
mod purse;
mod random;
mod rig;
mod selection;
mod sharing;
mod t0;
mod transactions;
mod transient;
