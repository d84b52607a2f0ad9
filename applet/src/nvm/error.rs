//! What can go wrong with a card's memory, and what to do then.

use std::io;
use std::path::{Path, PathBuf};

use super::layout::COMMIT_CAPACITY;

/// Why the memory could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum NvmError {
    /// There is a card, or a file of that name.
    #[error("{0} exists; a card is never overwritten: choose another name or remove the file yourself")]
    Exists(PathBuf),
    /// Another process has the image open.
    #[error("{0} is in use by another process; one card can be in one place only: stop the other one first")]
    InUse(PathBuf),
    /// The file is not a card image.
    #[error("{0} is not a card image; give a file that `onetap card new` made")]
    NotAnImage(PathBuf),
    /// The image holds no card: it was made and never formatted.
    #[error("{0} holds no card yet; remove it and make one with `onetap card new`")]
    Empty(PathBuf),
    /// The image has format 1, without pages: [`super::replace_format_1`] makes one of today of it.
    #[error("{0} has image format 1; open it with `onetap card`, which converts it")]
    Format1(PathBuf),
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
    /// What is stored cannot be trusted.
    #[error(
        "{path} is damaged: {why}; have the issuer block this card and make a new one (an old copy of the \
         file would sign with counter values that are used up)"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// No free pages are left, or an object is larger than [`super::MAX_OBJECT`].
    #[error("the card's memory is full; delete an applet or its data first")]
    Full,
    /// One commit changes more than [`COMMIT_CAPACITY`].
    #[error("one commit changes more than {COMMIT_CAPACITY} bytes of pages; commit in smaller steps")]
    BufferFull,
    /// A page was written as often as it can be.
    #[error("page {0} of the card's memory is worn out and takes no more writes")]
    Worn(u16),
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
    /// A write failed and could not be undone: whether the last commit stands is not known until the
    /// image is opened again.
    #[error("the card's memory failed and takes no more changes; check the disk and start the card again")]
    Failed,
    /// A [`super::TearingImage`] has cut the power.
    #[error("the power was cut; start the card again")]
    Torn,
}

impl NvmError {
    /// [`NvmError::Damaged`] for the image of that name.
    pub(super) fn damaged(image: &Path, why: &'static str) -> Self {
        Self::Damaged { path: image.to_owned(), why }
    }
}
