//! Watches readers and cards, and goes on watching when the PC/SC service restarts.
//!
//! Runs on a thread and a PC/SC context of its own: one context serialises its calls, and a wait for
//! a change must not hold up a contact.

use std::collections::BTreeMap;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ::pcsc::{Context, PNP_NOTIFICATION, ReaderState, State};

use crate::atr::Atr;
use crate::deadline::Deadline;
use crate::pcsc::worker::Worker;
use crate::pcsc::{establish, watched};

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The PC/SC service answers (again).
    ServiceUp,
    /// The PC/SC service is gone, and all readers with it. It is tried again.
    ServiceDown,
    /// A reader was plugged in, or was there from the start.
    ReaderAdded(String),
    /// A reader was unplugged.
    ReaderRemoved(String),
    /// A card came.
    CardInserted {
        /// In this reader.
        reader: String,
        /// With this answer to reset; empty if the card is mute.
        atr: Atr,
    },
    /// The card left this reader.
    CardRemoved(String),
}

/// First and longest pause before the service is tried again.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// A cancellation can come just before the wait that it is meant for, and is then lost: so waits end
/// by themselves.
const LONGEST_WAIT: Duration = Duration::from_millis(500);

/// How long a monitor that stops waits for its last event to be handled, and for the service.
const LONGEST_STOP: Duration = Duration::from_secs(1);

/// A running monitor. Ends when dropped.
pub struct Monitor {
    stop: Option<mpsc::Sender<()>>,
    context: Arc<Mutex<Option<Context>>>,
    worker: Worker<()>,
}

impl Monitor {
    /// Starts watching; `on_event` runs on the monitor's thread.
    pub fn start(on_event: impl FnMut(Event) + Send + 'static) -> Self {
        let (stop, stopped) = mpsc::channel();
        let context = Arc::new(Mutex::new(None));
        let watcher = Watcher { stopped, context: Arc::clone(&context), seen: Seen::default() };
        let worker = Worker::start(());
        worker.tell(move |()| watcher.run(on_event));
        Self { stop: Some(stop), context, worker }
    }

    /// Stops watching and waits for the last event to be handled, at most a second: a service that is stuck is not
    /// waited for.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        drop(self.stop.take());
        let context = Arc::clone(&self.context);
        // On a thread of its own, since cancelling asks the service too.
        Worker::start(()).tell(move |()| {
            let context = context.lock().unwrap_or_else(PoisonError::into_inner).take();
            // Nothing to cancel is no failure.
            let _ = context.map(|context| context.cancel());
        });
        // The worker comes to this job when it no longer watches.
        let _ = self.worker.ask(&Deadline::after(LONGEST_STOP), |()| ());
    }
}

struct Watcher {
    stopped: mpsc::Receiver<()>,
    context: Arc<Mutex<Option<Context>>>,
    seen: Seen,
}

impl Watcher {
    fn run(mut self, mut on_event: impl FnMut(Event)) {
        let mut pause = FIRST_PAUSE;
        let mut up = None;
        loop {
            if let Ok(context) = establish() {
                *self.context.lock().unwrap_or_else(PoisonError::into_inner) = Some(context.clone());
                on_event(Event::ServiceUp);
                (up, pause) = (Some(true), FIRST_PAUSE);
                if self.watch(&context, &mut on_event).is_ok() {
                    return;
                }
                self.seen.forget_all().into_iter().for_each(&mut on_event);
            }
            if up != Some(false) {
                on_event(Event::ServiceDown);
                up = Some(false);
            }
            if self.stopped_within(pause) {
                return;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Returns Ok when stopped, an error when the service failed.
    fn watch(&mut self, context: &Context, on_event: &mut impl FnMut(Event)) -> Result<(), ::pcsc::Error> {
        let mut states = vec![ReaderState::new(PNP_NOTIFICATION(), State::UNAWARE)];
        while !self.stopped_within(Duration::ZERO) {
            self.update_readers(context, &mut states)?.into_iter().for_each(&mut *on_event);
            match context.get_status_change(LONGEST_WAIT, watched(&mut states)) {
                Ok(()) => {}
                Err(::pcsc::Error::Timeout | ::pcsc::Error::Cancelled | ::pcsc::Error::UnknownReader) => {
                    continue;
                }
                Err(error) => return Err(error),
            }
            for state in &mut states {
                if state.name() != PNP_NOTIFICATION() {
                    self.seen.update(&Look::at(state)).into_iter().for_each(&mut *on_event);
                }
                state.sync_current_state();
            }
        }
        Ok(())
    }

    fn update_readers(
        &mut self,
        context: &Context,
        states: &mut Vec<ReaderState>,
    ) -> Result<Vec<Event>, ::pcsc::Error> {
        let names = match context.list_readers_owned() {
            Ok(names) => names,
            Err(::pcsc::Error::NoReadersAvailable) => Vec::new(),
            Err(error) => return Err(error),
        };
        let pnp = PNP_NOTIFICATION();
        states.retain(|s| s.name() == pnp || names.iter().any(|name| name.as_c_str() == s.name()));
        for name in &names {
            if states.iter().all(|state| state.name() != name.as_c_str()) {
                states.push(ReaderState::new(name.clone(), State::UNAWARE));
            }
        }
        let names: Vec<_> = names.iter().map(|name| name.to_string_lossy().into_owned()).collect();
        Ok(self.seen.update_readers(&names))
    }

    fn stopped_within(&self, pause: Duration) -> bool {
        self.stopped.recv_timeout(pause) != Err(RecvTimeoutError::Timeout)
    }
}

/// What one status change says of one reader.
struct Look {
    reader: String,
    present: bool,
    /// Counts insertions and removals.
    count: u32,
    atr: Atr,
}

impl Look {
    fn at(state: &ReaderState) -> Self {
        Self {
            reader: state.name().to_string_lossy().into_owned(),
            present: state.event_state().contains(State::PRESENT),
            count: state.event_count(),
            atr: Atr::new(state.atr()),
        }
    }
}

/// What the events so far have told: per reader, whether a card is in it and the event count then.
#[derive(Default)]
struct Seen {
    readers: BTreeMap<String, Option<u32>>,
}

impl Seen {
    fn update_readers(&mut self, names: &[String]) -> Vec<Event> {
        let gone: Vec<_> = self.readers.keys().filter(|name| !names.contains(name)).cloned().collect();
        let mut events: Vec<_> = gone.iter().flat_map(|name| self.forget(name)).collect();
        for name in names {
            if !self.readers.contains_key(name) {
                self.readers.insert(name.clone(), None);
                events.push(Event::ReaderAdded(name.clone()));
            }
        }
        events
    }

    fn update(&mut self, look: &Look) -> Vec<Event> {
        let Some(card) = self.readers.get_mut(&look.reader) else {
            return Vec::new();
        };
        let removed = || Event::CardRemoved(look.reader.clone());
        let inserted = || Event::CardInserted { reader: look.reader.clone(), atr: look.atr.clone() };
        let before = std::mem::replace(card, look.present.then_some(look.count));
        match (before, look.present) {
            (None, true) => vec![inserted()],
            (Some(_), false) => vec![removed()],
            // Still a card, but another count: it was swapped between two looks.
            (Some(count), true) if count != look.count => vec![removed(), inserted()],
            _ => Vec::new(),
        }
    }

    fn forget_all(&mut self) -> Vec<Event> {
        self.update_readers(&[])
    }

    fn forget(&mut self, name: &str) -> Vec<Event> {
        let card = self.readers.remove(name).flatten();
        let removed = card.map(|_| Event::CardRemoved(name.to_owned()));
        removed.into_iter().chain([Event::ReaderRemoved(name.to_owned())]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(present: bool, count: u32) -> Look {
        Look { reader: "R".into(), present, count, atr: Atr::default() }
    }

    fn inserted() -> Event {
        Event::CardInserted { reader: "R".into(), atr: Atr::default() }
    }

    #[test]
    fn cards_come_and_go() {
        let mut seen = Seen::default();
        assert_eq!(seen.update_readers(&["R".into()]), [Event::ReaderAdded("R".into())]);
        assert_eq!(seen.update(&look(false, 0)), []);
        assert_eq!(seen.update(&look(true, 1)), [inserted()]);
        assert_eq!(seen.update(&look(true, 1)), []);
        assert_eq!(seen.update(&look(false, 2)), [Event::CardRemoved("R".into())]);
    }

    #[test]
    fn a_swap_between_two_looks_is_two_events() {
        let mut seen = Seen::default();
        seen.update_readers(&["R".into()]);
        seen.update(&look(true, 1));
        assert_eq!(seen.update(&look(true, 3)), [Event::CardRemoved("R".into()), inserted()]);
    }

    #[test]
    fn a_reader_takes_its_card_along() {
        let mut seen = Seen::default();
        seen.update_readers(&["R".into()]);
        seen.update(&look(true, 1));
        let gone = [Event::CardRemoved("R".into()), Event::ReaderRemoved("R".into())];
        assert_eq!(seen.forget_all(), gone);
        assert_eq!(seen.update(&look(true, 1)), []);
    }
}
