//! The connection that writes.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::session::Session;
use crate::books::sql::Sql;
use crate::domain::StoreError;
use crate::store::schema;

/// The connection that writes, and which files it has open.
pub(super) struct Pen {
    connection: Connection,
    files: Vec<(PathBuf, FileId)>,
}

/// Device and inode.
type FileId = (u64, u64);

impl Pen {
    /// For the file at `path`, which must exist.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let connection = schema::connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE);
        let connection = connection.map_err(|error| match error {
            // It can be read: what cannot be opened is what SQLite keeps beside it.
            StoreError::CannotOpen if fs::File::open(path).is_ok() => StoreError::ReadOnly,
            other => other,
        })?;
        // At most 16 MiB of pages that it need not read again; SQLite's own 2 MB do not hold the indexes that payments touch.
        connection.pragma_update(None, "cache_size", -16_384)?;
        Ok(Self { connection, files: Vec::new() })
    }

    /// For a database in memory.
    pub(super) fn in_memory() -> Result<Self, StoreError> {
        let connection = Connection::open_in_memory()?;
        schema::configure(&connection)?;
        Ok(Self { connection, files: Vec::new() })
    }

    /// For settings, and for what they are.
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Reads outside any transaction, while nobody else uses the store yet.
    pub(super) fn read<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&mut dyn Sql) -> Result<T, E>,
    ) -> Result<T, E> {
        work(&mut Session(&self.connection))
    }

    /// Notes which files are open at `path`. From now on nothing is said to be written unless they are still there: SQLite
    /// goes on writing into files that nobody can find any more.
    pub(super) fn stay_with(&mut self, path: &Path) -> Result<(), StoreError> {
        let files = ["", "-wal", "-shm"].map(|ending| {
            let mut name = path.as_os_str().to_owned();
            name.push(ending);
            PathBuf::from(name)
        });
        let known = files.into_iter().map(|file| file_id(&file).map(|id| (file, id)));
        self.files = known.collect::<Option<_>>().ok_or(StoreError::Moved)?;
        Ok(())
    }

    /// Runs `work` in a transaction: all of it is durable, and where it is looked for, when this returns `Ok`.
    pub(super) fn write<T, E: From<StoreError>>(
        &mut self,
        work: impl FnOnce(&Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        self.recover()?;
        let begun = self.connection.transaction_with_behavior(TransactionBehavior::Immediate);
        let transaction = begun.map_err(StoreError::from)?;
        let value = work(&transaction)?;
        transaction.commit().map_err(StoreError::from)?;
        if self.files.iter().all(|(file, id)| file_id(file) == Some(*id)) {
            Ok(value)
        } else {
            Err(StoreError::Moved.into())
        }
    }

    /// Ends what an earlier transaction could not end by itself.
    fn recover(&self) -> Result<(), StoreError> {
        if !self.connection.is_autocommit() {
            self.connection.execute_batch("ROLLBACK")?;
        }
        Ok(())
    }

    /// Brings the schema up to date and writes what `first` writes, in one commit.
    pub(super) fn fill<T, E: From<StoreError>>(
        &mut self,
        first: impl FnOnce(&mut dyn Sql) -> Result<T, E>,
    ) -> Result<T, E> {
        self.write(|connection| {
            schema::migrate(connection, schema::version(connection)?)?;
            first(&mut Session(connection))
        })
    }
}

fn file_id(path: &Path) -> Option<FileId> {
    fs::metadata(path).ok().map(|file| (file.dev(), file.ino()))
}
