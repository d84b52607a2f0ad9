//! Cards that requests name, with their parsed keys.

use std::sync::Arc;

use crate::domain::Policy;
use crate::rules::verify::Enrolled;

/// An enrolled card, ready for use.
#[derive(Debug)]
pub(crate) struct Known {
    /// Row of its account.
    pub(crate) account: i64,
    pub(crate) card: Enrolled,
}

/// The card that a request names, and the operator's rules: all that judging needs of the store.
pub(crate) struct Claimed {
    pub(crate) named: Named,
    pub(crate) policy: Arc<Policy>,
}

/// What the store knows of a card that a request names.
pub(crate) enum Named {
    Enrolled(Arc<Known>),
    /// There is none: a stand-in, so that the answer takes as long.
    Unknown(Box<Enrolled>),
}

impl Claimed {
    pub(crate) fn card(&self) -> &Enrolled {
        match &self.named {
            Named::Enrolled(known) => &known.card,
            Named::Unknown(decoy) => decoy,
        }
    }

    /// Row of its account; none of a stand-in.
    pub(crate) fn account(&self) -> Option<i64> {
        match &self.named {
            Named::Enrolled(known) => Some(known.account),
            Named::Unknown(_) => None,
        }
    }
}
