//! A database that is being made beside its place: it takes its name when it is whole, or goes away.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::service::error::ServiceError;
use crate::service::{DATABASE, POSTGRES_URL};

/// The unfinished file. While it is there, nobody else makes one in the same folder.
#[derive(Debug)]
pub(super) struct Part {
    path: PathBuf,
    database: PathBuf,
    file: File,
    /// Locked.
    directory: File,
    whole: bool,
}

impl Part {
    /// Makes it, empty and for its owner only, in a folder that has no database.
    ///
    /// # Errors
    /// [`ServiceError::AlreadyInitialised`], [`ServiceError::File`].
    pub(super) fn begin(folder: &Path) -> Result<Self, ServiceError> {
        let database = folder.join(DATABASE);
        let directory = File::open(folder).map_err(ServiceError::File)?;
        directory.try_lock().map_err(|error| ServiceError::File(error.into()))?;
        if [DATABASE, POSTGRES_URL].iter().any(|name| fs::symlink_metadata(folder.join(name)).is_ok()) {
            return Err(ServiceError::AlreadyInitialised(folder.to_owned()));
        }
        let path = database.with_extension("part");
        let file = made_anew(&path).map_err(ServiceError::File)?;
        Ok(Self { path, database, file, directory, whole: false })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Gives it its name, once it is on the disk.
    ///
    /// # Errors
    /// [`ServiceError::File`].
    pub(super) fn publish(mut self) -> Result<(), ServiceError> {
        let named = self.file.sync_all().and_then(|()| fs::rename(&self.path, &self.database));
        self.whole = named.is_ok();
        named.and_then(|()| self.directory.sync_all()).map_err(ServiceError::File)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.whole {
            // Half a database is worse than none; what went wrong with it is what counts.
            let _removed = fs::remove_file(&self.path);
        }
    }
}

/// A new file in the place of one that somebody left who was killed; never through a link.
fn made_anew(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)
}
