//! The audit log: for each account a chain of entries, each sealed over the one before with a key
//! that is not in the database, so that a change, a removal or another order shows.

use onetap_apdu_spec::account::AccountNumber;
use onetap_apdu_spec::crypto::{Block, Crypto, Key256};
use onetap_apdu_spec::header::CardId;
use onetap_apdu_spec::suite::Suite;
use onetap_apdu_spec::txn::TerminalId;

use crate::decide::{Receipt, TransactionId};
use crate::environment::Timestamp;
use crate::store::rows::{AccountKind, LockCause};

/// One entry of the log, for the operator. Holds no secrets.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct LogEntry {
    /// The account; none in the operator's own chain.
    pub account: Option<AccountNumber>,
    /// Place in its chain, from 1.
    pub sequence: i64,
    /// When.
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub event: Event,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the fields are named for what they hold")]
pub enum Event {
    /// The store was made.
    Initialised { operator: String },
    /// A terminal may send requests.
    TerminalRegistered { terminal: TerminalId },
    /// An account was opened with a balance in minor units.
    AccountOpened { kind: AccountKind, opening_balance: u64 },
    /// An account was closed.
    AccountClosed,
    /// A card is to be made.
    CardOrdered { card: CardId, suite: Suite },
    /// A card's public key was enrolled.
    CardActivated { card: CardId },
    /// A card may not pay any more.
    CardBlocked { card: CardId, operator: String, reason: String },
    /// A transaction was executed.
    Executed { card: CardId, counter: u32, terminal: TerminalId, receipt: Receipt },
    /// A transaction executed before was asked for again, with the right password.
    Repeated { card: CardId, counter: u32, transaction: TransactionId },
    /// A request with a valid signature was refused; no try was charged.
    Refused { card: CardId, counter: u32, terminal: TerminalId, why: Why },
    /// A password was evaluated and was wrong (P-24).
    WrongPassword {
        card: CardId,
        counter: u32,
        terminal: TerminalId,
        in_a_row: u32,
        in_window: u32,
        locked: Option<LockCause>,
    },
    /// An administrator unlocked the account; every counter value up to the mark is void.
    Unlocked { operator: String, reason: String },
}

/// Why a request was refused: for the operator only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// C is below the mark.
    StaleCounter,
    /// C is at the mark, but other bytes were signed.
    OtherBytes,
    /// C was spent or void.
    DeadCounter,
    /// The card is blocked.
    CardNotActive,
    /// The payer's account is closed.
    AccountClosed,
    /// T names another terminal than the client's.
    OtherTerminal,
    /// T's payer is not the card's account.
    OtherPayer,
    /// No such payee.
    UnknownPayee,
    /// The payee's account is closed.
    PayeeClosed,
    /// The payee's account has another holder's name.
    PayeeName,
    /// Payer and payee are the same.
    OwnAccount,
    /// One of the accounts is in another currency.
    Currency,
    /// A top-up must go from a current account to a stored value.
    AccountKind,
    /// Dated too long before receipt.
    TooOld,
    /// Dated too long after receipt.
    DatedAhead,
    /// The account is locked.
    AccountLocked,
    /// Alarm: a card's signature over, or beside, an E that does not open.
    UndecryptablePassword,
    /// Right password, amount over a limit.
    Limit,
    /// Right password, balance too small.
    Funds,
}

/// One entry as it is sealed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sealed<'a> {
    pub(crate) account: i64,
    pub(crate) sequence: i64,
    pub(crate) at: Timestamp,
    /// The event as JSON, exactly as stored.
    pub(crate) event: &'a str,
}

/// The seal of the entry that comes before a chain's first.
pub(crate) const ORIGIN: Block = [0; 16];

/// The tag over where a chain ends, which is kept in one place only: a chain that was cut short has
/// seals that fit, but not this.
pub(crate) fn head(crypto: &dyn Crypto, key: &Key256, account: i64, sequence: i64, last: &Block) -> Block {
    let fixed = [account, sequence].map(i64::to_be_bytes).concat();
    let hash = crypto.sha256(&[b"onetap/audit-head", &fixed, last]);
    crypto.cmac(key, &[&hash])
}

/// The seal over an entry and the one before it.
pub(crate) fn seal(crypto: &dyn Crypto, key: &Key256, before: &Block, entry: &Sealed<'_>) -> Block {
    let fixed = [entry.account, entry.sequence, entry.at.0].map(i64::to_be_bytes).concat();
    let hash = crypto.sha256(&[b"onetap/audit", before, &fixed, entry.event.as_bytes()]);
    crypto.cmac(key, &[&hash])
}
