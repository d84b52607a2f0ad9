//! A rehearsal: a copy of a card in memory, on a clock and with random numbers of its own, so that a run can be
//! repeated. The image stays as it is.

use std::path::Path;

use onetap_apdu_spec::clock::SystemClock;
use onetap_apdu_spec::rng::SeededRng;

use super::MemoryMachine;
use crate::card::{Card, CardError, CardTime as _, Environment, Millis, VirtualClock};
use crate::nvm::{Image, MemoryImage};

/// What the panel needs to wind a rehearsal back and forth.
pub struct Rehearsal {
    pub(super) clock: VirtualClock,
    pub(super) seed: u64,
    pub(super) machine: MemoryMachine,
}

impl Rehearsal {
    /// A copy of the card in the image at `path`, from now on at a time that only the panel moves. `open` opens a
    /// card of its kind.
    ///
    /// # Errors
    /// [`CardError`].
    pub fn of(
        path: &Path,
        seed: u64,
        open: impl Fn(Box<dyn Image>, Environment) -> Result<Card, CardError> + Send + 'static,
    ) -> Result<(Card, Self), CardError> {
        let image = MemoryImage::of_file(path)?;
        let clock = VirtualClock::at(SystemClock.now().unwrap_or(Millis(0)));
        let own = clock.clone();
        let open = move |image: MemoryImage| {
            let (rng, clock) = (Box::new(SeededRng::new(seed)), Box::new(own.clone()));
            open(Box::new(image), Environment { rng, clock, ..Environment::default() })
        };
        let card = open(image.clone())?;
        let machine = MemoryMachine::new(image, clock.clone(), open);
        Ok((card, Self { clock, seed, machine }))
    }
}
