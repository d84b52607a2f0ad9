//! The databases: SQLite, or PostgreSQL. Connections, queues, commits and locks; no rule.
//!
//! | room | what lives there |
//! |---|---|
//! | `schema` | tables and versions |
//! | `sqlite`, `postgres` | the stores |
//! | `fold` | SQLite's log, folded beside the writer |

mod fold;
#[cfg(feature = "postgres")]
pub(crate) mod postgres;
mod schema;
pub(crate) mod sqlite;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use crate::books::decision::{Decider, Question};
use crate::books::sql::Sql;
use crate::domain::StoreError;
use crate::rules::decide::Outcome;
pub(crate) use sqlite::Coming;

/// One of the stores.
#[derive(Debug)]
pub(crate) enum Store {
    Sqlite(Box<sqlite::SqliteStore>),
    #[cfg(feature = "postgres")]
    Postgres(Box<postgres::PostgresStore>),
}

impl Store {
    /// What it decides by.
    pub(crate) fn decider(&self) -> &Decider {
        match self {
            Self::Sqlite(store) => store.decider(),
            #[cfg(feature = "postgres")]
            Self::Postgres(store) => store.decider(),
        }
    }

    /// Says that a request is under way to the queue, until that is dropped; none where nobody waits for it.
    pub(crate) fn under_way(&self) -> Option<Coming> {
        match self {
            Self::Sqlite(store) => Some(store.under_way()),
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => None,
        }
    }

    /// Queues a decision. It is durable before it is answered.
    pub(crate) fn submit(&self, question: Question) -> Result<Pending, StoreError> {
        match self {
            Self::Sqlite(store) => store.submit(question),
            #[cfg(feature = "postgres")]
            Self::Postgres(store) => store.submit(question),
        }
    }

    /// Runs `work` in one writing transaction: all of it is durable when this returns `Ok`, none of it
    /// is written otherwise.
    pub(crate) fn write<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&mut dyn Sql) -> Result<T, E>,
    ) -> Result<T, E> {
        match self {
            Self::Sqlite(store) => store.write(work),
            #[cfg(feature = "postgres")]
            Self::Postgres(store) => store.write(work),
        }
    }

    /// Runs `work` on one consistent snapshot.
    pub(crate) fn read<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&mut dyn Sql) -> Result<T, E>,
    ) -> Result<T, E> {
        match self {
            Self::Sqlite(store) => store.read(work),
            #[cfg(feature = "postgres")]
            Self::Postgres(store) => store.read(work),
        }
    }
}

/// A decision in the store's queue.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) question: Question,
    answer: oneshot::Sender<Result<Outcome, StoreError>>,
}

impl Job {
    /// Answers, once the decision is durable. Nobody may be waiting any more: then the same idempotency key
    /// finds the answer.
    pub(crate) fn answer(self, outcome: Result<Outcome, StoreError>) {
        let _gone = self.answer.send(outcome);
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
