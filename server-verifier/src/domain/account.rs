//! The rows that a decision reads, in any store.

use onetap_apdu_spec::account::AccountNumber;
use onetap_apdu_spec::money::{Amount, Currency};
use onetap_apdu_spec::service::SystemName;

use crate::domain::{LedgerError, Timestamp};

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
    /// Whether it is at home in this shard, and has not moved to another one.
    #[must_use]
    pub fn is_here(&self) -> bool {
        self.lock.is_none_or(|lock| lock.cause != LockCause::Moved)
    }

    /// So many minor units of its currency.
    ///
    /// # Errors
    /// [`LedgerError::Amount`] if no account can have so much, or it is nothing.
    pub fn amount(&self, minor: u64) -> Result<Amount, LedgerError> {
        Amount::new(minor, self.currency).map_err(|_| LedgerError::Amount)
    }

    /// Whether so much may be spent; nothing may in another currency. Another system knows for those that it keeps.
    #[must_use]
    pub fn has_free(&self, amount: Amount) -> bool {
        let ceiling = if self.system.is_some() { i64::MAX } else { self.balance };
        amount.currency() == self.currency && i128::from(amount.minor()) <= i128::from(ceiling - self.held)
    }

    /// Whether it can be paid so much without overflow.
    #[must_use]
    pub fn has_room(&self, amount: Amount) -> bool {
        amount.currency() == self.currency && self.balance.checked_add_unsigned(amount.minor()).is_some()
    }
}

/// What an account is for (P-26).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, strum::Display, strum::EnumString,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
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
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, strum::Display, strum::EnumString,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum LockCause {
    /// Too many wrong passwords in a row.
    WrongInARow,
    /// Too many wrong passwords within the window.
    WrongInWindow,
    /// It has moved to another shard, and decides there.
    Moved,
}
