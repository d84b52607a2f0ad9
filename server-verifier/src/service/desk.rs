//! Acts that are on record under one name and reason.

use std::cell::{Cell, RefCell};
use std::fmt;

use onetap_apdu_spec::crypto::Block;
use onetap_apdu_spec::service::IdempotencyKey;

use crate::books::outbox::{announces, topic_of};
use crate::books::sql::{Sql, params};
use crate::books::write::{Request, Telling};
use crate::domain::{Act, EntryId, Event, StoreError, Timestamp};
use crate::service::Verifier;
use crate::service::error::ServiceError;

/// Where somebody acts: each act is an entry of the log, with who and why. What gives rights or makes money needs a reason.
pub struct Desk<'a> {
    pub(super) verifier: &'a Verifier,
    pub(super) act: Act,
    once: Option<Once>,
    /// The writing transaction that the act is a part of, if it has none of its own.
    within: Option<RefCell<&'a mut dyn Sql>>,
}

impl fmt::Debug for Desk<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk").field("act", &self.act).finish_non_exhaustive()
    }
}

/// An idempotency key of whoever acts, under which an act is done once.
#[derive(Debug)]
struct Once {
    key: IdempotencyKey,
    /// Keyed tag of what is asked for.
    asked: Block,
    /// Whose key it is.
    of: String,
    /// Whether the entry that has the key is written.
    told: Cell<bool>,
}

impl Verifier {
    /// The desk at which `act` is done.
    #[must_use]
    pub fn desk(&self, act: Act) -> Desk<'_> {
        Desk { verifier: self, act, once: None, within: None }
    }
}

impl Desk<'_> {
    /// Does the act once under `key`: repeated with the same `asked`, it is [`ServiceError::DoneBefore`], and with another one
    /// [`ServiceError::KeyTaken`].
    #[must_use]
    pub fn once(self, key: IdempotencyKey, asked: &[u8]) -> Self {
        let Verifier { env, keys, .. } = self.verifier;
        let asked = env.crypto.cmac(&keys.requests, &[b"onetap/act", &env.crypto.sha256(&[asked])]);
        let once = Once { key, asked, of: self.act.by().to_string(), told: Cell::new(false) };
        Self { once: Some(once), ..self }
    }

    /// Whether the act was not done under its key before.
    fn first_time(&self, db: &mut dyn Sql) -> Result<(), ServiceError> {
        let Some(once) = &self.once else { return Ok(()) };
        once.told.set(false);
        let sql =
            "SELECT body, account_id, sequence FROM requests WHERE terminal_id = ?1 AND idempotency_key = ?2";
        let found = db.first(sql, &params![&once.of, once.key.as_str()], |row| {
            let entry = EntryId { account: row.int("account_id")?, sequence: row.int("sequence")? };
            Ok((row.array("body")?, entry))
        })?;
        match found {
            None => Ok(()),
            Some((asked, entry)) if asked == once.asked => Err(ServiceError::DoneBefore(entry)),
            Some(_) => Err(ServiceError::KeyTaken),
        }
    }

    /// An entry to be told; the first one of an act has its idempotency key.
    fn telling<'t>(&'t self, account: i64, at: Timestamp, event: &'t Event) -> Telling<'t> {
        let first = self.once.as_ref().filter(|once| !once.told.replace(true));
        let request = first.map(|once| Request { of: &once.of, key: once.key.as_str(), body: &once.asked });
        Telling { request, ..Telling::new(account, at, &self.act, event) }
    }

    /// The same desk for an act that is a part of the transaction `db`: another person has asked for it.
    pub(super) fn within<'b>(&'b self, db: &'b mut dyn Sql) -> Desk<'b> {
        Desk { verifier: self.verifier, act: self.act.clone(), once: None, within: Some(RefCell::new(db)) }
    }

    /// Refuses an act that moves money by hand where that takes a second person and there is none.
    pub(super) fn by_hand(&self) -> Result<(), ServiceError> {
        self.reasoned()?;
        let alone = self.within.is_none() && self.verifier.recent_policy()?.by_hand_takes_two;
        if alone { Err(ServiceError::TakesTwo) } else { Ok(()) }
    }

    /// Refuses an act without a reason.
    pub(super) fn reasoned(&self) -> Result<(), ServiceError> {
        Ok(self.act.reasoned().map(drop)?)
    }

    /// What this server's clock says.
    pub(super) fn now(&self) -> Timestamp {
        self.verifier.now()
    }

    /// Runs `work` in one writing transaction, unless it was done before under the act's key.
    pub(super) fn write<T>(
        &self,
        work: impl FnOnce(&mut dyn Sql) -> Result<T, ServiceError>,
    ) -> Result<T, ServiceError> {
        if let Some(db) = &self.within {
            return work(&mut **db.borrow_mut());
        }
        let done = self.verifier.store.write(|db| {
            self.first_time(db)?;
            work(db)
        });
        if done.is_ok() || self.once.is_none() {
            return done;
        }
        // The same act may have been done meanwhile, and be why this one failed.
        match self.verifier.store.read(|db| self.first_time(db)) {
            Err(known @ (ServiceError::DoneBefore(_) | ServiceError::KeyTaken)) => Err(known),
            _ => done,
        }
    }

    /// Adds an event, and all that it changes, to an account's chain; returns its place.
    pub(super) fn tell(
        &self,
        db: &mut dyn Sql,
        account: i64,
        at: Timestamp,
        event: &Event,
    ) -> Result<i64, StoreError> {
        self.telling(account, at, event).tell(db, &self.verifier.sealer)
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
        let telling = Telling { topic: topic_of(event), ..self.telling(account, at, event) };
        telling.tell(db, &self.verifier.sealer)
    }
}
