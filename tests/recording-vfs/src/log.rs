//! What was done, in order.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One file; another one later under the same name is another file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub usize);

/// One thing that was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A file got a name: it was not there when it was opened, or not yet when the recording began.
    Create {
        /// Which file, empty.
        file: FileId,
        /// Its name in the folder.
        name: String,
    },
    /// Bytes were written.
    Write {
        /// To which file.
        file: FileId,
        /// Where, in bytes.
        offset: u64,
        /// What.
        bytes: Vec<u8>,
    },
    /// A file was cut to a size.
    Truncate {
        /// Which file.
        file: FileId,
        /// Its size, in bytes.
        size: u64,
    },
    /// A sync of a file came back.
    Sync {
        /// Which file.
        file: FileId,
        /// It covers what was done to the file in so many first entries of the log: what came while it ran does
        /// not count.
        upto: usize,
        /// The folder was synced too, as SQLite does at the first sync of a new log or journal.
        folder: bool,
    },
    /// A name was removed.
    Delete {
        /// Which one.
        name: String,
        /// The folder was synced after it.
        folder: bool,
    },
    /// What the test has to say at this place ([`Recording::mark`]).
    Mark(usize),
}

/// A recording that is over.
#[derive(Debug, Clone, Default)]
pub struct Log {
    /// The files when it began, in the order of their [`FileId`], which starts at 0.
    pub before: Vec<(String, Vec<u8>)>,
    /// What was done.
    pub entries: Vec<Entry>,
}

/// Folders that are being watched.
static WATCHED: Mutex<Vec<Arc<Watched>>> = Mutex::new(Vec::new());

/// Watches one folder until it is finished or dropped.
#[derive(Debug)]
pub struct Recording(Arc<Watched>);

/// A folder and what was done in it.
#[derive(Debug)]
pub(crate) struct Watched {
    folder: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    log: Log,
    /// The file that has each name now.
    names: BTreeMap<String, FileId>,
    next: usize,
}

impl Recording {
    /// Watches `folder`, whose files no connection may have open now. What it holds counts as synced.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn start(folder: &Path) -> std::io::Result<Self> {
        let folder = folder.canonicalize()?;
        let mut state = State::default();
        for entry in std::fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                let name = entry.file_name().to_string_lossy().into_owned();
                let file = state.new_file(&name);
                debug_assert_eq!(file.0, state.log.before.len());
                state.log.before.push((name, std::fs::read(entry.path())?));
            }
        }
        let watched = Arc::new(Watched { folder, state: Mutex::new(state) });
        all().push(Arc::clone(&watched));
        Ok(Self(watched))
    }

    /// Writes a word of the test's own into the log.
    pub fn mark(&self, word: usize) {
        self.0.lock().log.entries.push(Entry::Mark(word));
    }

    /// Ends the recording.
    #[must_use]
    pub fn finish(self) -> Log {
        std::mem::take(&mut self.0.lock().log)
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        all().retain(|watched| !Arc::ptr_eq(watched, &self.0));
    }
}

impl State {
    fn new_file(&mut self, name: &str) -> FileId {
        let file = FileId(self.next);
        self.next += 1;
        self.names.insert(name.to_owned(), file);
        file
    }
}

impl Watched {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A file of this folder was opened.
    fn opened(&self, name: &str) -> FileId {
        let mut state = self.lock();
        if let Some(file) = state.names.get(name) {
            return *file;
        }
        let file = state.new_file(name);
        state.log.entries.push(Entry::Create { file, name: name.to_owned() });
        file
    }

    /// Does `work` and, if it succeeds, writes `entry` down, with nothing of others in between.
    fn record(&self, work: impl FnOnce() -> bool, entry: impl FnOnce() -> Entry) {
        let mut state = self.lock();
        if work() {
            state.log.entries.push(entry());
        }
    }
}

/// A file that is open in a watched folder.
#[derive(Debug)]
pub(crate) struct OpenFile {
    watched: Arc<Watched>,
    file: FileId,
}

impl OpenFile {
    /// `path` as just opened, if its folder is watched.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let (watched, name) = find(path)?;
        let file = watched.opened(&name);
        Some(Self { watched, file })
    }

    pub(crate) fn write(&self, offset: u64, bytes: &[u8], work: impl FnOnce() -> bool) {
        let entry = || Entry::Write { file: self.file, offset, bytes: bytes.to_vec() };
        self.watched.record(work, entry);
    }

    pub(crate) fn truncate(&self, size: u64, work: impl FnOnce() -> bool) {
        self.watched.record(work, || Entry::Truncate { file: self.file, size });
    }

    /// Others go on while a sync runs.
    pub(crate) fn sync(&self, folder: bool, work: impl FnOnce() -> bool) {
        let upto = self.watched.lock().log.entries.len();
        if work() {
            self.watched.lock().log.entries.push(Entry::Sync { file: self.file, upto, folder });
        }
    }
}

/// Does `work`, which removes `path`.
pub(crate) fn delete(path: &Path, folder: bool, work: impl FnOnce() -> bool) {
    let Some((watched, name)) = find(path) else {
        work();
        return;
    };
    let mut state = watched.lock();
    if work() && state.names.remove(&name).is_some() {
        state.log.entries.push(Entry::Delete { name, folder });
    }
}

fn find(path: &Path) -> Option<(Arc<Watched>, String)> {
    let name = path.file_name()?.to_str()?.to_owned();
    let watched = all().iter().find(|watched| path.parent() == Some(&watched.folder)).cloned()?;
    Some((watched, name))
}

fn all() -> MutexGuard<'static, Vec<Arc<Watched>>> {
    WATCHED.lock().unwrap_or_else(PoisonError::into_inner)
}
