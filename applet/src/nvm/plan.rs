//! What a commit has to write, found before anything is changed.

use super::journal::Record;
use super::layout::{self, PAGE_LEN, Page, page_at};
use super::objects::Objects;
use super::{MAX_OBJECT, NvmError, ObjectId};

/// One object of a commit and its new content; `None` removes it.
pub type Change<'a> = (ObjectId, Option<&'a [u8]>);

/// Checks of all pages, 0 for a free one.
pub(super) struct Pages(pub(super) Vec<u64>);

impl Pages {
    /// The checks in all pages of an image.
    pub(super) fn of(all: &[u8]) -> Self {
        Self(all.chunks_exact(PAGE_LEN).map(layout::check).collect())
    }

    /// The XOR of all checks.
    pub(super) fn root(&self) -> u64 {
        self.0.iter().fold(0, |root, check| root ^ check)
    }

    /// How many pages are free.
    pub(super) fn free(&self) -> usize {
        self.0.iter().filter(|check| **check == 0).count()
    }

    /// Takes over what a commit wrote.
    pub(super) fn apply(&mut self, record: &Record) {
        for (number, page) in record.pages() {
            if let Some(check) = self.0.get_mut(usize::from(number)) {
                *check = page.map_or(0, layout::check);
            }
        }
    }

    fn check(&self, number: u16) -> u64 {
        self.0.get(usize::from(number)).copied().unwrap_or_default()
    }
}

/// A commit in the making.
pub(super) struct Plan<'a> {
    objects: &'a Objects,
    pages: &'a Pages,
    record: &'a mut Record,
    sequence: u64,
    root: u64,
    /// Pages that objects of this commit give back.
    freed: Vec<u16>,
    /// Where to look for a free page.
    cursor: u16,
    resized: Resized,
}

/// New pages of the objects whose number of pages changes.
pub(super) type Resized = Vec<(ObjectId, Vec<u16>)>;

impl<'a> Plan<'a> {
    /// Fills `record` with what `changes` do to the pages. It stays empty if they change nothing.
    ///
    /// # Errors
    /// [`NvmError::Full`], [`NvmError::BufferFull`].
    pub(super) fn make(
        changes: &[Change<'_>],
        (objects, pages): (&'a Objects, &'a Pages),
        record: &'a mut Record,
        (sequence, root): (u64, u64),
    ) -> Result<Resized, NvmError> {
        record.clear();
        let mut plan =
            Self { objects, pages, record, sequence, root, freed: vec![], cursor: 0, resized: vec![] };
        for change in last_of_each(changes) {
            plan.give_back(change);
        }
        for (id, content) in last_of_each(changes) {
            match content {
                Some(content) => plan.put(id, content)?,
                None => plan.resized.push((id, vec![])),
            }
        }
        for number in std::mem::take(&mut plan.freed) {
            plan.record.erase_page(number)?;
            plan.root ^= plan.pages.check(number);
        }
        plan.record.seal(plan.sequence, plan.root);
        Ok(plan.resized)
    }

    fn give_back(&mut self, (id, content): Change<'_>) {
        let keep = content.map_or(0, |content| layout::pages_for(content.len()));
        let surplus = self.objects.get(id).and_then(|object| object.pages.get(keep..));
        self.freed.extend(surplus.unwrap_or_default());
    }

    fn put(&mut self, id: ObjectId, content: &[u8]) -> Result<(), NvmError> {
        if content.len() > MAX_OBJECT {
            return Err(NvmError::Full);
        }
        let (was, old) = match self.objects.get(id) {
            Some(object) => (object.content.as_slice(), object.pages.as_slice()),
            None => (&[][..], &[][..]),
        };
        let mut new = Vec::new();
        let needed = layout::pages_for(content.len());
        for index in 0..needed {
            let payload = layout::part(content, index);
            match old.get(index) {
                Some(_) if layout::part(was, index) == payload => {}
                Some(number) => self.write(*number, id, index, payload)?,
                None => {
                    let number = self.allocate()?;
                    self.write(number, id, index, payload)?;
                    new.push(number);
                }
            }
        }
        if needed != old.len() {
            let pages = old.iter().copied().take(needed).chain(new).collect();
            self.resized.push((id, pages));
        }
        Ok(())
    }

    fn write(&mut self, number: u16, id: ObjectId, index: usize, payload: &[u8]) -> Result<(), NvmError> {
        let index = u8::try_from(index).map_err(|_| NvmError::Full)?;
        let page = self.record.write_page(number, Page { sequence: self.sequence, id, index, payload })?;
        self.root ^= self.pages.check(number) ^ layout::check(page);
        Ok(())
    }

    /// A page for new content: one that this commit gives back, else a free one.
    fn allocate(&mut self) -> Result<u16, NvmError> {
        if let Some(number) = self.freed.pop() {
            return Ok(number);
        }
        let free = |number: &u16| self.pages.0.get(usize::from(*number)) == Some(&0);
        let last = u16::try_from(self.pages.0.len()).unwrap_or(u16::MAX);
        let number = (self.cursor..last).find(free).ok_or(NvmError::Full)?;
        self.cursor = number + 1;
        Ok(number)
    }
}

/// The changes that count: for an object that is named twice, the last.
pub(super) fn last_of_each<'a>(changes: &'a [Change<'a>]) -> impl Iterator<Item = Change<'a>> {
    let later = |at: usize| changes.get(at + 1..).unwrap_or_default();
    let last = move |(at, change): &(usize, &Change<'_>)| later(*at).iter().all(|(id, _)| *id != change.0);
    changes.iter().enumerate().filter(last).map(|(_, change)| *change)
}

/// Where the bytes of each page that `record` changes belong, and what they are.
pub(super) fn writes(record: &Record) -> impl Iterator<Item = (usize, &[u8])> {
    record.pages().map(|(number, page)| (page_at(number), page.unwrap_or(&layout::FREE)))
}
