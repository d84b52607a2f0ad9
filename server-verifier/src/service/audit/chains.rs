//! The log, chain by chain: that it is whole, and which rows it tells.

use std::collections::{BTreeMap, HashSet};

use onetap_apdu_spec::header::CardId;

use super::evidence::{Evidence, Signed};
use super::sums::Sums;
use crate::books;
use crate::books::OPERATOR;
use crate::books::chain::{End, Entry, Sealer, entry_columns};
use crate::books::model::tag;
use crate::books::replay::Replay;
use crate::books::sql::{Row, Sql, params};
use crate::books::tables::{AUDIT, CARD_KEYS, CREDITS, Home, OUTBOX, REQUESTS, TABLES, Table};
use crate::domain::{Cell, EntryId, Event, Shard, StoreError, Timestamp};
use crate::service::Verifier;
use crate::service::error::ServiceError;

/// So many entries are checked between two times that the watch is told.
const STEP: u64 = 100;
const BAD_ENTRY: StoreError = StoreError::BadRow { what: "audit entry" };

/// What a check of the log and the rows has seen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Audited {
    /// Chains, the operator's own included.
    pub chains: u64,
    /// Entries of all chains.
    pub entries: u64,
    /// Rows that are told as they were taken over from an older version, or another shard, and no further back.
    pub taken_over: u64,
    /// When the last of these were taken over; none if there are none.
    pub taken_over_at: Option<Timestamp>,
    /// Cards with a stored key that no card may have, as an earlier version may have enrolled it: what they have signed proves
    /// nothing (REQ-I-15).
    pub unusable_keys: Vec<CardId>,
}

/// What the chains of a page of accounts tell of these accounts alone.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) ends: BTreeMap<i64, End>,
    /// What each account got by its own chain, in minor units.
    pub(super) own: BTreeMap<i64, i128>,
    pub(super) rows: Sums,
}

/// What all chains tell together.
#[derive(Debug)]
pub(super) struct Told {
    sealer: Sealer,
    page: Page,
    pub(super) audited: Audited,
    /// Rows of tables that any chain tells.
    pub(super) rows: Sums,
    /// Answers from this moment on must be there.
    pub(super) kept_since: i64,
    /// Tags of the rows that were taken over into tables whose rows go without an event.
    pub(super) passing: HashSet<u128>,
    /// Whether an older version wrote part of the log.
    pub(super) older: bool,
}

impl Told {
    /// Counts an entry; says whether it takes rows over.
    fn count(&mut self, entry: &Entry<'_>, event: &Event) -> bool {
        self.audited.entries += 1;
        let Event::TakenOver { table, rows, .. } = event else { return false };
        if *table != AUDIT.name {
            self.audited.taken_over += rows.len() as u64;
            self.audited.taken_over_at = self.audited.taken_over_at.max(Some(entry.place.at));
        }
        true
    }

    /// A row that no later event changes.
    fn add(&mut self, table: &'static Table, row: &[Cell], taken_over: bool) -> Result<(), StoreError> {
        let tag = tag(&self.sealer, table, row);
        if taken_over && matches!(table.home, Home::Passes(_)) {
            self.passing.insert(tag);
        }
        match (table.home, row) {
            (Home::Account, [Cell::Int(account), ..]) => self.page.rows.add(table, *account, tag),
            (Home::Operator | Home::Grows, _) => self.rows.add(table, OPERATOR, tag),
            (Home::Passes(_), _) if *table == CREDITS || *table == OUTBOX => {}
            (Home::Passes(_), [.., Cell::Int(at), _]) if *table == REQUESTS => {
                if *at >= self.kept_since {
                    self.rows.add(table, OPERATOR, tag);
                }
            }
            _ => return Err(BAD_ENTRY),
        }
        Ok(())
    }
}

/// Reads chains in the order of their accounts.
pub(super) struct Chains<'a> {
    verifier: &'a Verifier,
    evidence: Evidence<'a>,
    /// The one that is read.
    chain: Replay,
    told: Told,
    /// Entries that there are in all.
    all: u64,
    /// Why reading stopped, if that is no fault of the log.
    failure: Option<ServiceError>,
}

impl<'a> Chains<'a> {
    /// Nothing is read yet of `all` entries. Answers from `kept_since` on must be there.
    pub(super) fn new(verifier: &'a Verifier, evidence: Evidence<'a>, kept_since: i64, all: u64) -> Self {
        let told = Told {
            sealer: verifier.sealer.clone(),
            page: Page::default(),
            audited: Audited::default(),
            rows: Sums::default(),
            kept_since,
            passing: HashSet::new(),
            older: false,
        };
        let chain = Replay::begin(i64::MIN, Shard::default());
        Self { verifier, evidence, chain, told, all, failure: None }
    }

    /// Reads the chains of the accounts in a range, which comes after those before.
    ///
    /// # Errors
    /// [`ServiceError::AuditBroken`] with the first entry that does not fit.
    pub(super) fn read(&mut self, db: &mut dyn Sql, (from, to): (i64, i64)) -> Result<Page, ServiceError> {
        let sql = concat!(
            "SELECT ",
            entry_columns!(),
            " FROM audit WHERE account_id BETWEEN ?1 AND ?2 ORDER BY account_id, sequence"
        );
        let read = db.query(sql, &params![from, to], &mut |row| self.entry(row));
        let read = read.and_then(|()| self.end_chain());
        match (read, self.failure.take()) {
            (_, Some(failure)) => Err(failure),
            (Err(StoreError::BadRow { .. }), _) => {
                let Replay { account, sequence, .. } = self.chain;
                Err(ServiceError::AuditBroken { account, sequence: sequence + 1 })
            }
            (Err(error), _) => Err(error.into()),
            (Ok(()), _) => Ok(std::mem::take(&mut self.told.page)),
        }
    }

    /// What all chains have told, once all are read, and who verifies their signatures.
    pub(super) fn end(self) -> (Told, Evidence<'a>) {
        (self.told, self.evidence)
    }

    fn entry(&mut self, row: &Row<'_>) -> Result<(), StoreError> {
        let account = row.int("account_id")?;
        if account != self.chain.account {
            self.end_chain()?;
            self.evidence.forget_keys();
            self.chain = Replay::begin(account, self.chain.shard);
        }
        let (entry, seal) = Entry::read(row)?;
        let Verifier { sealer, env, .. } = self.verifier;
        let event = self.chain.check(sealer, &entry, &seal).map_err(|_| BAD_ENTRY)?;
        if entry.actor.is_none() {
            self.told.older = true;
        } else if let (Some(message), Some(signature), Some(object)) =
            (entry.message, entry.signature, entry.object)
        {
            self.signed(entry.place.sequence, [message, signature, object])?;
        }
        let taken_over = self.told.count(&entry, &event);
        if self.told.audited.entries.is_multiple_of(STEP) {
            env.watch.at(self.told.audited.entries, self.all);
        }
        let told = &mut self.told;
        let rest = &mut |table, row: Vec<Cell>| told.add(table, &row, taken_over);
        self.chain.tell(env.crypto, &entry, &seal, &event, rest)
    }

    /// What is left of a chain's rows at its end is as it stays.
    fn end_chain(&mut self) -> Result<(), StoreError> {
        let replay = &self.chain;
        if replay.sequence > 0 {
            if !replay.may_end() {
                return Err(BAD_ENTRY);
            }
            for table in TABLES {
                for row in replay.model.rows(table) {
                    self.told.add(table, row, false)?;
                }
            }
            self.told.page.ends.insert(replay.account, replay.end(&self.verifier.sealer));
            self.told.page.own.insert(replay.account, replay.model.own.into());
            self.told.audited.chains += 1;
        }
        self.chain = Replay::begin(replay.account, replay.shard);
        Ok(())
    }

    /// Has S of what was executed verified under the key that this chain has told.
    fn signed(&mut self, sequence: i64, signed: Signed<'_>) -> Result<(), StoreError> {
        let Replay { account, model, .. } = &self.chain;
        let entry = EntryId { account: *account, sequence };
        let pushed = self.evidence.push(entry, signed, |card, key| {
            let place = [entry.account.into(), card.to_string().into(), key.into()];
            match model.row(&CARD_KEYS, &place).map(Vec::as_slice) {
                Some([.., Cell::Text(binding), _, Cell::Bytes { hex: public_key }]) => {
                    Ok(Some((books::from_json(binding, "card")?, public_key.clone())))
                }
                _ => Err(ServiceError::AuditBroken { account: entry.account, sequence }),
            }
        });
        pushed.map_err(|failure| {
            self.failure = Some(failure);
            BAD_ENTRY
        })
    }
}
