//! Which applets are on the card, and which one a name means.

use serde::{Deserialize, Serialize};

use onetap_apdu_spec::aid::Aid;

/// Life cycle of an applet that can be selected (GlobalPlatform Card Specification §5.3).
pub const SELECTABLE: u8 = 0x07;
/// Life cycle of an applet that has been personalised.
pub const PERSONALISED: u8 = 0x0F;
/// This bit of the life cycle locks an applet.
pub const LOCKED: u8 = 0x80;

/// First privilege byte: the applet is a security domain (GlobalPlatform Card Specification §6.6).
pub const SECURITY_DOMAIN: u8 = 0x80;
/// First privilege byte: selected on the basic channel at reset.
pub const DEFAULT_SELECTED: u8 = 0x04;

/// An applet instance in the registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Its name.
    pub aid: Aid,
    /// The module that it was made of.
    pub module: Aid,
    /// Its life cycle state.
    pub state: u8,
    /// Its privileges.
    pub privileges: [u8; 3],
    /// Who owns its objects.
    pub(super) owner: u8,
}

impl Instance {
    /// True if it may be selected now.
    #[must_use]
    pub fn is_selectable(&self) -> bool {
        self.state & LOCKED == 0 && self.state & SELECTABLE == SELECTABLE
    }

    /// True if it is a security domain.
    #[must_use]
    pub fn is_security_domain(&self) -> bool {
        self.privileges[0] & SECURITY_DOMAIN != 0
    }

    pub(super) fn is_default(&self) -> bool {
        self.privileges[0] & DEFAULT_SELECTED != 0
    }
}

/// Which of several applets that answer to a partial name is meant (ISO/IEC 7816-4 §11.2.2, P2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Occurrence {
    First,
    Last,
    Next,
    Previous,
}

impl Occurrence {
    pub(super) fn from_p2(p2: u8) -> Self {
        match p2 & 3 {
            0 => Self::First,
            1 => Self::Last,
            2 => Self::Next,
            _ => Self::Previous,
        }
    }

    /// The one meant among `matching` positions, in order, seen from the `current` one.
    pub(super) fn pick(
        self,
        mut matching: impl DoubleEndedIterator<Item = usize>,
        current: Option<usize>,
    ) -> Option<usize> {
        match (self, current) {
            (Self::First, _) | (Self::Next, None) => matching.next(),
            (Self::Last, _) | (Self::Previous, None) => matching.next_back(),
            (Self::Next, Some(current)) => matching.find(|at| *at > current),
            (Self::Previous, Some(current)) => matching.rfind(|at| *at < current),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn occurrences_go_through_all_that_match() {
        let pick = |occurrence: Occurrence, current| occurrence.pick([1, 4, 6].into_iter(), current);
        assert_eq!(pick(Occurrence::First, Some(4)), Some(1));
        assert_eq!(pick(Occurrence::Last, Some(4)), Some(6));
        assert_eq!(pick(Occurrence::Next, Some(4)), Some(6));
        assert_eq!(pick(Occurrence::Next, Some(6)), None);
        assert_eq!(pick(Occurrence::Previous, Some(4)), Some(1));
        assert_eq!(pick(Occurrence::Previous, Some(1)), None);
        assert_eq!(pick(Occurrence::Next, None), Some(1));
        assert_eq!(pick(Occurrence::Previous, None), Some(6));
    }
}
