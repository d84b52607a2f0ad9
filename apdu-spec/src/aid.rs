//! Application identifiers (ISO/IEC 7816-4 §12.2.3).

use std::fmt;

use serde::{Deserialize, Serialize};

/// Fewest bytes of an AID: the registered application provider identifier. A partial name has no fewer.
pub const AID_MIN: usize = 5;
/// Most bytes of an AID.
pub const AID_MAX: usize = 16;

/// An application identifier: 5 to 16 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Aid {
    len: u8,
    bytes: [u8; AID_MAX],
}

impl Aid {
    /// An AID of these bytes; `None` if there are fewer than 5 or more than 16.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "at most 16")]
    pub const fn new(aid: &[u8]) -> Option<Self> {
        if aid.len() < AID_MIN || aid.len() > AID_MAX {
            return None;
        }
        let mut bytes = [0; AID_MAX];
        let (used, _) = bytes.split_at_mut(aid.len());
        used.copy_from_slice(aid);
        Some(Self { len: aid.len() as u8, bytes })
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// True if `name` is this AID or its first bytes, at least 5.
    #[must_use]
    pub fn answers_to(&self, name: &[u8]) -> bool {
        name.len() >= AID_MIN && self.as_bytes().starts_with(name)
    }
}

impl fmt::Debug for Aid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Aid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes().iter().try_for_each(|byte| write!(f, "{byte:02X}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_and_partial_names() {
        let aid = Aid::new(&[1, 2, 3, 4, 5, 6]).unwrap();
        assert!(aid.answers_to(&[1, 2, 3, 4, 5]) && aid.answers_to(&[1, 2, 3, 4, 5, 6]));
        assert!(!aid.answers_to(&[1, 2, 3, 4]), "too short to be a name");
        assert!(!aid.answers_to(&[1, 2, 3, 4, 5, 6, 7]) && !aid.answers_to(&[1, 2, 3, 4, 6]));
        assert!(Aid::new(&[0; 4]).is_none() && Aid::new(&[0; 17]).is_none());
        assert_eq!(aid.to_string(), "010203040506");
    }
}
