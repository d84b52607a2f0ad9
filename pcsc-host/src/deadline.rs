//! When to stop waiting: a point in time, and a switch that any thread may turn.
//!
//! Everything of this crate that can wait takes a [`Deadline`]. An app gives each step its own, and one [`Cancel`] to
//! all of them:
//!
//! ```
//! use std::time::Duration;
//!
//! use onetap_pcsc_host::deadline::{Cancel, Deadline, Stopped};
//!
//! let cancel = Cancel::new();
//! let deadline = Deadline::after(Duration::from_secs(60)).cancelled_by(&cancel);
//! let button = cancel.clone();
//! let ui = std::thread::spawn(move || button.cancel());
//! // Ends as soon as the button is pressed.
//! assert_eq!(deadline.sleep(Duration::from_secs(30)), Err(Stopped::Cancelled));
//! # ui.join().unwrap();
//! ```

use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Why waiting ended before what was waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Stopped {
    /// The deadline has passed.
    #[error("the time is up")]
    TimedOut,
    /// Someone cancelled.
    #[error("it was cancelled")]
    Cancelled,
}

/// A switch that ends every wait that looks at it, once and for all. Clones are the same switch.
#[derive(Clone, Default)]
pub struct Cancel {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    cancelled: bool,
    next: u64,
    waiting: Vec<(u64, Box<dyn FnOnce() + Send>)>,
}

impl Cancel {
    /// A switch that nobody has turned yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Turns the switch. What was subscribed runs on this thread before the call returns.
    pub fn cancel(&self) {
        let mut state = self.lock();
        state.cancelled = true;
        let waiting = std::mem::take(&mut state.waiting);
        // A woken one may look at this switch.
        drop(state);
        waiting.into_iter().for_each(|(_, wake)| wake());
    }

    /// True once [`Cancel::cancel`] was called.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.lock().cancelled
    }

    /// Has `wake` called when the switch is turned, or now if it was. It should be short: it runs on the thread that
    /// cancels. Dropping the subscription withdraws it.
    pub fn on_cancel(&self, wake: impl FnOnce() + Send + 'static) -> Subscription {
        let mut state = self.lock();
        let id = state.next;
        state.next += 1;
        if state.cancelled {
            drop(state);
            wake();
        } else {
            state.waiting.push((id, Box::new(wake)));
        }
        Subscription { cancel: self.clone(), id }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Cancel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cancel").field("cancelled", &self.is_cancelled()).finish()
    }
}

/// A wish to be woken by a [`Cancel`]. Ends when dropped.
#[must_use = "dropping it withdraws the wish"]
#[derive(Debug)]
pub struct Subscription {
    cancel: Cancel,
    id: u64,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.cancel.lock().waiting.retain(|(id, _)| *id != self.id);
    }
}

/// When waiting ends: at a point in time, or when a [`Cancel`] is turned.
#[derive(Debug, Clone)]
pub struct Deadline {
    /// `None` lies too far ahead for the clock.
    at: Option<Instant>,
    cancel: Option<Cancel>,
}

impl Deadline {
    /// So long from now. A time that no clock can hold never comes.
    #[must_use]
    pub fn after(time: Duration) -> Self {
        Self { at: Instant::now().checked_add(time), cancel: None }
    }

    /// At this instant.
    #[must_use]
    pub fn at(instant: Instant) -> Self {
        Self { at: Some(instant), cancel: None }
    }

    /// The same deadline, which this switch ends early.
    #[must_use]
    pub fn cancelled_by(mut self, cancel: &Cancel) -> Self {
        self.cancel = Some(cancel.clone());
        self
    }

    /// The same deadline, or so long from now if that is sooner: for one step of several.
    #[must_use]
    pub fn within(&self, time: Duration) -> Self {
        let step = Instant::now().checked_add(time);
        let at = match (self.at, step) {
            (Some(whole), Some(step)) => Some(whole.min(step)),
            (whole, step) => whole.or(step),
        };
        Self { at, cancel: self.cancel.clone() }
    }

    /// How long is left: zero if it has passed or was cancelled.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        if self.is_cancelled() { Duration::ZERO } else { self.left() }
    }

    /// Goes on only before the deadline.
    ///
    /// # Errors
    /// [`Stopped`].
    pub fn check(&self) -> Result<(), Stopped> {
        if self.is_cancelled() {
            Err(Stopped::Cancelled)
        } else if self.left().is_zero() {
            Err(Stopped::TimedOut)
        } else {
            Ok(())
        }
    }

    /// Sleeps so long, but not beyond the deadline.
    ///
    /// # Errors
    /// [`Stopped`] if the deadline came first.
    pub fn sleep(&self, time: Duration) -> Result<(), Stopped> {
        match self.within(time).wait::<Infallible>(drop) {
            Err(Stopped::TimedOut) => self.check(),
            Err(Stopped::Cancelled) => Err(Stopped::Cancelled),
            Ok(never) => match never {},
        }
    }

    /// Waits for what another thread answers. `begin` gets the [`Reply`] and hands it on; one that is dropped without
    /// an answer is waited for until the deadline.
    ///
    /// # Errors
    /// [`Stopped`] if the deadline came first.
    pub fn wait<T: Send + 'static>(&self, begin: impl FnOnce(Reply<T>)) -> Result<T, Stopped> {
        let waiting = Arc::new(Waiting { ended: Mutex::new(None), changed: Condvar::new() });
        let woken = Arc::clone(&waiting);
        let cancelled = move || drop(woken.end(Err(Stopped::Cancelled)));
        let _cancelled = self.cancel.as_ref().map(|cancel| cancel.on_cancel(cancelled));
        begin(Reply(Arc::clone(&waiting)));
        waiting.wait(self.left())
    }

    /// Whether anything but time can end it.
    #[must_use]
    pub fn can_be_cancelled(&self) -> bool {
        self.cancel.is_some()
    }

    /// So much later, with the same switch.
    #[cfg(feature = "pcsc")]
    pub(crate) fn extended(&self, by: Duration) -> Self {
        Self { at: self.at.and_then(|at| at.checked_add(by)), cancel: self.cancel.clone() }
    }

    /// The same, or if less than `time` is left, so long from now, whatever the switch says: for what has to be tidied
    /// up at the end.
    #[cfg(feature = "pcsc")]
    pub(crate) fn at_least(&self, time: Duration) -> Self {
        if self.remaining() < time { Self::after(time) } else { self.clone() }
    }

    fn is_cancelled(&self) -> bool {
        self.cancel.as_ref().is_some_and(Cancel::is_cancelled)
    }

    fn left(&self) -> Duration {
        self.at.map_or(Duration::MAX, |at| at.saturating_duration_since(Instant::now()))
    }
}

/// A wait. Not a channel, of which there would be a whole one in the program for each kind of answer.
#[derive(Debug)]
struct Waiting<T> {
    /// How it ended; what came first counts.
    ended: Mutex<Option<Result<T, Stopped>>>,
    changed: Condvar,
}

impl<T> Waiting<T> {
    fn lock(&self) -> MutexGuard<'_, Option<Result<T, Stopped>>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends it, or gives back with what, if it has ended.
    fn end(&self, with: Result<T, Stopped>) -> Result<(), Result<T, Stopped>> {
        let mut ended = self.lock();
        if ended.is_some() {
            return Err(with);
        }
        *ended = Some(with);
        self.changed.notify_one();
        Ok(())
    }

    fn wait(&self, time: Duration) -> Result<T, Stopped> {
        let waited = self.changed.wait_timeout_while(self.lock(), time, |ended| ended.is_none());
        let (mut ended, _) = waited.unwrap_or_else(PoisonError::into_inner);
        // Whoever answers from now on is told that nobody waits.
        ended.replace(Err(Stopped::TimedOut)).unwrap_or(Err(Stopped::TimedOut))
    }
}

/// Where an answer goes that [`Deadline::wait`] waits for.
#[derive(Debug)]
pub struct Reply<T>(Arc<Waiting<T>>);

impl<T> Reply<T> {
    /// Answers.
    ///
    /// # Errors
    /// The answer itself, if nobody waits for it any more.
    pub fn send(self, answer: T) -> Result<(), T> {
        match self.0.end(Ok(answer)) {
            Err(Ok(answer)) => Err(answer),
            Ok(()) | Err(Err(_)) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn sleep_ends_at_the_deadline_and_says_so() {
        let start = Instant::now();
        let deadline = Deadline::after(Duration::from_millis(20));
        assert_eq!(deadline.sleep(LONG), Err(Stopped::TimedOut));
        assert!(start.elapsed() >= Duration::from_millis(20) && start.elapsed() < LONG);
        assert_eq!(deadline.check(), Err(Stopped::TimedOut));
        assert_eq!(deadline.remaining(), Duration::ZERO);
    }

    #[test]
    fn sleep_within_the_deadline_is_slept_out() {
        let start = Instant::now();
        assert_eq!(Deadline::after(LONG).sleep(Duration::from_millis(5)), Ok(()));
        assert!(start.elapsed() >= Duration::from_millis(5));
    }

    #[test]
    fn a_cancelled_wait_ends_at_once_from_any_thread_before_and_after() {
        let cancel = Cancel::new();
        let deadline = Deadline::after(LONG).cancelled_by(&cancel);
        assert_eq!(deadline.check(), Ok(()));
        let start = Instant::now();
        thread::scope(|scope| {
            scope.spawn(|| cancel.cancel());
            assert_eq!(deadline.sleep(LONG), Err(Stopped::Cancelled));
        });
        assert_eq!(deadline.wait::<()>(drop), Err(Stopped::Cancelled), "it stays cancelled");
        assert_eq!(deadline.check(), Err(Stopped::Cancelled));
        assert!(start.elapsed() < LONG / 2);
    }

    #[test]
    fn a_dropped_subscription_is_not_called_and_leaves_nothing_behind() {
        let cancel = Cancel::new();
        drop(cancel.on_cancel(|| panic!("withdrawn")));
        let deadline = Deadline::after(LONG).cancelled_by(&cancel);
        for _ in 0..10 {
            assert_eq!(deadline.wait(|reply| reply.send(7).unwrap()), Ok(7));
        }
        assert!(cancel.lock().waiting.is_empty());
        cancel.cancel();
    }

    #[test]
    fn an_answer_that_comes_too_late_goes_back_to_who_gives_it() {
        let (hand_over, handed_over) = mpsc::channel();
        let deadline = Deadline::after(Duration::from_millis(1));
        let waited = deadline.wait::<u8>(|reply| hand_over.send(reply).unwrap());
        assert_eq!(waited, Err(Stopped::TimedOut));
        assert_eq!(handed_over.recv().unwrap().send(9), Err(9));
    }

    #[test]
    fn a_step_ends_with_the_whole() {
        let whole = Deadline::after(LONG);
        assert!(whole.within(LONG * 10).remaining() <= LONG);
        assert!(whole.within(Duration::from_secs(1)).remaining() <= Duration::from_secs(1));
        let endless = Deadline::after(Duration::MAX);
        assert_eq!(endless.remaining(), Duration::MAX);
        assert!(endless.within(LONG).remaining() <= LONG);
        assert_eq!(endless.check(), Ok(()));
    }
}
