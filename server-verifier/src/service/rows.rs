//! What chains tell, written into a database: when it is made anew, and when an account moves into it.

use crate::books::bulk::Bulk;
use crate::books::chain::End;
use crate::books::model::Model;
use crate::books::sql::{Sql, params};
use crate::books::tables::{ACCOUNTS, AUDIT, Home, REQUESTS, TABLES, Table};
use crate::domain::{Cell, StoreError, Timestamp};
use crate::service::backup::KEEP_ANSWERS;
use crate::service::export::Written;

/// Rows on their way into a database.
pub(super) struct Rows<'a> {
    pub(super) db: &'a mut dyn Sql,
    bulk: Bulk,
    /// Rows of accounts that have paid more than their own chains brought them, with that sum, which is negative.
    overdrawn: Vec<(i64, i64)>,
    /// Since when answers are kept.
    since: Timestamp,
}

impl<'a> Rows<'a> {
    /// None yet.
    pub(super) fn into(db: &'a mut dyn Sql, now: Timestamp) -> Self {
        Self {
            db,
            bulk: Bulk::default(),
            overdrawn: Vec::new(),
            since: Timestamp(now.0.saturating_sub(KEEP_ANSWERS)),
        }
    }

    /// An entry's own row.
    pub(super) fn entry(&mut self, written: &Written<'_>) -> Result<(), StoreError> {
        let entry = written.entry();
        let row = [
            entry.place.account.into(),
            entry.place.sequence.into(),
            entry.place.at.0.into(),
            entry.actor.into(),
            entry.reason.into(),
            entry.event.into(),
            entry.key.into(),
            entry.body.into(),
            entry.message.into(),
            entry.signature.into(),
            entry.object.into(),
            written.seal.as_slice().into(),
        ];
        self.bulk.add(self.db, &AUDIT, row)
    }

    /// A row that no later entry changes, if it is one of those that are still kept.
    pub(super) fn grow(&mut self, table: &'static Table, row: Vec<Cell>) -> Result<(), StoreError> {
        let wanted = match table.home {
            Home::Passes(_) => *table == REQUESTS && self.is_kept(&row),
            _ => true,
        };
        if wanted { self.bulk.add(self.db, table, row) } else { Ok(()) }
    }

    /// Whether an answer is young enough to be kept.
    pub(super) fn is_kept(&self, row: &[Cell]) -> bool {
        REQUESTS.place("at").is_some_and(|at| row[at] >= Cell::Int(self.since.0))
    }

    /// The rows that a chain tells once all of it is known, but for the table whose rows are there. What the account got by
    /// other chains is no part of its balance yet, nor is what it paid out of that.
    pub(super) fn end(&mut self, model: &Model, end: &End, there: Option<&Table>) -> Result<(), StoreError> {
        for table in TABLES.into_iter().filter(|table| Some(*table) != there) {
            for row in model.rows(table) {
                let row = row.iter().cloned();
                if *table == ACCOUNTS {
                    if model.own < 0 {
                        self.overdrawn.push((model.account, model.own));
                    }
                    let seals = [end.seal, end.head].map(|tag| Cell::from(tag.as_slice()));
                    let untold = [model.own.max(0).into(), end.sequence.into()].into_iter().chain(seals);
                    self.bulk.add(self.db, table, row.chain(untold))?;
                } else {
                    self.bulk.add(self.db, table, row)?;
                }
            }
        }
        Ok(())
    }

    /// Writes what still waits, and gives the database back.
    pub(super) fn finish(self) -> Result<&'a mut dyn Sql, StoreError> {
        self.bulk.finish(self.db)?;
        Ok(self.db)
    }

    /// The same once all chains are written: what accounts got by other chains is part of their balances then.
    pub(super) fn finish_whole(mut self) -> Result<(), StoreError> {
        let overdrawn = std::mem::take(&mut self.overdrawn);
        let db = self.finish()?;
        let got = "UPDATE accounts SET balance = balance + (SELECT coalesce(sum(amount), 0) FROM entries
            WHERE entries.account_id = accounts.account_id)";
        db.execute(got, &[])?;
        let paid = "UPDATE accounts SET balance = balance + ?2 WHERE account_id = ?1";
        overdrawn.iter().try_for_each(|(account, own)| db.execute(paid, &params![*account, *own]).map(drop))
    }
}
