//! What can go wrong with a server of our own.

use std::fmt;
use std::path::PathBuf;

/// Why there is no server, or it did not do what it was told.
#[derive(Debug)]
pub enum RigError {
    /// A package is not installed: which program is missing, and where.
    Missing(&'static str),
    /// Root may neither make a user namespace here nor become another user.
    NoUser,
    /// The system refused something.
    Io {
        /// What was tried.
        what: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// A program of PostgreSQL failed.
    Failed {
        /// Which, with its arguments.
        command: String,
        /// What it printed.
        output: String,
    },
    /// The server is not where it should be in time.
    TooLate {
        /// What was waited for.
        what: &'static str,
        /// Where the server tells why.
        log: PathBuf,
    },
}

impl RigError {
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}

impl fmt::Display for RigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(what) => write!(f, "no {what}; run scripts/setup test"),
            Self::NoUser => f.write_str(
                "PostgreSQL does not run as root, and root may not be another user here; run the tests as a plain user",
            ),
            Self::Io { what, source } => write!(f, "{what}: {source}"),
            Self::Failed { command, output } => write!(f, "{command} failed; it says: {}", output.trim()),
            Self::TooLate { what, log } => {
                write!(f, "PostgreSQL: no {what} in time; see {}", log.display())
            }
        }
    }
}

impl std::error::Error for RigError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
