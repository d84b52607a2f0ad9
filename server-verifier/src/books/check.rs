//! Whether all sums of the books hold.

use crate::books::sql::Sql;
use crate::domain::StoreError;

/// A query for accounts whose balance and credits are not the sum of their entries.
macro_rules! wrong_balances {
    ($what:literal) => {
        concat!(
            "SELECT ",
            $what,
            " FROM accounts a WHERE
            balance + (SELECT coalesce(sum(amount), 0) FROM credits c WHERE c.account_id = a.account_id)
            <> (SELECT coalesce(sum(amount), 0) FROM entries e WHERE e.account_id = a.account_id)"
        )
    };
}

/// The accounts whose balance and credits are not the sum of their entries.
pub(crate) const WRONG_BALANCES: &str = wrong_balances!("account_id");
/// The accounts with credits that are no entries.
pub(crate) const STRANGE_CREDITS: &str = "SELECT c.account_id FROM credits c LEFT JOIN entries e
    ON e.account_id = c.account_id AND e.transaction_id = c.transaction_id AND e.amount = c.amount
    WHERE e.amount IS NULL";

/// What must be so, and a query that counts where it is not.
const CHECKS: [(&str, &str); 7] = [
    (
        "the legs of a transaction do not sum to zero",
        "SELECT count(*) FROM (SELECT transaction_id FROM entries GROUP BY transaction_id
            HAVING sum(amount) <> 0 OR count(*) <> 2) AS uneven",
    ),
    (
        "the entries of a currency do not sum to zero",
        "SELECT count(*) FROM (SELECT a.currency FROM entries e JOIN accounts a USING (account_id)
            GROUP BY a.currency HAVING sum(e.amount) <> 0) AS uneven",
    ),
    ("a balance and its credits are not the sum of the entries", wrong_balances!("count(*)")),
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
            AND NOT EXISTS (SELECT 1 FROM entries e WHERE e.account_id = h.account_id
                AND e.transaction_id = 'capture-' || CAST(h.account_id AS TEXT) || '-'
                || CAST(h.sequence AS TEXT) AND e.amount = -h.captured)",
    ),
];

/// The first sum that does not hold.
pub(crate) fn check(db: &mut dyn Sql) -> Result<Option<&'static str>, StoreError> {
    for (what, sql) in CHECKS {
        if db.count(sql, &[])? != 0 {
            return Ok(Some(what));
        }
    }
    Ok(None)
}
