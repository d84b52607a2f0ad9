//! The card's memory as a whole: taken out and put back, as a person at a debugger would.

use crate::card::{Card, CardError, CardTime as _, Millis, VirtualClock};
use crate::nvm::MemoryImage;

/// Why there is no snapshot, or none can be put back.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// The bytes are no snapshot of this machine.
    #[error("these bytes are no snapshot of this card; send what POST /v1/snapshot gave")]
    NotASnapshot,
    /// The card does not open with this memory.
    #[error(transparent)]
    Card(#[from] CardError),
}

/// What a card runs on. A snapshot holds the card's secrets, and putting an old one back makes the card use
/// counter values again that it used before: for tests, never for a card that an account hangs on.
pub trait Machine: Send {
    /// The memory of the card, and whatever else it takes to go on from here.
    ///
    /// # Errors
    /// [`MachineError`].
    fn snapshot(&mut self) -> Result<Vec<u8>, MachineError>;

    /// A card that goes on from a snapshot, out of every field. It replaces the one that runs.
    ///
    /// # Errors
    /// [`MachineError`]; then the card that runs goes on.
    fn restore(&mut self, snapshot: &[u8]) -> Result<Card, MachineError>;
}

/// A card in [`MemoryImage`] on a virtual clock. Its snapshot is the time and the memory.
pub struct MemoryMachine {
    image: MemoryImage,
    clock: VirtualClock,
    open: Box<dyn FnMut(MemoryImage) -> Result<Card, CardError> + Send>,
}

impl MemoryMachine {
    /// For the card that runs on `image` and `clock`. `open` opens each card that is restored, on the same clock.
    #[must_use]
    pub fn new(
        image: MemoryImage,
        clock: VirtualClock,
        open: impl FnMut(MemoryImage) -> Result<Card, CardError> + Send + 'static,
    ) -> Self {
        Self { image, clock, open: Box::new(open) }
    }

    fn set_time(&self, time: Option<Millis>) {
        match time {
            Some(now) => self.clock.set(now),
            None => self.clock.lose(),
        }
    }
}

/// Stands for a lost clock.
const NO_TIME: u64 = u64::MAX;

impl Machine for MemoryMachine {
    fn snapshot(&mut self) -> Result<Vec<u8>, MachineError> {
        let time = self.clock.now().map_or(NO_TIME, |now| now.0);
        Ok([&time.to_be_bytes()[..], &self.image.bytes()].concat())
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<Card, MachineError> {
        let (time, image) = snapshot.split_first_chunk::<8>().ok_or(MachineError::NotASnapshot)?;
        let image = MemoryImage::from_bytes(image.to_vec());
        let before = self.clock.now();
        let time = u64::from_be_bytes(*time);
        self.set_time((time != NO_TIME).then_some(Millis(time)));
        let card = (self.open)(image.clone()).inspect_err(|_| self.set_time(before))?;
        self.image = image;
        Ok(card)
    }
}
