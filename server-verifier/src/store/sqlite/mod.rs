//! The SQLite store: write-ahead log, `synchronous = FULL`, one thread that writes, and readers beside it.
//!
//! | room | what lives there |
//! |---|---|
//! | `writer` | the thread that decides, many decisions in one commit |
//! | `pen` | the connection that writes |
//! | `readers` | connections for short reads and for long ones |
//! | `source` | how a file is read, also on read-only media |
//! | `fold` | the write-ahead log, folded beside the writer |
//! | `session` | statements, parameters, rows |

mod fold;
mod pen;
mod readers;
mod session;
mod source;
mod writer;

use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, OpenFlags};

use self::fold::Folder;
use self::pen::Pen;
use self::readers::Readers;
use self::session::Session;
use self::source::Source;
pub(crate) use self::writer::Coming;
use self::writer::Writer;
use super::queue::{Load, Pending};
use super::schema;
use crate::books::decision::{Decider, Question};
use crate::books::sql::Sql;
use crate::domain::{StoreError, Watch};

/// Changes nothing, and yet writes a page.
const TOUCH: &str = "UPDATE server SET one = one";

/// One database file, or one database in memory. Its parts are closed in this order: the last connection to close folds
/// the log into the file, which only one that writes may.
pub(crate) struct SqliteStore {
    /// None in memory, where the one connection does everything.
    readers: Option<Readers>,
    _folder: Option<Folder>,
    /// None if the store was opened for reading only.
    writer: Option<Writer>,
    decider: Arc<Decider>,
}

impl SqliteStore {
    /// Makes the file at `path` if need be, and whatever `first` writes, in one commit.
    pub(crate) fn create<E: From<StoreError>>(
        path: &Path,
        first: impl FnOnce(&mut dyn Sql) -> Result<Decider, E>,
    ) -> Result<Self, E> {
        schema::make_file(path)?;
        let mut pen = Pen::open(path)?;
        schema::use_wal(pen.connection())?;
        let decider = pen.fill(first)?;
        Ok(Self::beside(path, pen, decider)?)
    }

    /// Opens the file at `path`, bringing an older schema up to date; `load` reads what decisions need.
    pub(crate) fn open<E: From<StoreError>>(
        path: &Path,
        load: impl FnOnce(&mut dyn Sql) -> Result<Decider, E>,
    ) -> Result<Self, E> {
        let mut pen = Pen::open(path)?;
        if pen.connection().is_readonly("main").map_err(StoreError::from)? {
            return Err(StoreError::ReadOnly.into());
        }
        let found = schema::version(pen.connection())?;
        if found == 0 {
            return Err(StoreError::Empty.into());
        }
        // A copy that was made while the database was in use has none.
        schema::use_wal(pen.connection())?;
        let decider = if found < schema::VERSION { pen.fill(load)? } else { pen.read(load)? };
        Ok(Self::beside(path, pen, decider)?)
    }

    /// Opens the file at `path` without ever writing to it or beside it, whether or not others do.
    pub(crate) fn open_read_only<E: From<StoreError>>(
        path: &Path,
        load: impl FnOnce(&mut dyn Sql) -> Result<Decider, E>,
    ) -> Result<Self, E> {
        let source = Source::found(path)?;
        schema::check_readable(schema::version(&source.connect()?)?)?;
        let readers = Readers::new(source);
        let decider = Arc::new(readers.read(load)?);
        Ok(Self { readers: Some(readers), _folder: None, writer: None, decider })
    }

    /// Makes a database in memory.
    pub(crate) fn in_memory<E: From<StoreError>>(
        first: impl FnOnce(&mut dyn Sql) -> Result<Decider, E>,
    ) -> Result<Self, E> {
        let mut pen = Pen::in_memory()?;
        let decider = Arc::new(pen.fill(first)?);
        let writer = Writer::start(pen, Arc::clone(&decider))?;
        Ok(Self { readers: None, _folder: None, writer: Some(writer), decider })
    }

    /// Starts the threads of a database file.
    fn beside(path: &Path, mut pen: Pen, decider: Decider) -> Result<Self, StoreError> {
        pen.stay_with(path)?;
        let decider = Arc::new(decider);
        let writer = Writer::start(pen, Arc::clone(&decider))?;
        let folder = Folder::start(path)?;
        let readers = Readers::new(Source::shared(path));
        Ok(Self { readers: Some(readers), _folder: Some(folder), writer: Some(writer), decider })
    }

    /// What it decides by.
    pub(crate) fn decider(&self) -> &Decider {
        &self.decider
    }

    fn writer(&self) -> Result<&Writer, StoreError> {
        self.writer.as_ref().ok_or(StoreError::ReadOnly)
    }

    /// Says that a request is under way to the queue, until the guard is dropped.
    pub(crate) fn under_way(&self) -> Option<Coming> {
        self.writer.as_ref().map(Writer::under_way)
    }

    /// What it has to do now.
    pub(crate) fn load(&self) -> Load {
        let (connections, in_use) = self.readers.as_ref().map_or((0, 0), Readers::load);
        Load { queued: self.writer.as_ref().map_or(0, Writer::queued), connections, in_use }
    }

    /// Queues a decision.
    pub(crate) fn submit(&self, question: Question) -> Result<Pending, StoreError> {
        self.writer()?.submit(question)
    }

    /// Runs `work` in one writing transaction.
    pub(crate) fn write<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&mut dyn Sql) -> Result<T, E>,
    ) -> Result<T, E> {
        self.writer()?.write(work)
    }

    /// Runs `work`, which is short, on one consistent snapshot.
    pub(crate) fn read<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&mut dyn Sql) -> Result<T, E>,
    ) -> Result<T, E> {
        match &self.readers {
            Some(readers) => readers.read(work),
            None => self.write(work),
        }
    }

    /// Runs `work`, which may take minutes, on one consistent snapshot.
    pub(crate) fn read_long<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&mut dyn Sql) -> Result<T, E>,
    ) -> Result<T, E> {
        match &self.readers {
            Some(readers) => readers.read_long(work),
            None => self.write(work),
        }
    }

    /// Commits a page, as a decision does, and looks whether the disk has room for more, and the schema is still this
    /// program's.
    pub(crate) fn prove(&self) -> Result<(), StoreError> {
        if self.readers.as_ref().is_some_and(Readers::is_cramped) {
            return Err(StoreError::Full);
        }
        self.write(|db| {
            schema::check_readable(db.count("SELECT user_version FROM pragma_user_version", &[])?)?;
            db.execute(TOUCH, &[]).map(drop)
        })
    }

    /// The first part of the schema that is not as this program makes it.
    pub(crate) fn strange_part(&self) -> Result<Option<String>, StoreError> {
        let new = Connection::open_in_memory()?;
        schema::migrate(&new, 0)?;
        let ours = schema::parts(&mut Session(&new))?;
        Ok(schema::difference(&ours, &self.read(schema::parts)?))
    }

    /// Writes a compact copy of the database, of one moment, into the empty file `to`, beside readers and the
    /// writer; `watch` is told of its bytes.
    pub(crate) fn copy_to(&self, to: &Path, watch: Watch) -> Result<(), StoreError> {
        self.readers.as_ref().ok_or(StoreError::CannotOpen)?.copy_to(to, watch)
    }
}

/// Whether the file at `path` is a OneTap database without damage.
pub(crate) fn check_file(path: &Path) -> Result<(), StoreError> {
    let connection = schema::connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    if schema::version(&connection)? == 0 {
        return Err(StoreError::NotOneTap);
    }
    let verdict: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if verdict == "ok" { Ok(()) } else { Err(StoreError::Damaged) }
}

/// Makes a database in the new, empty file at `path`, with whatever `work` writes. Nothing is synced: whoever fails removes
/// the file, and whoever does not syncs it.
pub(crate) fn build<T, E: From<StoreError>>(
    path: &Path,
    work: impl FnOnce(&mut dyn Sql) -> Result<T, E>,
) -> Result<T, E> {
    let mut pen = Pen::open(path)?;
    schema::use_no_journal(pen.connection())?;
    let value = pen.fill(work)?;
    schema::use_wal(pen.connection())?;
    Ok(value)
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SqliteStore")
    }
}
