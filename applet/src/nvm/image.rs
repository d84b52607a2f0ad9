//! Where the bytes are: a memory of fixed size that is read and written anywhere.

use std::fmt;
use std::io::{Error, ErrorKind};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use zeroize::Zeroizing;

use super::{IMAGE_LEN, NvmError};

/// A memory of fixed size: a file, or bytes that last as long as the process. A fresh one is all zeros.
pub trait Image: Send {
    /// What messages call it: the path of a file.
    fn name(&self) -> &Path {
        Path::new("the card's memory")
    }

    /// Size in bytes; never changes.
    fn size(&self) -> usize;

    /// Fills `into` from `offset` on.
    ///
    /// # Errors
    /// [`NvmError`].
    fn read(&self, offset: usize, into: &mut [u8]) -> Result<(), NvmError>;

    /// Writes `bytes` from `offset` on. A later read sees them, also from another process; the disk has
    /// them only after [`Image::sync`].
    ///
    /// # Errors
    /// [`NvmError`]; then any part of `bytes` may have been written.
    fn write(&mut self, offset: usize, bytes: &[u8]) -> Result<(), NvmError>;

    /// Waits until all that was written is where a power cut does not reach it.
    ///
    /// # Errors
    /// [`NvmError`]; then any part of what was written since the last call may be missing.
    fn sync(&mut self) -> Result<(), NvmError>;
}

/// A memory that lasts as long as the process. Clones share the bytes, so that a test can look at them
/// or start the card again from them.
#[derive(Clone)]
pub struct MemoryImage(Arc<Mutex<Zeroizing<Vec<u8>>>>);

impl MemoryImage {
    /// A fresh memory of `size` bytes.
    #[must_use]
    pub fn new(size: usize) -> Self {
        Self::from_bytes(vec![0; size])
    }

    /// A memory that holds `bytes`: a snapshot that is started again.
    #[must_use]
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Mutex::new(Zeroizing::new(bytes))))
    }

    /// What is stored, byte for byte.
    #[must_use]
    pub fn bytes(&self) -> Zeroizing<Vec<u8>> {
        self.lock().clone()
    }

    /// A memory of its own with the same bytes.
    #[must_use]
    pub fn copy(&self) -> Self {
        Self(Arc::new(Mutex::new(self.bytes())))
    }

    fn lock(&self) -> MutexGuard<'_, Zeroizing<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn outside(&self, what: &'static str) -> NvmError {
        NvmError::Io { what, path: self.name().to_owned(), source: Error::from(ErrorKind::UnexpectedEof) }
    }
}

impl Default for MemoryImage {
    /// A fresh memory of [`IMAGE_LEN`] bytes.
    fn default() -> Self {
        Self::new(IMAGE_LEN)
    }
}

impl fmt::Debug for MemoryImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemoryImage({} bytes)", self.size())
    }
}

impl Image for MemoryImage {
    fn size(&self) -> usize {
        self.lock().len()
    }

    fn read(&self, offset: usize, into: &mut [u8]) -> Result<(), NvmError> {
        let bytes = self.lock();
        let from = bytes.get(offset..).and_then(|rest| rest.get(..into.len()));
        into.copy_from_slice(from.ok_or_else(|| self.outside("read"))?);
        Ok(())
    }

    fn write(&mut self, offset: usize, bytes: &[u8]) -> Result<(), NvmError> {
        let mut all = self.lock();
        let to = all.get_mut(offset..).and_then(|rest| rest.get_mut(..bytes.len()));
        to.ok_or_else(|| self.outside("write"))?.copy_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self) -> Result<(), NvmError> {
        Ok(())
    }
}
