//! Double entry: money only moves between accounts, so all legs of one transaction, all entries and
//! all balances sum to zero. An equity account for each currency is the other side of opening balances.

use onetap_apdu_spec::money::Currency;
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::environment::Timestamp;
use crate::error::{ServiceError, StoreError};

/// One movement of money.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Posting<'a> {
    pub(crate) transaction: &'a str,
    pub(crate) from: i64,
    pub(crate) to: i64,
    /// Minor units, positive.
    pub(crate) amount: i64,
    pub(crate) at: Timestamp,
}

/// Writes both legs and both balances. The store refuses a balance below zero.
pub(crate) fn post(db: &Connection, posting: &Posting<'_>) -> Result<(), StoreError> {
    for (account, amount) in [(posting.from, -posting.amount), (posting.to, posting.amount)] {
        db.prepare_cached(
            "INSERT INTO entries (account_id, transaction_id, amount, at) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![account, posting.transaction, amount, posting.at.0])?;
        db.prepare_cached("UPDATE accounts SET balance = balance + ?2 WHERE account_id = ?1")?
            .execute(params![account, amount])?;
    }
    Ok(())
}

/// The row of the equity account in `currency`, made when first needed.
pub(crate) fn equity_account(db: &Connection, currency: Currency) -> Result<i64, StoreError> {
    let found = "SELECT account_id FROM accounts WHERE kind = 'equity' AND currency = ?1";
    let found = db.query_row(found, [currency.code()], |row| row.get(0)).optional()?;
    if let Some(id) = found {
        return Ok(id);
    }
    db.execute(
        "INSERT INTO accounts (holder, currency, kind) VALUES ('equity', ?1, 'equity')",
        [currency.code()],
    )?;
    Ok(db.last_insert_rowid())
}

/// Checks every sum. Each query counts what is wrong.
pub(crate) fn check(db: &Connection) -> Result<(), ServiceError> {
    let checks = [
        (
            "the legs of a transaction do not sum to zero",
            "SELECT count(*) FROM (SELECT transaction_id FROM entries GROUP BY transaction_id
                HAVING sum(amount) <> 0 OR count(*) <> 2)",
        ),
        (
            "a balance is not the sum of its entries",
            "SELECT count(*) FROM accounts a WHERE balance <>
                (SELECT coalesce(sum(amount), 0) FROM entries e WHERE e.account_id = a.account_id)",
        ),
        (
            "the balances of a currency do not sum to zero",
            "SELECT count(*) FROM (SELECT currency FROM accounts GROUP BY currency HAVING sum(balance) <> 0)",
        ),
        (
            "an executed transaction has no entries",
            "SELECT count(*) FROM transactions t WHERE NOT EXISTS (SELECT 1 FROM entries e
                WHERE e.account_id = t.account_id AND e.transaction_id = t.transaction_id)",
        ),
    ];
    for (what, sql) in checks {
        let wrong: i64 = db.query_row(sql, [], |row| row.get(0))?;
        if wrong != 0 {
            return Err(ServiceError::LedgerBroken { what });
        }
    }
    Ok(())
}
