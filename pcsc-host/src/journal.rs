//! What a terminal must not forget: the attempts whose final state it does not know yet.
//!
//! An attempt is written before the first byte of its request leaves, and holds no secret. [`FileJournal`] keeps each
//! in a file of its own, which is replaced as a whole or not at all; so an attempt survives the end of the program and of
//! the machine. The file's name says where the transaction can be asked for, even if the file itself is damaged.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use onetap_apdu_spec::service::{Answer, Timestamp, TransactionId};
use serde::{Deserialize, Serialize};

use crate::attempt::{Attempt, End, Place};

/// Keeps attempts, for as long as the app wants to know of them. Methods return once what they did is durable.
pub trait Journal: Send + Sync {
    /// Writes an attempt, whose final state is not known.
    ///
    /// # Errors
    /// [`JournalError`]; then nothing may be sent.
    fn begin(&self, attempt: &Attempt) -> Result<(), JournalError>;

    /// Writes how an attempt ended.
    ///
    /// # Errors
    /// [`JournalError`]; the attempt then still counts as unresolved, and may be resolved again.
    fn end(&self, attempt: &Attempt, conclusion: &Conclusion) -> Result<(), JournalError>;

    /// Removes the attempt at that place, if there is one.
    ///
    /// # Errors
    /// [`JournalError`].
    fn forget(&self, place: &Place) -> Result<(), JournalError>;

    /// Every attempt, in order of places.
    ///
    /// # Errors
    /// [`JournalError`].
    fn entries(&self) -> Result<Vec<Entry>, JournalError>;
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Conclusion {
    /// The server answered the request.
    Answered(Answer),
    /// It was resolved: not executed, and never will be.
    Cancelled,
}

impl From<End> for Conclusion {
    fn from(end: End) -> Self {
        match end {
            End::Executed(receipt) => Self::Answered(Answer::Executed { receipt }),
            End::Cancelled => Self::Cancelled,
        }
    }
}

/// What a journal has of one attempt.
#[derive(Debug, Clone)]
pub enum Entry {
    /// The attempt, and how it ended if that is known.
    Kept {
        /// The attempt.
        attempt: Box<Attempt>,
        /// How it ended; none if it is unresolved.
        conclusion: Option<Conclusion>,
    },
    /// What was written cannot be read any more; what became of it can be [looked up](crate::attempt::look_up).
    Damaged {
        /// Where it can be asked for.
        place: Place,
        /// A moment not before the transaction's date.
        written: Timestamp,
    },
}

impl Entry {
    /// Where the transaction can be asked for.
    #[must_use]
    pub fn place(&self) -> Place {
        match self {
            Self::Kept { attempt, .. } => attempt.place(),
            Self::Damaged { place, .. } => place.clone(),
        }
    }

    /// The transaction's id.
    #[must_use]
    pub fn id(&self) -> TransactionId {
        self.place().id
    }

    /// Whether the final state is not known.
    #[must_use]
    pub fn is_unresolved(&self) -> bool {
        matches!(self, Self::Kept { conclusion: None, .. } | Self::Damaged { .. })
    }
}

/// A journal that cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[error("the journal of payments cannot be kept at {}: {source}", .path.display())]
pub struct JournalError {
    /// The file or folder.
    path: PathBuf,
    /// What the system says.
    source: io::Error,
}

impl JournalError {
    /// What to do next.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        "make room and see that the folder can be written; nothing is sent without it"
    }
}

/// A journal in memory: for tests, and for apps that keep attempts themselves.
#[derive(Debug, Default)]
pub struct MemoryJournal {
    entries: Mutex<Kept>,
}

type Kept = BTreeMap<Place, (Attempt, Option<Conclusion>)>;

impl MemoryJournal {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Journal for MemoryJournal {
    fn begin(&self, attempt: &Attempt) -> Result<(), JournalError> {
        self.lock().insert(attempt.place(), (attempt.clone(), None));
        Ok(())
    }

    fn end(&self, attempt: &Attempt, conclusion: &Conclusion) -> Result<(), JournalError> {
        self.lock().insert(attempt.place(), (attempt.clone(), Some(conclusion.clone())));
        Ok(())
    }

    fn forget(&self, place: &Place) -> Result<(), JournalError> {
        self.lock().remove(place);
        Ok(())
    }

    fn entries(&self) -> Result<Vec<Entry>, JournalError> {
        let kept = |(attempt, conclusion): &(Attempt, Option<Conclusion>)| Entry::Kept {
            attempt: Box::new(attempt.clone()),
            conclusion: conclusion.clone(),
        };
        Ok(self.lock().values().map(kept).collect())
    }
}

/// A journal in a folder, one file an attempt.
#[derive(Debug)]
pub struct FileJournal {
    folder: PathBuf,
}

/// What a file holds.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    attempt: Attempt,
    conclusion: Option<Conclusion>,
}

/// How the names of finished files end.
const ENDING: &str = "json";

impl FileJournal {
    /// Opens the journal in `folder`, which is made if it is not there.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self, JournalError> {
        let journal = Self { folder: folder.into() };
        if !journal.folder.is_dir() {
            let made = fs::create_dir_all(&journal.folder).and_then(|()| match journal.folder.parent() {
                Some(parent) if parent != Path::new("") => sync(parent),
                _ => sync(Path::new(".")),
            });
            made.map_err(|source| journal.failed(&journal.folder, source))?;
        }
        Ok(journal)
    }

    /// Where it is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes beside the old file, then takes its place.
    fn write(&self, attempt: &Attempt, conclusion: Option<&Conclusion>) -> Result<(), JournalError> {
        let record = Record { attempt: attempt.clone(), conclusion: conclusion.cloned() };
        let path = self.path(&attempt.place());
        let place = || {
            let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
            serde_json::to_writer(&mut file, &record)?;
            file.flush()?;
            file.as_file().sync_all()?;
            file.persist(&path).map_err(|error| error.error)?;
            sync(&self.folder)
        };
        place().map_err(|source| self.failed(&path, source))
    }

    fn read(&self, place: Place) -> Result<Option<Entry>, JournalError> {
        let path = self.path(&place);
        let text = match fs::read(&path) {
            Ok(text) => text,
            // Forgotten by another program in between.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            // One that cannot be read must not hide the others.
            Err(_) => Vec::new(),
        };
        let record =
            serde_json::from_slice::<Record>(&text).ok().filter(|record| record.attempt.place() == place);
        if let Some(Record { attempt, conclusion }) = record {
            return Ok(Some(Entry::Kept { attempt: Box::new(attempt), conclusion }));
        }
        let written = fs::metadata(&path).and_then(|file| file.modified());
        let written = written.map_err(|source| self.failed(&path, source))?;
        Ok(Some(Entry::Damaged { place, written: time::OffsetDateTime::from(written).into() }))
    }

    fn path(&self, place: &Place) -> PathBuf {
        let Place { server, terminal, id } = place;
        self.folder.join(format!("{server}-{}-{id}.{ENDING}", terminal.as_str()))
    }

    fn failed(&self, path: &Path, source: io::Error) -> JournalError {
        JournalError { path: path.to_owned(), source }
    }
}

/// Makes the names of the files in `folder` durable, where a system can be asked to: a folder opens as a file there.
fn sync(folder: &Path) -> io::Result<()> {
    if cfg!(windows) { Ok(()) } else { File::open(folder)?.sync_all() }
}

impl Journal for FileJournal {
    fn begin(&self, attempt: &Attempt) -> Result<(), JournalError> {
        self.write(attempt, None)
    }

    fn end(&self, attempt: &Attempt, conclusion: &Conclusion) -> Result<(), JournalError> {
        self.write(attempt, Some(conclusion))
    }

    fn forget(&self, place: &Place) -> Result<(), JournalError> {
        let path = self.path(place);
        match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.and_then(|()| sync(&self.folder)).map_err(|source| self.failed(&path, source)),
        }
    }

    fn entries(&self) -> Result<Vec<Entry>, JournalError> {
        let failed = |source| self.failed(&self.folder, source);
        let mut places = Vec::new();
        for file in fs::read_dir(&self.folder).map_err(failed)? {
            // Other files, such as what a power cut left half written, are nobody's attempt.
            places.extend(place_named(&file.map_err(failed)?.path()));
        }
        places.sort();
        places.into_iter().filter_map(|place| self.read(place).transpose()).collect()
    }
}

/// Where the attempt in a file of this name can be asked for.
fn place_named(path: &Path) -> Option<Place> {
    let name = path.file_name()?.to_str()?.strip_suffix(ENDING)?.strip_suffix('.')?;
    let [server, terminal, id] = name.split('-').collect::<Vec<_>>().try_into().ok()?;
    let id: TransactionId = id.parse().ok()?;
    id.signed()?;
    Some(Place { server: server.parse().ok()?, terminal: terminal.parse().ok()?, id })
}
