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

use crate::books::accounts::OPERATOR;
use crate::books::outbox::announces;
use crate::books::outbox::{dead, forget_dead, list, revive};
use crate::books::sql::Sql;
use crate::domain::{Backlog, DeadLetter, MessageView};
use crate::domain::{EntryId, Event, LedgerError, MAX_PAGE, StoreError, Timestamp};
use crate::service::Verifier;
use crate::service::desk::Desk;
use crate::service::error::ServiceError;
impl Desk<'_> {
    /// Says whether a message is written for each transaction, and returns whether that is a change. A verifier
    /// reads it when it is opened: after a change, open it again.
    ///
    /// # Errors
    /// [`ServiceError`] if the store fails.
    pub fn announce(&self, on: bool) -> Result<bool, ServiceError> {
        let now = self.now();
        self.write(|db| {
            let changes = announces(db)? != on;
            if changes {
                self.tell(db, OPERATOR, now, &Event::Announcing { on })?;
            }
            Ok(changes)
        })
    }

    /// Sends a dead letter again, and what it held back after it.
    ///
    /// # Errors
    /// [`LedgerError::NoSuchMessage`], [`ServiceError::ReasonNeeded`].
    pub fn requeue(&self, message: EntryId) -> Result<(), ServiceError> {
        self.end_dead_letter(message, revive, &Event::MessageRequeued { message })
    }

    /// Gives a dead letter up, so that what it held back is sent. A transaction that another system was to book
    /// stays accepted: say with [`Desk::settle`] what became of it.
    ///
    /// # Errors
    /// [`LedgerError::NoSuchMessage`], [`ServiceError::ReasonNeeded`].
    pub fn discard(&self, message: EntryId) -> Result<(), ServiceError> {
        self.end_dead_letter(message, forget_dead, &Event::MessageDiscarded { message })
    }

    /// Does `end` to a dead letter, and records it as `event`.
    fn end_dead_letter(
        &self,
        message: EntryId,
        end: impl FnOnce(&mut dyn Sql, EntryId, Timestamp) -> Result<bool, StoreError>,
        event: &Event,
    ) -> Result<(), ServiceError> {
        self.reasoned()?;
        let now = self.now();
        self.write(|db| {
            if !end(db, message, now)? {
                return Err(LedgerError::NoSuchMessage.into());
            }
            self.tell(db, OPERATOR, now, event)?;
            Ok(())
        })
    }
}

impl Verifier {
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
        self.store.read(|db| Ok(dead(db, limit.min(MAX_PAGE))?))
    }

    /// The messages that were not taken yet, in the order of accounts and of their events, `limit` of them at most
    /// and never more than [`MAX_PAGE`]; those after `after`, if it is given.
    ///
    /// # Errors
    /// [`ServiceError`] if the store fails.
    pub fn messages(&self, after: Option<EntryId>, limit: u32) -> Result<Vec<MessageView>, ServiceError> {
        let after = after.unwrap_or(EntryId { account: 0, sequence: 0 });
        self.store.read(|db| Ok(list(db, after, limit.min(MAX_PAGE))?))
    }
}
