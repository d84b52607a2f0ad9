//! The log searched: by terminal, moment and event, in the order of time.

use onetap_apdu_spec::txn::TerminalId;

use crate::books::log::{log_columns, log_entry};
use crate::books::sql::{Row, Sql, params};
use crate::domain::{LogEntry, MAX_PAGE, Sought, StoreError, TimePlace};

/// The entries that are sought, after a place, `limit` of them at most and never more than [`MAX_PAGE`], in the order of time,
/// with their places; in one chain, by its row, or in all.
pub(crate) fn search(
    db: &mut dyn Sql,
    chain: Option<i64>,
    sought: &Sought,
    after: TimePlace,
    limit: u32,
) -> Result<Vec<(TimePlace, LogEntry)>, StoreError> {
    let everywhere = concat!(
        "SELECT ",
        log_columns!(),
        " FROM audit a JOIN accounts c ON c.account_id = a.account_id
        WHERE (a.at, a.account_id, a.sequence) > (?1, ?2, ?3) AND a.at BETWEEN ?4 AND ?5
            AND (a.event LIKE ?6 OR a.event LIKE ?7)
        ORDER BY a.at, a.account_id, a.sequence LIMIT ?8"
    );
    let in_chain = concat!(
        "SELECT ",
        log_columns!(),
        " FROM audit a JOIN accounts c ON c.account_id = a.account_id
        WHERE a.account_id = ?1 AND a.sequence > ?2 AND a.at BETWEEN ?3 AND ?4
            AND (a.event LIKE ?5 OR a.event LIKE ?6)
        ORDER BY a.sequence LIMIT ?7"
    );
    let ([one, many], limit, from, to) = (patterns(sought), limit.min(MAX_PAGE), sought.from.0, sought.to.0);
    let read = |row: &Row<'_>| {
        let entry = log_entry(row)?;
        let place = TimePlace { at: entry.at.0, account: row.int("account_id")?, sequence: entry.sequence };
        Ok((place, entry))
    };
    match chain {
        Some(account) => {
            db.all(in_chain, &params![account, after.sequence, from, to, &one, &many, limit], read)
        }
        None => {
            let place = (after.at, after.account, after.sequence);
            db.all(everywhere, &params![place.0, place.1, place.2, from, to, &one, &many, limit], read)
        }
    }
}

/// How the JSON of the events begins and goes on: of those that name one terminal, and of those that name several. A text in it cannot
/// look so, since its quotes are escaped.
fn patterns(sought: &Sought) -> [String; 2] {
    let event = sought.event.as_ref().map(|name| format!(r#"{{"event":"{}""#, name.as_ref()));
    let event = event.unwrap_or_default();
    let Some(terminal) = sought.terminal.as_ref().map(TerminalId::as_str) else {
        return [format!("{event}%"), format!("{event}%")];
    };
    [format!(r#"{event}%"terminal":"{terminal}"%"#), format!(r#"{event}%"terminals":[%"{terminal}"%"#)]
}
