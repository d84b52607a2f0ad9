//! A rehearsal: a copy of a card in memory, on a clock and with random numbers of its own, so that a run can be
//! repeated. The image stays as it is.

use std::path::Path;
use std::sync::{Arc, Mutex};

use onetap_apdu_spec::clock::SystemClock;
use onetap_apdu_spec::rng::SeededRng;
use onetap_applet::card::{CardTime as _, Millis, VirtualClock};
use onetap_applet::front::panel::{MemoryMachine, PanelConfig};
use onetap_applet::nvm::{Image as _, ImageFile, MemoryImage};
use onetap_applet::{Card, CardError, Environment, SharedCard};

use super::press::DURABLE;
use crate::exit::Failure;

/// What the panel needs to wind a rehearsal back and forth.
pub(super) struct Rehearsal {
    clock: VirtualClock,
    seed: u64,
    machine: MemoryMachine,
}

/// A copy of the card in `path`, from now on at a time that only the panel moves.
pub(super) fn open(path: &Path, seed: u64) -> Result<(SharedCard, Rehearsal), Failure> {
    // Opened and closed once: one of an older format is converted first.
    drop(Card::open_file(path, DURABLE, Environment::default())?);
    let image = copy(path)?;
    let clock = VirtualClock::at(SystemClock.now().unwrap_or(Millis(0)));
    let own = clock.clone();
    let environment = move || Environment {
        rng: Box::new(SeededRng::new(seed)),
        clock: Box::new(own.clone()),
        ..Environment::default()
    };
    let card = Card::open(Box::new(image.clone()), environment())?;
    let machine = MemoryMachine::new(image, clock.clone(), environment);
    Ok((Arc::new(Mutex::new(card)), Rehearsal { clock, seed, machine }))
}

fn copy(path: &Path) -> Result<MemoryImage, CardError> {
    let file = ImageFile::open(path, DURABLE)?;
    let mut bytes = vec![0; file.size()];
    file.read(0, &mut bytes)?;
    Ok(MemoryImage::from_bytes(bytes))
}

impl Rehearsal {
    /// Puts its clock, seed and snapshots into the panel's hands.
    pub(super) fn into_panel(self, config: PanelConfig) -> PanelConfig {
        PanelConfig {
            clock: Some(self.clock),
            seed: Some(self.seed),
            machine: Some(Box::new(self.machine)),
            ..config
        }
    }
}
