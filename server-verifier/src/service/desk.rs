//! Acts that are on record under one name and reason.

use crate::books::outbox::{announces, topic_of};
use crate::books::sql::Sql;
use crate::books::write::Telling;
use crate::domain::{Act, Event, StoreError, Timestamp};
use crate::service::Verifier;
use crate::service::error::ServiceError;

/// Where somebody acts: each act is an entry of the log, with who and why. What gives rights or makes money needs a reason.
#[derive(Debug)]
pub struct Desk<'a> {
    pub(super) verifier: &'a Verifier,
    pub(super) act: Act,
}

impl Verifier {
    /// The desk at which `act` is done.
    #[must_use]
    pub fn desk(&self, act: Act) -> Desk<'_> {
        Desk { verifier: self, act }
    }
}

impl Desk<'_> {
    /// Refuses an act without a reason.
    pub(super) fn reasoned(&self) -> Result<(), ServiceError> {
        Ok(self.act.reasoned().map(drop)?)
    }

    /// What this server's clock says.
    pub(super) fn now(&self) -> Timestamp {
        self.verifier.now()
    }

    /// Runs `work` in one writing transaction.
    pub(super) fn write<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&mut dyn Sql) -> Result<T, E>,
    ) -> Result<T, E> {
        self.verifier.store.write(work)
    }

    /// Adds an event, and all that it changes, to an account's chain; returns its place.
    pub(super) fn tell(
        &self,
        db: &mut dyn Sql,
        account: i64,
        at: Timestamp,
        event: &Event,
    ) -> Result<i64, StoreError> {
        Telling::new(account, at, &self.act, event).tell(db, &self.verifier.sealer)
    }

    /// The same, of which others are told if they are told of each transaction.
    pub(super) fn tell_announced(
        &self,
        db: &mut dyn Sql,
        account: i64,
        at: Timestamp,
        event: &Event,
    ) -> Result<i64, StoreError> {
        if announces(db)? {
            self.tell_others(db, account, at, event)
        } else {
            self.tell(db, account, at, event)
        }
    }

    /// The same, of which others are told.
    pub(super) fn tell_others(
        &self,
        db: &mut dyn Sql,
        account: i64,
        at: Timestamp,
        event: &Event,
    ) -> Result<i64, StoreError> {
        let telling = Telling { topic: topic_of(event), ..Telling::new(account, at, &self.act, event) };
        telling.tell(db, &self.verifier.sealer)
    }
}
