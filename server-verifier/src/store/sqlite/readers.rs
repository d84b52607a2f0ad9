//! Connections that read beside the writer.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rusqlite::Connection;
use rusqlite::types::{ToSqlOutput, ValueRef};

use super::session::Session;
use super::source::Source;
use crate::books::sql::Sql;
use crate::domain::{StoreError, Watch};
use crate::store::pool::Pool;

/// Most short reads at a time.
const READERS: usize = 4;
/// Bytes in the write-ahead log beyond which a long read is given up: as long as it lasts the log cannot begin anew.
const LONGEST_LOG: u64 = 4 << 30;
/// Least bytes that the disk must have free: what many decisions in one commit write. A log that begins anew needs no more room,
/// so that a small commit may succeed where a large one does not.
const LEAST_ROOM: u64 = 1 << 20;
/// Steps of SQLite's machine between two looks at the log's length, some milliseconds.
const LOOK: i32 = 1_000_000;

/// Connections to one file: a few for short reads, and one more for each long one.
pub(super) struct Readers {
    source: Source,
    idle: Pool<Connection>,
}

impl Readers {
    pub(super) fn new(source: Source) -> Self {
        Self { source, idle: Pool::new(READERS) }
    }

    /// Whether the disk has too little room for what is decided.
    pub(super) fn is_cramped(&self) -> bool {
        self.source.room().is_some_and(|room| room < LEAST_ROOM)
    }

    /// Connections for short reads, and how many of them read now.
    pub(super) fn load(&self) -> (usize, usize) {
        self.idle.load()
    }

    /// Runs `work`, which is short, on one consistent snapshot.
    pub(super) fn read<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&mut dyn Sql) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut loan = self.idle.borrow()?;
        let connection = match loan.slot.take() {
            Some(connection) => connection,
            None => self.source.connect()?,
        };
        snapshot(loan.slot.insert(connection), work)
    }

    /// Runs `work` on one consistent snapshot, on a connection of its own.
    pub(super) fn read_long<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&mut dyn Sql) -> Result<T, E>,
    ) -> Result<T, E> {
        self.read_until(LONGEST_LOG, work)
    }

    /// Gives up once the log has more than `longest` bytes.
    fn read_until<T, E: From<StoreError>>(
        &self,
        longest: u64,
        work: impl FnOnce(&mut dyn Sql) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut connection = self.source.connect()?;
        let log = self.source.beside("-wal");
        let too_long = move || fs::metadata(&log).is_ok_and(|log| log.len() > longest);
        connection.progress_handler(LOOK, Some(too_long)).map_err(StoreError::from)?;
        snapshot(&mut connection, work)
    }

    /// Writes a compact copy of the database, of one moment, into the empty file `to`; `watch` is told of its bytes.
    pub(super) fn copy_to(&self, to: &Path, watch: Watch) -> Result<(), StoreError> {
        let mut connection = self.source.connect()?;
        let all = connection.query_row(
            "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size",
            [],
            |row| row.get(0),
        )?;
        let all = u64::try_from(i64::default().max(all)).unwrap_or(0);
        let file = to.to_owned();
        let tell = move || {
            watch.at(fs::metadata(&file).map_or(0, |file| file.len()).min(all), all);
            false
        };
        connection.progress_handler(LOOK / 10, Some(tell))?;
        let to = ToSqlOutput::Borrowed(ValueRef::Text(to.as_os_str().as_bytes()));
        connection.execute("VACUUM INTO ?1", [to])?;
        Ok(())
    }
}

fn snapshot<T, E: From<StoreError>>(
    connection: &mut Connection,
    work: impl FnOnce(&mut dyn Sql) -> Result<T, E>,
) -> Result<T, E> {
    let transaction = connection.transaction().map_err(StoreError::from)?;
    work(&mut Session(&transaction))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::store::schema;

    #[test]
    fn a_read_under_which_the_log_grows_too_long_is_given_up() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("some.db");
        let writer = Connection::open(&path).unwrap();
        schema::use_wal(&writer).unwrap();
        writer.execute_batch("CREATE TABLE some (bytes BLOB)").unwrap();
        let readers = Readers::new(Source::shared(&path));
        let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n";
        let mut rows = 0;
        let given_up: Result<(), StoreError> = readers.read_until(1 << 20, |db| {
            db.query(endless, &[], &mut |_| {
                rows += 1;
                if rows == 1_000 {
                    writer.execute("INSERT INTO some VALUES (zeroblob(2097152))", [])?;
                }
                Ok(())
            })
        });
        assert!(matches!(given_up, Err(StoreError::LogTooLong)), "{given_up:?}");
        assert!(rows > 1_000, "not before: {rows}");
    }
}
