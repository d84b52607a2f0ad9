//! What others are told, at least once each and in order for each account: a core-banking system of what was
//! executed and locked, another system of what it is to book.
//!
//! A message is written in the commit that decides, and says only which entry of the audit chain it tells of: the
//! entry is its content. A [`Deliverer`] sends it until somebody takes it, and then forgets it; what nobody takes is a
//! dead letter, which holds back the account's later messages until the operator sends it again or discards it.
//!
//! | room | what lives there |
//! |---|---|
//! | `deliver` | sends what is due, again and again |
//! | `webhook` | over HTTPS, signed (feature `webhook`) |

mod deliver;
#[cfg(feature = "webhook")]
pub mod webhook;

pub use deliver::{Deliverer, DeliveryRules, Reply, Round, Transport, Undelivered};
#[cfg(feature = "webhook")]
pub use webhook::{WebhookConfig, WebhookError, spawn};

use crate::books;
use crate::books::accounts::OPERATOR;
use crate::books::outbox::{announces, message};
use crate::books::sql::{Sql, params};
use crate::domain::{Backlog, DeadLetter, MessageView, Topic};
use crate::domain::{EntryId, Event, LedgerError, MAX_PAGE, StoreError, Timestamp};
use crate::service::Verifier;
use crate::service::accounts::on_record;
use crate::service::error::ServiceError;

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
        self.store.read(|db| Ok(crate::books::outbox::dead(db, limit.min(MAX_PAGE))?))
    }

    /// The messages that were not taken yet, in the order of accounts and of their events, `limit` of them at most
    /// and never more than [`MAX_PAGE`]; those after `after`, if it is given.
    ///
    /// # Errors
    /// [`ServiceError`] if the store fails.
    pub fn messages(&self, after: Option<EntryId>, limit: u32) -> Result<Vec<MessageView>, ServiceError> {
        let after = after.unwrap_or(EntryId { account: 0, sequence: 0 });
        self.store.read(|db| Ok(crate::books::outbox::list(db, after, limit.min(MAX_PAGE))?))
    }

    /// Sends a dead letter again, and what it held back after it.
    ///
    /// # Errors
    /// [`LedgerError::NoSuchMessage`], [`ServiceError::ReasonNeeded`].
    pub fn requeue(&self, message: EntryId, operator: &str, reason: &str) -> Result<(), ServiceError> {
        let event = |operator, reason| Event::MessageRequeued { message, operator, reason };
        self.end_dead_letter(message, crate::books::outbox::revive, on_record(operator, reason)?, event)
    }

    /// Gives a dead letter up, so that what it held back is sent. A transaction that another system was to book
    /// stays accepted: say with [`Verifier::settle`] what became of it.
    ///
    /// # Errors
    /// [`LedgerError::NoSuchMessage`], [`ServiceError::ReasonNeeded`].
    pub fn discard(&self, message: EntryId, operator: &str, reason: &str) -> Result<(), ServiceError> {
        let event = |operator, reason| Event::MessageDiscarded { message, operator, reason };
        self.end_dead_letter(message, crate::books::outbox::forget_dead, on_record(operator, reason)?, event)
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
