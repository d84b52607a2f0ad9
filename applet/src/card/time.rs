//! The card's own clock, which its battery keeps. It measures debounce and time-outs only; nothing
//! that is signed rests on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use onetap_apdu_spec::clock::SystemClock;

/// A moment: milliseconds since the clock's own zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Millis(pub u64);

impl Millis {
    /// Milliseconds from `earlier` to here; `None` if `earlier` lies ahead.
    #[must_use]
    pub fn since(self, earlier: Self) -> Option<u64> {
        self.0.checked_sub(earlier.0)
    }
}

/// The time that the card's battery keeps, without a date.
pub trait CardTime: Send {
    /// Reads the time; `None` if the battery was lost: then whatever is pending is void.
    fn now(&self) -> Option<Millis>;

    /// The card works so long, and nothing else happens meanwhile.
    fn pass(&self, time: Millis);
}

/// The machine's clock in milliseconds of Unix time, so that the card's time goes on while the process does not.
impl CardTime for SystemClock {
    fn now(&self) -> Option<Millis> {
        let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
        u64::try_from(elapsed.as_millis()).ok().map(Millis)
    }

    /// Waits.
    fn pass(&self, time: Millis) {
        std::thread::sleep(Duration::from_millis(time.0));
    }
}

/// A clock that moves only when told to. Clones share the time.
#[derive(Debug, Clone, Default)]
pub struct VirtualClock(Arc<AtomicU64>);

/// What a clock without a battery holds.
const LOST: u64 = u64::MAX;

impl VirtualClock {
    /// Starts at `now`.
    #[must_use]
    pub fn at(now: Millis) -> Self {
        Self(Arc::new(AtomicU64::new(now.0)))
    }

    /// Sets the time.
    pub fn set(&self, now: Millis) {
        self.0.store(now.0, Ordering::SeqCst);
    }

    /// Lets `millis` milliseconds pass.
    pub fn advance(&self, millis: u64) {
        let later = |now: u64| (now != LOST).then(|| now.saturating_add(millis));
        // Without a battery there is no time that could pass.
        let _ = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, later);
    }

    /// Takes the battery out: no time until [`VirtualClock::set`].
    pub fn lose(&self) {
        self.0.store(LOST, Ordering::SeqCst);
    }
}

impl CardTime for VirtualClock {
    fn now(&self) -> Option<Millis> {
        let now = self.0.load(Ordering::SeqCst);
        (now != LOST).then_some(Millis(now))
    }

    /// Goes on.
    fn pass(&self, time: Millis) {
        self.advance(time.0);
    }
}
