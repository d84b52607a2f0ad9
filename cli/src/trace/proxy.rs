//! Any card, recorded for any program: it goes into a virtual reader in the card's place, and passes on what comes.

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use onetap_applet::front::vpcd::Occupant;
use onetap_pcsc_host::trace::Recorder;
use onetap_pcsc_host::{Atr, Deadline, Disposition, Reader, ReaderError, Transport};

/// What stands for the card, between the virtual reader and the reader that the card is in.
pub(super) struct Proxy<W> {
    recorder: Recorder<W>,
    card: Mutex<Card>,
    commands: AtomicU64,
}

struct Card {
    reader: Box<dyn Reader>,
    contact: Option<Box<dyn Transport>>,
    atr: Atr,
    /// No command came since it has power.
    is_new: bool,
    /// It has come, and not left yet.
    is_there: bool,
}

impl Card {
    /// Gives it power, if it has none. The contact lasts until it is ended.
    fn power_on(&mut self) -> Result<&mut dyn Transport, ReaderError> {
        let contact = match self.contact.take() {
            Some(contact) => contact,
            None => self.reader.connect(&Deadline::after(Duration::MAX))?,
        };
        self.atr = contact.atr().clone();
        Ok(&mut **self.contact.insert(contact))
    }

    fn power_off(&mut self) {
        if let Some(contact) = self.contact.take() {
            // A card that has gone needs no farewell.
            let _ = contact.release(Disposition::Unpower);
        }
    }
}

impl<W: Write> Proxy<W> {
    /// For the card in `reader`, which has answered to reset so.
    pub(super) fn new(reader: Box<dyn Reader>, atr: Atr, recorder: Recorder<W>) -> Self {
        Self {
            recorder,
            card: Mutex::new(Card { reader, contact: None, atr, is_new: true, is_there: false }),
            commands: AtomicU64::new(0),
        }
    }

    /// Commands so far.
    pub(super) fn commands(&self) -> u64 {
        self.commands.load(Ordering::Relaxed)
    }

    /// Ends the trace.
    pub(super) fn finish(self) -> std::io::Result<W> {
        self.recorder.finish()
    }

    fn card(&self) -> MutexGuard<'_, Card> {
        self.card.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A reset before the first command is the reader's own habit, and says nothing.
    fn powered(&self, card: &mut Card) {
        if card.power_on().is_ok() && !std::mem::replace(&mut card.is_new, true) {
            self.recorder.power(true, Some(&card.atr));
        }
    }
}

impl<W: Write + Send> Occupant for Proxy<W> {
    fn come(&self) {
        let mut card = self.card();
        card.is_new = true;
        card.is_there = card.power_on().is_ok();
        if card.is_there {
            self.recorder.power(false, Some(&card.atr));
        }
    }

    fn leave(&self) {
        let mut card = self.card();
        card.power_off();
        if std::mem::take(&mut card.is_there) {
            self.recorder.field_out();
        }
    }

    fn power_off(&self) {
        self.card().power_off();
    }

    fn power_on(&self) {
        self.powered(&mut self.card());
    }

    fn reset(&self) {
        let mut card = self.card();
        card.power_off();
        self.powered(&mut card);
    }

    fn atr(&self) -> Vec<u8> {
        self.card().atr.bytes().to_vec()
    }

    /// Without a card there is no answer: it has left.
    fn transmit(&self, command: &[u8]) -> Vec<u8> {
        let mut card = self.card();
        if !card.is_there {
            return Vec::new();
        }
        let Ok(contact) = card.power_on() else { return Vec::new() };
        let answer = self.recorder.watch(command, || contact.transmit(command));
        self.commands.fetch_add(1, Ordering::Relaxed);
        card.is_new = false;
        answer.unwrap_or_else(|_| {
            card.power_off();
            Vec::new()
        })
    }
}
