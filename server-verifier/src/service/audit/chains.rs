//! The log, chain by chain: that it is whole, and which rows it tells.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use onetap_apdu_spec::crypto::{Block, Digest};
use onetap_apdu_spec::header::{Binding, CardId, KeyId};
use onetap_apdu_spec::signed::SignatureMessage;
use subtle::ConstantTimeEq as _;

use super::signatures::{Signature, Signatures};
use super::sums::Sums;
use crate::books;
use crate::books::OPERATOR;
use crate::books::chain::{End, Entry, ORIGIN, Sealer, entry_columns};
use crate::books::model::{Model, tag};
use crate::books::project::{project, request};
use crate::books::sql::{Row, Sql, params};
use crate::books::tables::{AUDIT, CARD_KEYS, CREDITS, Home, OUTBOX, REQUESTS, TABLES, Table};
use crate::books::takeover::with_evidence;
use crate::domain::{Cell, Event, StoreError, Timestamp};
use crate::rules::verify::Enrolled;
use crate::service::Verifier;
use crate::service::error::ServiceError;

const BAD_ENTRY: StoreError = StoreError::BadRow { what: "audit entry" };

/// What a check of the log and the rows has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Audited {
    /// Chains, the operator's own included.
    pub chains: u64,
    /// Entries of all chains.
    pub entries: u64,
    /// Rows that are told as they were taken over from an older version, or another shard, and no further back.
    pub taken_over: u64,
    /// When the last of these were taken over; none if there are none.
    pub taken_over_at: Option<Timestamp>,
}

/// What the chains of a page of accounts tell of these accounts alone.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) ends: BTreeMap<i64, End>,
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
    signatures: Signatures<'a>,
    chain: Chain,
    told: Told,
    /// Why reading stopped, if that is no fault of the log.
    failure: Option<ServiceError>,
}

/// One chain, as far as it was read.
#[derive(Debug)]
struct Chain {
    account: i64,
    sequence: i64,
    seal: Block,
    /// Digest of the evidence in what an older version wrote.
    evidence: Digest,
    model: Model,
    /// Cards that have paid; none where a key of the server that one is bound to is retired.
    cards: BTreeMap<(CardId, KeyId), Option<Arc<Enrolled>>>,
}

impl Chain {
    fn new(account: i64) -> Self {
        let (model, cards) = (Model::default(), BTreeMap::new());
        Self { account, sequence: 0, seal: ORIGIN, evidence: [0; 32], model, cards }
    }
}

impl<'a> Chains<'a> {
    /// Nothing is read yet. Answers from `kept_since` on must be there.
    pub(super) fn new(verifier: &'a Verifier, signatures: Signatures<'a>, kept_since: i64) -> Self {
        let told = Told {
            sealer: verifier.sealer.clone(),
            page: Page::default(),
            audited: Audited::default(),
            rows: Sums::default(),
            kept_since,
            passing: HashSet::new(),
            older: false,
        };
        Self { verifier, signatures, chain: Chain::new(i64::MIN), told, failure: None }
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
        match (read, self.failure.take()) {
            (_, Some(failure)) => Err(failure),
            (Err(StoreError::BadRow { .. }), _) => {
                let Chain { account, sequence, .. } = self.chain;
                Err(ServiceError::AuditBroken { account, sequence: sequence + 1 })
            }
            (Err(error), _) => Err(error.into()),
            (Ok(()), _) => {
                self.end_chain()?;
                Ok(std::mem::take(&mut self.told.page))
            }
        }
    }

    /// What all chains have told, once all are read, and who verifies their signatures.
    pub(super) fn end(self) -> (Told, Signatures<'a>) {
        (self.told, self.signatures)
    }

    fn entry(&mut self, row: &dyn Row) -> Result<(), StoreError> {
        let account = row.int(0)?;
        if account != self.chain.account {
            self.end_chain()?;
            self.chain = Chain::new(account);
        }
        let (entry, stored) = Entry::read(row)?;
        let seal = self.verifier.sealer.seal(&self.chain.seal, &entry);
        if entry.place.sequence != self.chain.sequence + 1 || !bool::from(seal.ct_eq(&stored)) {
            return Err(BAD_ENTRY);
        }
        self.replay(&entry)?;
        self.told.audited.entries += 1;
        (self.chain.sequence, self.chain.seal) = (entry.place.sequence, seal);
        Ok(())
    }

    /// What is left of a chain's rows at its end is as it stays.
    fn end_chain(&mut self) -> Result<(), StoreError> {
        let Chain { account, sequence, seal, model, .. } = &self.chain;
        if *sequence > 0 {
            for table in TABLES {
                for row in model.rows(table) {
                    self.told.add(table, row, false)?;
                }
            }
            self.told.page.ends.insert(*account, self.verifier.sealer.end(*account, *sequence, *seal));
            self.told.audited.chains += 1;
        }
        self.chain = Chain::new(*account);
        Ok(())
    }

    /// Changes the model as an entry tells. What an older version wrote tells no rows: they were taken over.
    fn replay(&mut self, entry: &Entry<'_>) -> Result<(), StoreError> {
        let event: Event = books::from_json(entry.event, "audit entry")?;
        if entry.actor.is_none() {
            self.older(entry);
            return Ok(());
        }
        let taken_over = self.taken_over(entry, &event)?;
        let mut changes = project(entry.place, &event)?;
        if let (Some(key), Some(body), Some(terminal)) = (entry.key, entry.body, event.terminal()) {
            changes.push(request(entry.place, terminal.as_str(), key, body));
        }
        let (model, told) = (&mut self.chain.model, &mut self.told);
        for change in changes {
            model.apply(change, &mut |table, row| told.add(table, &row, taken_over))?;
        }
        match (entry.message, entry.signature, entry.object) {
            (Some(message), Some(signature), Some(object)) => self.signed(message, signature, object),
            _ => Ok(()),
        }
    }

    /// The seals of older versions cover the event only; all else is in a digest that was taken over.
    fn older(&mut self, entry: &Entry<'_>) {
        self.told.older = true;
        self.chain.evidence = with_evidence(self.verifier.env.crypto, &self.chain.evidence, entry);
    }

    /// Whether an event takes rows over.
    fn taken_over(&mut self, entry: &Entry<'_>, event: &Event) -> Result<bool, StoreError> {
        let Event::TakenOver { table, rows, .. } = event else { return Ok(false) };
        if *table != AUDIT.name {
            let audited = &mut self.told.audited;
            audited.taken_over += rows.len() as u64;
            audited.taken_over_at = audited.taken_over_at.max(Some(entry.place.at));
        } else if rows.as_slice() != [vec![Cell::from(self.chain.evidence.as_slice())]] {
            return Err(BAD_ENTRY);
        }
        Ok(true)
    }

    /// Has S of what was executed verified under the key that was enrolled then.
    fn signed(&mut self, message: &[u8], signature: &[u8], object: &[u8]) -> Result<(), StoreError> {
        let parsed = SignatureMessage::parse(signature).map_err(|_| BAD_ENTRY)?;
        let Binding { card, signing_key, .. } = parsed.header.binding;
        let known = match self.chain.cards.get(&(card, signing_key)) {
            Some(known) => known.clone(),
            None => {
                let enrolled = self.enrolled(card, signing_key)?;
                self.chain.cards.insert((card, signing_key), enrolled.clone());
                enrolled
            }
        };
        if let Some(card) = known {
            let account = self.chain.account;
            let [message, signature, object] = [message, signature, object].map(<[u8]>::to_vec);
            self.signatures.push(Signature { account, card, message, signature, object });
        }
        Ok(())
    }

    /// A card as this chain has told it.
    fn enrolled(&mut self, card: CardId, key: KeyId) -> Result<Option<Arc<Enrolled>>, StoreError> {
        let place = [self.chain.account.into(), card.to_string().into(), key.into()];
        let row = self.chain.model.row(&CARD_KEYS, &place).ok_or(BAD_ENTRY)?;
        let [.., Cell::Text(binding), _, Cell::Bytes { hex: public_key }] = row.as_slice() else {
            return Err(BAD_ENTRY);
        };
        let binding = books::from_json(binding, "card")?;
        self.verifier.audited_card(binding, public_key).map_err(|failure| {
            self.failure = Some(failure);
            BAD_ENTRY
        })
    }
}

impl Verifier {
    /// A card, ready for use; none where a key of the server that it is bound to is retired, and its signatures cannot be
    /// checked any more.
    pub(super) fn audited_card(
        &self,
        binding: Binding,
        public_key: &[u8],
    ) -> Result<Option<Arc<Enrolled>>, ServiceError> {
        let Some(card_key) = self.bound_card_key(&binding)? else { return Ok(None) };
        Ok(Some(Arc::new(Enrolled::new(self.env.crypto, binding, public_key, card_key)?)))
    }
}
