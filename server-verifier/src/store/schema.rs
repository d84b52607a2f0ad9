//! Opening a database file: settings, what kind of file it is, and which version.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::books::sql::Sql;
use crate::domain::StoreError;

/// Marks the file as OneTap's (`PRAGMA application_id`).
const APPLICATION: i32 = i32::from_be_bytes(*b"1Tap");
/// The oldest version that this program still knows; the first script makes it out of nothing.
const OLDEST: i64 = 2;
/// One script for each version from [`OLDEST`] on; the last one leads to today's.
const MIGRATIONS: [&str; 4] = [
    include_str!("schema.sql"),
    include_str!("schema-3.sql"),
    include_str!("schema-4.sql"),
    include_str!("schema-5.sql"),
];
/// What PostgreSQL needs besides, for each of them. Room in each page of rows that every decision changes: a new version of
/// a row finds its place beside the old one, and no index has to be told.
#[cfg(feature = "postgres")]
const POSTGRES_BESIDES: [&str; 4] =
    ["", "ALTER TABLE accounts SET (fillfactor = 70); ALTER TABLE cards SET (fillfactor = 70);", "", ""];
/// Newest schema version that this program knows.
pub(crate) const VERSION: i64 = OLDEST + MIGRATIONS.len() as i64 - 1;
/// Longest wait of a connection for another's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Pages that are kept in memory while a database is made, in KiB.
const CACHE: i64 = 65_536;

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
    // So many pages in the log, 8 GiB, are folded by whoever writes them: more than `fold` and `readers` let come together.
    connection.pragma_update(None, "wal_autocheckpoint", 4_194_304)?;
    // A log that a long read let grow is cut to so many bytes once it begins anew.
    connection.pragma_update(None, "journal_size_limit", 268_435_456)?;
    Ok(())
}

/// Small pages, since a decision changes little in each, and write-ahead logging; both kept in the file, so set
/// once.
pub(crate) fn use_wal(connection: &Connection) -> Result<(), StoreError> {
    connection.pragma_update(None, "page_size", 2_048)?;
    let _mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    Ok(())
}

/// For a file that nobody else knows of yet: rows in any order, and nothing to go back to.
pub(crate) fn use_no_journal(connection: &Connection) -> Result<(), StoreError> {
    connection.pragma_update(None, "page_size", 2_048)?;
    connection.pragma_update(None, "synchronous", "OFF")?;
    connection.pragma_update(None, "foreign_keys", false)?;
    connection.pragma_update(None, "cache_size", -CACHE)?;
    let _mode: String = connection.query_row("PRAGMA journal_mode = MEMORY", [], |row| row.get(0))?;
    Ok(())
}

/// The version of the schema in the file; 0 of an empty file.
pub(crate) fn version(connection: &Connection) -> Result<i64, StoreError> {
    let pragma = |name| connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0));
    let found = pragma("user_version")?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let ours = pragma("application_id")? == i64::from(APPLICATION);
    match (ours, tables) {
        (true, _) => check_version(found).map(|()| found),
        (false, 0) => Ok(0),
        (false, _) => Err(StoreError::NotOneTap),
    }
}

/// Whether this program knows the schema, or how to come from it to today's; 0 stands for no schema at all.
pub(crate) fn check_version(found: i64) -> Result<(), StoreError> {
    match found {
        _ if found > VERSION => Err(StoreError::NewerSchema { found, known: VERSION }),
        0 | OLDEST.. => Ok(()),
        _ => Err(StoreError::OlderSchema { found, known: OLDEST }),
    }
}

/// Whether a store that is only read has today's schema: an older one would have to be brought up to date first.
pub(crate) fn check_readable(found: i64) -> Result<(), StoreError> {
    check_version(found)?;
    match found {
        VERSION => Ok(()),
        0 => Err(StoreError::Empty),
        _ => Err(StoreError::NotUpToDate { found, known: VERSION }),
    }
}

/// Brings the schema from `found` to today's. Inside the caller's transaction: all or nothing.
pub(crate) fn migrate(connection: &Connection, found: i64) -> Result<(), StoreError> {
    for script in scripts(found) {
        connection.execute_batch(script)?;
    }
    connection.pragma_update(None, "application_id", APPLICATION)?;
    connection.pragma_update(None, "user_version", VERSION)?;
    Ok(())
}

/// What leads from version `found`, 0 for nothing at all, to today's.
fn scripts(found: i64) -> impl Iterator<Item = &'static str> {
    let done = usize::try_from(found - OLDEST + 1).unwrap_or(0);
    MIGRATIONS.into_iter().skip(done)
}

/// How each part of a schema is made, by what it is and its name.
pub(crate) type Parts = BTreeMap<String, String>;

/// The parts of the schema that is there, of SQLite, but for what it makes by itself. Whether rows lie where their key is
/// differs with the version that has made a table.
pub(crate) fn parts(db: &mut dyn Sql) -> Result<Parts, StoreError> {
    let sql = "SELECT type || ' ' || name || ' of ' || tbl_name AS part,
            coalesce(replace(sql, ', WITHOUT ROWID', ''), '') AS made FROM sqlite_schema
            WHERE substr(name, 1, 7) <> 'sqlite_'
        UNION ALL SELECT 'version', CAST(user_version AS TEXT) FROM pragma_user_version
        UNION ALL SELECT 'application', CAST(application_id AS TEXT) FROM pragma_application_id";
    let parts = db.all(sql, &[], |row| Ok((row.text("part")?.to_owned(), row.text("made")?.to_owned())))?;
    Ok(parts.into_iter().collect())
}

/// The first part that is not in both, or not made in the same way.
pub(crate) fn difference(ours: &Parts, found: &Parts) -> Option<String> {
    ours.keys().chain(found.keys()).find(|part| ours.get(*part) != found.get(*part)).cloned()
}

/// The same scripts, as PostgreSQL spells them.
#[cfg(feature = "postgres")]
pub(crate) fn postgres_scripts(found: i64) -> impl Iterator<Item = String> {
    const SPELLINGS: [(&str, &str); 5] = [
        ("INTEGER PRIMARY KEY", "BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY"),
        ("INTEGER", "BIGINT"),
        ("BLOB", "BYTEA"),
        (") STRICT, WITHOUT ROWID;", ");"),
        (") STRICT;", ");"),
    ];
    let versions = "CREATE TABLE onetap_schema (version BIGINT PRIMARY KEY);".to_owned();
    let first = (found == 0).then_some(versions);
    let done = MIGRATIONS.len() - scripts(found).count();
    first.into_iter().chain(scripts(found).zip(&POSTGRES_BESIDES[done..]).map(|(script, besides)| {
        let text =
            SPELLINGS.iter().fold(script.to_owned(), |text, (ours, theirs)| text.replace(ours, theirs));
        text + besides
    }))
}
