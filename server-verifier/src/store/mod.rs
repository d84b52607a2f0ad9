//! The databases: SQLite, or PostgreSQL. Connections, queues, commits and locks; no rule.
//!
//! | room | what lives there |
//! |---|---|
//! | `schema` | tables and versions |
//! | `sqlite`, `postgres` | the stores |
//! | `queue` | a decision that waits for the store |
//! | `fold` | SQLite's log, folded beside the writer |

mod fold;
#[cfg(feature = "postgres")]
pub(crate) mod postgres;
mod queue;
mod schema;
pub(crate) mod sqlite;

use crate::books::decision::{Decider, Question};
use crate::books::sql::Sql;
use crate::domain::StoreError;
pub use queue::Pending;
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
