//! What others are told, at least once each and in order for each account: a core-banking system of what was
//! executed and locked, another system of what it is to book.
//!
//! A message is written in the commit that decides, and says only which entry of the audit chain it tells of: the
//! entry is its content. A [`Deliverer`] sends it until somebody takes it, and then forgets it; what nobody takes is a
//! dead letter, which holds back the account's later messages until the operator sends it again or discards it.
//!
//! | room | what lives there |
//! |---|---|
//! | `queue` | rows: claim, done, failed |
//! | `deliver` | sends what is due, again and again |
//! | `webhook` | over HTTPS, signed (feature `webhook`) |

mod deliver;
mod queue;
#[cfg(feature = "webhook")]
pub mod webhook;

pub use deliver::{Deliverer, DeliveryRules, Reply, Round, Transport, Undelivered};
#[cfg(feature = "webhook")]
pub use webhook::{WebhookConfig, WebhookError, spawn};

use onetap_apdu_spec::account::AccountNumber;
use onetap_apdu_spec::header::ServerId;

use crate::admin::on_record;
use crate::audit::Event;
use crate::environment::Timestamp;
use crate::error::{ServiceError, StoreError};
use crate::ledger::{EntryId, LedgerError};
use crate::service::Verifier;
use crate::store::books::{self, OPERATOR};
use crate::store::sql::{Sql, Statement, params};
use crate::views::MAX_PAGE;

/// What a message tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Topic {
    /// An account was locked.
    AccountLocked,
    /// A transaction was executed.
    Executed,
    /// A transaction was accepted for another system, which is asked to book it.
    Execute,
    /// That system has booked it.
    Settled,
    /// That system has not booked it.
    Failed,
    /// A hold was captured.
    Captured,
    /// A transaction was reversed.
    Reversed,
}

impl Topic {
    /// Its name in messages and columns.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AccountLocked => "account-locked",
            Self::Executed => "executed",
            Self::Execute => "execute",
            Self::Settled => "settled",
            Self::Failed => "failed",
            Self::Captured => "captured",
            Self::Reversed => "reversed",
        }
    }
}

/// One message, as it is sent. Sent again, it is the same to the byte.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Message {
    /// The same for every copy: `{server}-{account row}-{sequence}`. Who has seen it ignores it.
    pub id: String,
    /// What it tells of.
    pub topic: Topic,
    /// Who tells it.
    pub server: ServerId,
    /// Which account it concerns.
    pub account: AccountNumber,
    /// The order of an account's messages: it rises, with gaps.
    pub sequence: i64,
    /// When it happened.
    pub at: Timestamp,
    /// What happened, as the audit chain has it.
    pub event: Event,
}

/// A message that nobody took.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct DeadLetter {
    /// Names it to [`Verifier::requeue`] and [`Verifier::discard`].
    pub message: EntryId,
    /// What it tells of.
    pub topic: Topic,
    /// Which account it concerns.
    pub account: AccountNumber,
    /// How often it was sent.
    pub attempts: u32,
    /// Why it was not taken the last time.
    pub failure: String,
    /// Since when nobody tries any more.
    pub dead_at: Timestamp,
}

/// How far a message is that was not taken yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MessageState {
    /// It is sent as soon as it is due.
    Waiting,
    /// It comes after a dead letter of its account.
    HeldBack,
    /// A dead letter.
    Dead,
}

/// A message that was not taken yet, for the operator.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct MessageView {
    /// Names it to [`Verifier::requeue`] and [`Verifier::discard`].
    pub message: EntryId,
    /// What it tells of.
    pub topic: Topic,
    /// Which account it concerns.
    pub account: AccountNumber,
    /// How far it is.
    pub state: MessageState,
    /// How often it was sent.
    pub attempts: u32,
    /// Why it was not taken the last time, if it was sent.
    pub failure: Option<String>,
    /// When it is sent next, or later; none unless it is waiting.
    pub due_at: Option<Timestamp>,
    /// Since when nobody tries any more.
    pub dead_at: Option<Timestamp>,
}

/// How much waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Backlog {
    /// Messages that were not taken yet, dead letters and what they hold back included.
    pub waiting: u64,
    /// Dead letters.
    pub dead: u64,
}

/// Writes a message about the entry at `sequence` of an account's chain.
pub(crate) fn message(account: i64, sequence: i64, topic: Topic, due: Timestamp) -> Statement<'static> {
    let sql = "INSERT INTO outbox (account_id, sequence, topic, due_at) VALUES (?1, ?2, ?3, ?4)";
    Statement::new(sql, &params![account, sequence, topic.name(), due.0])
}

/// Whether others are told of each transaction.
pub(crate) fn announces(db: &mut dyn Sql) -> Result<bool, StoreError> {
    Ok(db.count("SELECT announces FROM server", &[])? != 0)
}

impl Verifier {
    /// Says whether a message is written for each transaction, and returns whether that is a change. A verifier
    /// reads it when it is opened: after a change, open it again.
    ///
    /// # Errors
    /// [`ServiceError`] if the store fails.
    pub fn announce(&self, on: bool) -> Result<bool, ServiceError> {
        self.store.write(|db| {
            let sql = "UPDATE server SET announces = ?1 WHERE announces <> ?1";
            Ok(db.execute(sql, &params![on])? != 0)
        })
    }

    /// How many messages wait.
    ///
    /// # Errors
    /// [`ServiceError`] if the store fails.
    pub fn backlog(&self) -> Result<Backlog, ServiceError> {
        let count = |sql| {
            let counted: Result<i64, ServiceError> = self.store.read(|db| Ok(db.count(sql, &[])?));
            counted.map(|count| u64::try_from(count).unwrap_or(0))
        };
        Ok(Backlog {
            waiting: count("SELECT count(*) FROM outbox")?,
            dead: count("SELECT count(*) FROM outbox WHERE dead_at IS NOT NULL")?,
        })
    }

    /// The messages that nobody took, oldest first, `limit` of them at most and never more than [`MAX_PAGE`].
    ///
    /// # Errors
    /// [`ServiceError`] if the store fails.
    pub fn dead_letters(&self, limit: u32) -> Result<Vec<DeadLetter>, ServiceError> {
        self.store.read(|db| Ok(queue::dead(db, limit.min(MAX_PAGE))?))
    }

    /// The messages that were not taken yet, in the order of accounts and of their events, `limit` of them at most
    /// and never more than [`MAX_PAGE`]; those after `after`, if it is given.
    ///
    /// # Errors
    /// [`ServiceError`] if the store fails.
    pub fn messages(&self, after: Option<EntryId>, limit: u32) -> Result<Vec<MessageView>, ServiceError> {
        let after = after.unwrap_or(EntryId { account: 0, sequence: 0 });
        self.store.read(|db| Ok(queue::list(db, after, limit.min(MAX_PAGE))?))
    }

    /// Sends a dead letter again, and what it held back after it.
    ///
    /// # Errors
    /// [`LedgerError::NoSuchMessage`], [`ServiceError::ReasonNeeded`].
    pub fn requeue(&self, message: EntryId, operator: &str, reason: &str) -> Result<(), ServiceError> {
        let event = |operator, reason| Event::MessageRequeued { message, operator, reason };
        self.end_dead_letter(message, queue::revive, on_record(operator, reason)?, event)
    }

    /// Gives a dead letter up, so that what it held back is sent. A transaction that another system was to book
    /// stays accepted: say with [`Verifier::settle`] what became of it.
    ///
    /// # Errors
    /// [`LedgerError::NoSuchMessage`], [`ServiceError::ReasonNeeded`].
    pub fn discard(&self, message: EntryId, operator: &str, reason: &str) -> Result<(), ServiceError> {
        let event = |operator, reason| Event::MessageDiscarded { message, operator, reason };
        self.end_dead_letter(message, queue::forget_dead, on_record(operator, reason)?, event)
    }

    /// Does `act` to a dead letter, with who and why on record.
    fn end_dead_letter(
        &self,
        message: EntryId,
        act: impl FnOnce(&mut dyn Sql, EntryId, Timestamp) -> Result<bool, StoreError>,
        (operator, reason): (String, String),
        event: impl FnOnce(String, String) -> Event,
    ) -> Result<(), ServiceError> {
        let now = self.env.clock.now();
        self.store.write(|db| {
            if !act(db, message, now)? {
                return Err(LedgerError::NoSuchMessage.into());
            }
            Ok(self.audit(db, OPERATOR, now, &event(operator, reason))?)
        })
    }

    /// Adds to an account's audit chain, and tells whoever asked to be told.
    pub(crate) fn announce_event(
        &self,
        db: &mut dyn Sql,
        account: i64,
        at: Timestamp,
        event: &Event,
        topic: Topic,
    ) -> Result<(), StoreError> {
        if announces(db)? {
            return self.tell_event(db, account, at, event, topic);
        }
        self.audit(db, account, at, event)
    }

    /// Adds to an account's audit chain, and tells it to others.
    pub(crate) fn tell_event(
        &self,
        db: &mut dyn Sql,
        account: i64,
        at: Timestamp,
        event: &Event,
        topic: Topic,
    ) -> Result<(), StoreError> {
        let sequence = books::append_audit(db, &self.sealer, account, at, event)?;
        db.execute_all(&[message(account, sequence, topic, at)])
    }
}
