//! A decision that waits for the store, and whoever waits for its answer.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use crate::books::decision::{Decided, Question};
use crate::books::notice::Notice;
use crate::domain::StoreError;
use crate::rules::decide::Outcome;

/// A decision in the store's queue.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) question: Question,
    answer: oneshot::Sender<Result<Outcome, StoreError>>,
    _counted: Counted,
}

impl Job {
    /// Answers, once the decision is durable, and gives the notice that it came to. Nobody may be waiting any more: then
    /// the same idempotency key finds the answer.
    pub(crate) fn answer(self, decided: Result<Decided, StoreError>) {
        let _gone = self.answer.send(decided.map(|Decided { outcome, notice }| {
            notice.inspect(Notice::give);
            outcome
        }));
    }
}

/// What a store has to do at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// Decisions that are queued or being made.
    pub(crate) queued: usize,
    /// Connections besides those of the decisions.
    pub(crate) connections: usize,
    /// Those of them that are in use.
    pub(crate) in_use: usize,
}

/// How many jobs are queued or being done; shared by all who have a copy.
#[derive(Debug, Clone, Default)]
pub(crate) struct Line(Arc<AtomicUsize>);

impl Line {
    pub(crate) fn length(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// A job and what waits for its answer.
    pub(crate) fn slot(&self, question: Question) -> (Job, Pending) {
        let (answer, waiting) = oneshot::channel();
        self.0.fetch_add(1, Ordering::Relaxed);
        let job = Job { question, answer, _counted: Counted(self.clone()) };
        (job, Pending(State::Queued(waiting)))
    }
}

/// A job that counts until this is dropped.
#[derive(Debug)]
struct Counted(Line);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A request under way: await it, or [`Pending::wait`] for it. Dropping it does not stop the decision; the
/// idempotency key tells later what became of it.
#[derive(Debug)]
pub struct Pending(State);

#[derive(Debug)]
enum State {
    /// Settled without the store.
    Settled(Option<Outcome>),
    Queued(oneshot::Receiver<Result<Outcome, StoreError>>),
}

impl Pending {
    pub(crate) fn settled(outcome: Outcome) -> Self {
        Self(State::Settled(Some(outcome)))
    }

    /// Blocks until the decision is durable. Not for asynchronous code.
    ///
    /// # Errors
    /// [`StoreError`] if the store fails: then nothing was decided, or it is not known; the same
    /// idempotency key tells.
    pub fn wait(self) -> Result<Outcome, StoreError> {
        match self.0 {
            State::Settled(outcome) => Ok(outcome.unwrap_or(Outcome::Busy)),
            State::Queued(waiting) => settle(waiting.blocking_recv()),
        }
    }
}

impl Future for Pending {
    type Output = Result<Outcome, StoreError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Settled(outcome) => Poll::Ready(Ok(outcome.take().unwrap_or(Outcome::Busy))),
            State::Queued(waiting) => Pin::new(waiting).poll(context).map(settle),
        }
    }
}

fn settle(
    answer: Result<Result<Outcome, StoreError>, oneshot::error::RecvError>,
) -> Result<Outcome, StoreError> {
    match answer {
        Ok(Ok(outcome)) => Ok(outcome),
        Ok(Err(StoreError::Locked)) => Ok(Outcome::Busy),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(StoreError::Stopped),
    }
}
