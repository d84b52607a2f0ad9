//! An image in a file that one process at a time may open.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::header::Header;
use super::{IMAGE_LEN, Image, MemoryImage, NvmError};

/// Only the owner reads or writes: the image holds keys.
const MODE: u32 = 0o600;

/// How to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ImageOptions {
    /// Wait at each commit until the disk has it. Without, a commit survives the death of the process
    /// but perhaps not that of the machine.
    pub durable: bool,
}

/// An image in a file. The file is locked until the value is dropped.
#[derive(Debug)]
pub struct ImageFile {
    file: File,
    path: PathBuf,
    options: ImageOptions,
    size: usize,
}

impl ImageFile {
    /// Makes a new file, for its owner only, at its full size on the disk. [`super::Nvm::format`] makes a
    /// memory of it.
    ///
    /// # Errors
    /// [`NvmError::Exists`], [`NvmError::InUse`], [`NvmError::Io`]; then no file is left behind.
    pub fn create(path: &Path, options: ImageOptions) -> Result<Self, NvmError> {
        let open = OpenOptions::new().read(true).write(true).create_new(true).mode(MODE).open(path);
        let file = open.map_err(|why| match why.kind() {
            ErrorKind::AlreadyExists => NvmError::Exists(path.to_owned()),
            _ => io_error("create", path, why),
        })?;
        lock(&file, path)?;
        let written = file.write_all_at(&vec![0; IMAGE_LEN], 0).and_then(|()| file.sync_all());
        written.and_then(|()| sync_folder(path)).map_err(|why| {
            // Only what was made here, a moment ago, is removed.
            let _ = std::fs::remove_file(path);
            io_error("create", path, why)
        })?;
        Ok(Self { file, path: path.to_owned(), options, size: IMAGE_LEN })
    }

    /// Opens a file made by [`ImageFile::create`]. [`super::Nvm::open`] reads the memory in it.
    ///
    /// # Errors
    /// [`NvmError::InUse`]; [`NvmError::NotAnImage`]; [`NvmError::Format1`] and [`NvmError::Version`] for
    /// other formats; [`NvmError::Damaged`] if its size is wrong; [`NvmError::Io`].
    pub fn open(path: &Path, options: ImageOptions) -> Result<Self, NvmError> {
        let (file, size) = open_locked(path)?;
        let image = Self { file, path: path.to_owned(), options, size };
        Header::read(&image)?;
        Ok(image)
    }

    /// The same file under the name that it will have.
    pub(super) fn named(self, path: &Path) -> Self {
        Self { path: path.to_owned(), ..self }
    }

    /// A second handle, which keeps the lock too.
    pub(super) fn try_clone(&self) -> Result<File, NvmError> {
        self.file.try_clone().map_err(|why| io_error("open", &self.path, why))
    }
}

/// Opens and locks a file that exists; gives its size too.
pub(super) fn open_locked(path: &Path) -> Result<(File, usize), NvmError> {
    let open_error = |why| io_error("open", path, why);
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(open_error)?;
    lock(&file, path)?;
    let held = file.metadata().map_err(open_error)?;
    let named = std::fs::metadata(path).map_err(open_error)?;
    if (held.dev(), held.ino()) != (named.dev(), named.ino()) {
        // Replaced between our opening and locking it.
        return Err(NvmError::InUse(path.to_owned()));
    }
    Ok((file, usize::try_from(held.len()).unwrap_or(usize::MAX)))
}

fn lock(file: &File, path: &Path) -> Result<(), NvmError> {
    file.try_lock().map_err(|why| match why {
        TryLockError::WouldBlock => NvmError::InUse(path.to_owned()),
        TryLockError::Error(why) => io_error("lock", path, why),
    })
}

impl Image for ImageFile {
    fn name(&self) -> &Path {
        &self.path
    }

    fn size(&self) -> usize {
        self.size
    }

    fn read(&self, offset: usize, into: &mut [u8]) -> Result<(), NvmError> {
        let read = self.file.read_exact_at(into, offset as u64);
        read.map_err(|why| io_error("read", &self.path, why))
    }

    fn write(&mut self, offset: usize, bytes: &[u8]) -> Result<(), NvmError> {
        let written = self.file.write_all_at(bytes, offset as u64);
        written.map_err(|why| io_error("write", &self.path, why))
    }

    fn sync(&mut self) -> Result<(), NvmError> {
        if !self.options.durable {
            return Ok(());
        }
        self.file.sync_data().map_err(|why| io_error("sync", &self.path, why))
    }
}

/// Waits until the disk knows the name of a file.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// [`NvmError::Io`] for the file at `path`.
pub(super) fn io_error(what: &'static str, path: &Path, source: io::Error) -> NvmError {
    NvmError::Io { what, path: path.to_owned(), source }
}

impl MemoryImage {
    /// A copy of the image file at `path`, which nobody else has open.
    ///
    /// # Errors
    /// [`NvmError`].
    pub fn of_file(path: &Path) -> Result<Self, NvmError> {
        let file = ImageFile::open(path, ImageOptions { durable: true })?;
        let mut bytes = vec![0; file.size()];
        file.read(0, &mut bytes)?;
        Ok(Self::from_bytes(bytes))
    }
}
