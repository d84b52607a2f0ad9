//! Non-volatile memory, seen as one image that is read once and replaced as a whole: the seam below
//! which pages and a journal can take the place of [`super::ImageFile`].

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use zeroize::Zeroizing;

/// Largest image in bytes; a card with RSA-4096 keys needs about half of it.
pub const MAX_IMAGE: usize = 16 * 1024;

/// Why the memory could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum NvmError {
    /// There is a file of that name.
    #[error("{0} exists; a card is never overwritten: choose another name or remove the file yourself")]
    Exists(PathBuf),
    /// Another process has the image open.
    #[error("{0} is in use by another process; one card can be in one place only: stop the other one first")]
    InUse(PathBuf),
    /// The file is not a card image.
    #[error("{0} is not a card image; give a file that `onetap card new` made")]
    NotAnImage(PathBuf),
    /// The file was made by a newer version.
    #[error("{path} has image format {found}, this program knows {known}; use a newer version of it")]
    Version {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format known here.
        known: u32,
    },
    /// Both copies of the image fail their checksum.
    #[error(
        "{0} is damaged in both of its copies; have the issuer block this card and make a new one (an old \
         copy of the file would sign with counter values that are used up)"
    )]
    Damaged(PathBuf),
    /// The image is larger than [`MAX_IMAGE`].
    #[error("the card's memory is full: {0} bytes do not fit")]
    TooLarge(usize),
    /// The operating system refused.
    #[error("cannot {what} the card image {path}: {source}; check the disk and the permissions")]
    Io {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A memory made for tests was told to fail.
    #[error("the card's memory failed")]
    Failed,
}

/// Non-volatile memory.
pub trait Nvm: Send {
    /// The image committed last; `None` if there never was one.
    ///
    /// # Errors
    /// [`NvmError`], if what is stored cannot be trusted.
    fn load(&mut self) -> Result<Option<Zeroizing<Vec<u8>>>, NvmError>;

    /// Replaces the image in one step: after an error or a kill, the next [`Nvm::load`] gives the old
    /// image whole or the new one whole.
    ///
    /// # Errors
    /// [`NvmError`]; then the old image stands.
    fn commit(&mut self, image: &[u8]) -> Result<(), NvmError>;
}

/// Memory that lasts as long as the process. Clones share what is stored, so that a test can look
/// at the image, or open it again as if the card had restarted.
#[derive(Debug, Clone, Default)]
pub struct MemoryNvm(Arc<Mutex<Option<Zeroizing<Vec<u8>>>>>);

impl MemoryNvm {
    /// What is stored, byte for byte.
    #[must_use]
    pub fn image(&self) -> Option<Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_deref().cloned()
    }
}

impl Nvm for MemoryNvm {
    fn load(&mut self) -> Result<Option<Zeroizing<Vec<u8>>>, NvmError> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    fn commit(&mut self, image: &[u8]) -> Result<(), NvmError> {
        if image.len() > MAX_IMAGE {
            return Err(NvmError::TooLarge(image.len()));
        }
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Zeroizing::new(image.to_vec()));
        Ok(())
    }
}
