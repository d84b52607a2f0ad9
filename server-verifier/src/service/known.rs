//! Cards that requests name, with their parsed keys.

use std::sync::Arc;

use crate::rules::verify::Enrolled;

/// An enrolled card, ready for use.
#[derive(Debug)]
pub(crate) struct Known {
    /// Row of its account.
    pub(crate) account: i64,
    pub(crate) card: Enrolled,
}

/// The card that a request names.
pub(crate) enum Claimed {
    Enrolled(Arc<Known>),
    /// There is none: a stand-in, so that the answer takes as long.
    Unknown(Box<Enrolled>),
}

impl Claimed {
    pub(crate) fn card(&self) -> &Enrolled {
        match self {
            Self::Enrolled(known) => &known.card,
            Self::Unknown(decoy) => decoy,
        }
    }

    /// Row of its account; none of a stand-in.
    pub(crate) fn account(&self) -> Option<i64> {
        match self {
            Self::Enrolled(known) => Some(known.account),
            Self::Unknown(_) => None,
        }
    }
}
