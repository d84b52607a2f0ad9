//! The system's readers.

use std::sync::Mutex;
use std::sync::TryLockError;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

#[cfg(feature = "pcsc")]
use onetap_pcsc_host::monitor::{Event, Monitor};
#[cfg(feature = "pcsc")]
use onetap_pcsc_host::{Deadline, pcsc};

#[cfg(not(feature = "pcsc"))]
use crate::error::Kind;
use crate::error::{Error, Result};
#[cfg(feature = "pcsc")]
use crate::handle::open;
use crate::handle::{Handle, Object, entry, object};
use crate::payment::busy;

/// Names of the connected readers; none is no error.
///
/// # Errors
/// [`Kind::Service`](crate::Kind::Service), [`Kind::Timeout`](crate::Kind::Timeout).
#[cfg(feature = "pcsc")]
pub fn list(timeout: Duration) -> Result<Vec<String>> {
    entry(|| Ok(pcsc::readers(&Deadline::after(timeout))?))
}

/// This build has none.
///
/// # Errors
/// Always [`Kind::Service`].
#[cfg(not(feature = "pcsc"))]
pub fn list(_: Duration) -> Result<Vec<String>> {
    entry(|| Err(none()))
}

#[cfg(not(feature = "pcsc"))]
fn none() -> Error {
    Error::new(Kind::Service, "this build has no readers of the system", "give a reader of the app's")
}

/// What a watch tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display)]
#[strum(serialize_all = "kebab-case")]
#[repr(i32)]
pub enum Change {
    /// Nothing happened in the time that was given.
    Nothing = 0,
    /// The PC/SC service answers, or answers again.
    ServiceUp = 1,
    /// The PC/SC service is gone, and all readers with it.
    ServiceDown = 2,
    /// A reader was plugged in, or was there from the start.
    ReaderAdded = 3,
    /// A reader was unplugged.
    ReaderRemoved = 4,
    /// A card came.
    CardInserted = 5,
    /// A card left.
    CardRemoved = 6,
}

/// What happened at a reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// What.
    pub change: Change,
    /// The reader's name; empty where there is none.
    pub reader: String,
    /// The answer to reset of a card that came.
    pub atr: Vec<u8>,
}

impl Seen {
    fn of(change: Change, reader: String) -> Self {
        Self { change, reader, atr: Vec::new() }
    }
}

#[cfg(feature = "pcsc")]
impl From<Event> for Seen {
    fn from(event: Event) -> Self {
        match event {
            Event::ServiceUp => Self::of(Change::ServiceUp, String::new()),
            Event::ServiceDown => Self::of(Change::ServiceDown, String::new()),
            Event::ReaderAdded(reader) => Self::of(Change::ReaderAdded, reader),
            Event::ReaderRemoved(reader) => Self::of(Change::ReaderRemoved, reader),
            Event::CardInserted { reader, atr } => {
                Self { atr: atr.bytes().to_vec(), ..Self::of(Change::CardInserted, reader) }
            }
            Event::CardRemoved(reader) => Self::of(Change::CardRemoved, reader),
        }
    }
}

/// A watch that was opened.
pub(crate) struct Watch {
    #[cfg(feature = "pcsc")]
    monitor: Mutex<Option<Monitor>>,
    events: Mutex<Receiver<Option<Seen>>>,
    /// Tells whoever waits that it was closed.
    end: Sender<Option<Seen>>,
}

impl Object for Watch {
    const WHAT: &'static str = "watch";

    fn close(&self) {
        // Nobody may be waiting.
        let _ = self.end.send(None);
        #[cfg(feature = "pcsc")]
        drop(self.monitor.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take());
    }
}

/// Starts watching readers and cards. What is there already is told first.
///
/// # Errors
/// [`Kind::Forked`](crate::Kind::Forked).
#[cfg(feature = "pcsc")]
pub fn watch() -> Result<Handle> {
    entry(|| {
        let (end, events) = std::sync::mpsc::channel();
        let tell = end.clone();
        // Nobody hears what comes after the end.
        let monitor = Monitor::start(move |event| drop(tell.send(Some(event.into()))));
        let watch = Watch { monitor: Mutex::new(Some(monitor)), events: Mutex::new(events), end };
        Ok(open(watch))
    })
}

/// This build has no readers.
///
/// # Errors
/// Always [`Kind::Service`].
#[cfg(not(feature = "pcsc"))]
pub fn watch() -> Result<Handle> {
    entry(|| Err(none()))
}

/// Waits for what happens next, so long; [`Change::Nothing`] if nothing does.
///
/// # Errors
/// [`Kind::Closed`](crate::Kind::Closed), also if it is closed meanwhile; [`Kind::Busy`](crate::Kind::Busy) if another thread waits.
pub fn watch_next(handle: Handle, timeout: Duration) -> Result<Seen> {
    entry(|| {
        let watch = object::<Watch>(handle)?;
        let events = match watch.events.try_lock() {
            Ok(events) => events,
            Err(TryLockError::Poisoned(events)) => events.into_inner(),
            Err(TryLockError::WouldBlock) => return Err(busy("another thread waits for this watch")),
        };
        match events.recv_timeout(timeout) {
            Ok(Some(seen)) => Ok(seen),
            Ok(None) | Err(RecvTimeoutError::Disconnected) => Err(Error::closed()),
            Err(RecvTimeoutError::Timeout) => Ok(Seen::of(Change::Nothing, String::new())),
        }
    })
}
