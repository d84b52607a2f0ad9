//! What a disk may hold when the power is cut: all that was synced, and of the rest anything.

use std::collections::BTreeMap;

use onetap_recording_vfs::{Entry, FileId, Log};

use onetap_conformance::dice::Dice;

/// A disk writes such a piece whole or not at all (SQLite counts on the rest of the file staying as it is:
/// SQLITE_IOCAP_POWERSAFE_OVERWRITE).
const SECTOR: u64 = 512;

/// The files of a folder by name.
pub type Files = BTreeMap<String, Vec<u8>>;

/// Which of the things that were not synced have reached the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrived {
    /// Everything.
    All,
    /// Nothing.
    Nothing,
    /// Everything, but only the first half of the last write.
    FirstHalf,
    /// Everything, but only the second half of the last write.
    SecondHalf,
    /// For each file, everything up to some write.
    Prefix,
    /// Any of it, in pieces of a sector: newer without older, one file without the other.
    Any,
}

/// Which syncs count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syncs {
    /// All, as they should.
    Kept,
    /// None, as with `PRAGMA synchronous = OFF`.
    Ignored,
    /// Those of the log, but not those of the database file, on which a checkpoint rests.
    OfTheLogOnly,
}

/// The files on their way to the disk.
pub(super) struct Disk<'a> {
    log: &'a Log,
    syncs: Syncs,
    files: Vec<File>,
    /// Names that are on the disk.
    folder: BTreeMap<String, FileId>,
    /// Names given and taken since the folder was synced: where in the log.
    unsynced_names: Vec<usize>,
}

#[derive(Default)]
struct File {
    synced: Vec<u8>,
    /// Writes and truncations since: where in the log.
    unsynced: Vec<usize>,
    /// It is the write-ahead log or the journal.
    is_log: bool,
}

impl<'a> Disk<'a> {
    /// The disk as the recording began.
    pub(super) fn new(log: &'a Log, syncs: Syncs) -> Self {
        let file = |(name, bytes): &(String, Vec<u8>)| File {
            synced: bytes.clone(),
            unsynced: Vec::new(),
            is_log: is_log(name),
        };
        let names = log.before.iter().enumerate().map(|(id, (name, _))| (name.clone(), FileId(id)));
        Self {
            log,
            syncs,
            files: log.before.iter().map(file).collect(),
            folder: names.collect(),
            unsynced_names: Vec::new(),
        }
    }

    /// Goes on by one entry of the log.
    pub(super) fn step(&mut self, at: usize) {
        match &self.log.entries[at] {
            Entry::Create { name, .. } => {
                self.files.push(File { is_log: is_log(name), ..File::default() });
                self.unsynced_names.push(at);
            }
            Entry::Write { file, .. } | Entry::Truncate { file, .. } => {
                self.files[file.0].unsynced.push(at);
            }
            Entry::Sync { file, upto, folder } => self.sync(*file, *upto, *folder),
            Entry::Delete { folder, .. } => {
                self.unsynced_names.push(at);
                if *folder && self.syncs != Syncs::Ignored {
                    self.sync_folder(at + 1);
                }
            }
            Entry::Mark(_) => {}
        }
    }

    fn sync(&mut self, id: FileId, upto: usize, folder: bool) {
        let file = &mut self.files[id.0];
        let counts = match self.syncs {
            Syncs::Kept => true,
            Syncs::Ignored => false,
            Syncs::OfTheLogOnly => file.is_log,
        };
        if !counts {
            return;
        }
        let later = file.unsynced.split_off(file.unsynced.partition_point(|at| *at < upto));
        for at in std::mem::replace(&mut file.unsynced, later) {
            apply(&self.log.entries[at], &mut file.synced, |_| true);
        }
        if folder {
            self.sync_folder(upto);
        }
    }

    fn sync_folder(&mut self, upto: usize) {
        let later = self.unsynced_names.split_off(self.unsynced_names.partition_point(|at| *at < upto));
        for at in std::mem::replace(&mut self.unsynced_names, later) {
            rename(&self.log.entries[at], &mut self.folder);
        }
    }

    /// What is on the disk if the power goes now, after entry `at`. None if there is nothing for `arrived` to
    /// choose: the image would be that of [`Arrived::All`].
    pub(super) fn image(&self, at: usize, arrived: Arrived, dice: &mut Dice) -> Option<Files> {
        let last_can_tear = matches!(&self.log.entries[at], Entry::Write { file, .. }
            if self.files[file.0].unsynced.last() == Some(&at));
        let possible = match arrived {
            Arrived::All => true,
            Arrived::FirstHalf | Arrived::SecondHalf => last_can_tear,
            _ => !self.unsynced_names.is_empty() || self.files.iter().any(|file| !file.unsynced.is_empty()),
        };
        possible.then(|| {
            let names = self.names(arrived, dice);
            let files = names.into_iter();
            files.map(|(name, id)| (name, self.content(&self.files[id.0], at, arrived, dice))).collect()
        })
    }

    /// Names change in order: file systems journal them.
    fn names(&self, arrived: Arrived, dice: &mut Dice) -> BTreeMap<String, FileId> {
        let all = self.unsynced_names.len();
        let how_many = match arrived {
            Arrived::Nothing => 0,
            Arrived::All | Arrived::FirstHalf | Arrived::SecondHalf => all,
            Arrived::Prefix | Arrived::Any => dice.below(all + 1),
        };
        let mut folder = self.folder.clone();
        for at in &self.unsynced_names[..how_many] {
            rename(&self.log.entries[*at], &mut folder);
        }
        folder
    }

    fn content(&self, file: &File, last: usize, arrived: Arrived, dice: &mut Dice) -> Vec<u8> {
        let mut bytes = file.synced.clone();
        let all = file.unsynced.len();
        let how_many = match arrived {
            Arrived::Nothing => 0,
            Arrived::Prefix => dice.below(all + 1),
            _ => all,
        };
        for at in &file.unsynced[..how_many] {
            let entry = &self.log.entries[*at];
            let torn = *at == last;
            match arrived {
                Arrived::FirstHalf if torn => apply(entry, &mut bytes, |place| place < 0.5),
                Arrived::SecondHalf if torn => apply(entry, &mut bytes, |place| place >= 0.5),
                Arrived::Any => match dice.below(4) {
                    0 => {}
                    1 => apply(entry, &mut bytes, |_| dice.below(2) == 0),
                    _ => apply(entry, &mut bytes, |_| true),
                },
                _ => apply(entry, &mut bytes, |_| true),
            }
        }
        bytes
    }
}

fn is_log(name: &str) -> bool {
    name.ends_with("-wal") || name.ends_with("-journal")
}

fn rename(entry: &Entry, folder: &mut BTreeMap<String, FileId>) {
    match entry {
        Entry::Create { file, name } => drop(folder.insert(name.clone(), *file)),
        Entry::Delete { name, .. } => drop(folder.remove(name)),
        _ => {}
    }
}

/// Does to `file` what `entry` says; of a write those sectors that `arrives`, which is told where in the write a
/// sector is: from 0 up to 1, not included.
fn apply(entry: &Entry, file: &mut Vec<u8>, mut arrives: impl FnMut(f64) -> bool) {
    match entry {
        Entry::Write { offset, bytes, .. } => {
            let first = offset / SECTOR;
            let end = offset + bytes.len() as u64;
            let sectors = end.div_ceil(SECTOR) - first;
            for sector in 0..sectors {
                #[allow(clippy::cast_precision_loss, reason = "a page has few sectors")]
                if arrives(sector as f64 / sectors as f64) {
                    let from = ((first + sector) * SECTOR).max(*offset);
                    let to = ((first + sector + 1) * SECTOR).min(end);
                    put(file, from, &bytes[index(from - offset)..index(to - offset)]);
                }
            }
        }
        Entry::Truncate { size, .. } if arrives(0.0) => file.resize(index(*size), 0),
        _ => {}
    }
}

fn put(file: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
    let (from, to) = (index(offset), index(offset) + bytes.len());
    if file.len() < to {
        file.resize(to, 0);
    }
    file[from..to].copy_from_slice(bytes);
}

/// Files here are a few megabytes.
fn index(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}
