//! Pages that can be written so often and no more.

use std::collections::HashMap;

use super::NvmError;
use super::journal::Record;

/// How often each page was written.
#[derive(Debug, Default)]
pub(super) struct Wear {
    /// Most writes that a page takes.
    endurance: Option<u32>,
    /// Pages that were written since somebody asked.
    pub(super) written: u64,
    writes: HashMap<u16, u32>,
}

impl Wear {
    /// Pages that were not written yet, and can be so often.
    pub(super) fn new(endurance: Option<u32>) -> Self {
        Self { endurance, ..Self::default() }
    }

    /// Refuses a commit that has to write a worn page.
    ///
    /// # Errors
    /// [`NvmError::Worn`].
    pub(super) fn admit(&self, record: &Record) -> Result<(), NvmError> {
        let Some(endurance) = self.endurance else { return Ok(()) };
        let worn = |page: &u16| self.writes.get(page).copied().unwrap_or_default() >= endurance;
        let worn = record.pages().map(|(page, _)| page).find(worn);
        worn.map_or(Ok(()), |page| Err(NvmError::Worn(page)))
    }

    /// A commit writes its pages.
    pub(super) fn count(&mut self, record: &Record) {
        for (page, _) in record.pages() {
            self.written += 1;
            if self.endurance.is_some() {
                *self.writes.entry(page).or_default() += 1;
            }
        }
    }
}
