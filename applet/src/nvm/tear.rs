//! Cutting the power in the middle of a write, as when a card is torn out of a reader.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Image, NvmError, PAGE_LEN};

/// When the power is cut. Writes are counted in pages: one that touches several pages of the image counts
/// as so many, in rising order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// How many page writes still succeed after [`TearSwitch::arm`]: 0 cuts the very next one.
    pub at: u64,
    /// What becomes of that page.
    pub how: How,
}

/// What arrives of the page that is being written when the power is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum How {
    /// Nothing.
    Before,
    /// The first half of the bytes.
    Half,
    /// The second half of the bytes: memories need not write in rising order.
    SecondHalf,
    /// All of it.
    After,
}

impl How {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Before, Self::Half, Self::SecondHalf, Self::After];
}

/// An image whose power can be cut. After that every read, write and sync fails with [`NvmError::Torn`].
pub struct TearingImage {
    image: Box<dyn Image>,
    switch: TearSwitch,
}

/// The hand on the switch of a [`TearingImage`]. Clones are the same switch.
#[derive(Debug, Clone, Default)]
pub struct TearSwitch(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    writes: u64,
    /// The number that `writes` has when the power is cut.
    cut: Option<Cut>,
    torn: bool,
}

impl TearSwitch {
    /// Cuts the power at a coming write. Replaces a cut that was not reached yet.
    pub fn arm(&self, cut: Cut) {
        let mut state = self.lock();
        state.cut = Some(Cut { at: state.writes.saturating_add(cut.at), ..cut });
    }

    /// Lets all coming writes succeed. Power that was cut stays off.
    pub fn disarm(&self) {
        self.lock().cut = None;
    }

    /// How many page writes there were, that of the cut not among them.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.lock().writes
    }

    /// Whether the power was cut.
    #[must_use]
    pub fn torn(&self) -> bool {
        self.lock().torn
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn powered(&self) -> Result<(), NvmError> {
        if self.torn() { Err(NvmError::Torn) } else { Ok(()) }
    }

    /// Counts one page write; gives how it is cut, if it is.
    fn count(&self) -> Option<How> {
        let mut state = self.lock();
        let cut = state.cut.filter(|cut| cut.at == state.writes);
        match cut {
            Some(_) => state.torn = true,
            None => state.writes += 1,
        }
        cut.map(|cut| cut.how)
    }
}

impl TearingImage {
    /// Puts a switch before an image.
    pub fn new(image: impl Image + 'static) -> (Self, TearSwitch) {
        let switch = TearSwitch::default();
        (Self { image: Box::new(image), switch: switch.clone() }, switch)
    }

    fn write_page(&mut self, offset: usize, bytes: &[u8]) -> Result<(), NvmError> {
        let Some(how) = self.switch.count() else {
            return self.image.write(offset, bytes);
        };
        let half = bytes.len() / 2;
        let (first, second) = bytes.split_at(half);
        match how {
            How::Before => {}
            How::Half => self.image.write(offset, first)?,
            How::SecondHalf => self.image.write(offset + half, second)?,
            How::After => self.image.write(offset, bytes)?,
        }
        Err(NvmError::Torn)
    }
}

impl Image for TearingImage {
    fn name(&self) -> &Path {
        self.image.name()
    }

    fn size(&self) -> usize {
        self.image.size()
    }

    fn read(&self, offset: usize, into: &mut [u8]) -> Result<(), NvmError> {
        self.switch.powered()?;
        self.image.read(offset, into)
    }

    fn write(&mut self, offset: usize, bytes: &[u8]) -> Result<(), NvmError> {
        self.switch.powered()?;
        let (mut offset, mut rest) = (offset, bytes);
        while !rest.is_empty() {
            let len = (PAGE_LEN - offset % PAGE_LEN).min(rest.len());
            let (page, others) = rest.split_at(len);
            self.write_page(offset, page)?;
            (offset, rest) = (offset + len, others);
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), NvmError> {
        self.switch.powered()?;
        self.image.sync()
    }
}
