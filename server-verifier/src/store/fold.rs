//! Folds SQLite's write-ahead log into the database file beside the writer, which would have to stop for it.

use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::schema;
use crate::error::StoreError;

/// How often the log is looked at.
const PAUSE: Duration = Duration::from_millis(200);
/// With so many pages in the log the writer waits until it can begin anew; what is left to fold is little by then.
const LONG: i64 = 32_768;

/// A thread with a connection of its own, until it is dropped.
pub(super) struct Folder {
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Folder {
    pub(super) fn start(path: &Path) -> Result<Self, StoreError> {
        let connection = schema::connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        let (stop, stopped) = sync_channel::<()>(0);
        let work = move || {
            while stopped.recv_timeout(PAUSE) == Err(RecvTimeoutError::Timeout) {
                fold(&connection);
            }
        };
        let thread = std::thread::Builder::new().name("onetap-fold".to_owned()).spawn(work);
        Ok(Self { stop: Some(stop), thread: Some(thread.map_err(|_| StoreError::Locked)?) })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A panic there left the log as it was.
            let _ended = thread.join();
        }
    }
}

/// What fails now is tried again soon; the writer folds a log that grows far too long itself.
fn fold(connection: &Connection) {
    let pages = |row: &rusqlite::Row<'_>| row.get::<_, i64>(1);
    let passive = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], pages);
    if passive.is_ok_and(|pages| pages > LONG) {
        let _busy = connection.query_row("PRAGMA wal_checkpoint(RESTART)", [], pages);
    }
}
