//! The rows that a decision reads, in any store.

use onetap_apdu_spec::account::AccountNumber;
use onetap_apdu_spec::money::Currency;
use onetap_apdu_spec::service::SystemName;

use crate::domain::Timestamp;

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

impl Account {
    /// What may be spent: minor units. Another system knows for those that it keeps.
    #[must_use]
    pub fn free(&self) -> i64 {
        let ceiling = if self.system.is_some() { i64::MAX } else { self.balance };
        ceiling - self.held
    }
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

impl AccountKind {
    /// Its name in columns.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::StoredValue => "stored-value",
        }
    }
}
