//! Replaces a file whole: whatever fails or whoever dies in between, the old or the new one is there.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use tempfile::Builder;

/// How the name of a file begins that is to become the key file; what follows is random.
const BEGINNING: &str = ".keys.json.";
/// How it ends.
const ENDING: &str = ".new";
/// Random letters and digits in between: nobody has such a file, and nobody can make one beforehand.
const RANDOM: usize = 16;

/// The moments after which a replacement may be cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Created,
    HalfWritten,
    Written,
    Synced,
    Renamed,
}

/// Holds `directory` against other writers of its key file, in this process or another, until it is
/// dropped.
#[derive(Debug)]
pub(super) struct WriteLock {
    directory: File,
    path: PathBuf,
}

impl WriteLock {
    /// Waits until no other writer is at work.
    pub(super) fn take(directory: &Path) -> io::Result<Self> {
        let path = directory.to_owned();
        let directory = File::open(directory)?;
        directory.lock()?;
        Ok(Self { directory, path })
    }

    /// Writes `bytes` to a file of another name, for its owner only, syncs it, gives it the name `path` and syncs the
    /// directory. `at` is asked after each step; its errors are what a full or failing disk gives. The file goes away
    /// if that fails.
    pub(super) fn replace(
        &self,
        path: &Path,
        bytes: &[u8],
        at: &mut dyn FnMut(Step) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut new =
            Builder::new().prefix(BEGINNING).suffix(ENDING).rand_bytes(RANDOM).tempfile_in(&self.path)?;
        at(Step::Created)?;
        let (first, second) = bytes.split_at(bytes.len() / 2);
        new.write_all(first)?;
        at(Step::HalfWritten)?;
        new.write_all(second)?;
        at(Step::Written)?;
        new.as_file().sync_all()?;
        at(Step::Synced)?;
        new.persist(path).map_err(|error| error.error)?;
        at(Step::Renamed)?;
        self.directory.sync_all()
    }

    /// A file that a writer has left who was killed: it may hold the keys, whatever the key file is sealed with now.
    pub(super) fn left_over(&self) -> io::Result<Option<PathBuf>> {
        for entry in self.path.read_dir()? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.as_bytes();
            if name.starts_with(BEGINNING.as_bytes()) && name.ends_with(ENDING.as_bytes()) {
                return Ok(Some(entry.path()));
            }
        }
        Ok(None)
    }
}
