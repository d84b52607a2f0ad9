//! What the operator reads.

use std::fmt;
use std::str::FromStr;

use onetap_apdu_spec::account::AccountNumber;
use onetap_apdu_spec::header::{CardId, KeyId};
use onetap_apdu_spec::money::Currency;
use onetap_apdu_spec::service::SystemName;
use onetap_apdu_spec::suite::Suite;
use onetap_apdu_spec::txn::TerminalId;

use crate::domain::{AccountKind, CardState, Lock, Timestamp};

/// An account, for the operator.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct AccountView {
    /// Its number.
    pub number: AccountNumber,
    /// Its holder's name.
    pub holder: String,
    /// Its currency.
    pub currency: Currency,
    /// What it is for.
    pub kind: AccountKind,
    /// Minor units.
    pub balance: i64,
    /// So much of the balance is held: minor units.
    pub held: i64,
    /// False once it is closed.
    pub open: bool,
    /// Since when and why it is locked.
    pub locked: Option<Lock>,
    /// Wrong passwords since the last right one.
    pub wrong_in_a_row: u32,
    /// Wrong passwords within the policy's window.
    pub wrong_in_window: u32,
    /// Who keeps its books, if not this server.
    pub system: Option<SystemName>,
    /// Its cards.
    pub cards: Vec<CardView>,
}

/// A card, for the operator.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct CardView {
    /// Its id.
    pub card: CardId,
    /// What it signs.
    pub suite: Suite,
    /// What it may do.
    pub state: CardState,
    /// Version of its newest signing key.
    pub signing_key: KeyId,
}

/// A terminal, for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TerminalView {
    /// Its id.
    pub terminal: TerminalId,
    /// Since when it may send requests.
    pub registered_at: Timestamp,
    /// Since when it may not any more.
    pub withdrawn_at: Option<Timestamp>,
}

/// One line of an account's statement.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct StatementLine {
    /// A transaction's id, or what the operator has booked.
    pub transaction: String,
    /// Minor units; negative if it went out.
    pub amount: i64,
    /// When.
    pub at: Timestamp,
    /// What the next page of the statement comes after.
    #[serde(skip)]
    pub place: StatementPlace,
}

/// A place in an account's statement; the default is its beginning. As text it is for this server alone to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementPlace {
    /// Place of the last entry of the account's own chain.
    pub(crate) own: i64,
    /// Moment of the last line that another chain tells.
    pub(crate) at: Timestamp,
    /// Transaction of that line.
    pub(crate) transaction: String,
}

impl Default for StatementPlace {
    fn default() -> Self {
        Self { own: 0, at: Timestamp(i64::MIN), transaction: String::new() }
    }
}

/// Text that is no place in a statement, or in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a page comes after the `next` of the page before")]
pub struct NotAPlace;

impl fmt::Display for StatementPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.own, self.at.0, self.transaction)
    }
}

impl FromStr for StatementPlace {
    type Err = NotAPlace;
    fn from_str(text: &str) -> Result<Self, NotAPlace> {
        let parts = text.split_once('.').and_then(|(own, rest)| Some((own, rest.split_once('.')?)));
        let (own, (at, transaction)) = parts.ok_or(NotAPlace)?;
        let number = |digits: &str| digits.parse().map_err(|_| NotAPlace);
        Ok(Self { own: number(own)?, at: Timestamp(number(at)?), transaction: transaction.to_owned() })
    }
}

/// Accounts, entries or lines in one page at most.
pub const MAX_PAGE: u32 = 1_000;
