//! Taking over what an older version wrote: its log does not tell all rows, so that they are told once, as they stand.

use onetap_apdu_spec::crypto::{Crypto, Digest};

use crate::books::chain::{Entry, Sealer, entry_columns, framed_digest};
use crate::books::model::told_row;
use crate::books::sql::{Sql, params};
use crate::books::tables::{AUDIT, Home, TABLES, Table};
use crate::books::write::Telling;
use crate::books::{OPERATOR, each_chain};
use crate::domain::{Act, Actor, Cell, Event, StoreError, Timestamp};

/// Rows in one event at most.
const ROWS: usize = 500;

/// Tells all rows of a database whose log an older version wrote, each in the chain of its account; nothing if that was done.
/// Returns how many.
pub(crate) fn take_over(
    db: &mut dyn Sql,
    crypto: &dyn Crypto,
    sealer: &Sealer,
    at: Timestamp,
) -> Result<u64, StoreError> {
    let older = "SELECT count(*) FROM audit WHERE account_id = ?1 AND sequence = 1 AND actor IS NULL";
    let done = "SELECT count(*) FROM audit WHERE account_id = ?1 AND actor IS NOT NULL";
    if db.count(older, &params![OPERATOR])? == 0 || db.count(done, &params![OPERATOR])? > 0 {
        return Ok(0);
    }
    let mut rows = 0;
    each_chain(db, |db, account, _, _| {
        rows += take_account(db, crypto, sealer, account, at)?;
        Ok::<_, StoreError>(())
    })?;
    Ok(rows)
}

fn take_account(
    db: &mut dyn Sql,
    crypto: &dyn Crypto,
    sealer: &Sealer,
    account: i64,
    at: Timestamp,
) -> Result<u64, StoreError> {
    let mut told = 0;
    for table in TABLES {
        let rows = match table.home {
            Home::Log => continue,
            Home::Operator if account != OPERATOR => continue,
            Home::Operator => db.all(table.select("ORDER BY 1"), &[], |row| told_row(table, row))?,
            _ => {
                let order: Vec<_> = (1..=table.key).map(|place| place.to_string()).collect();
                let sql = table.select(&format!("WHERE account_id = ?1 ORDER BY {}", order.join(", ")));
                db.all(sql, &params![account], |row| told_row(table, row))?
            }
        };
        for part in rows.chunks(ROWS) {
            told += part.len() as u64;
            note(db, sealer, account, at, table, table.told().map(str::to_owned).collect(), part.to_vec())?;
        }
    }
    let evidence = earlier_evidence(db, crypto, account)?;
    let row = vec![Cell::from(evidence.as_slice())];
    note(db, sealer, account, at, &AUDIT, vec!["evidence".to_owned()], vec![row])?;
    Ok(told)
}

fn note(
    db: &mut dyn Sql,
    sealer: &Sealer,
    account: i64,
    at: Timestamp,
    table: &Table,
    columns: Vec<String>,
    rows: Vec<Vec<Cell>>,
) -> Result<(), StoreError> {
    let event = Event::TakenOver { table: table.name.to_owned(), columns, rows };
    Telling::new(account, at, &Act::plain(Actor::Server), &event).note(db, sealer)
}

/// The digest of the evidence in the entries of a chain that an older version wrote, whose seals do not cover it.
fn earlier_evidence(db: &mut dyn Sql, crypto: &dyn Crypto, account: i64) -> Result<Digest, StoreError> {
    let sql = concat!(
        "SELECT ",
        entry_columns!(),
        " FROM audit WHERE account_id = ?1 AND actor IS NULL ORDER BY sequence"
    );
    let mut digest = [0; 32];
    db.query(sql, &params![account], &mut |row| {
        digest = with_evidence(crypto, &digest, &Entry::read(row)?.0);
        Ok(())
    })?;
    Ok(digest)
}

/// The running digest with the evidence of one more entry.
pub(crate) fn with_evidence(crypto: &dyn Crypto, before: &Digest, entry: &Entry<'_>) -> Digest {
    let (reason, key) = (entry.reason.map(str::as_bytes), entry.key.map(str::as_bytes));
    let parts = [reason, key, entry.body, entry.message, entry.signature, entry.object];
    framed_digest(crypto, &[before, &entry.place.sequence.to_be_bytes()], &parts)
}
