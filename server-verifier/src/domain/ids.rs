//! What names an entry of the log.

use std::fmt;
use std::str::FromStr;

use crate::domain::LedgerError;

/// Names an audit entry by its account's row and its place in the chain, such as `17-4`, and with it the hold
/// or the message that it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId {
    pub(crate) account: i64,
    pub(crate) sequence: i64,
}

/// A hold, named by the entry that placed it.
pub type HoldId = EntryId;

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.account, self.sequence)
    }
}

impl FromStr for EntryId {
    type Err = LedgerError;
    fn from_str(text: &str) -> Result<Self, LedgerError> {
        let number = |digits: &str| digits.parse().ok().filter(|number| *number > 0);
        let (account, sequence) = text.split_once('-').ok_or(LedgerError::NoSuchHold)?;
        let id = number(account).zip(number(sequence)).map(|(account, sequence)| Self { account, sequence });
        id.filter(|id| id.to_string() == text).ok_or(LedgerError::NoSuchHold)
    }
}

impl serde::Serialize for EntryId {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for EntryId {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
