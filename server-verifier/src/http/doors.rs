//! Who may hold how many connections: a share for each source, so that nobody's silence keeps others out.
//!
//! A connection is silent until the first head of a request has come over it. Where a share or the house is full, the
//! oldest silent connection ends, of the same source first; a new one is turned away only where none is silent.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::metrics::Metrics;
use super::source::Source;

/// How many connections there may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    /// Of everybody together.
    pub(crate) total: usize,
    /// Of one source.
    pub(crate) per_source: usize,
    /// Silent ones of one source.
    pub(crate) silent_per_source: usize,
}

/// The connections that are open, by source.
pub(crate) struct Doors {
    room: Room,
    guests: Mutex<Guests>,
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct Guests {
    open: usize,
    /// Number of the next connection.
    next: u64,
    sources: HashMap<Source, Share>,
    /// Silent connections by number: the oldest first.
    silent: BTreeMap<u64, Silent>,
}

/// What one source has.
#[derive(Default)]
struct Share {
    open: usize,
    silent: BTreeSet<u64>,
}

struct Silent {
    source: Source,
    /// Says that a head has come. Dropped unsent, it ends the connection.
    heard: oneshot::Sender<()>,
}

/// A connection's place among the others; free again when this is dropped.
pub(crate) struct Place {
    doors: Arc<Doors>,
    number: u64,
    source: Source,
    spoke: AtomicBool,
}

/// Resolves if the connection must end to make room for another.
pub(crate) struct Eviction(oneshot::Receiver<()>);

impl Doors {
    pub(crate) fn new(room: Room, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self { room, guests: Mutex::default(), metrics })
    }

    /// A place for a new connection from `source`; none if it has its share and nothing of it is silent, or if the house
    /// is full and nobody is silent.
    pub(crate) fn enter(self: &Arc<Self>, source: Source) -> Option<(Place, Eviction)> {
        let mut guests = self.guests();
        let (open, silent) = guests.of(source);
        let mut room = true;
        if open >= self.room.per_source || silent >= self.room.silent_per_source {
            room = self.evict_from(&mut guests, source) && open <= self.room.per_source;
        }
        if room && guests.open >= self.room.total {
            room = self.evict(&mut guests);
        }
        if !room {
            self.metrics.connections_shed.increment(1);
            return None;
        }
        let (number, (heard, eviction)) = (guests.next, oneshot::channel());
        guests.next += 1;
        guests.open += 1;
        let share = guests.sources.entry(source).or_default();
        share.open += 1;
        share.silent.insert(number);
        guests.silent.insert(number, Silent { source, heard });
        self.metrics.connections.increment(1.0);
        let place = Place { doors: Arc::clone(self), number, source, spoke: AtomicBool::new(false) };
        Some((place, Eviction(eviction)))
    }

    /// Ends the oldest silent connection of all; false if none is silent.
    pub(crate) fn make_room(&self) -> bool {
        self.evict(&mut self.guests())
    }

    fn evict(&self, guests: &mut Guests) -> bool {
        guests.silent.keys().next().copied().is_some_and(|oldest| self.end(guests, oldest))
    }

    fn evict_from(&self, guests: &mut Guests, source: Source) -> bool {
        let oldest = guests.sources.get(&source).and_then(|share| share.silent.first().copied());
        oldest.is_some_and(|oldest| self.end(guests, oldest))
    }

    /// Ends a silent connection, whose place is free at once.
    fn end(&self, guests: &mut Guests, number: u64) -> bool {
        let Some(silent) = guests.break_silence(number) else { return false };
        self.leave(guests, silent.source);
        self.metrics.connections_shed.increment(1);
        true
    }

    fn leave(&self, guests: &mut Guests, source: Source) {
        guests.open -= 1;
        self.metrics.connections.decrement(1.0);
        if let Some(share) = guests.sources.get_mut(&source) {
            share.open -= 1;
            if share.open == 0 {
                guests.sources.remove(&source);
            }
        }
    }

    fn guests(&self) -> MutexGuard<'_, Guests> {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Guests {
    /// Open and silent connections of `source`.
    fn of(&self, source: Source) -> (usize, usize) {
        self.sources.get(&source).map_or((0, 0), |share| (share.open, share.silent.len()))
    }

    /// Takes a connection out of the silent ones; none if it is not among them.
    fn break_silence(&mut self, number: u64) -> Option<Silent> {
        let silent = self.silent.remove(&number)?;
        if let Some(share) = self.sources.get_mut(&silent.source) {
            share.silent.remove(&number);
        }
        Some(silent)
    }
}

impl Place {
    /// A head has come: the connection is not silent any more.
    pub(crate) fn speaks(&self) {
        if self.spoke.load(Ordering::Relaxed) {
            return;
        }
        if let Some(silent) = self.doors.guests().break_silence(self.number) {
            self.spoke.store(true, Ordering::Relaxed);
            // The connection may have ended meanwhile.
            let _ = silent.heard.send(());
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut guests = self.doors.guests();
        // An evicted connection has left already.
        if *self.spoke.get_mut() || guests.break_silence(self.number).is_some() {
            self.doors.leave(&mut guests, self.source);
        }
    }
}

impl Eviction {
    /// Waits for it; for ever, once the connection has spoken.
    pub(crate) async fn comes(self) {
        if self.0.await.is_ok() {
            pending::<()>().await;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn doors(total: usize, per_source: usize, silent_per_source: usize) -> Arc<Doors> {
        Doors::new(Room { total, per_source, silent_per_source }, Arc::new(Metrics::new(Arc::default())))
    }

    fn source(last: u8) -> Source {
        IpAddr::from([127, 0, 0, last]).into()
    }

    fn evicted(eviction: &mut Eviction) -> bool {
        matches!(eviction.0.try_recv(), Err(oneshot::error::TryRecvError::Closed))
    }

    #[test]
    fn the_oldest_silent_connection_of_a_source_makes_room_for_its_next() {
        let doors = doors(10, 5, 2);
        let (_first, mut first_ends) = doors.enter(source(1)).unwrap();
        let (_other, mut other_ends) = doors.enter(source(2)).unwrap();
        let (_second, mut second_ends) = doors.enter(source(1)).unwrap();
        let _third = doors.enter(source(1)).unwrap();
        assert!(evicted(&mut first_ends));
        assert!(!evicted(&mut second_ends) && !evicted(&mut other_ends));
    }

    #[test]
    fn a_source_that_has_its_share_of_speaking_connections_gets_no_more_and_others_do() {
        let doors = doors(10, 2, 2);
        let mut speaking: Vec<_> = (0..2).map(|_| doors.enter(source(1)).unwrap()).collect();
        speaking.iter().for_each(|(place, _)| place.speaks());
        assert!(doors.enter(source(1)).is_none());
        assert!(doors.enter(source(2)).is_some());
        speaking.pop();
        assert!(doors.enter(source(1)).is_some(), "a place is free again");
    }

    #[test]
    fn in_a_full_house_the_oldest_silent_connection_ends_and_no_speaking_one() {
        let doors = doors(3, 3, 3);
        let (spoke, mut spoke_ends) = doors.enter(source(1)).unwrap();
        spoke.speaks();
        let (_silent, mut silent_ends) = doors.enter(source(2)).unwrap();
        let _newer = doors.enter(source(3)).unwrap();
        let (last, _) = doors.enter(source(4)).unwrap();
        assert!(evicted(&mut silent_ends) && !evicted(&mut spoke_ends));
        last.speaks();
        assert!(doors.make_room(), "the newer one was silent still");
        assert!(!doors.make_room(), "nobody is silent");
    }

    #[test]
    fn places_are_counted_once_however_they_end() {
        let doors = doors(2, 2, 2);
        for _ in 0..5 {
            let guests: Vec<_> = (0..4).map(|last| doors.enter(source(last)).unwrap()).collect();
            assert_eq!(doors.guests().open, 2);
            drop(guests);
            let left = doors.guests();
            assert_eq!((left.open, left.sources.len(), left.silent.len()), (0, 0, 0));
        }
    }
}
