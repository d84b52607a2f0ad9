//! A decision that waits for the store, and whoever waits for its answer.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use crate::books::alarm::Alarm;
use crate::books::decision::{Decided, Question};
use crate::domain::StoreError;
use crate::rules::decide::Outcome;

/// A decision in the store's queue.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) question: Question,
    answer: oneshot::Sender<Result<Outcome, StoreError>>,
}

impl Job {
    /// Answers, once the decision is durable, and raises the alarm that it came to. Nobody may be waiting any more: then
    /// the same idempotency key finds the answer.
    pub(crate) fn answer(self, decided: Result<Decided, StoreError>) {
        let _gone = self.answer.send(decided.map(|Decided { outcome, alarm }| {
            alarm.inspect(Alarm::raise);
            outcome
        }));
    }
}

/// A job and what waits for its answer.
pub(crate) fn queue_slot(question: Question) -> (Job, Pending) {
    let (answer, waiting) = oneshot::channel();
    (Job { question, answer }, Pending(State::Queued(waiting)))
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
