//! One chain, entry by entry: whether each is sealed over the one before, and what rows they tell together.

use onetap_apdu_spec::crypto::{Block, Crypto, Digest};
use subtle::ConstantTimeEq as _;

use crate::books::chain::{End, Entry, ORIGIN, Sealer};
use crate::books::from_json;
use crate::books::model::Model;
use crate::books::project::{Change, answered, project};
use crate::books::tables::{AUDIT, CREDITS, ENTRIES, HOLDS, REVERSALS, Table};
use crate::books::takeover::with_evidence;
use crate::books::whereabouts::Whereabouts;
use crate::domain::{Cell, Event, Shard, StoreError};

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
    /// The shard whose database is read. The operator's chain, which comes first, tells which it is.
    pub(crate) shard: Shard,
    whereabouts: Whereabouts,
    /// Digest of what the seals of an older version's entries do not cover.
    evidence: Digest,
}

impl Replay {
    /// A chain without entries, in a database of `shard`.
    pub(crate) fn begin(account: i64, shard: Shard) -> Self {
        let (model, whereabouts) = (Model::new(account), Whereabouts::begin(account, shard));
        Self { account, sequence: 0, seal: ORIGIN, model, shard, whereabouts, evidence: [0; 32] }
    }

    /// Whether a database may have a chain that ends so: its account is at home there, or has moved away from there.
    pub(crate) fn may_end(&self) -> bool {
        self.whereabouts.may_end()
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
        from_json(entry.event, "audit entry").map_err(|_| Unfit::Event)
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
        if let Event::Initialised { shard, .. } = event {
            self.shard = *shard;
        }
        self.whereabouts.follow(event)?;
        let mut changes = project(entry.place, event)?;
        changes.extend(answered(entry, event));
        if !self.whereabouts.is_here() {
            return self.follow_elsewhere(changes, grown);
        }
        changes.into_iter().try_for_each(|change| self.model.apply(change, grown))
    }

    /// Of what was booked in another shard only what the account keeps when it moves: that the rest stays in the books there.
    fn follow_elsewhere(
        &mut self,
        changes: Vec<Change>,
        grown: &mut dyn FnMut(&'static Table, Vec<Cell>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let grown = &mut |table: &'static Table, row| {
            let booked = [&ENTRIES, &REVERSALS, &CREDITS, &HOLDS].contains(&table);
            if booked { Ok(()) } else { grown(table, row) }
        };
        let kept = changes.into_iter().filter(|change| !matches!(change, Change::Pay(_)));
        kept.into_iter().try_for_each(|change| self.model.apply(change, grown))
    }
}
