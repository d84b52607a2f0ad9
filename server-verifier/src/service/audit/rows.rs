//! The rows that are there, held against those that the log tells.

use super::chains::{Page, Told};
use super::evidence::Evidence;
use super::sums::{Sums, unreadable};
use crate::books;
use crate::books::chain::{Entry, Sealer, entry_columns};
use crate::books::model::{tag, told_row};
use crate::books::project::{Change, answered};
use crate::books::sql::{Row, Sql, Value, kept, params};
use crate::books::tables::{CREDITS, Home, OUTBOX, REQUESTS, TABLES};
use crate::books::{OPERATOR, check, outbox};
use crate::domain::{Cell, EntryId, Event, MAX_PAGE};
use crate::service::error::ServiceError;

/// The accounts of a range: where their chains end, and all of their rows.
pub(super) fn verify_accounts(
    db: &mut dyn Sql,
    sealer: &Sealer,
    (from, to): (i64, i64),
    told: &Page,
) -> Result<(), ServiceError> {
    let sql = "SELECT account_id, audit_sequence, audit_seal, audit_head FROM accounts
        WHERE account_id BETWEEN ?1 AND ?2 ORDER BY account_id";
    let mut cut = None;
    db.query(sql, &params![from, to], &mut |row| {
        let account = row.int("account_id")?;
        let end = told.ends.get(&account);
        if cut.is_none() && books::chain_end(row).ok().as_ref() != end {
            cut = Some((account, end.map_or(1, |end| end.sequence + 1)));
        }
        Ok(())
    })?;
    if let Some((account, sequence)) = cut {
        return Err(ServiceError::AuditBroken { account, sequence });
    }
    let balances = check::own_balances(db, (from, to))?;
    let mut all = told.own.keys().chain(balances.keys());
    if let Some(account) = all.find(|account| told.own.get(account) != balances.get(account)) {
        return Err(ServiceError::RowsBroken { account: *account, what: "balance" });
    }
    let mut found = Sums::default();
    for table in TABLES.into_iter().filter(|table| table.home == Home::Account) {
        let tail = "WHERE account_id BETWEEN ?1 AND ?2";
        found.add_found(db, sealer, table, (tail, &params![from, to]))?;
    }
    told.rows.verify(&found)
}

/// The rows that any chain tells.
pub(super) fn verify_common(db: &mut dyn Sql, sealer: &Sealer, told: &Told) -> Result<(), ServiceError> {
    let mut found = Sums::default();
    for table in TABLES {
        let since = params![told.kept_since];
        let rows: (&str, &[Value<'_>]) = match table.home {
            Home::Operator | Home::Grows => ("", &[]),
            Home::Passes(_) if *table == REQUESTS => ("WHERE at >= ?1", &since),
            Home::Account | Home::Passes(_) | Home::Log => continue,
        };
        found.add_found(db, sealer, table, rows)?;
    }
    told.rows.verify(&found)?;
    verify_older_requests(db, sealer, told)?;
    verify_outbox(db, sealer, told)?;
    match db.first(check::STRANGE_CREDITS, &[], |row| row.int("account_id"))? {
        Some(account) => Err(ServiceError::RowsBroken { account, what: CREDITS.name }),
        None => Ok(()),
    }
}

/// An answer that might be forgotten by now is none the less one that was given.
fn verify_older_requests(db: &mut dyn Sql, sealer: &Sealer, told: &Told) -> Result<(), ServiceError> {
    let entry = entry_columns!().split(", ").map(|column| format!("a.{column}"));
    let columns: Vec<_> =
        entry.chain(REQUESTS.told().map(|column| format!("r.{column} AS asked_{column}"))).collect();
    let sql = format!(
        "SELECT {} FROM requests r LEFT JOIN audit a ON a.account_id = r.account_id AND a.sequence = r.sequence
         WHERE r.at < ?1",
        columns.join(", ")
    );
    let first = entry_columns!().split(", ").count();
    let mut strange = None;
    let read = db.query(kept(&sql), &params![told.kept_since], &mut |row| {
        let values = (first..columns.len()).map(|place| row.at(place).map(Cell::from));
        let found = values.collect::<Result<Vec<_>, _>>()?;
        if answer(row).as_ref() != Some(&found) && !told.passing.contains(&tag(sealer, &REQUESTS, &found)) {
            strange = Some(OPERATOR);
        }
        Ok(())
    });
    read.map_err(|error| unreadable(error, &REQUESTS))?;
    strange.map_or(Ok(()), |account| Err(ServiceError::RowsBroken { account, what: REQUESTS.name }))
}

/// The row that an entry's request has left.
fn answer(row: &Row<'_>) -> Option<Vec<Cell>> {
    let (entry, _) = Entry::read(row).ok()?;
    let event: Event = books::from_json(entry.event, "audit entry").ok()?;
    match answered(&entry, &event)? {
        Change::Insert { row, .. } => Some(row),
        _ => None,
    }
}

/// Each message is one that its entry may be told as.
fn verify_outbox(db: &mut dyn Sql, sealer: &Sealer, told: &Told) -> Result<(), ServiceError> {
    let sql = "SELECT o.account_id, o.sequence, o.topic, a.event FROM outbox o
        LEFT JOIN audit a ON a.account_id = o.account_id AND a.sequence = o.sequence";
    let mut strange = None;
    let read = db.query(sql, &[], &mut |row| {
        let event: Option<Event> =
            row.opt_text("event")?.and_then(|event| books::from_json(event, "event").ok());
        let topic = event.as_ref().and_then(outbox::topic_of).map(<&str>::from);
        let fits = topic == Some(row.text("topic")?)
            || told.passing.contains(&tag(sealer, &OUTBOX, &told_row(&OUTBOX, row)?));
        if !fits {
            strange = Some(row.int("account_id")?);
        }
        Ok(())
    });
    read.map_err(|error| unreadable(error, &OUTBOX))?;
    strange.map_or(Ok(()), |account| Err(ServiceError::RowsBroken { account, what: OUTBOX.name }))
}

/// Has the signatures verified that an older version has stored, under the keys that are enrolled: those rows fit.
pub(super) fn verify_older_evidence(
    db: &mut dyn Sql,
    evidence: &mut Evidence<'_>,
) -> Result<(), ServiceError> {
    let sql = "SELECT account_id, sequence, message, signature, object FROM audit WHERE actor IS NULL
        AND message IS NOT NULL AND signature IS NOT NULL AND object IS NOT NULL
        AND (account_id, sequence) > (?1, ?2) ORDER BY account_id, sequence LIMIT ?3";
    let mut from = (i64::MIN, i64::MIN);
    loop {
        let page = db.all(sql, &params![from.0, from.1, MAX_PAGE], |row| {
            let signed =
                [row.bytes("message")?, row.bytes("signature")?, row.bytes("object")?].map(<[u8]>::to_vec);
            Ok((EntryId { account: row.int("account_id")?, sequence: row.int("sequence")? }, signed))
        })?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        from = (last.account, last.sequence);
        evidence.forget_keys();
        for (entry, signed) in &page {
            evidence.push(*entry, signed.each_ref().map(Vec::as_slice), |card, key| {
                Ok(books::enrolled(db, card, key)?.map(|card| (card.binding, card.public_key)))
            })?;
        }
    }
}
