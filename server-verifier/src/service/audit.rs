//! Whether the log is whole, and whether the rows are what it tells.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Place;

use onetap_apdu_spec::crypto::Digest;
use onetap_apdu_spec::header::{Binding, CardId, KeyId};
use onetap_apdu_spec::signed::SignatureMessage;
use subtle::ConstantTimeEq as _;

use crate::books;
use crate::books::OPERATOR;
use crate::books::chain::{End, Entry, ORIGIN, entry_columns};
use crate::books::model::{Model, Sum, told_row};
use crate::books::project::{project, request};
use crate::books::sql::{Sql, params};
use crate::books::tables::{AUDIT, ENTRIES, Home, TABLES, TRANSACTIONS, Table};
use crate::books::takeover::with_evidence;
use crate::domain::{Cell, Event, MAX_PAGE, StoreError, Timestamp};
use crate::rules::verify::{Enrolled, signature_holds};
use crate::service::Verifier;
use crate::service::error::ServiceError;

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

/// What is summed over all chains.
#[derive(Debug, Default)]
struct Grown {
    audited: Audited,
    entries: Sum,
    transactions: Sum,
}

/// Cards whose keys were looked up; none where a key of the server that one is bound to is retired.
type Cards = BTreeMap<(CardId, KeyId), Option<Enrolled>>;

/// T, the signature message, and what the card owed besides.
type Evidence = [Vec<u8>; 3];

impl Verifier {
    /// Checks that no entry of the log was changed, removed or moved, that each card's signature over what was executed
    /// holds, and that the rows of all tables are what the log tells, both ways.
    ///
    /// # Errors
    /// [`ServiceError::AuditBroken`] with the first entry that does not fit, [`ServiceError::RowsBroken`] with
    /// what is not as the log tells.
    pub fn audit_verify(&self) -> Result<Audited, ServiceError> {
        let sql = "SELECT account_id, audit_sequence, audit_seal, audit_head FROM accounts
            WHERE account_id >= ?1 ORDER BY account_id LIMIT ?2";
        self.store.read_long(|db| {
            let (mut from, mut told, mut cards) = (OPERATOR, Grown::default(), Cards::new());
            loop {
                let ends = db
                    .all(sql, &params![from, MAX_PAGE], |row| Ok((row.int(0)?, books::chain_end(row, 1)?)))?;
                let Some((last, _)) = ends.last() else { break };
                from = last + 1;
                for (account, end) in &ends {
                    let (model, evidence) = self.verify_chain(db, *account, end, &mut told)?;
                    self.verify_rows(db, *account, &model)?;
                    // Last, since it takes keys that fit.
                    self.verify_signatures(db, *account, &evidence, &mut cards)?;
                }
                cards.clear();
            }
            self.verify_grown(db, &ENTRIES, told.entries)?;
            self.verify_grown(db, &TRANSACTIONS, told.transactions)?;
            Ok(told.audited)
        })
    }

    /// One chain alone; returns the rows that it tells.
    fn verify_chain(
        &self,
        db: &mut dyn Sql,
        account: i64,
        end: &End,
        told: &mut Grown,
    ) -> Result<(Model, Vec<Evidence>), ServiceError> {
        let sql = concat!("SELECT ", entry_columns!(), " FROM audit WHERE account_id = ?1 ORDER BY sequence");
        let (mut expected, mut before, mut broken) = (1, ORIGIN, None);
        let (mut model, mut unsigned) = (Model::default(), Vec::new());
        let mut evidence = [0; 32];
        told.audited.chains += 1;
        db.query(sql, &params![account], &mut |row| {
            let (entry, stored) = Entry::read(row)?;
            let computed = self.sealer.seal(&before, &entry);
            let fits = entry.place.sequence == expected
                && bool::from(computed.ct_eq(&stored))
                && self.replay(&entry, &evidence, &mut model, told).is_ok();
            if !fits && broken.is_none() {
                broken = Some(expected);
            }
            if entry.actor.is_none() {
                evidence = with_evidence(self.env.crypto, &evidence, &entry);
            }
            told.audited.entries += 1;
            if let (Some(message), Some(signature), Some(object)) =
                (entry.message, entry.signature, entry.object)
            {
                unsigned.push([message.to_vec(), signature.to_vec(), object.to_vec()]);
            }
            (expected, before) = (expected + 1, stored);
            Ok(())
        })?;
        let whole = self.sealer.holds(account, end) && end.sequence == expected - 1 && end.seal == before;
        if let Some(sequence) = broken.or((!whole).then_some(expected)) {
            return Err(ServiceError::AuditBroken { account, sequence });
        }
        Ok((model, unsigned))
    }

    fn verify_signatures(
        &self,
        db: &mut dyn Sql,
        account: i64,
        evidence: &[Evidence],
        cards: &mut Cards,
    ) -> Result<(), ServiceError> {
        for [message, signature, object] in evidence {
            if !self.signature_holds(db, cards, message, signature, object)? {
                return Err(ServiceError::RowsBroken {
                    account,
                    what: "signatures of executed transactions",
                });
            }
        }
        Ok(())
    }

    /// Changes the model as an entry tells. What an older version wrote tells no rows: it was taken over.
    fn replay(
        &self,
        entry: &Entry<'_>,
        evidence: &Digest,
        model: &mut Model,
        told: &mut Grown,
    ) -> Result<(), StoreError> {
        let event: Event = books::from_json(entry.event, "audit entry")?;
        if entry.actor.is_none() {
            return Ok(());
        }
        if let Event::TakenOver { table, rows, .. } = &event {
            if *table != AUDIT.name {
                told.audited.taken_over += rows.len() as u64;
                told.audited.taken_over_at = told.audited.taken_over_at.max(Some(entry.place.at));
            } else if rows.as_slice() != [vec![Cell::from(evidence.as_slice())]] {
                return Err(StoreError::BadRow { what: "evidence" });
            }
        }
        let mut changes = project(entry.place, &event)?;
        if let (Some(key), Some(body), Some(terminal)) = (entry.key, entry.body, event.terminal()) {
            changes.push(request(entry.place, terminal.as_str(), key, body));
        }
        for change in changes {
            model.apply(change, &mut |table, row| {
                if let Some(sum) = told.of(table) {
                    sum.add(self.env.crypto, self.sealer.key(), table, &row);
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// The rows of one account, or the operator's, are those of the model: no other, and none less.
    fn verify_rows(&self, db: &mut dyn Sql, account: i64, model: &Model) -> Result<(), ServiceError> {
        for table in TABLES {
            let found = match table.home {
                Home::Account => db.all(
                    table.select("WHERE account_id = ?1 ORDER BY 1, 2, 3"),
                    &params![account],
                    |row| told_row(table, row),
                )?,
                Home::Operator if account == OPERATOR => {
                    db.all(table.select("ORDER BY 1"), &[], |row| told_row(table, row))?
                }
                _ => continue,
            };
            if !found.iter().eq(model.rows(table)) {
                return Err(ServiceError::RowsBroken { account, what: table.name });
            }
        }
        Ok(())
    }

    /// The rows of a table that grows are those that all chains tell.
    fn verify_grown(&self, db: &mut dyn Sql, table: &'static Table, told: Sum) -> Result<(), ServiceError> {
        let mut found = Sum::default();
        db.query(table.select(""), &[], &mut |row| {
            found.add(self.env.crypto, self.sealer.key(), table, &told_row(table, row)?);
            Ok(())
        })?;
        if found == told {
            Ok(())
        } else {
            Err(ServiceError::RowsBroken { account: OPERATOR, what: table.name })
        }
    }

    /// S of what was executed still verifies under the key that was enrolled then. (Where the signed bytes hold the joint
    /// password, which is kept nowhere, it cannot be checked again; nor can it where the server's keys that the card was
    /// bound to are retired.)
    fn signature_holds(
        &self,
        db: &mut dyn Sql,
        cards: &mut Cards,
        message: &[u8],
        signature: &[u8],
        object: &[u8],
    ) -> Result<bool, ServiceError> {
        let Ok(SignatureMessage { header, .. }) = SignatureMessage::parse(signature) else {
            return Ok(false);
        };
        let Binding { card, signing_key, .. } = header.binding;
        let known = match cards.entry((card, signing_key)) {
            Place::Occupied(known) => known.into_mut(),
            Place::Vacant(place) => place.insert(self.enrolled(db, card, signing_key)?),
        };
        let holds = |card| signature_holds(self.env.crypto, card, message, signature, object);
        Ok(known.as_ref().is_none_or(holds))
    }

    fn enrolled(&self, db: &mut dyn Sql, card: CardId, key: KeyId) -> Result<Option<Enrolled>, ServiceError> {
        let Some(row) = books::enrolled(db, card, key)? else {
            return Ok(None);
        };
        let Some(card_key) = self.bound_card_key(&row.binding)? else {
            return Ok(None);
        };
        Ok(Some(Enrolled::new(self.env.crypto, row.binding, &row.public_key, card_key)?))
    }
}

impl Grown {
    fn of(&mut self, table: &Table) -> Option<&mut Sum> {
        match table {
            table if *table == ENTRIES => Some(&mut self.entries),
            table if *table == TRANSACTIONS => Some(&mut self.transactions),
            _ => None,
        }
    }
}
