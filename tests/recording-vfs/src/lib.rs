//! A virtual file system for SQLite that writes down, in order, all that is done to the files of one folder:
//! what a power cut may take back. It passes everything on to SQLite's own file system for Unix.
//!
//! [`install`] makes it the default of the process, so that nothing in the program under test changes. Until a
//! folder is watched ([`Recording::start`]) nothing is written down.
//!
//! Not written down: the shared memory of a write-ahead log, which does not outlive the machine, and temporary
//! files without a name.

mod log;
mod vfs;

pub use log::{Entry, FileId, Log, Recording};
pub use vfs::{InstallError, install};
