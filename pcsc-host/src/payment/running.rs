//! A payment on a thread of its own, and its events as they come.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;

use futures_core::Stream;
use onetap_apdu_spec::service::{Answer, IdempotencyKey};

use super::{Control, Event, PaymentError, Till};
use crate::source::Draft;
use crate::tapped::VerificationPassword;

/// What a running payment tells: its events, and at last how it ended.
#[derive(Debug)]
pub enum Happened {
    /// The next event.
    Event(Event),
    /// The end; nothing follows.
    Ended(Result<Answer, PaymentError>),
}

/// A payment that runs on a thread of its own. Its events come from [`Iterator::next`], which waits for them, or, in
/// any asynchronous runtime, from it as a [`Stream`]. Dropping it cancels the payment; a request that is on its way
/// stays in the journal.
#[derive(Debug)]
pub struct Payment {
    control: Control,
    feed: Arc<Feed>,
}

/// The way from the payment's thread to whoever follows it.
#[derive(Debug, Default)]
struct Feed {
    queue: Mutex<Queue>,
    filled: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Happened>,
    waker: Option<Waker>,
    /// Nothing more comes.
    closed: bool,
}

impl Feed {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Queue)) {
        let mut queue = self.lock();
        change(&mut queue);
        let waker = queue.waker.take();
        drop(queue);
        self.filled.notify_one();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// The payment's end of the feed. Closes it even if the thread dies.
struct Teller(Arc<Feed>);

impl Teller {
    fn tell(&self, happened: Happened) {
        self.0.change(|queue| queue.waiting.push_back(happened));
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        self.0.change(|queue| queue.closed = true);
    }
}

impl Payment {
    /// Starts one. A till makes one payment at a time; a second one waits for the first to end.
    ///
    /// # Errors
    /// [`io::Error`] if no thread can be started.
    pub fn start(till: Arc<Mutex<Till>>, draft: Draft, key: Option<IdempotencyKey>) -> io::Result<Self> {
        let (control, feed) = (Control::new(), Arc::new(Feed::default()));
        let (steered, teller) = (control.clone(), Teller(Arc::clone(&feed)));
        thread::Builder::new().name("payment".to_owned()).spawn(move || {
            let mut till = till.lock().unwrap_or_else(PoisonError::into_inner);
            let ended = till.pay(&draft, key, &steered, &mut |event| teller.tell(Happened::Event(event)));
            // Whoever hears of the end may start the next one.
            drop(till);
            teller.tell(Happened::Ended(ended));
        })?;
        Ok(Self { control, feed })
    }

    /// Steers it, from any thread.
    #[must_use]
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// See [`Control::type_in`].
    pub fn type_in(&self, typed: VerificationPassword) -> bool {
        self.control.type_in(typed)
    }
}

impl Iterator for Payment {
    type Item = Happened;
    fn next(&mut self) -> Option<Happened> {
        let more = |queue: &mut Queue| queue.waiting.is_empty() && !queue.closed;
        let queue = self.feed.filled.wait_while(self.feed.lock(), more);
        queue.unwrap_or_else(PoisonError::into_inner).waiting.pop_front()
    }
}

impl Stream for Payment {
    type Item = Happened;
    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Happened>> {
        let mut queue = self.feed.lock();
        let happened = queue.waiting.pop_front();
        if happened.is_none() && !queue.closed {
            queue.waker = Some(context.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(happened)
    }
}

impl Drop for Payment {
    fn drop(&mut self) {
        self.control.cancel();
    }
}
