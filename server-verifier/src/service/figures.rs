//! Figures of the books and of the process, for whoever watches over them.

use std::collections::BTreeMap;

use crate::books::outbox::oldest_waiting;
use crate::domain::{Backlog, Timestamp};
use crate::service::Verifier;
use crate::service::error::ServiceError;
use crate::store::Load;

/// What is of interest at one moment.
pub(crate) struct Figures {
    /// Accounts that are locked.
    pub(crate) locked: u64,
    /// Alarms that this process has raised.
    pub(crate) alarms: u64,
    /// Requests that this process has refused, by reason.
    pub(crate) refusals: BTreeMap<&'static str, u64>,
    /// Messages for others.
    pub(crate) backlog: Backlog,
    /// When what the oldest message tells of happened, dead letters and what they hold back aside.
    pub(crate) oldest_waiting: Option<Timestamp>,
    /// When the last checkpoint was signed.
    pub(crate) checkpoint: Option<Timestamp>,
    /// What the store has to do.
    pub(crate) load: Load,
}

impl Verifier {
    /// Looks at everything.
    ///
    /// # Errors
    /// [`ServiceError`] if the store fails.
    pub(crate) fn figures(&self) -> Result<Figures, ServiceError> {
        let notices = &self.store.decider().notices;
        Ok(Figures {
            locked: self.locked_count()?,
            alarms: notices.alarms(),
            refusals: notices.refusals(),
            backlog: self.backlog()?,
            oldest_waiting: self.store.read(|db| Ok::<_, ServiceError>(oldest_waiting(db)?))?,
            checkpoint: self.checkpoints(None, 1)?.first().map(|last| last.at),
            load: self.store.load(),
        })
    }
}
