//! The operator's policy: what is tolerated, and how much may be paid at once.

use std::sync::Arc;

use crate::books::accounts::{OPERATOR, end_of_chain};
use crate::books::policy::stored;
use crate::domain::{Event, Policy, PolicyChange};
use crate::service::Verifier;
use crate::service::desk::Desk;
use crate::service::error::ServiceError;

impl Verifier {
    /// The operator's rules, as this process has read them last.
    #[must_use]
    pub fn policy(&self) -> Arc<Policy> {
        self.policy.known()
    }

    /// The operator's rules, read again if that was not done for 5 seconds. May read the store; not within a
    /// transaction.
    pub(crate) fn recent_policy(&self) -> Result<Arc<Policy>, ServiceError> {
        Ok(self.policy.recent(self.now(), || self.store.read(stored))?)
    }

    /// The operator's rules, read anew.
    ///
    /// # Errors
    /// [`ServiceError`] if the store fails.
    pub fn stored_policy(&self) -> Result<Policy, ServiceError> {
        Ok(self.store.read(stored)?)
    }
}

impl Desk<'_> {
    /// Changes the operator's rules, and returns what holds from now on: in this process at once, in others
    /// within 5 seconds. It needs a reason.
    ///
    /// # Errors
    /// [`ServiceError::Policy`], [`ServiceError::ReasonNeeded`], [`ServiceError`] if the store fails.
    pub fn change_policy(&self, change: &PolicyChange) -> Result<Policy, ServiceError> {
        self.reasoned()?;
        let policy = self.write(|db| {
            // Whoever changes it at the same time waits here.
            end_of_chain(db, OPERATOR)?;
            let before = stored(db)?;
            let policy = change.apply(&before)?;
            if policy != before {
                self.tell(db, OPERATOR, self.now(), &Event::PolicyChanged { policy: policy.clone() })?;
            }
            Ok::<_, ServiceError>(policy)
        })?;
        self.verifier.policy.set(policy.clone(), self.now());
        Ok(policy)
    }
}
