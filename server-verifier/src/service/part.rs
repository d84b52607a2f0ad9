//! A database that is being made beside its place: it takes its name when it is whole, or goes away.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile};

use crate::service::error::ServiceError;
use crate::service::{DATABASE, POSTGRES_URL};

/// The unfinished file, under a name that nobody has. While it is there, nobody else makes one in the same folder.
#[derive(Debug)]
pub(super) struct Part {
    file: NamedTempFile,
    database: PathBuf,
    /// Locked.
    directory: File,
}

impl Part {
    /// Makes it, empty and for its owner only, in a folder that has no database.
    ///
    /// # Errors
    /// [`ServiceError::AlreadyInitialised`], [`ServiceError::File`].
    pub(super) fn begin(folder: &Path) -> Result<Self, ServiceError> {
        let directory = File::open(folder).map_err(ServiceError::File)?;
        directory.try_lock().map_err(|error| ServiceError::File(error.into()))?;
        if [DATABASE, POSTGRES_URL].iter().any(|name| fs::symlink_metadata(folder.join(name)).is_ok()) {
            return Err(ServiceError::AlreadyInitialised(folder.to_owned()));
        }
        let made = Builder::new().prefix("verifier.").suffix(".part").tempfile_in(folder);
        Ok(Self { file: made.map_err(ServiceError::File)?, database: folder.join(DATABASE), directory })
    }

    pub(super) fn path(&self) -> &Path {
        self.file.path()
    }

    pub(super) fn file(&self) -> &File {
        self.file.as_file()
    }

    /// Gives it its name, once it is on the disk, unless something of that name has come meanwhile.
    ///
    /// # Errors
    /// [`ServiceError::File`].
    pub(super) fn publish(self) -> Result<(), ServiceError> {
        self.file.as_file().sync_all().map_err(ServiceError::File)?;
        self.file.persist_noclobber(&self.database).map_err(|error| ServiceError::File(error.error))?;
        self.directory.sync_all().map_err(ServiceError::File)
    }
}
