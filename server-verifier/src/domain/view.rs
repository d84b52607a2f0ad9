//! What the operator reads.

use onetap_apdu_spec::account::AccountNumber;
use onetap_apdu_spec::header::{CardId, KeyId};
use onetap_apdu_spec::money::Currency;
use onetap_apdu_spec::suite::Suite;

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

/// One line of an account's statement.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct StatementLine {
    /// A transaction's id, or what the operator has booked.
    pub transaction: String,
    /// Minor units; negative if it went out.
    pub amount: i64,
    /// When.
    pub at: Timestamp,
}

/// Accounts, entries or lines in one page at most.
pub const MAX_PAGE: u32 = 1_000;
