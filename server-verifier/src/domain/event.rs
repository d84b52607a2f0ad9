//! What the log tells.

use onetap_apdu_spec::account::AccountNumber;
use onetap_apdu_spec::crypto::{Digest, SigningKeyType};
use onetap_apdu_spec::header::{Binding, CardId, KeyId, ServerId};
use onetap_apdu_spec::money::Currency;
use onetap_apdu_spec::service::{Answer, Receipt, SystemName, TransactionId};
use onetap_apdu_spec::suite::Suite;
use onetap_apdu_spec::txn::TerminalId;

use crate::domain::client::{ClientId, RoleName};
use crate::domain::{
    AccountKind, Actor, ByHand, Carried, Cell, EntryId, HoldId, KeyKind, LockCause, Mark, Policy, Shard,
    Timestamp,
};

/// One entry of the log, for the operator. Holds no secrets.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct LogEntry {
    /// The account; none in the chains of the operator and of equity accounts.
    pub account: Option<AccountNumber>,
    /// Place in its chain, from 1.
    pub sequence: i64,
    /// When.
    pub at: Timestamp,
    /// Who; none if an older version did not note it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<Actor>,
    /// Why, if it was said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What.
    #[serde(flatten)]
    pub event: Event,
}

/// What happened. An event tells all that it changes: `books::project` makes the changes of rows from it alone. What
/// a field is marked `default` for, older versions did not tell; their rows are told by [`Event::TakenOver`].
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the fields are named for what they hold")]
pub enum Event {
    /// The store was made.
    Initialised {
        operator: String,
        #[serde(default)]
        server: Option<ServerId>,
        #[serde(default)]
        policy: Option<Policy>,
        /// Which part of the bank it is; what older versions made is the first.
        #[serde(default)]
        shard: Shard,
    },
    /// Rows of an older version, as they stood when this server took them over.
    TakenOver { table: String, columns: Vec<String>, rows: Vec<Vec<Cell>> },
    /// The operator's rules are others.
    PolicyChanged { policy: Policy },
    /// From now on a message is written for each transaction, or no more.
    Announcing { on: bool },
    /// The server has another version of a key, for new cards.
    KeyRotated { key: KeyKind, version: KeyId },
    /// A version of a key is gone for good.
    KeyRetired { key: KeyKind, version: KeyId },
    /// What the outbox sends is signed with another version of its key; with the one before too, until then.
    WebhookKeyRotated { version: u32, older_until: Timestamp },
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
    /// A client may ask: `secret` is the SHA-256 of its first token's secret, `certificate` that of its certificate, in
    /// hexadecimal. Its token is good until `expires_at`.
    ClientAdded {
        client: ClientId,
        role: RoleName,
        /// Older versions told one `terminal`, or null.
        #[serde(default, alias = "terminal", deserialize_with = "none_one_or_many")]
        terminals: Vec<TerminalId>,
        secret: Option<String>,
        certificate: Option<String>,
        #[serde(default)]
        expires_at: Option<Timestamp>,
    },
    /// A client has one more token.
    TokenAdded { client: ClientId, token: u32, secret: String, expires_at: Option<Timestamp> },
    /// A client's token is good until then.
    TokenExpires { client: ClientId, token: u32, expires_at: Timestamp },
    /// A client speaks for one more terminal.
    ClientLinked { client: ClientId, terminal: TerminalId },
    /// A client does not speak for a terminal any more.
    ClientUnlinked { client: ClientId, terminal: TerminalId },
    /// A client may not ask any more.
    ClientWithdrawn { client: ClientId },
    /// An account was opened with a balance in minor units, which came from an equity account.
    AccountOpened {
        kind: AccountKind,
        opening_balance: u64,
        #[serde(default)]
        opened: Option<Opened>,
    },
    /// The other side of opening balances in a currency, or of what a system settles, was opened.
    EquityOpened { holder: String, currency: Currency, system: Option<SystemName> },
    /// An account was closed.
    AccountClosed,
    /// A card is to be made, or made anew with another signing key.
    CardOrdered {
        card: CardId,
        suite: Suite,
        signing_key: KeyId,
        #[serde(default)]
        order: Option<Ordered>,
    },
    /// A card's public key was enrolled: a SubjectPublicKeyInfo, and the SHA-256 of it and the binding.
    CardActivated {
        card: CardId,
        signing_key: KeyId,
        #[serde(with = "hex::serde")]
        enrolled: Digest,
        /// Until when the card's older keys are good, if it has any.
        older_until: Option<Timestamp>,
        #[serde(default, with = "hex::serde")]
        public_key: Vec<u8>,
    },
    /// A card may not pay any more.
    CardBlocked { card: CardId },
    /// A transaction was executed: booked to the payee's row, or held for another system.
    Executed {
        terminal: TerminalId,
        receipt: Receipt,
        mark: Mark,
        #[serde(default)]
        payee: i64,
    },
    /// A transaction executed before was asked for again, with the right password.
    Repeated {
        card: CardId,
        counter: u32,
        receipt: Receipt,
        #[serde(default)]
        terminal: Option<TerminalId>,
    },
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
    /// An administrator unlocked the account; the marks of these cards are void, and every counter value up to them.
    Unlocked {
        #[serde(default)]
        voided: Vec<CardId>,
    },
    /// Another system keeps the account's books from now on.
    AccountLinked { system: SystemName },
    /// So many minor units are held; this entry names the hold.
    HoldPlaced { amount: u64 },
    /// What was held is free again.
    HoldReleased {
        hold: HoldId,
        #[serde(default)]
        held: u64,
    },
    /// So many minor units of what was held were paid to the payee's row; the rest is free again.
    HoldCaptured {
        hold: HoldId,
        payee: AccountNumber,
        amount: u64,
        #[serde(default)]
        held: u64,
        #[serde(default)]
        to: i64,
    },
    /// The other system has booked what was accepted for it.
    ExecutionSettled {
        transaction: TransactionId,
        #[serde(default)]
        settled: Option<Settled>,
    },
    /// The other system has not booked it, and says why: what was held is free again.
    ExecutionFailed {
        transaction: TransactionId,
        #[serde(alias = "reason")]
        said: String,
        #[serde(default)]
        hold: Option<HoldId>,
        #[serde(default)]
        held: u64,
    },
    /// The opposite of a transaction was posted. The chain that has the original tells the legs, the payee's does not.
    Reversed {
        transaction: TransactionId,
        amount: u64,
        #[serde(default)]
        legs: Option<Legs>,
    },
    /// The account has moved to another shard: the chain ends here, and goes on there.
    MovedAway { to: Shard, carried: Carried },
    /// The account has moved into this shard, which has the whole chain from now on.
    MovedIn { from: Shard, to: Shard, carried: Carried },
    /// So many minor units of an account that has moved were sent after it. Told in the chain of what settles with that shard; this
    /// entry names the transaction.
    MoneySent { to: Shard, account: i64, amount: u64 },
    /// What another shard has sent has come. Told in the chain of what settles with that shard; `sent` names the entry there.
    MoneyCame { from: Shard, sent: EntryId, account: i64, amount: u64 },
    /// Somebody asks that money be moved by hand; this entry names the proposal.
    Proposed { asks: ByHand },
    /// Somebody else has approved it; it was done in the same commit.
    ProposalApproved { proposal: i64 },
    /// It is not to be done.
    ProposalRejected { proposal: i64 },
    /// A message that nobody took is to be sent again.
    MessageRequeued { message: EntryId },
    /// A message that nobody took will not be sent.
    MessageDiscarded { message: EntryId },
}

/// Reads null, one terminal or a list of them.
fn none_one_or_many<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<TerminalId>, D::Error> {
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Told {
        Many(Vec<TerminalId>),
        One(Option<TerminalId>),
    }
    match <Told as serde::Deserialize>::deserialize(from)? {
        Told::Many(terminals) => Ok(terminals),
        Told::One(terminal) => Ok(terminal.into_iter().collect()),
    }
}

/// An account as it was opened.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Opened {
    /// Its number.
    pub number: AccountNumber,
    /// Its holder's name.
    pub holder: String,
    /// Its currency.
    pub currency: Currency,
    /// Row of the equity account that its opening balance came from, if it has one.
    pub equity: Option<i64>,
}

/// What a card is ordered as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Ordered {
    /// What personalisation fixes.
    pub binding: Binding,
    /// What kind of key the card makes: the bits of its RSA modulus, 0 for P-256.
    #[serde(rename = "rsa_bits")]
    pub key_type: SigningKeyType,
    /// Whether the card is new, and not made anew.
    pub new: bool,
}

/// Between which rows of accounts an amount moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Legs {
    /// Row of who pays.
    pub from: i64,
    /// Row of who is paid.
    pub to: i64,
}

/// What a settlement booked, and by which hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Settled {
    /// The hold that ends with it.
    pub hold: HoldId,
    /// Minor units.
    pub amount: u64,
    /// Between which rows.
    pub legs: Legs,
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

    /// The terminal whose request it answers.
    #[must_use]
    pub fn terminal(&self) -> Option<&TerminalId> {
        match self {
            Self::Executed { terminal, .. }
            | Self::Refused { terminal, .. }
            | Self::WrongPassword { terminal, .. } => Some(terminal),
            Self::Repeated { terminal, .. } => terminal.as_ref(),
            _ => None,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, strum::IntoStaticStr)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
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
