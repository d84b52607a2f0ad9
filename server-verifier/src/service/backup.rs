//! Copies of an SQLite database, made while it is in use, and housekeeping. (A PostgreSQL database is backed up
//! with PostgreSQL's own tools: docs/postgres.md.)

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::books::sql::{Row, params};
use crate::domain::Watch;
use crate::service::error::ServiceError;
use crate::service::part::Part;
use crate::service::{DATABASE, Verifier, make_directory};
use crate::store::{Store, sqlite};

/// How long an answer is kept under its idempotency key, in seconds: far longer than a transaction may wait.
pub const KEEP_ANSWERS: i64 = 24 * 60 * 60;
/// Answers that one step of housekeeping looks at, so that decisions need not wait long for it.
const STEP: i64 = 1_000;
/// Bytes that are copied between two times that the watch is told.
const PIECE: u64 = 16 << 20;

impl Verifier {
    /// Writes a copy of the database, of one moment, to the new file `to`, while the server goes on. The keys
    /// are not in it.
    ///
    /// # Errors
    /// [`ServiceError::File`] if the file exists or cannot be written, [`ServiceError::NotSqlite`].
    pub fn backup(&self, to: &Path) -> Result<(), ServiceError> {
        let store = match &self.store {
            Store::Sqlite(store) => store,
            #[cfg(feature = "postgres")]
            Store::Postgres(_) => return Err(ServiceError::NotSqlite),
        };
        // Made first, so that nobody else may read it, and never over another file.
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to);
        let file = made.map_err(ServiceError::File)?;
        let copied = store.copy_to(to, self.env.watch.clone()).map_err(ServiceError::from);
        let synced = copied.and_then(|()| sync(&file, to).map_err(ServiceError::File));
        if synced.is_err() {
            // Half a copy is worse than none; what went wrong with the copy is what counts.
            let _removed = fs::remove_file(to);
        }
        synced
    }

    /// Forgets answers older than [`KEEP_ANSWERS`]; their transactions stay. Returns how many.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub fn forget_answers(&self) -> Result<u64, ServiceError> {
        let before = self.env.clock.now().0.saturating_sub(KEEP_ANSWERS);
        let end_of_step = "SELECT terminal_id, idempotency_key FROM requests
            WHERE (terminal_id, idempotency_key) > (?1, ?2)
            ORDER BY terminal_id, idempotency_key LIMIT 1 OFFSET ?3";
        let forget = "DELETE FROM requests WHERE (terminal_id, idempotency_key) > (?1, ?2)
            AND (terminal_id, idempotency_key) <= (?3, ?4) AND at < ?5";
        let forget_the_rest =
            "DELETE FROM requests WHERE (terminal_id, idempotency_key) > (?1, ?2) AND at < ?3";
        let (mut from, mut forgotten) = ((String::new(), String::new()), 0);
        loop {
            let params = params![&from.0, &from.1, STEP - 1];
            let key = |row: &Row<'_>| {
                Ok((row.text("terminal_id")?.to_owned(), row.text("idempotency_key")?.to_owned()))
            };
            let Some(to) = self.store.read(|db| db.first(end_of_step, &params, key))? else {
                let params = params![&from.0, &from.1, before];
                return Ok(forgotten + self.store.write(|db| db.execute(forget_the_rest, &params))?);
            };
            let params = params![&from.0, &from.1, &to.0, &to.1, before];
            forgotten += self.store.write(|db| db.execute(forget, &params))?;
            from = to;
        }
    }
}

/// Puts the copy `from`, made by [`Verifier::backup`], into `directory`, which must have no database. The key
/// file must be put there too. `watch` is told of the bytes.
///
/// # Errors
/// [`ServiceError::AlreadyInitialised`]; [`ServiceError::Store`] if the copy is damaged or not a OneTap database;
/// [`ServiceError::File`].
pub fn restore(from: &Path, directory: &Path, watch: &Watch) -> Result<(), ServiceError> {
    if directory.join(DATABASE).exists() {
        return Err(ServiceError::AlreadyInitialised(directory.to_owned()));
    }
    sqlite::check_file(from)?;
    make_directory(directory)?;
    let part = Part::begin(directory)?;
    let copied = File::open(from).and_then(|from| copy(&from, &mut part.file(), watch));
    copied.map_err(ServiceError::File)?;
    part.publish()
}

/// All bytes of a file, some megabytes at a time.
fn copy(from: &File, to: &mut impl io::Write, watch: &Watch) -> io::Result<()> {
    let (all, mut done) = (from.metadata()?.len(), 0);
    while done < all {
        match io::copy(&mut from.take(PIECE), to)? {
            0 => break,
            copied => done += copied,
        }
        watch.at(done, all);
    }
    Ok(())
}

fn sync(file: &File, path: &Path) -> io::Result<()> {
    file.sync_all()?;
    sync_directory(path)
}

fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}
