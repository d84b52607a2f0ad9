//! The rows that a decision reads, in any store.

use onetap_apdu_spec::account::AccountNumber;
use onetap_apdu_spec::crypto::{Block, Digest};
use onetap_apdu_spec::header::Binding;
use onetap_apdu_spec::money::Currency;
use onetap_apdu_spec::service::{Answer, Receipt, SystemName};

use crate::environment::Timestamp;

/// Everything that one decision reads, under the lock of the payer's account.
#[derive(Debug, Clone)]
pub struct Rows {
    /// The card's account.
    pub account: Account,
    /// Wrong passwords of that account within the policy's window.
    pub wrong_in_window: u32,
    /// The card's state.
    pub card: CardState,
    /// Whether the signing key that H names may still be used: the newest, or one within its overlap.
    pub key_current: bool,
    /// The card's mark, once it has one.
    pub mark: Option<Mark>,
    /// The account that T names as payee.
    pub payee: Option<Account>,
    /// What was executed for this card and counter value.
    pub executed: Option<Receipt>,
    /// What was answered under this client's idempotency key.
    pub answered: Option<Answered>,
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its row.
    pub id: i64,
    /// Its number.
    pub number: AccountNumber,
    /// Its holder's name, as payers must see it.
    pub holder: String,
    /// Its currency.
    pub currency: Currency,
    /// What it is for.
    pub kind: AccountKind,
    /// Minor units, never negative.
    pub balance: i64,
    /// So much of the balance is held for somebody: minor units.
    pub held: i64,
    /// False once it is closed.
    pub open: bool,
    /// Since when and why it is locked.
    pub lock: Option<Lock>,
    /// Wrong passwords since the last right one.
    pub wrong_in_a_row: u32,
    /// Who keeps its books, if not this server.
    pub system: Option<SystemName>,
}

/// What an account is for (P-26).
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AccountKind {
    /// A bank's current account.
    Current,
    /// A stored value, such as for transit: topped up from current accounts.
    StoredValue,
}

/// Since when and why an account is locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Lock {
    /// Since when.
    pub since: Timestamp,
    /// Why.
    pub cause: LockCause,
}

/// Why an account is locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LockCause {
    /// Too many wrong passwords in a row.
    WrongInARow,
    /// Too many wrong passwords within the window.
    WrongInWindow,
}

impl LockCause {
    /// Its name in logs and columns.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::WrongInARow => "wrong-in-a-row",
            Self::WrongInWindow => "wrong-in-window",
        }
    }
}

impl Life {
    /// Its name in columns.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Executed => "executed",
            Self::Dead => "dead",
        }
    }
}

/// What a card may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CardState {
    /// Ordered: its key is not enrolled yet.
    Ordered,
    /// It may pay.
    Active,
    /// It may not pay any more.
    Blocked,
}

/// How far a card's counter has come, and what became of the value there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Mark {
    /// Highest C that came with a valid signature.
    pub counter: u32,
    /// Hash of the bytes that were signed with it.
    #[serde(with = "hex::serde")]
    pub fingerprint: Digest,
    /// Whether it may still be used.
    pub life: Life,
    /// Wrong passwords given for it.
    pub wrong: u32,
}

impl Mark {
    /// The same, never to be used again.
    #[must_use]
    pub fn dead(self) -> Self {
        Self { life: Life::Dead, ..self }
    }
}

/// Whether a counter value may still be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Life {
    /// Yes, by the same bytes.
    Alive,
    /// It was executed: the same bytes get the same receipt.
    Executed,
    /// No.
    Dead,
}

/// An answer stored under a client's idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// Tells the request's body from another.
    pub body: Block,
    /// The answer.
    pub answer: Answer,
}

/// A card with an enrolled key. None of this ever changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnrolledCard {
    /// Row of its account.
    pub account: i64,
    /// As enrolled.
    pub binding: Binding,
    /// SubjectPublicKeyInfo DER.
    pub public_key: Vec<u8>,
}
