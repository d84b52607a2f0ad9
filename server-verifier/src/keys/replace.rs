//! Replaces a file whole: whatever fails or whoever dies in between, the old or the new one is there.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

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
pub(super) struct WriteLock(File);

impl WriteLock {
    /// Waits until no other writer is at work.
    pub(super) fn take(directory: &Path) -> io::Result<Self> {
        let directory = File::open(directory)?;
        directory.lock()?;
        Ok(Self(directory))
    }

    /// Writes `bytes` to a second file, syncs it, gives it the name of the first and syncs the
    /// directory. `at` is asked after each step; its errors are what a full or failing disk gives.
    pub(super) fn replace(
        &self,
        path: &Path,
        bytes: &[u8],
        at: &mut dyn FnMut(Step) -> io::Result<()>,
    ) -> io::Result<()> {
        let new = path.with_extension("json.new");
        // Left by one who died here.
        match fs::remove_file(&new) {
            Err(why) if why.kind() != ErrorKind::NotFound => return Err(why),
            _ => {}
        }
        let written = write(&new, bytes, at).and_then(|()| fs::rename(&new, path));
        if written.is_err() {
            // It holds keys that nobody will use.
            let _ = fs::remove_file(&new);
        }
        written?;
        at(Step::Renamed)?;
        self.0.sync_all()
    }
}

fn write(new: &Path, bytes: &[u8], at: &mut dyn FnMut(Step) -> io::Result<()>) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(new)?;
    at(Step::Created)?;
    let (first, second) = bytes.split_at(bytes.len() / 2);
    file.write_all(first)?;
    at(Step::HalfWritten)?;
    file.write_all(second)?;
    at(Step::Written)?;
    file.sync_all()?;
    at(Step::Synced)
}
