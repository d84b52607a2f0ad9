//! When a request is due.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use mio::Waker;

/// Shortest time between two wakings: at higher rates several requests are due at one.
const SHORTEST: Duration = Duration::from_micros(200);

/// The moments at which requests are due: at a rate, or at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    pub(super) start: Instant,
    /// Between one request and the next; none as fast as it goes.
    interval: Option<Duration>,
}

impl Pace {
    /// From now on so many a second.
    pub(super) fn new(rate: Option<f64>) -> Self {
        Self { start: Instant::now(), interval: rate.map(|rate| Duration::from_secs_f64(1.0 / rate)) }
    }

    /// How many requests are due by now.
    pub(super) fn due(&self) -> usize {
        let due = |interval: Duration| self.start.elapsed().as_nanos() / interval.as_nanos().max(1) + 1;
        self.interval.map_or(usize::MAX, |interval| usize::try_from(due(interval)).unwrap_or(usize::MAX))
    }

    /// When the request of this number is due; now, if nothing is said of it.
    pub(super) fn moment(&self, number: usize) -> Instant {
        let offset = |interval: Duration| {
            let nanos = interval.as_nanos() * number as u128;
            Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
        };
        self.interval.map_or_else(Instant::now, |interval| self.start + offset(interval))
    }

    /// Wakes the generator whenever a request is due, until `end` says so.
    pub(super) fn tick(&self, waker: &Waker, end: &Receiver<()>) {
        let Some(interval) = self.interval.map(|interval| interval.max(SHORTEST)) else { return };
        let mut due = self.start;
        while end.recv_timeout(due.saturating_duration_since(Instant::now()))
            == Err(RecvTimeoutError::Timeout)
        {
            // A generator that cannot be woken looks by itself in a moment.
            let _ = waker.wake();
            due += interval;
        }
    }
}
