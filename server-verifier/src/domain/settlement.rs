//! Transactions that another system books.

use onetap_apdu_spec::service::SystemName;

use crate::domain::Timestamp;

/// What another system says of a transaction that it was asked to book.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Verdict {
    /// It has booked it.
    Settled,
    /// It has not and will not.
    Failed {
        /// Why, for the log.
        #[serde(default)]
        reason: String,
    },
}

/// How far a transaction is.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Settlement {
    /// This server has booked it.
    Booked,
    /// Another system is asked to book it; the money is held.
    Accepted {
        /// Which.
        system: SystemName,
    },
    /// That system has booked it, and so has this server.
    Settled {
        /// Which.
        system: SystemName,
        /// When that was known.
        at: Timestamp,
    },
    /// That system has not booked it: nobody has paid.
    Failed {
        /// Which.
        system: SystemName,
        /// When that was known.
        at: Timestamp,
    },
}
