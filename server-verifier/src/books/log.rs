//! Reading the log.

use crate::books::sql::{Row, Sql, params};
use crate::books::{self, OPERATOR};
use crate::domain::{LogEntry, MAX_PAGE, StoreError, Timestamp};

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
        let sql = "SELECT a.account_id, number, sequence, at, event FROM audit a
            JOIN accounts c ON c.account_id = a.account_id
            WHERE (a.account_id, sequence) > (?1, ?2) ORDER BY a.account_id, sequence LIMIT ?3";
        let params = params![self.account, self.sequence, MAX_PAGE];
        let entries = db.all(sql, &params, |row| Ok((row.int(0)?, log_entry(row)?)))?;
        if let Some((account, last)) = entries.last() {
            (self.account, self.sequence) = (*account, last.sequence);
        }
        Ok(entries.into_iter().map(|(_, entry)| entry).collect())
    }
}

/// Reads account row, number, sequence, time, event.
pub(crate) fn log_entry(row: &dyn Row) -> Result<LogEntry, StoreError> {
    let number = if row.int(0)? == OPERATOR { None } else { row.opt_text(1)? };
    Ok(LogEntry {
        account: number.map(|number| books::parse(number, "account number")).transpose()?,
        sequence: row.int(2)?,
        at: Timestamp(row.int(3)?),
        event: books::from_json(row.text(4)?, "audit entry")?,
    })
}
