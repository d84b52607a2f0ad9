//! Types and numbers that C sees.

use std::ffi::{c_char, c_int, c_void};
use std::time::Duration;

use onetap_face::payment::{Step, What};
use onetap_face::readers::Change;
use onetap_face::till::{End, StepLimits};

/// The version of this interface. A program and a library of the same number fit each other.
pub const ONETAP_VERSION: u32 = 1;
/// It went well.
pub const ONETAP_OK: i32 = 0;
/// As a timeout: for ever.
pub const ONETAP_FOREVER: u32 = u32::MAX;

/// `ONETAP_OK`, or an `onetap_kind`.
pub type Status = i32;
/// Stands for a till, a payment or a watch. None is 0, and none is ever given twice.
pub type Handle = u64;

pub(crate) fn after(millis: u32) -> Duration {
    if millis == ONETAP_FOREVER { Duration::MAX } else { Duration::from_millis(millis.into()) }
}

pub(crate) fn millis(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(ONETAP_FOREVER)
}

/// How long each step of a payment may take, in milliseconds; 0 stands for the default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Limits {
    /// For the server to say that a payment can be made (5 seconds).
    pub check_ms: u32,
    /// For a card to come and to sign (60 seconds).
    pub tap_ms: u32,
    /// For the card to be taken away (30 seconds).
    pub removal_ms: u32,
    /// For the holder to read, confirm and type (5 minutes).
    pub holder_ms: u32,
    /// For the server to decide (60 seconds).
    pub sending_ms: u32,
}

impl From<Limits> for StepLimits {
    fn from(limits: Limits) -> Self {
        let of = |millis: u32| Duration::from_millis(millis.into());
        Self {
            check: of(limits.check_ms),
            tap: of(limits.tap_ms),
            removal: of(limits.removal_ms),
            holder: of(limits.holder_ms),
            sending: of(limits.sending_ms),
        }
    }
}

/// What a till is made of. Set it to zero, then `size`, then what is needed.
#[repr(C)]
pub struct Config {
    /// `sizeof(onetap_config)`, so that programs that were compiled with an older header go on working.
    pub size: usize,
    /// The terminal's id, which the bank's operator gave.
    pub terminal: *const c_char,
    /// The server, such as `https://bank.example:8443`.
    pub server: *const c_char,
    /// The authority that vouches for the server, in PEM; NULL for those that the system trusts.
    pub ca: *const c_char,
    /// The token that the server's operator made for this terminal, or NULL.
    pub token: *const c_char,
    /// A certificate in the token's place, in PEM, or NULL.
    pub certificate: *const c_char,
    /// Its private key, in PEM, or NULL.
    pub key: *const c_char,
    /// The folder that attempts are kept in; NULL keeps them in memory, from where they are lost with the process.
    pub journal: *const c_char,
    /// Takes cards in this reader of the system only, or NULL for any.
    pub reader: *const c_char,
    /// A reader of the app's own, or NULL.
    pub port: *const Port,
    /// How long each step may take.
    pub limits: Limits,
    /// Plays this trace in the place of a card and a reader, or NULL. What it does not have ends the payment with
    /// `ONETAP_KIND_TRACE`; the cause shows the difference.
    pub trace: *const c_char,
    /// Whether the trace takes each command once, in its own order and just as it was. If not, it takes them in any order and
    /// as often as wanted, with whatever a terminal makes anew for each transaction.
    pub strict: bool,
    /// Records what passes between terminal and cards as a trace, into this file, which must not be there yet, or NULL.
    /// Secrets are left out. A disk that is full ends the recording, and no payment.
    pub record: *const c_char,
}

/// What is to be paid.
#[repr(C)]
pub struct TransactionOfC {
    /// Puts money on the card's own stored value instead of paying.
    pub top_up: bool,
    /// IBAN, or digits ending in their Luhn check digit.
    pub payee_account: *const c_char,
    /// Whom the card names to its holder.
    pub payee_name: *const c_char,
    /// In major units, such as `12.34`.
    pub amount: *const c_char,
    /// ISO 4217, such as `EUR`.
    pub currency: *const c_char,
    /// The payee's reference.
    pub reference: *const c_char,
    /// More for the holder to read, or NULL.
    pub details: *const c_char,
}

/// A receipt.
#[repr(C)]
pub struct Receipt {
    /// Money was put on the card's own stored value.
    pub top_up: bool,
    /// Amount in minor units of the currency.
    pub minor: u64,
    /// ISO 4217.
    pub currency: *const c_char,
    /// The payee's account.
    pub payee_account: *const c_char,
    /// The payee's name.
    pub payee_name: *const c_char,
    /// The payee's reference.
    pub reference: *const c_char,
    /// Moment of execution by the server's clock, as `2026-07-01T12:00:00Z`.
    pub executed_at: *const c_char,
    /// The other system that has yet to book it; empty if it is booked.
    pub accepted_for: *const c_char,
}

/// How a payment ended.
#[repr(C)]
pub struct OutcomeOfC {
    /// In a word.
    pub result: End,
    /// The transaction's id at the server.
    pub id: *const c_char,
    /// What was executed; NULL if nothing was.
    pub receipt: *const Receipt,
}

/// What happened in a payment. What does not belong to an event is 0, empty or NULL.
#[repr(C)]
pub struct Event {
    /// What.
    pub what: What,
    /// The step that began.
    pub step: Step,
    /// Milliseconds left: of the step that began, to tap again, or to repeat.
    pub left_ms: u32,
    /// The reader that a card was found in.
    pub reader: *const c_char,
    /// Why to tap again, or why to repeat.
    pub cause: *const c_char,
    /// What to do about it.
    pub cure: *const c_char,
    /// The id that the signed transaction has, or will have, at the server.
    pub id: *const c_char,
    /// What the card signed, and shows to its holder.
    pub transaction: *const TransactionOfC,
    /// How it ended.
    pub outcome: *const OutcomeOfC,
}

/// A payment that was sent, and that the app is not done with.
#[repr(C)]
pub struct Attempt {
    /// The transaction's id, by which it is resolved and forgotten.
    pub id: *const c_char,
    /// When it was begun, by the terminal's clock; when it was written, if it cannot be read any more.
    pub begun: *const c_char,
    /// What was to be paid; NULL if it cannot be read any more.
    pub transaction: *const TransactionOfC,
    /// How it ended; NULL if that is not known.
    pub outcome: *const OutcomeOfC,
}

/// What happened at a reader.
#[repr(C)]
pub struct Seen {
    /// What.
    pub change: Change,
    /// The reader's name; empty where there is none.
    pub reader: *const c_char,
    /// The answer to reset of a card that came.
    pub atr: *const u8,
    /// Its length.
    pub atr_len: usize,
}

/// What a function of a port returns when the card has left: it may be tapped again.
pub const ONETAP_PORT_CARD_LEFT: c_int = -1;
/// What it returns when the app's code failed, which ends the payment with `ONETAP_KIND_CALLBACK`.
pub const ONETAP_PORT_FAILED: c_int = -2;
/// Most bytes of an answer to reset.
pub const ONETAP_PORT_ATR_ROOM: usize = 33;
/// Most bytes of a response.
pub const ONETAP_PORT_RESPONSE_ROOM: usize = 65_538;

/// A reader of the app's own, such as a phone's NFC. Its functions are called on threads of the library, one at a time.
/// They should return within a second, since a payment that is cancelled waits for them. They must not throw, and must
/// not leave by `longjmp`. The struct is copied; `context` is yours, and lasts until `release` is called.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Port {
    /// `sizeof(onetap_port)`.
    pub size: usize,
    /// Handed to each function.
    pub context: *mut c_void,
    /// Waits at most `wait_ms` for a card: 1 while one is there, 0 if none is.
    pub present: Option<extern "C" fn(context: *mut c_void, wait_ms: u32) -> c_int>,
    /// Begins a contact. Writes the answer to reset, `ONETAP_PORT_ATR_ROOM` bytes at most, and returns its length; 0 where
    /// there is none, as with many phones: then commands are short.
    pub connect: Option<extern "C" fn(context: *mut c_void, atr: *mut u8) -> c_int>,
    /// Sends one command APDU. Writes the response APDU, `ONETAP_PORT_RESPONSE_ROOM` bytes at most, and returns its length.
    pub transmit: Option<
        extern "C" fn(
            context: *mut c_void,
            command: *const u8,
            command_len: usize,
            response: *mut u8,
        ) -> c_int,
    >,
    /// Ends the contact; with `power_off` the card has to lose its power. Returns 0.
    pub disconnect: Option<extern "C" fn(context: *mut c_void, power_off: bool) -> c_int>,
    /// The library needs `context` no more; or NULL. Called once for each port that is whole: after the till was closed and
    /// its payment has ended, on whichever thread was last, or before `onetap_till` returns if it fails.
    pub release: Option<extern "C" fn(context: *mut c_void)>,
}
