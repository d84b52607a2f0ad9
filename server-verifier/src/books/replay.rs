//! One chain, entry by entry: whether each is sealed over the one before, and what rows they tell together.

use onetap_apdu_spec::crypto::{Block, Crypto, Digest};
use subtle::ConstantTimeEq as _;

use crate::books;
use crate::books::chain::{End, Entry, Sealer};
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
    pub(crate) end: End,
    pub(crate) model: Model,
    /// Digest of what the seals of an older version's entries do not cover.
    evidence: Digest,
}

impl Replay {
    /// A chain without entries.
    pub(crate) fn begin(sealer: &Sealer, account: i64) -> Self {
        Self { account, end: sealer.begin(account), model: Model::default(), evidence: [0; 32] }
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
        let next = sealer.append(&self.end, entry).map_err(|_| Unfit::Seal)?;
        if entry.place.account != self.account || !bool::from(next.seal.ct_eq(seal)) {
            return Err(Unfit::Seal);
        }
        self.end = next;
        let event: Event = books::from_json(entry.event, "audit entry").map_err(|_| Unfit::Event)?;
        if entry.actor.is_none() {
            // An older version wrote it: its rows are told when they are taken over.
            self.evidence = with_evidence(crypto, &self.evidence, entry);
            return Ok(());
        }
        self.tell(entry, &event, grown).map_err(Unfit::Rows)
    }

    fn tell(
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
