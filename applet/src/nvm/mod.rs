//! The card's non-volatile memory: objects in pages of 256 bytes, changed by atomic commits.
//!
//! | module | what lives there |
//! |---|---|
//! | `image` | where the bytes are: [`Image`], [`MemoryImage`] |
//! | `file` | an image in a file: [`ImageFile`] |
//! | `legacy` | images of format 1 |
//! | `header` | what an image says of itself |
//! | `layout` | what is where in an image, and what a page looks like |
//! | `journal` | the record of one commit, in two slots that take turns |
//! | `plan` | which pages a commit writes |
//! | `recovery` | opening an image after any kind of end |
//! | `objects` | the objects in RAM |
//! | `wear` | pages that can be written so often |
//! | `tear` | cutting the power in the middle of a write |
//!
//! A commit is one write of a record, one sync, and then, not synced, the pages in place and zeros over
//! the record before. After a power cut at any point the memory holds the state before or after, and once
//! [`Nvm::commit`] has returned, what it replaced is nowhere in the image. The note
//! `docs/adr/0012-pages-and-a-redo-journal.md` says why.
//!
//! ```
//! use onetap_applet::nvm::{MemoryImage, Nvm, ObjectId};
//!
//! let image = MemoryImage::default();
//! let mut nvm = Nvm::format(Box::new(image.clone()))?;
//! let (counter, alias) = (ObjectId { owner: 1, number: 0 }, ObjectId { owner: 1, number: 1 });
//! nvm.commit(&[(counter, Some(&[0, 7])), (alias, Some(b"a payer"))])?;
//! nvm.commit(&[(counter, Some(&[0, 8])), (alias, None)])?;
//!
//! let again = Nvm::open(Box::new(image))?;
//! assert_eq!(again.read(counter), Some(&[0, 8][..]));
//! assert_eq!(again.read(alias), None);
//! # Ok::<(), onetap_applet::nvm::NvmError>(())
//! ```

mod error;
mod file;
mod header;
mod image;
mod journal;
mod layout;
mod legacy;
mod objects;
mod plan;
mod recovery;
mod tear;
mod wear;

use std::fmt;

pub use error::NvmError;
pub use file::{ImageFile, ImageOptions};
pub use image::{Image, MemoryImage};
pub use layout::{COMMIT_CAPACITY, IMAGE_LEN, MAX_OBJECT, ObjectId, PAGE_LEN, PAGE_PAYLOAD};
pub use legacy::{read_format_1, replace_format_1};
pub use plan::Change;
pub use tear::{Cut, How, TearSwitch, TearingImage};

use header::Header;
use journal::Record;
use layout::{SLOT_LEN, slot_at};
use objects::Objects;
use plan::{Pages, Plan, Resized};
use recovery::Recovered;
use wear::Wear;

/// The card's non-volatile memory.
pub struct Nvm {
    image: Box<dyn Image>,
    objects: Objects,
    pages: Pages,
    /// XOR of the checks of all pages.
    root: u64,
    /// The last commit, as it is in its slot.
    last: Record,
    /// The next one, while it is made; else wiped.
    next: Record,
    /// How many bytes are in the other slot and wait to be wiped.
    stale: usize,
    health: Health,
    wear: Wear,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Health {
    /// The last commit is in place.
    Sound,
    /// The last commit counts, but its pages are not all in place.
    Unfinished,
    /// What the image holds is not known.
    Failed,
}

impl Nvm {
    /// Makes an empty memory of a fresh image.
    ///
    /// # Errors
    /// [`NvmError::Exists`] if the image is not fresh; [`NvmError::NotAnImage`] if its size is none that an
    /// image can have (use [`IMAGE_LEN`]); errors of the image.
    pub fn format(mut image: Box<dyn Image>) -> Result<Self, NvmError> {
        if !recovery::is_fresh(&*image)? {
            return Err(NvmError::Exists(image.name().to_owned()));
        }
        let pages = layout::pages_in(image.size()).unwrap_or_default();
        let mut first = Record::new();
        first.clear();
        first.seal(1, 0);
        image.write(slot_at(0), layout::zeros(SLOT_LEN))?;
        image.write(slot_at(1), first.bytes())?;
        // The header says that there is a memory: it must not reach the disk before the memory does.
        image.sync()?;
        image.write(0, &Header::encode(pages))?;
        image.sync()?;
        let pages = Pages(vec![0; usize::from(pages)]);
        Ok(Self::new(image, Recovered { objects: Objects::default(), pages, record: first }))
    }

    /// Reads the memory in an image, after finishing or forgetting the commit that a tear cut short.
    ///
    /// # Errors
    /// [`NvmError::Empty`] for an image that was never formatted; [`NvmError::Damaged`] if what is stored
    /// cannot be trusted, and then nothing was written; errors of the image.
    pub fn open(mut image: Box<dyn Image>) -> Result<Self, NvmError> {
        let Some(pages) = Header::read(&*image)? else {
            return Err(match recovery::is_fresh(&*image)? {
                true => NvmError::Empty(image.name().to_owned()),
                false => NvmError::damaged(image.name(), "its header is missing"),
            });
        };
        let recovered = recovery::recover(&mut *image, pages)?;
        Ok(Self::new(image, recovered))
    }

    fn new(image: Box<dyn Image>, Recovered { objects, pages, record }: Recovered) -> Self {
        let root = record.root();
        let (next, stale, health, wear) = (Record::new(), 0, Health::Sound, Wear::default());
        Self { image, objects, pages, root, last: record, next, stale, health, wear }
    }

    /// From now on a page can be written so often, and then no more; without a number, for ever. The slots of the
    /// journal do not wear.
    pub fn wear_out_after(&mut self, writes: Option<u32>) {
        self.wear = Wear::new(writes);
    }

    /// How many pages commits have changed since this was asked last.
    pub fn take_written(&mut self) -> u64 {
        std::mem::take(&mut self.wear.written)
    }

    /// The content of an object; `None` if there is none of that name.
    #[must_use]
    pub fn read(&self, id: ObjectId) -> Option<&[u8]> {
        self.objects.get(id).map(|object| object.content.as_slice())
    }

    /// Numbers of the objects of `owner`, in rising order.
    pub fn objects_of(&self, owner: u8) -> impl Iterator<Item = u8> {
        self.objects.of(owner)
    }

    /// How many bytes one new object could take.
    #[must_use]
    pub fn free(&self) -> usize {
        (self.pages.free() * PAGE_PAYLOAD).min(MAX_OBJECT)
    }

    /// Makes all changes, or none. If an object is named twice, the last counts. Pages that stay the same
    /// are not written; if all do, nothing is.
    ///
    /// # Errors
    /// After an error the memory reads as before. [`NvmError::Full`] and [`NvmError::BufferFull`] say that
    /// the changes are too large, [`NvmError::Worn`] that a page of them is worn. If the image fails and it is not known whether the changes count, this
    /// and every later commit fails, until the image is opened again: with [`NvmError::Failed`] from the
    /// second on. [`NvmError::Torn`]: the power is gone, before or after the point where the changes count.
    pub fn commit(&mut self, changes: &[Change<'_>]) -> Result<(), NvmError> {
        match self.health {
            Health::Sound => {}
            Health::Unfinished => self.finish()?,
            Health::Failed => return Err(NvmError::Failed),
        }
        let resized = self.plan(changes)?;
        if self.next.is_empty() {
            return Ok(());
        }
        self.wear.admit(&self.next).inspect_err(|_| self.next.clear())?;
        self.store_record()?;
        self.take_over(changes, resized);
        match self.finish() {
            Err(NvmError::Torn) => Err(NvmError::Torn),
            // The changes count. The next commit tries again, or says why it cannot.
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn plan(&mut self, changes: &[Change<'_>]) -> Result<Resized, NvmError> {
        let numbers = (self.last.sequence() + 1, self.root);
        let plan = Plan::make(changes, (&self.objects, &self.pages), &mut self.next, numbers);
        plan.inspect_err(|_| self.next.clear())
    }

    /// Writes the record and waits until it counts.
    fn store_record(&mut self) -> Result<(), NvmError> {
        let (at, record) = (slot_at(self.next.sequence()), self.next.bytes());
        let Err(why) = self.image.write(at, record).and_then(|()| self.image.sync()) else {
            return Ok(());
        };
        // What may have been written must not count. And what that sync was to bring to the disk may be
        // lost, so that the pages of the last commit are written again.
        let zeros = layout::zeros(record.len());
        let undone = self.image.write(at, zeros).and_then(|()| self.image.sync());
        self.health = if undone.is_ok() { Health::Unfinished } else { Health::Failed };
        self.next.clear();
        Err(why)
    }

    /// The record counts: brings what is in RAM up to it.
    fn take_over(&mut self, changes: &[Change<'_>], mut resized: Resized) {
        for (id, content) in plan::last_of_each(changes) {
            let at = resized.iter().position(|(resized, _)| *resized == id);
            let pages = at.map(|at| resized.swap_remove(at).1);
            match content {
                Some(content) => self.objects.put(id, content, pages),
                None => self.objects.remove(id),
            }
        }
        self.pages.apply(&self.next);
        self.wear.count(&self.next);
        self.root = self.next.root();
        self.stale = self.last.bytes().len();
        std::mem::swap(&mut self.last, &mut self.next);
        self.next.clear();
        self.health = Health::Unfinished;
    }

    /// Writes the pages of the last commit in place and wipes the record before it.
    fn finish(&mut self) -> Result<(), NvmError> {
        for (at, bytes) in plan::writes(&self.last) {
            self.image.write(at, bytes)?;
        }
        self.image.write(slot_at(self.last.sequence() + 1), layout::zeros(self.stale))?;
        self.stale = 0;
        self.health = Health::Sound;
        Ok(())
    }
}

impl fmt::Debug for Nvm {
    /// Never shows contents.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.image.name();
        f.debug_struct("Nvm").field("image", &name).field("health", &self.health).finish_non_exhaustive()
    }
}
