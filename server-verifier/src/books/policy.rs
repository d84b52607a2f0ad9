//! The operator's policy, as decisions have it.

use std::sync::{Arc, PoisonError, RwLock};

use crate::books;
use crate::books::sql::Sql;
use crate::domain::{Policy, StoreError, Timestamp};

/// Seconds for which the policy in memory is used without a look at the table: so long one that another process has changed
/// may go on.
const RECHECK: u64 = 5;

/// The policy that holds, shared by all who decide in this process.
#[derive(Debug, Clone)]
pub(crate) struct CurrentPolicy(Arc<RwLock<Known>>);

#[derive(Debug)]
struct Known {
    policy: Arc<Policy>,
    /// When the row was read.
    read: Timestamp,
}

impl CurrentPolicy {
    /// The policy as it was read at `now`.
    pub(crate) fn new(policy: Policy, now: Timestamp) -> Self {
        Self(Arc::new(RwLock::new(Known { policy: Arc::new(policy), read: now })))
    }

    /// The policy as it was read last.
    pub(crate) fn known(&self) -> Arc<Policy> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner).policy)
    }

    /// The policy, if it was read a short while ago.
    pub(crate) fn fresh(&self, now: Timestamp) -> Option<Arc<Policy>> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        (now.0.abs_diff(known.read.0) < RECHECK).then(|| Arc::clone(&known.policy))
    }

    /// The policy, read again by `stored` if that was not done for a while.
    pub(crate) fn recent(
        &self,
        now: Timestamp,
        stored: impl FnOnce() -> Result<Policy, StoreError>,
    ) -> Result<Arc<Policy>, StoreError> {
        if let Some(fresh) = self.fresh(now) {
            return Ok(fresh);
        }
        self.set(stored()?, now);
        Ok(self.known())
    }

    /// Takes up what has been read or written at `now`.
    pub(crate) fn set(&self, policy: Policy, now: Timestamp) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) =
            Known { policy: Arc::new(policy), read: now };
    }
}

/// The policy in the table.
pub(crate) fn stored(db: &mut dyn Sql) -> Result<Policy, StoreError> {
    const BAD: StoreError = StoreError::BadRow { what: "policy" };
    let policy = db.first("SELECT policy FROM server", &[], |row| {
        books::from_json::<Policy>(row.text("policy")?, "policy")
    })?;
    policy.filter(|policy| policy.check().is_ok()).ok_or(BAD)
}
