//! The journal: one record per commit, in two slots that take turns.
//!
//! A record: magic (8), SHA-256 over all that follows (32), sequence (8), root (8), how many pages are
//! written (2) and erased (2); for each page written its number (2) and its new bytes (256); for each page
//! erased its number (2). The root is the XOR of the checks of all pages as they are after the commit: it
//! tells if any page was lost, doubled or is from another time.

use onetap_apdu_spec::crypto::{Digest, default_provider};
use zeroize::{Zeroize as _, Zeroizing};

use super::error::NvmError;
use super::layout::{CHECKED, ENTRY_LEN, FIXED_LEN, Page, SLOT_LEN};

/// Without it there is no record.
pub(super) const MAGIC: [u8; 8] = *b"OneTapJR";
/// A record as it is in its slot, or one that is being made. Wiped when dropped.
pub(super) struct Record {
    /// Never longer than its capacity, which is a slot: never moved, so never left behind.
    bytes: Zeroizing<Vec<u8>>,
    written: u16,
    erased: u16,
}

impl Record {
    /// A record with nothing in it.
    pub(super) fn new() -> Self {
        Self { bytes: Zeroizing::new(Vec::with_capacity(SLOT_LEN)), written: 0, erased: 0 }
    }

    /// Wipes what was in it and leaves room for what comes before the pages.
    pub(super) fn clear(&mut self) {
        self.bytes.as_mut_slice().zeroize();
        self.bytes.clear();
        self.bytes.resize(FIXED_LEN, 0);
        (self.written, self.erased) = (0, 0);
    }

    /// Adds the new bytes of page `number`, and gives them.
    ///
    /// # Errors
    /// [`NvmError::BufferFull`].
    pub(super) fn write_page(&mut self, number: u16, page: Page<'_>) -> Result<&[u8], NvmError> {
        self.make_room(ENTRY_LEN)?;
        self.bytes.extend(number.to_be_bytes());
        let start = self.bytes.len();
        page.encode(&mut self.bytes);
        self.written += 1;
        Ok(self.bytes.get(start..).unwrap_or_default())
    }

    /// Adds that page `number` is free from now on. Not to be followed by [`Record::write_page`].
    ///
    /// # Errors
    /// [`NvmError::BufferFull`].
    pub(super) fn erase_page(&mut self, number: u16) -> Result<(), NvmError> {
        self.make_room(2)?;
        self.bytes.extend(number.to_be_bytes());
        self.erased += 1;
        Ok(())
    }

    fn make_room(&self, len: usize) -> Result<(), NvmError> {
        if self.bytes.len() + len <= SLOT_LEN { Ok(()) } else { Err(NvmError::BufferFull) }
    }

    /// Whether no page was added.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.len() <= FIXED_LEN
    }

    /// Fills in what comes before the pages.
    pub(super) fn seal(&mut self, sequence: u64, root: u64) {
        let Some((fixed, _)) = self.bytes.split_first_chunk_mut::<FIXED_LEN>() else { return };
        let counts = self.written.to_be_bytes().into_iter().chain(self.erased.to_be_bytes());
        let fields = sequence.to_be_bytes().into_iter().chain(root.to_be_bytes()).chain(counts);
        fixed.iter_mut().skip(CHECKED).zip(fields).for_each(|(to, from)| *to = from);
        let check = check(&self.bytes);
        let before = MAGIC.into_iter().chain(check);
        self.bytes.iter_mut().zip(before).for_each(|(to, from)| *to = from);
    }

    /// Reads what is in a slot; `None` if there is no whole record.
    pub(super) fn parse(slot: &[u8]) -> Option<Self> {
        let (written, erased) = (number(slot, CHECKED + 16)?, number(slot, CHECKED + 18)?);
        let len = FIXED_LEN + usize::from(written) * ENTRY_LEN + usize::from(erased) * 2;
        let bytes = slot.get(..len).filter(|_| len <= SLOT_LEN)?;
        if !bytes.starts_with(&MAGIC) || bytes.get(8..CHECKED)? != check(bytes) {
            return None;
        }
        let mut record = Self { written, erased, ..Self::new() };
        record.bytes.extend(bytes);
        Some(record)
    }

    /// The record as it is stored.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Which commit this is; the first is 1.
    pub(super) fn sequence(&self) -> u64 {
        self.long(CHECKED)
    }

    /// The XOR of the checks of all pages after this commit.
    pub(super) fn root(&self) -> u64 {
        self.long(CHECKED + 8)
    }

    fn long(&self, at: usize) -> u64 {
        let bytes = self.bytes.get(at..).and_then(<[u8]>::first_chunk);
        bytes.map_or(0, |bytes| u64::from_be_bytes(*bytes))
    }

    /// The pages that this commit changes: their numbers and new bytes, `None` for those that it erases.
    pub(super) fn pages(&self) -> impl Iterator<Item = (u16, Option<&[u8]>)> {
        let entries = self.bytes.get(FIXED_LEN..).unwrap_or_default();
        let entries = entries.split_at_checked(usize::from(self.written) * ENTRY_LEN);
        let (written, erased) = entries.unwrap_or_default();
        let written = written.chunks_exact(ENTRY_LEN).filter_map(|entry| {
            let (number, page) = entry.split_first_chunk()?;
            Some((u16::from_be_bytes(*number), Some(page)))
        });
        let erased = erased.as_chunks().0.iter().map(|number| (u16::from_be_bytes(*number), None));
        written.chain(erased)
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
}

fn check(record: &[u8]) -> Digest {
    default_provider().sha256(&[record.get(CHECKED..).unwrap_or_default()])
}
