//! How a database file is read, also where nothing beside it can be written.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use crate::domain::StoreError;
use crate::store::schema;

/// A database file to read.
pub(super) struct Source {
    path: PathBuf,
    media: Media,
}

/// What a reader may do beside the file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Media {
    /// It shares SQLite's index of the write-ahead log with the writer.
    Shared,
    /// Nothing, and nobody else does; a writer that was killed has left a log, which is indexed in memory.
    StillWithLog,
    /// Nothing, and nobody else does; all is in the file.
    Still,
}

impl Source {
    /// A file beside which this process writes.
    pub(super) fn shared(path: &Path) -> Self {
        Self { path: path.to_owned(), media: Media::Shared }
    }

    /// A file that is only read here: finds out how, which depends on what is beside it and whether that can be written.
    pub(super) fn found(path: &Path) -> Result<Self, StoreError> {
        let source = Self::shared(path);
        let Err(error) = source.connect().and_then(|connection| schema::version(&connection)) else {
            return Ok(source);
        };
        if !matches!(error, StoreError::ReadOnly | StoreError::CannotOpen) {
            return Err(error);
        }
        let log = fs::metadata(source.beside("-wal")).map_or(0, |log| log.len());
        Ok(Self { media: if log > 0 { Media::StillWithLog } else { Media::Still }, ..source })
    }

    pub(super) fn connect(&self) -> Result<Connection, StoreError> {
        let how = match self.media {
            Media::Shared => "mode=ro",
            Media::StillWithLog => "mode=ro&vfs=unix-none",
            Media::Still => "mode=ro&immutable=1",
        };
        let mut uri = "file:".to_owned();
        for byte in self.path.as_os_str().as_bytes() {
            // Writing into a string cannot fail.
            let _written = match byte {
                b'/' | b'.' | b'-' | b'_' => write!(uri, "{}", char::from(*byte)),
                byte if byte.is_ascii_alphanumeric() => write!(uri, "{}", char::from(*byte)),
                byte => write!(uri, "%{byte:02x}"),
            };
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
        let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(format!("{uri}?{how}"), flags)?;
        if self.media == Media::StillWithLog {
            // Before anything is read: SQLite would look for the shared index.
            connection.query_row("PRAGMA locking_mode = EXCLUSIVE", [], |_| Ok(()))?;
        }
        schema::configure(&connection)?;
        Ok(connection)
    }

    /// Bytes that this user may still write to the disk; none if the system does not say.
    pub(super) fn room(&self) -> Option<u64> {
        let disk = rustix::fs::statvfs(&self.path).ok()?;
        Some(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    /// One of the files that SQLite keeps beside the database.
    pub(super) fn beside(&self, ending: &str) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    }
}
