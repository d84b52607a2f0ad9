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

/// Names an object: who owns it and its number with that owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId {
    /// 0 is the runtime itself.
    pub owner: u8,
    /// Which one of the owner's objects.
    pub number: u8,
}

/// Size of an image by default in bytes: 64 KiB of pages. A card with RSA-4096 keys needs less than 16.
pub const IMAGE_LEN: usize = PAGES_AT + 64 * 1024;
/// Size of a page in bytes: what a tear may cut in two, and what a commit writes at least.
pub const PAGE_LEN: usize = 256;
/// Bytes of an object that one page holds.
pub const PAGE_PAYLOAD: usize = PAGE_LEN - PAGE_HEADER;
/// Size of the largest object in bytes.
pub const MAX_OBJECT: usize = 256 * PAGE_PAYLOAD;

/// Bytes of pages that one commit may write: 31 pages. Erasing a page takes two bytes of what is left of
/// the slot.
pub const COMMIT_CAPACITY: usize = (SLOT_LEN - FIXED_LEN) / ENTRY_LEN * PAGE_LEN;

/// Size of one slot of the journal in bytes; whole blocks of the disk.
pub(super) const SLOT_LEN: usize = 8192;
/// A page of zeros: a free one.
pub(super) const FREE: [u8; PAGE_LEN] = [0; PAGE_LEN];

/// So many zeros, at most a slot of them.
pub(super) fn zeros(len: usize) -> &'static [u8] {
    static ZEROS: [u8; SLOT_LEN] = [0; SLOT_LEN];
    ZEROS.get(..len).unwrap_or(&ZEROS)
}

/// A block of the disk of its own, so that no write comes near it.
const HEADER_LEN: usize = 4096;
const PAGES_AT: usize = HEADER_LEN + 2 * SLOT_LEN;
const PAGE_HEADER: usize = 8 + 8 + 4;

/// Where the part of a record begins that its check covers.
pub(super) const CHECKED: usize = 8 + 32;
/// Bytes of a record before its first page.
pub(super) const FIXED_LEN: usize = CHECKED + 8 + 8 + 2 + 2;
/// Bytes of a page in a record, with its number.
pub(super) const ENTRY_LEN: usize = 2 + PAGE_LEN;

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
