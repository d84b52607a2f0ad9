//! The databases: SQLite, or PostgreSQL. Connections, queues, commits and locks; no rule.
//!
//! | room | what lives there |
//! |---|---|
//! | `schema` | tables and versions |
//! | `sqlite`, `postgres` | the stores: connections, commits, locks |
//! | `queue` | a decision that waits for the store |
//! | `roles` | as whom PostgreSQL keeps and uses the tables |
//! | `pool` | connections that callers borrow |

mod pool;
#[cfg(feature = "postgres")]
pub(crate) mod postgres;
mod queue;
pub(crate) mod roles;
mod schema;
pub(crate) mod sqlite;

use crate::books::decision::{Decider, Question};
use crate::books::sql::Sql;
use crate::domain::StoreError;
pub(crate) use queue::Load;
pub use queue::Pending;
pub use roles::Roles;
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

    /// What it has to do now.
    pub(crate) fn load(&self) -> Load {
        match self {
            Self::Sqlite(store) => store.load(),
            #[cfg(feature = "postgres")]
            Self::Postgres(store) => store.load(),
        }
    }

    /// Registers a request under way to the queue, until the guard is dropped; none where no commit waits for it.
    pub(crate) fn under_way(&self) -> Option<Coming> {
        match self {
            Self::Sqlite(store) => store.under_way(),
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

    /// The first part of the schema that is not as this program makes it: a table, column, constraint, index, trigger, view,
    /// function or rule that is changed, missing, or somebody else's.
    pub(crate) fn strange_part(&self) -> Result<Option<String>, StoreError> {
        match self {
            Self::Sqlite(store) => store.strange_part(),
            #[cfg(feature = "postgres")]
            Self::Postgres(store) => store.strange_part(),
        }
    }

    /// Runs `work`, which is short, on one consistent snapshot. A few callers may at a time; others wait.
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

    /// Runs `work`, which may take minutes, on one consistent snapshot and a connection of its own: nobody waits for it.
    pub(crate) fn read_long<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&mut dyn Sql) -> Result<T, E>,
    ) -> Result<T, E> {
        match self {
            Self::Sqlite(store) => store.read_long(work),
            #[cfg(feature = "postgres")]
            Self::Postgres(store) => store.read_long(work),
        }
    }

    /// Whether a decision could be committed now: commits something as small as can be.
    pub(crate) fn prove(&self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(store) => store.prove(),
            #[cfg(feature = "postgres")]
            Self::Postgres(store) => store.prove(),
        }
    }
}
