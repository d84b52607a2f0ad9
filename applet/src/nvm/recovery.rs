//! Opening an image: which commit was the last, and were all its writes done?
//!
//! A commit writes its record and syncs; that is the point where it counts. Its pages, and the zeros over
//! the record before, are synced by the *next* commit. So on the disk
//!
//! * a torn record of commit k + 1 stands beside a whole one of k: the state is k, and must stay k;
//! * two whole records, k and k + 1, mean that the pages of both may be missing: both are written again;
//! * one record, k + 1, means that its own pages may be missing and all others are there.
//!
//! The root in the record tells if that is so. What no check can tell apart is a record that was never
//! written whole from one that was and then rotted *before* any of its pages arrived.

use zeroize::Zeroizing;

use super::header::Header;
use super::journal::{self, Record};
use super::layout::{self, PAGE_LEN, Page, SLOT_LEN, page_at, slot_at};
use super::objects::Objects;
use super::plan::{Pages, writes};
use super::{Image, NvmError};

/// What was found, and made whole.
pub(super) struct Recovered {
    pub(super) objects: Objects,
    pub(super) pages: Pages,
    /// The last commit.
    pub(super) record: Record,
}

/// Reads an image and finishes the last commit. Nothing is written unless all checks hold.
///
/// # Errors
/// [`NvmError`].
pub(super) fn recover(image: &mut dyn Image, pages: u16) -> Result<Recovered, NvmError> {
    let journal = Journal::read(image)?;
    let mut all = Zeroizing::new(vec![0; usize::from(pages) * PAGE_LEN]);
    image.read(page_at(0), &mut all)?;
    let found = all.clone();
    let (stale, torn) = (journal.stale, journal.before.is_none());
    let recovered = journal.replay(&mut all).map_err(|why| NvmError::damaged(image.name(), why))?;
    for (at, (now, was)) in all.chunks_exact(PAGE_LEN).zip(found.chunks_exact(PAGE_LEN)).enumerate() {
        if now != was {
            image.write(page_at(0) + at * PAGE_LEN, now)?;
        }
    }
    let other = slot_at(recovered.record.sequence() + 1);
    if stale > 0 && torn {
        // Its first bytes go before the others: zeros behind them could be all that it lacked.
        image.write(other, layout::zeros(journal::MAGIC.len()))?;
    }
    // What counts from now on is on the disk, before the slot that could restore it is used again.
    image.sync()?;
    if stale > 0 {
        image.write(other, layout::zeros(stale))?;
    }
    Ok(recovered)
}

struct Journal {
    /// The whole record with the highest sequence.
    last: Option<Record>,
    /// The one before, if it is whole too.
    before: Option<Record>,
    /// How many bytes are to be wiped in the slot that the last record is not in.
    stale: usize,
}

impl Journal {
    fn read(image: &dyn Image) -> Result<Self, NvmError> {
        let (even, even_len) = read_slot(image, 0)?;
        let (odd, odd_len) = read_slot(image, 1)?;
        let sequence = |record: &Option<Record>| record.as_ref().map(Record::sequence);
        Ok(if sequence(&even) > sequence(&odd) {
            Self { last: even, before: odd, stale: odd_len }
        } else {
            Self { last: odd, before: even, stale: even_len }
        })
    }

    /// Brings the pages to the state after the last commit.
    fn replay(self, all: &mut [u8]) -> Result<Recovered, &'static str> {
        let last = self.last.ok_or("its journal has no whole record")?;
        let newer = |page: Page<'_>| page.sequence > last.sequence();
        if layout::used_pages(all).filter_map(|(_, bytes)| Page::parse(bytes)).any(newer) {
            return Err("a page is newer than its journal");
        }
        for (at, bytes) in self.before.iter().chain([&last]).flat_map(writes) {
            let to = all.get_mut(at - page_at(0)..).and_then(|rest| rest.get_mut(..PAGE_LEN));
            to.ok_or("its journal names a page that is not there")?.copy_from_slice(bytes);
        }
        let pages = Pages::of(all);
        if pages.root() != last.root() {
            return Err("a page is missing or from another time");
        }
        Ok(Recovered { objects: Objects::rebuild(all)?, pages, record: last })
    }
}

/// The record in the slot of even or odd sequences, and how long the slot is without the zeros at its end.
fn read_slot(image: &dyn Image, parity: u64) -> Result<(Option<Record>, usize), NvmError> {
    let mut slot = Zeroizing::new(vec![0; SLOT_LEN]);
    image.read(slot_at(parity), &mut slot)?;
    let record = Record::parse(&slot).filter(|record| record.sequence() % 2 == parity);
    let last = slot.chunks_exact(PAGE_LEN).rposition(|piece| piece != layout::FREE);
    Ok((record, last.map_or(0, |last| (last + 1) * PAGE_LEN)))
}

/// Whether an image is as good as new: no header, no pages.
///
/// # Errors
/// [`NvmError`].
pub(super) fn is_fresh(image: &dyn Image) -> Result<bool, NvmError> {
    let no_header = Header::read(image)?.is_none();
    let mut all = Zeroizing::new(vec![0; image.size() - page_at(0)]);
    image.read(page_at(0), &mut all)?;
    Ok(no_header && all.iter().all(|byte| *byte == 0))
}
