//! Opening a database file: settings, what kind of file it is, and which version.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::error::StoreError;

/// Marks the file as OneTap's (`PRAGMA application_id`).
const APPLICATION: i32 = i32::from_be_bytes(*b"1Tap");
/// One script for each version; the last one is today's.
const MIGRATIONS: [&str; 1] = [include_str!("schema.sql")];
/// Newest schema version that this program knows.
pub(crate) const VERSION: i64 = MIGRATIONS.len() as i64;
/// How long a connection waits for another's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Makes an empty file that only its owner may read; SQLite gives its other files the same mode.
pub(crate) fn make_file(path: &Path) -> Result<(), StoreError> {
    let made = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
    made.map(drop).map_err(|_| StoreError::CannotOpen)
}

/// Opens a connection with the settings that durability rests on.
pub(crate) fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, StoreError> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    configure(&connection)?;
    Ok(connection)
}

pub(crate) fn configure(connection: &Connection) -> Result<(), StoreError> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}

/// Write-ahead logging; kept in the file, so set once.
pub(crate) fn use_wal(connection: &Connection) -> Result<(), StoreError> {
    let _mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    Ok(())
}

/// The version of the schema in the file; 0 of an empty file.
pub(crate) fn version(connection: &Connection) -> Result<i64, StoreError> {
    let pragma = |name| connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0));
    let found = pragma("user_version")?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let ours = pragma("application_id")? == i64::from(APPLICATION);
    match (ours, tables) {
        (true, _) if found > VERSION => Err(StoreError::NewerSchema { found, known: VERSION }),
        (true, _) => Ok(found),
        (false, 0) => Ok(0),
        (false, _) => Err(StoreError::NotOneTap),
    }
}

/// Brings the schema from `found` to today's. Inside the caller's transaction: all or nothing.
pub(crate) fn migrate(connection: &Connection, found: i64) -> Result<(), StoreError> {
    let done = usize::try_from(found).map_err(|_| StoreError::NotOneTap)?;
    for script in MIGRATIONS.iter().skip(done) {
        connection.execute_batch(script)?;
    }
    connection.pragma_update(None, "application_id", APPLICATION)?;
    connection.pragma_update(None, "user_version", VERSION)?;
    Ok(())
}
