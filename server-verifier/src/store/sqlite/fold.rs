//! Folds SQLite's write-ahead log into the database file beside the writer, which would have to stop for it.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::domain::{Background, StoreError};
use crate::store::schema;

/// How often the log is looked at: a page that was written many times meanwhile is written into the file once.
const PAUSE: Duration = Duration::from_secs(1);
/// With so many pages in the log the writer waits until it can begin anew; what is left to fold is little by then.
const LONG: i64 = 131_072;
/// Longest wait for readers, in which nobody can write. Whoever reads for longer keeps the log from beginning anew.
const WAIT: Duration = Duration::from_millis(10);

/// A thread with a connection of its own, until it is dropped.
pub(super) struct Folder {
    _thread: Background,
}

impl Folder {
    /// Folds what an earlier process has left first: one that is killed again and again would let the log grow.
    pub(super) fn start(path: &Path) -> Result<Self, StoreError> {
        let connection = schema::connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.busy_timeout(WAIT)?;
        fold(&connection);
        let round = move || {
            fold(&connection);
            PAUSE
        };
        let thread = Background::start("onetap-fold", PAUSE, round).map_err(|_| StoreError::Locked)?;
        Ok(Self { _thread: thread })
    }
}

/// Folds what no reader still needs; what fails now is tried again soon.
fn fold(connection: &Connection) {
    let pages = |row: &rusqlite::Row<'_>| Ok((row.get(1)?, row.get(2)?));
    let passive = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], pages);
    if passive.is_ok_and(|(all, folded): (i64, i64)| all > LONG && all - folded < LONG) {
        let _busy = connection.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(()));
    }
}
