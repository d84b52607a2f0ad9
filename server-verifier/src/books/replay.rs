//! One chain, entry by entry: whether each is sealed over the one before, and what rows they tell together.

use onetap_apdu_spec::crypto::{Block, Crypto, Digest};
use subtle::ConstantTimeEq as _;

use crate::books;
use crate::books::chain::{End, Entry, ORIGIN, Sealer};
use crate::books::model::Model;
use crate::books::project::{project, request};
use crate::books::tables::{AUDIT, Table};
use crate::books::takeover::with_evidence;
use crate::domain::{Cell, Event, StoreError};

/// Why an entry cannot follow the one before.
#[derive(Debug)]
pub(crate) enum Unfit {
    /// It is not the next one, or was changed.
    Seal,
    /// Its event is of no kind that this program knows.
    Event,
    /// What it tells cannot be, or could not be kept.
    Rows(StoreError),
}

/// A chain as far as it was read.
#[derive(Debug)]
pub(crate) struct Replay {
    pub(crate) account: i64,
    /// Place of the last entry; 0 before the first.
    pub(crate) sequence: i64,
    /// Seal of the last entry.
    pub(crate) seal: Block,
    pub(crate) model: Model,
    /// Digest of what the seals of an older version's entries do not cover.
    evidence: Digest,
}

impl Replay {
    /// A chain without entries.
    pub(crate) fn begin(account: i64) -> Self {
        Self { account, sequence: 0, seal: ORIGIN, model: Model::new(account), evidence: [0; 32] }
    }

    /// Where the chain ends now.
    pub(crate) fn end(&self, sealer: &Sealer) -> End {
        sealer.end(self.account, self.sequence, self.seal)
    }

    /// Adds the next entry. What it adds to tables that grow goes to `grown`.
    ///
    /// # Errors
    /// [`Unfit`].
    pub(crate) fn next(
        &mut self,
        crypto: &dyn Crypto,
        sealer: &Sealer,
        entry: &Entry<'_>,
        seal: &Block,
        grown: &mut dyn FnMut(&'static Table, Vec<Cell>) -> Result<(), StoreError>,
    ) -> Result<(), Unfit> {
        let event = self.check(sealer, entry, seal)?;
        self.tell(crypto, entry, seal, &event, grown).map_err(Unfit::Rows)
    }

    /// Whether `entry`, stored with `seal`, is the next one; what it tells.
    ///
    /// # Errors
    /// [`Unfit::Seal`], [`Unfit::Event`].
    pub(crate) fn check(&self, sealer: &Sealer, entry: &Entry<'_>, seal: &Block) -> Result<Event, Unfit> {
        let follows = entry.place.account == self.account && entry.place.sequence == self.sequence + 1;
        if !follows || !bool::from(sealer.seal(&self.seal, entry).ct_eq(seal)) {
            return Err(Unfit::Seal);
        }
        books::from_json(entry.event, "audit entry").map_err(|_| Unfit::Event)
    }

    /// Goes on by an entry that was checked.
    ///
    /// # Errors
    /// [`StoreError`] if what it tells cannot be, or could not be kept.
    pub(crate) fn tell(
        &mut self,
        crypto: &dyn Crypto,
        entry: &Entry<'_>,
        seal: &Block,
        event: &Event,
        grown: &mut dyn FnMut(&'static Table, Vec<Cell>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        if entry.actor.is_none() {
            // An older version wrote it: its rows are told when they are taken over.
            self.evidence = with_evidence(crypto, &self.evidence, entry);
        } else {
            self.change(entry, event, grown)?;
        }
        (self.sequence, self.seal) = (entry.place.sequence, *seal);
        Ok(())
    }

    fn change(
        &mut self,
        entry: &Entry<'_>,
        event: &Event,
        grown: &mut dyn FnMut(&'static Table, Vec<Cell>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        if let Event::TakenOver { table, rows, .. } = event
            && *table == AUDIT.name
            && rows.as_slice() != [vec![Cell::from(self.evidence.as_slice())]]
        {
            return Err(StoreError::BadRow { what: "evidence" });
        }
        let mut changes = project(entry.place, event)?;
        if let (Some(key), Some(body), Some(terminal)) = (entry.key, entry.body, event.terminal()) {
            changes.push(request(entry.place, terminal.as_str(), key, body));
        }
        changes.into_iter().try_for_each(|change| self.model.apply(change, grown))
    }
}
