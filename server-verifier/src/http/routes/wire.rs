//! Answers as they travel. Amounts are whole minor units; moments RFC 3339, UTC.

use onetap_apdu_spec::account::AccountNumber;
use onetap_apdu_spec::header::CardId;
use onetap_apdu_spec::money::Currency;
use onetap_apdu_spec::suite::Suite;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{
    AccountKind, AccountView, CardState, Lock, LogEntry, MAX_PAGE, StatementLine, Timestamp,
};
use crate::http::problem::Problem;

/// An account with its lock and its cards.
#[derive(Serialize, ToSchema)]
#[schema(as = Account)]
pub(crate) struct AccountBody {
    #[schema(value_type = String)]
    number: AccountNumber,
    holder: String,
    /// ISO 4217
    #[schema(value_type = String)]
    currency: Currency,
    /// Digits of the currency's minor unit (ISO 4217)
    exponent: u8,
    /// `current` or `stored-value`
    #[schema(value_type = String)]
    kind: AccountKind,
    /// Minor units
    balance: i64,
    /// So much of the balance is held: minor units
    held: i64,
    open: bool,
    lock: LockBody,
    cards: Vec<CardBody>,
}

/// Whether an account is locked, and how far it is from that.
#[derive(Serialize, ToSchema)]
#[schema(as = LockState)]
pub(crate) struct LockBody {
    locked: bool,
    #[schema(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    /// `wrong-in-a-row` or `wrong-in-window`
    #[schema(value_type = Option<String>)]
    cause: Option<crate::domain::LockCause>,
    /// Wrong passwords since the last right one
    wrong_in_a_row: u32,
    /// Wrong passwords within the policy's window
    wrong_in_window: u32,
}

impl LockBody {
    fn new(lock: Option<Lock>, wrong_in_a_row: u32, wrong_in_window: u32) -> Self {
        let (since, cause) = (lock.map(|lock| lock.since), lock.map(|lock| lock.cause));
        Self { locked: lock.is_some(), since, cause, wrong_in_a_row, wrong_in_window }
    }
}

/// A card.
#[derive(Serialize, ToSchema)]
#[schema(as = Card)]
pub(crate) struct CardBody {
    #[schema(value_type = String)]
    card: CardId,
    /// What it signs
    #[schema(value_type = String)]
    suite: Suite,
    /// `ordered`, `active` or `blocked`
    #[schema(value_type = String)]
    state: CardState,
    /// Version of its newest signing key
    signing_key: u16,
}

impl From<AccountView> for AccountBody {
    fn from(view: AccountView) -> Self {
        Self {
            lock: LockBody::new(view.locked, view.wrong_in_a_row, view.wrong_in_window),
            cards: view.cards.into_iter().map(CardBody::from).collect(),
            number: view.number,
            holder: view.holder,
            currency: view.currency,
            exponent: view.currency.exponent(),
            kind: view.kind,
            balance: view.balance,
            held: view.held,
            open: view.open,
        }
    }
}

impl AccountBody {
    pub(crate) fn into_lock(self) -> LockBody {
        self.lock
    }
}

impl From<crate::domain::CardView> for CardBody {
    fn from(view: crate::domain::CardView) -> Self {
        Self { card: view.card, suite: view.suite, state: view.state, signing_key: view.signing_key }
    }
}

/// An entry of the audit log. Which further fields it has depends on `event`.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditEntry)]
pub(crate) struct EntryBody {
    #[serde(flatten)]
    #[schema(value_type = Object)]
    entry: LogEntry,
}

impl From<LogEntry> for EntryBody {
    fn from(entry: LogEntry) -> Self {
        Self { entry }
    }
}

/// One line of a statement.
#[derive(Serialize, ToSchema)]
#[schema(as = StatementLine)]
pub(crate) struct LineBody {
    /// A transaction's id, or what the operator has booked
    transaction: String,
    /// Minor units; negative if it went out
    amount: i64,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
}

impl From<StatementLine> for LineBody {
    fn from(line: StatementLine) -> Self {
        Self { transaction: line.transaction, amount: line.amount, at: line.at }
    }
}

/// Some of many.
#[derive(Serialize, ToSchema)]
pub(crate) struct Page<T> {
    items: Vec<T>,
    /// To be given as `after` to get more; none at the end
    next: Option<String>,
}

impl<T> Page<T> {
    /// A page of at most `limit` items, the last of which is `last`.
    pub(crate) fn new(items: impl Iterator<Item = T>, last: Option<String>, limit: u32) -> Self {
        let items: Vec<T> = items.collect();
        let full = items.len() >= limit as usize;
        Self { items, next: last.filter(|_| full) }
    }
}

/// How many items a page has.
pub(crate) fn page_limit(asked: Option<u32>) -> Result<u32, Problem> {
    let limit = asked.unwrap_or(100);
    let possible = (1..=MAX_PAGE).contains(&limit);
    if possible { Ok(limit) } else { Err(Problem::malformed("a page has 1 to 1000 items")) }
}
