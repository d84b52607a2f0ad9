//! Our card behind a real PC/SC stack: in the virtual reader of vsmartcard, with its holder in this
//! process.

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use onetap_applet::front::vpcd::{Left, Meeting, Stop, VpcdConfig, VpcdError, serve};
use onetap_pcsc_host::monitor::{Event, Monitor};
use onetap_pcsc_host::pcsc::{Wanted, wait_for_card};
use onetap_pcsc_host::trace::{Key, Screen, Stage, StageError};
use onetap_pcsc_host::{Deadline, Disposition, ReaderError};

use super::{Capability, CardUnderTest, Claims, InProcess, Known, ReaderTarget, Spent, Start};

/// How long pcscd may take to notice that a card came or went.
const PATIENCE: Duration = Duration::from_secs(10);
/// A card that took another's place between two of pcscd's polls is never announced.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Our card in the reader `reader`, which listens for it on `addr`.
pub struct Vpcd {
    card: InProcess,
    name: String,
    reader: String,
    addr: SocketAddr,
    contact: Option<Contact>,
    events: Receiver<Event>,
    _monitor: Monitor,
}

/// The card in the reader, served by a thread.
struct Contact {
    target: ReaderTarget,
    stop: Stop,
    thread: JoinHandle<Result<Left, VpcdError>>,
}

impl Vpcd {
    /// Puts `card` beside the reader.
    #[must_use]
    pub fn new(card: InProcess, reader: &str, addr: SocketAddr) -> Self {
        let (seen, events) = channel();
        let monitor = Monitor::start(move |event| {
            // Nobody listens any more once the target is gone.
            let _ = seen.send(event);
        });
        let name = format!("pcsc:{reader}");
        Self { card, name, reader: reader.to_owned(), addr, contact: None, events, _monitor: monitor }
    }

    fn contact(&mut self) -> Result<&mut Contact, ReaderError> {
        self.contact.as_mut().ok_or(ReaderError::NoCard)
    }

    /// Connects as soon as the reader has our card. What it had before may still be listed for a moment;
    /// that one no longer answers.
    fn connect(&self) -> Result<(ReaderTarget, Vec<u8>), StageError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.events.recv_timeout(LOOK_AGAIN) {
                Ok(Event::CardInserted { .. }) | Err(RecvTimeoutError::Timeout) => {}
                Ok(_) => continue,
                Err(RecvTimeoutError::Disconnected) => return Err(ReaderError::NoService.into()),
            }
            let reader = wait_for_card(&Wanted::in_reader(&self.reader), &Deadline::after(PATIENCE))?;
            let mut target = ReaderTarget::new(self.name.clone(), Box::new(reader));
            match target.field_in() {
                Ok(atr) => return Ok((target, atr)),
                Err(why) if Instant::now() > deadline => return Err(why),
                Err(_) => {}
            }
        }
    }

    /// Waits until pcscd says that the card left.
    fn await_removal(&self) -> Result<(), StageError> {
        loop {
            match self.events.recv_timeout(PATIENCE) {
                Ok(Event::CardRemoved(reader)) if reader == self.reader => return Ok(()),
                Ok(_) => {}
                Err(_) => return Err(ReaderError::Timeout.into()),
            }
        }
    }
}

impl Stage for Vpcd {
    fn field_in(&mut self) -> Result<Vec<u8>, StageError> {
        let (card, stop) = (self.card.card(), Stop::new());
        let config = VpcdConfig { meeting: Meeting::At(self.addr), ..VpcdConfig::default() };
        let switch = stop.clone();
        let thread = thread::spawn(move || serve(&card, &config, &switch));
        match self.connect() {
            Ok((target, atr)) => {
                self.contact = Some(Contact { target, stop, thread });
                Ok(atr)
            }
            Err(why) => {
                stop.stop();
                // What it says no longer matters.
                let _ = thread.join();
                Err(why)
            }
        }
    }

    fn field_out(&mut self) -> Result<(), StageError> {
        let Some(mut contact) = self.contact.take() else {
            return Ok(());
        };
        let released = contact.target.release(Disposition::Leave);
        contact.stop.stop();
        let served =
            contact.thread.join().map_err(|_| StageError::Other("the card's thread panicked".into()))?;
        served.map_err(|why| StageError::Other(why.to_string()))?;
        self.await_removal()?;
        Ok(released?)
    }

    fn reset(&mut self) -> Result<Vec<u8>, StageError> {
        self.contact()?.target.reset()
    }

    fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, ReaderError> {
        self.contact()?.target.transmit(command)
    }

    fn key(&mut self, key: Key) -> Result<(), StageError> {
        self.card.key(key)
    }

    fn tick(&mut self, time: Duration) -> Result<(), StageError> {
        self.card.tick(time)
    }

    fn screen(&mut self) -> Result<Screen, StageError> {
        self.card.screen()
    }
}

impl CardUnderTest for Vpcd {
    fn name(&self) -> &str {
        &self.name
    }

    fn lacks(&self, _: Capability) -> Option<&'static str> {
        None
    }

    fn claims(&self) -> &Claims {
        self.card.claims()
    }

    fn fresh(&mut self, wanted: &Start) -> Result<(), StageError> {
        self.field_out()?;
        self.card.fresh(wanted)
    }

    fn known(&self) -> Option<&Known> {
        self.card.known()
    }

    fn spent(&mut self) -> &mut Spent {
        self.card.spent()
    }
}

impl Drop for Vpcd {
    fn drop(&mut self) {
        // Nothing is left to tell it to.
        let _ = self.field_out();
    }
}
