//! Reading the log.

use crate::books::sql::{Row, Sql, params};
use crate::books::{self, OPERATOR};
use crate::domain::Actor;
use crate::domain::{LogEntry, MAX_PAGE, StoreError, Timestamp};

/// The columns of [`log_entry`], from `audit a` with its account `c`.
macro_rules! log_columns {
    () => {
        "a.account_id, number, sequence, at, event, actor, reason"
    };
}
pub(crate) use log_columns;

/// Walks through the whole log, chain by chain.
#[derive(Debug, Default)]
pub(crate) struct LogPage {
    /// The chain, and the place in it, that was read last.
    account: i64,
    sequence: i64,
}

impl LogPage {
    /// The next entries, [`MAX_PAGE`] at most; none at the end.
    pub(crate) fn next(&mut self, db: &mut dyn Sql) -> Result<Vec<LogEntry>, StoreError> {
        let sql = concat!(
            "SELECT ",
            log_columns!(),
            " FROM audit a JOIN accounts c ON c.account_id = a.account_id
            WHERE (a.account_id, sequence) > (?1, ?2) ORDER BY a.account_id, sequence LIMIT ?3"
        );
        let params = params![self.account, self.sequence, MAX_PAGE];
        let entries = db.all(sql, &params, |row| Ok((row.int("account_id")?, log_entry(row)?)))?;
        if let Some((account, last)) = entries.last() {
            (self.account, self.sequence) = (*account, last.sequence);
        }
        Ok(entries.into_iter().map(|(_, entry)| entry).collect())
    }
}

/// What older versions noted in the event itself.
#[derive(serde::Deserialize)]
struct Noted {
    operator: Option<String>,
    reason: Option<String>,
}

/// Reads a row of `log_columns`.
pub(crate) fn log_entry(row: &Row<'_>) -> Result<LogEntry, StoreError> {
    let number = if row.int("account_id")? == OPERATOR { None } else { row.opt_text("number")? };
    let text = row.text("event")?;
    let (by, reason) = match row.opt_text("actor")? {
        Some(actor) => (Some(books::parse(actor, "actor")?), row.opt_text("reason")?.map(str::to_owned)),
        None => {
            let Noted { operator, reason } = books::from_json(text, "audit entry")?;
            (operator.map(Actor::Noted), reason)
        }
    };
    Ok(LogEntry {
        account: number.map(|number| books::parse(number, "account number")).transpose()?,
        sequence: row.int("sequence")?,
        at: Timestamp(row.int("at")?),
        by,
        reason,
        event: books::from_json(text, "audit entry")?,
    })
}

/// When the last entry of an account's chain was written.
#[cfg(feature = "http")]
pub(crate) fn last_at(db: &mut dyn Sql, account: i64) -> Result<Option<Timestamp>, StoreError> {
    let sql = "SELECT at FROM audit WHERE account_id = ?1 ORDER BY sequence DESC LIMIT 1";
    db.first(sql, &params![account], |row| Ok(Timestamp(row.int("at")?)))
}
