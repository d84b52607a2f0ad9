//! The header: that an image holds a card's memory, in which format, and of how many pages.

use super::error::NvmError;
use super::image::Image;
use super::layout::{FREE, PAGE_LEN, pages_in};

/// The format that is written today.
pub(super) const FORMAT: u32 = 2;
const MAGIC: [u8; 8] = *b"OneTapCI";

/// The first bytes of an image.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Header {
    /// All zeros: never formatted.
    Fresh,
    /// Of a format with a number; how many pages follow, if it is [`FORMAT`].
    Format { version: u32, pages: u32 },
    /// Of another kind of file.
    Foreign,
}

impl Header {
    /// Bytes that are looked at.
    pub(super) const LEN: usize = 16;

    pub(super) fn parse(bytes: &[u8; Self::LEN]) -> Self {
        let [magic @ .., a, b, c, d, e, f, g, h] = *bytes;
        let (version, pages) = (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]));
        match magic {
            _ if bytes.iter().all(|byte| *byte == 0) => Self::Fresh,
            MAGIC if version > 0 => Self::Format { version, pages },
            _ => Self::Foreign,
        }
    }

    /// Reads and judges the header of an image of today's format: how many pages it has; `None` if it is
    /// fresh.
    ///
    /// # Errors
    /// [`NvmError`].
    pub(super) fn read(image: &dyn Image) -> Result<Option<u16>, NvmError> {
        let name = || image.name().to_owned();
        let mut bytes = [0; Self::LEN];
        if image.size() < bytes.len() {
            return Err(NvmError::NotAnImage(name()));
        }
        image.read(0, &mut bytes)?;
        let fits = pages_in(image.size());
        match Self::parse(&bytes) {
            Self::Foreign => Err(NvmError::NotAnImage(name())),
            Self::Format { version: 1, .. } => Err(NvmError::Format1(name())),
            Self::Format { version: FORMAT, pages } => match fits {
                Some(fits) if u32::from(fits) == pages => Ok(Some(fits)),
                _ => Err(NvmError::damaged(image.name(), "its size is not what its header says")),
            },
            Self::Format { version, .. } => {
                Err(NvmError::Version { path: name(), found: version, known: FORMAT })
            }
            Self::Fresh if fits.is_some() => Ok(None),
            Self::Fresh => Err(NvmError::NotAnImage(name())),
        }
    }

    /// A header, with zeros up to the end of a page: half of it is either all or nothing.
    pub(super) fn encode(pages: u16) -> [u8; PAGE_LEN] {
        let mut bytes = FREE;
        let fields = MAGIC.into_iter().chain(FORMAT.to_be_bytes()).chain(u32::from(pages).to_be_bytes());
        bytes.iter_mut().zip(fields).for_each(|(to, from)| *to = from);
        bytes
    }
}
