//! What the log tells.

use onetap_apdu_spec::account::AccountNumber;
use onetap_apdu_spec::crypto::Digest;
use onetap_apdu_spec::header::{CardId, KeyId};
use onetap_apdu_spec::service::{Answer, Receipt, SystemName, TransactionId};
use onetap_apdu_spec::suite::Suite;
use onetap_apdu_spec::txn::TerminalId;

use crate::domain::{AccountKind, EntryId, HoldId, KeyKind, LockCause, Mark, Timestamp};

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
    /// The server has another version of a key, for new cards.
    KeyRotated { key: KeyKind, version: KeyId },
    /// A version of a key is gone for good.
    KeyRetired { key: KeyKind, version: KeyId },
    /// A checkpoint of the log was signed.
    Checkpointed {
        chains: u64,
        #[serde(with = "hex::serde")]
        root: Digest,
    },
    /// A terminal may send requests.
    TerminalRegistered { terminal: TerminalId },
    /// A terminal may not send requests any more.
    TerminalWithdrawn { terminal: TerminalId },
    /// An account was opened with a balance in minor units.
    AccountOpened { kind: AccountKind, opening_balance: u64 },
    /// An account was closed.
    AccountClosed,
    /// A card is to be made, or made anew with another signing key.
    CardOrdered { card: CardId, suite: Suite, signing_key: KeyId },
    /// A card's public key was enrolled: the SHA-256 of its binding and SubjectPublicKeyInfo.
    CardActivated {
        card: CardId,
        signing_key: KeyId,
        #[serde(with = "hex::serde")]
        enrolled: Digest,
        /// Until when the card's older keys are good, if it has any.
        older_until: Option<Timestamp>,
    },
    /// A card may not pay any more.
    CardBlocked { card: CardId, operator: String, reason: String },
    /// A transaction was executed.
    Executed { terminal: TerminalId, receipt: Receipt, mark: Mark },
    /// A transaction executed before was asked for again, with the right password.
    Repeated { card: CardId, counter: u32, receipt: Receipt },
    /// A request with a valid signature was refused; no try was charged.
    Refused { card: CardId, counter: u32, terminal: TerminalId, why: Why, mark: Option<Mark> },
    /// A password was evaluated and was wrong (P-24).
    WrongPassword {
        card: CardId,
        counter: u32,
        terminal: TerminalId,
        in_a_row: u32,
        in_window: u32,
        locked: Option<LockCause>,
        mark: Option<Mark>,
    },
    /// A terminal has cancelled what the card signed with this counter value: it will never be executed.
    Cancelled { card: CardId, counter: u32, terminal: TerminalId, mark: Mark },
    /// A cancellation with a valid signature was refused; nothing else changed.
    CancellationRefused { card: CardId, counter: u32, terminal: TerminalId, why: Why },
    /// An administrator unlocked the account; every counter value up to the mark is void.
    Unlocked { operator: String, reason: String },
    /// Another system keeps the account's books from now on.
    AccountLinked { system: SystemName, operator: String, reason: String },
    /// So many minor units are held; this entry names the hold.
    HoldPlaced { amount: u64, operator: String, reason: String },
    /// What was held is free again.
    HoldReleased { hold: HoldId, operator: String, reason: String },
    /// So many minor units of what was held were paid; the rest is free again.
    HoldCaptured { hold: HoldId, payee: AccountNumber, amount: u64, operator: String, reason: String },
    /// The other system has booked what was accepted for it.
    ExecutionSettled { transaction: TransactionId },
    /// The other system has not booked it, and says why: what was held is free again.
    ExecutionFailed { transaction: TransactionId, reason: String },
    /// The opposite of a transaction was posted.
    Reversed { transaction: TransactionId, amount: u64, operator: String, reason: String },
    /// A message that nobody took is to be sent again.
    MessageRequeued { message: EntryId, operator: String, reason: String },
    /// A message that nobody took will not be sent.
    MessageDiscarded { message: EntryId, operator: String, reason: String },
}

impl Event {
    /// The card's mark after it, if it moves the mark.
    #[must_use]
    pub fn mark(&self) -> Option<&Mark> {
        match self {
            Self::Executed { mark, .. } | Self::Cancelled { mark, .. } => Some(mark),
            Self::Refused { mark, .. } | Self::WrongPassword { mark, .. } => mark.as_ref(),
            _ => None,
        }
    }

    /// Leaves the mark where it is: the card is not known to have signed.
    pub(crate) fn leave_mark(&mut self) {
        if let Self::Refused { mark, .. } | Self::WrongPassword { mark, .. } = self {
            *mark = None;
        }
    }

    /// What the client was told, if it was a client's request.
    #[must_use]
    pub fn answer(&self) -> Option<Answer> {
        match self {
            Self::Executed { receipt, .. } | Self::Repeated { receipt, .. } => {
                Some(Answer::Executed { receipt: receipt.clone() })
            }
            Self::Refused { why: Why::Funds, .. } => Some(Answer::InsufficientFunds),
            Self::Refused { why: Why::Limit, .. } => Some(Answer::LimitExceeded),
            Self::Refused { .. } | Self::WrongPassword { .. } => Some(Answer::Refused),
            _ => None,
        }
    }
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
    /// The card has a newer signing key, and the overlap is over.
    KeyRetired,
    /// The payer's account is closed.
    AccountClosed,
    /// T names another terminal than the client's.
    OtherTerminal,
    /// T's payer is not the card's account.
    OtherPayer,
    /// T's account or currency is not of the editions that the server checks.
    Edition,
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

impl Why {
    /// True if the password was right, so that the wrong ones in a row are forgotten.
    #[must_use]
    pub fn follows_right_password(self) -> bool {
        matches!(self, Self::Funds | Self::Limit)
    }
}
