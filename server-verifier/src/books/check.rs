//! Whether all sums of the books hold.

use std::collections::BTreeMap;

use crate::books::accounts::{OPERATOR, shard};
use crate::books::lines::own_leg;
use crate::books::sql::{Sql, params};
use crate::books::whereabouts::Whereabouts;
use crate::domain::{MAX_PAGE, StoreError};

/// The accounts with credits that are no entries.
pub(crate) const STRANGE_CREDITS: &str = "SELECT c.account_id FROM credits c LEFT JOIN entries e
    ON e.account_id = c.account_id AND e.transaction_id = c.transaction_id AND e.amount = c.amount
    WHERE e.amount IS NULL";

/// What must be so, and a query that counts where it is not.
const CHECKS: [(&str, &str); 5] = [
    (
        "the balances and credits of a currency do not sum to zero",
        "SELECT count(*) FROM (SELECT currency FROM accounts a LEFT JOIN
            (SELECT account_id, sum(amount) AS amount FROM credits GROUP BY account_id) c USING (account_id)
            GROUP BY currency HAVING sum(balance + coalesce(c.amount, 0)) <> 0) AS uneven",
    ),
    (
        "what is held is not the sum of the open holds",
        "SELECT count(*) FROM accounts a WHERE held <> (SELECT coalesce(sum(amount), 0) FROM holds h
            WHERE h.account_id = a.account_id AND h.state = 'open')",
    ),
    (
        "an account holds more than it has",
        "SELECT count(*) FROM accounts WHERE (balance < 0 OR held > balance) AND kind <> 'equity'
            AND system IS NULL",
    ),
    (
        "an account that another system keeps has money here",
        "SELECT count(*) FROM accounts a WHERE system IS NOT NULL AND kind <> 'equity'
            AND (balance <> 0 OR EXISTS (SELECT 1 FROM entries e WHERE e.account_id = a.account_id))",
    ),
    (
        "a captured hold was not paid",
        "SELECT count(*) FROM holds h WHERE state = 'captured' AND system IS NULL
            AND NOT EXISTS (SELECT 1 FROM entries e WHERE e.account_id = h.payee_id AND e.at = h.closed_at
                AND e.transaction_id = 'capture-' || CAST(h.account_id AS TEXT) || '-'
                || CAST(h.sequence AS TEXT) AND e.amount = h.captured)",
    ),
];

/// The first sum that does not hold.
pub(crate) fn check(db: &mut dyn Sql) -> Result<Option<&'static str>, StoreError> {
    for (what, sql) in CHECKS {
        if db.count(sql, &[])? != 0 {
            return Ok(Some(what));
        }
    }
    balances(db)
}

/// That each balance is what the account's chain and its entries tell.
fn balances(db: &mut dyn Sql) -> Result<Option<&'static str>, StoreError> {
    let accounts = "SELECT account_id FROM accounts WHERE account_id >= ?1 ORDER BY account_id LIMIT ?2";
    let log = "SELECT account_id, sequence, at, event FROM audit
        WHERE account_id BETWEEN ?1 AND ?2 AND actor IS NOT NULL ORDER BY account_id, sequence";
    let (mut from, here) = (OPERATOR, shard(db)?);
    loop {
        let page = db.all(accounts, &params![from, MAX_PAGE], |row| row.int("account_id"))?;
        let Some(to) = page.last() else { return Ok(None) };
        let mut told: BTreeMap<i64, i128> = page.iter().map(|account| (*account, 0)).collect();
        let mut chain = (OPERATOR, Whereabouts::begin(OPERATOR, here));
        db.query(log, &params![from, *to], &mut |row| {
            let account = row.int("account_id")?;
            if account != chain.0 {
                chain = (account, Whereabouts::begin(account, here));
            }
            let own = own_leg(row, &mut chain.1)?.map_or(0, |(_, amount)| amount.into());
            *told.entry(account).or_default() += own;
            Ok(())
        })?;
        if own_balances(db, (from, *to))? != told {
            return Ok(Some(
                "a balance and its credits are not the sum of what the log and the entries tell",
            ));
        }
        from = to + 1;
    }
}

/// The part of each balance that the account's own chain must tell: the balance with the credits, less the entries. The
/// accounts are those of a range of rows.
pub(crate) fn own_balances(
    db: &mut dyn Sql,
    (from, to): (i64, i64),
) -> Result<BTreeMap<i64, i128>, StoreError> {
    const PARTS: [(&str, i128); 3] = [
        ("SELECT account_id, balance AS part FROM accounts WHERE account_id BETWEEN ?1 AND ?2", 1),
        ("SELECT account_id, amount AS part FROM credits WHERE account_id BETWEEN ?1 AND ?2", 1),
        ("SELECT account_id, amount AS part FROM entries WHERE account_id BETWEEN ?1 AND ?2", -1),
    ];
    let mut own = BTreeMap::new();
    for (sql, sign) in PARTS {
        db.query(sql, &params![from, to], &mut |row| {
            *own.entry(row.int("account_id")?).or_default() += sign * i128::from(row.int("part")?);
            Ok(())
        })?;
    }
    Ok(own)
}
