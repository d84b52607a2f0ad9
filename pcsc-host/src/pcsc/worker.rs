//! Calls into PC/SC, made on threads of their own.
//!
//! PC/SC blocks for as long as a card, a driver or the service likes, and no call can be taken back. So a worker makes
//! the calls, one thread for one context, and whoever waits for it does so by a deadline. A call that was given up goes
//! on until the service answers or ends; it is counted, and what it brings is given back by the worker.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::deadline::{Deadline, Stopped};
use crate::error::ReaderError;

/// How much later than the deadline an answer is still taken that says more than that the time is up.
pub(crate) const GRACE: Duration = Duration::from_millis(50);

/// So many workers that were given up mean that the service is stuck.
const MOST_ABANDONED: usize = 16;

static ABANDONED: AtomicUsize = AtomicUsize::new(0);

/// How many calls into PC/SC of this process were given up and have not returned yet. Each holds a thread and a
/// context. They return when the card answers or leaves, or when the service ends.
#[must_use]
pub fn abandoned() -> usize {
    ABANDONED.load(Ordering::Relaxed)
}

/// Refuses to call a service that holds so many calls already.
pub(crate) fn may_start(deadline: &Deadline) -> Result<(), ReaderError> {
    match deadline.check() {
        Err(Stopped::Cancelled) => Err(ReaderError::Cancelled),
        _ if abandoned() >= MOST_ABANDONED => Err(ReaderError::ServiceSilent),
        _ => Ok(()),
    }
}

/// A thread with a state that its jobs work on. Once the worker is dropped, the thread drops the state after its last
/// job, and ends.
pub(crate) struct Worker<S> {
    jobs: Sender<Job<S>>,
    life: Life,
}

type Job<S> = Box<dyn FnOnce(&mut S) + Send>;

impl<S: Send + 'static> Worker<S> {
    /// Starts the thread. Where the system has none left, no job is ever answered.
    pub(crate) fn start(mut state: S) -> Self {
        let (jobs, inbox) = mpsc::channel::<Job<S>>();
        let life = Life::default();
        let theirs = life.clone();
        let work = move || {
            inbox.into_iter().for_each(|job| job(&mut state));
            drop(state);
            theirs.end();
        };
        let _ = thread::Builder::new().name("pcsc".to_owned()).spawn(work);
        Self { jobs, life }
    }

    /// Has `job` done by the thread, without waiting for it.
    pub(crate) fn tell(&self, job: impl FnOnce(&mut S) + Send + 'static) {
        // The thread is there as long as the worker is.
        let _ = self.jobs.send(Box::new(job));
    }

    /// Has `job` done by the thread and waits for its answer. A worker whose job was given up still does it, but is no
    /// use any more: drop it.
    pub(crate) fn ask<T: Send + 'static>(
        &self,
        deadline: &Deadline,
        job: impl FnOnce(&mut S) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        let answer = deadline.wait(move |reply| {
            self.tell(move |state| {
                // Nobody waits for a late answer.
                let _ = reply.send(job(state));
            });
        });
        answer.inspect_err(|_| self.life.abandon())
    }
}

/// Does `work` on a thread of its own and waits for its answer.
pub(crate) fn aside<T: Send + 'static>(
    deadline: &Deadline,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Stopped> {
    Worker::start(()).ask(deadline, move |()| work())
}

/// Where a worker's thread is, for the count of those that were given up.
#[derive(Clone, Default)]
struct Life(Arc<Mutex<Progress>>);

#[derive(Default, Clone, Copy)]
enum Progress {
    #[default]
    Running,
    Abandoned,
    Ended,
}

impl Life {
    fn abandon(&self) {
        let mut progress = self.lock();
        if matches!(*progress, Progress::Running) {
            *progress = Progress::Abandoned;
            ABANDONED.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn end(&self) {
        let before = std::mem::replace(&mut *self.lock(), Progress::Ended);
        if matches!(before, Progress::Abandoned) {
            ABANDONED.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_given_up_is_counted_until_its_thread_ends() {
        let (let_go, held) = mpsc::channel::<()>();
        let before = abandoned();
        let worker = Worker::start(());
        let asked = worker.ask(&Deadline::after(Duration::from_millis(5)), move |()| held.recv().is_err());
        assert_eq!(asked, Err(Stopped::TimedOut));
        drop(worker);
        assert_eq!(abandoned(), before + 1);
        drop(let_go);
        while abandoned() != before {
            thread::yield_now();
        }
    }
}
