//! PostgreSQL for tests and benchmarks: real servers of Debian's package, each in a folder of its own, reached by a Unix
//! socket only, gone with the process that started them, however that ends.
//!
//! | room | what lives there |
//! |---|---|
//! | [`cluster`] | a server: start, kill -9, restart, databases, its programs |
//! | [`standby`] | a second server that follows the first synchronously, and takes over |
//! | [`pooler`] | pgbouncer before a server |
//! | [`kept`] | a child process that ends with its parent |
//! | [`user`] | PostgreSQL refuses to run as root: as whom, then |
//!
//! It knows none of our other rooms, so that any of them may use it in its tests.

pub mod cluster;
mod error;
pub mod kept;
pub mod pooler;
pub mod standby;
pub mod user;

pub use cluster::{Cluster, Settings};
pub use error::RigError;
pub use kept::Kept;
pub use pooler::Pooler;
