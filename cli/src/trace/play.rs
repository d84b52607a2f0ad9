//! `onetap trace play`: a trace as a card in a virtual reader.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use onetap_applet::front::vpcd::{Occupant, Stop};
use onetap_pcsc_host::trace::{Order, TraceCard};

use super::file::{not_recorded, read};
use super::slot::occupy;
use crate::args;
use crate::exit::Failure;
use crate::output::Output;

/// The trace in the place of the card.
struct Played(Mutex<TraceCard>);

impl Played {
    fn card(&self) -> MutexGuard<'_, TraceCard> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Occupant for Played {
    fn come(&self) {
        self.card().reset();
    }

    fn leave(&self) {}

    /// Whatever it forgets then, it has forgotten when it is powered on.
    fn power_off(&self) {}

    fn power_on(&self) {
        self.card().reset();
    }

    fn reset(&self) {
        self.card().reset();
    }

    fn atr(&self) -> Vec<u8> {
        self.card().atr().bytes().to_vec()
    }

    fn transmit(&self, command: &[u8]) -> Vec<u8> {
        self.card().transmit(command)
    }
}

pub(super) fn play(options: &args::TracePlay, out: Output) -> Result<(), Failure> {
    let trace = read(&options.file)?;
    if let Some(note) = not_recorded(&trace) {
        out.say(note)?;
    }
    let differences = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&differences);
    let order = if options.lenient { Order::Lenient } else { Order::Strict };
    let card = TraceCard::new(trace, order, move |difference| {
        count.fetch_add(1, Ordering::Relaxed);
        // The card answers, whoever reads along.
        let _ = out.result(&difference, difference.to_string());
    });
    occupy(&options.slot, &Played(Mutex::new(card)), &Stop::new(), out)?;
    match differences.load(Ordering::Relaxed) {
        0 => Ok(()),
        1 => Err(Failure::NotAsExpected("a command came that the trace does not have there".to_owned())),
        n => Err(Failure::NotAsExpected(format!(
            "{n} times something came that the trace does not have there"
        ))),
    }
}
