//! What is where in an image, and what a page looks like.
//!
//! | where | what |
//! |---|---|
//! | 0 | header: magic (8), format version (4), number of pages (4), zeros |
//! | 4096, 12288 | two slots of the journal, 8192 each: see the journal's module |
//! | 20480 | pages of 256 bytes |
//!
//! A page: check (8), sequence of the commit that wrote it (8), owner, number of the object, index of the
//! page in the object, bytes used, payload. The check is the first 8 bytes of SHA-256 over all that
//! follows it and is in use. A free page is all zeros. All numbers are big-endian.

use onetap_apdu_spec::crypto::default_provider;

use super::{Image, NvmError, ObjectId};

/// Size of an image by default in bytes: 64 KiB of pages. A card with RSA-4096 keys needs less than 16.
pub const IMAGE_LEN: usize = PAGES_AT + 64 * 1024;
/// Size of a page in bytes: what a tear may cut in two, and what a commit writes at least.
pub const PAGE_LEN: usize = 256;
/// Bytes of an object that one page holds.
pub const PAGE_PAYLOAD: usize = PAGE_LEN - PAGE_HEADER;
/// Size of the largest object in bytes.
pub const MAX_OBJECT: usize = 256 * PAGE_PAYLOAD;

/// Size of one slot of the journal in bytes; whole blocks of the disk.
pub(super) const SLOT_LEN: usize = 8192;
/// The format that is written today.
pub(super) const FORMAT: u32 = 2;
/// A page of zeros: a free one.
pub(super) const FREE: [u8; PAGE_LEN] = [0; PAGE_LEN];

/// So many zeros, at most a slot of them.
pub(super) fn zeros(len: usize) -> &'static [u8] {
    static ZEROS: [u8; SLOT_LEN] = [0; SLOT_LEN];
    ZEROS.get(..len).unwrap_or(&ZEROS)
}

const MAGIC: [u8; 8] = *b"OneTapCI";
/// A block of the disk of its own, so that no write comes near it.
const HEADER_LEN: usize = 4096;
const PAGES_AT: usize = HEADER_LEN + 2 * SLOT_LEN;
const PAGE_HEADER: usize = 8 + 8 + 4;

/// Where the slot of a record is.
pub(super) fn slot_at(sequence: u64) -> usize {
    if sequence.is_multiple_of(2) { HEADER_LEN } else { HEADER_LEN + SLOT_LEN }
}

/// Where a page is.
pub(super) fn page_at(page: u16) -> usize {
    PAGES_AT + usize::from(page) * PAGE_LEN
}

/// How many pages an object of `len` bytes takes; an empty one takes one too.
pub(super) fn pages_for(len: usize) -> usize {
    len.div_ceil(PAGE_PAYLOAD).max(1)
}

/// The bytes of an object that its page `index` holds.
pub(super) fn part(content: &[u8], index: usize) -> &[u8] {
    content.chunks(PAGE_PAYLOAD).nth(index).unwrap_or_default()
}

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
                _ => Err(NvmError::damaged(image, "its size is not what its header says")),
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

/// How many pages an image of `size` bytes has; `None` if that is no size of an image.
pub(super) fn pages_in(size: usize) -> Option<u16> {
    let bytes = size.checked_sub(PAGES_AT).filter(|bytes| bytes.is_multiple_of(PAGE_LEN))?;
    u16::try_from(bytes / PAGE_LEN).ok().filter(|pages| *pages > 0)
}

/// Number and bytes of each page that is not free, from all pages of an image.
pub(super) fn used_pages(all: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    (0..).zip(all.chunks_exact(PAGE_LEN)).filter(|(_, bytes)| *bytes != FREE)
}

/// A page in use.
#[derive(Debug, Clone, Copy)]
pub(super) struct Page<'a> {
    /// Number of the commit that wrote it.
    pub(super) sequence: u64,
    /// Whose it is.
    pub(super) id: ObjectId,
    /// Which part of the object it holds.
    pub(super) index: u8,
    /// That part.
    pub(super) payload: &'a [u8],
}

impl<'a> Page<'a> {
    /// Reads a page that is not free; `None` if its check is wrong.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (check, rest) = bytes.split_first_chunk::<8>()?;
        let (sequence, rest) = rest.split_first_chunk::<8>()?;
        let ([owner, number, index, used], rest) = rest.split_first_chunk::<4>()?;
        let (payload, rest) = rest.split_at_checked(usize::from(*used))?;
        let checked = bytes.get(8..PAGE_HEADER + payload.len())?;
        let sound = check_of(checked) == *check && rest.iter().all(|byte| *byte == 0);
        let id = ObjectId { owner: *owner, number: *number };
        sound.then_some(Self { sequence: u64::from_be_bytes(*sequence), id, index: *index, payload })
    }

    /// Appends the page to `out`; `payload` is at most [`PAGE_PAYLOAD`] long.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend([0; 8]);
        out.extend(self.sequence.to_be_bytes());
        let used = u8::try_from(self.payload.len()).unwrap_or(u8::MAX);
        out.extend([self.id.owner, self.id.number, self.index, used]);
        out.extend(self.payload);
        let check = check_of(out.get(start + 8..).unwrap_or_default());
        if let Some(to) = out.get_mut(start..start + 8) {
            to.copy_from_slice(&check);
        }
        out.resize(start + PAGE_LEN, 0);
    }
}

/// The first 8 bytes of a page as a number: its check, or 0 if it is free.
pub(super) fn check(page: &[u8]) -> u64 {
    page.first_chunk().map_or(0, |check| u64::from_be_bytes(*check))
}

/// Never 0, which is the check of a free page.
fn check_of(bytes: &[u8]) -> [u8; 8] {
    check(&default_provider().sha256(&[bytes])).max(1).to_be_bytes()
}
