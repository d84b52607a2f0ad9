//! The terminal as other languages see it.
//!
//! Functions with values of their own, and handles: numbers that stand for a till, a payment or a watch. C, Python and
//! Java have the same functions with the same meaning; what a language adds is its form. `docs/languages.md` is the
//! way in.
//!
//! | module | what it has |
//! |---|---|
//! | [`till`] | a terminal with its server and journal; attempts whose end is not known, and how to learn it |
//! | [`payment`] | one payment, from the tap to the decision, event by event |
//! | [`port`] | a reader that the app brings, such as a phone's NFC |
//! | [`readers`] | the system's readers, and what comes and goes there |
//! | [`source`] | transactions: checked, read from JSON, a URL, a code or a picture |
//! | [`trace`] | recorded exchanges in words; logs of other programs as traces |
//! | [`error`] | one error, of a stable kind, with cause and cure |
//! | [`handle`] | what a handle is, when it is closed, and what a fork does to it |
//!
//! What holds for every function:
//! - It may be called from any thread. [`payment::next`] and [`readers::watch_next`] are for one thread at a time; a second
//!   one gets [`Kind::Busy`].
//! - It takes and gives owned values and keeps nothing of the caller's.
//! - It does not panic: what should not happen is [`Kind::Internal`].
//! - A handle that was closed is [`Kind::Closed`], in a process that was forked off [`Kind::Forked`].

pub mod error;
pub mod handle;
pub mod payment;
pub mod port;
pub mod readers;
pub mod source;
pub mod till;
pub mod trace;

pub use error::{Error, Kind};
pub use handle::{Handle, close};

/// The version of this face. It goes up when a function or the meaning of a value changes; what is only added leaves it.
pub const VERSION: u32 = 1;
