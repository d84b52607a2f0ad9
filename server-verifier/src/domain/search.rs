//! What is sought in the log, and places in the order of time.

use std::fmt;
use std::str::FromStr;

use onetap_apdu_spec::account::AccountNumber;
use onetap_apdu_spec::txn::TerminalId;

use crate::domain::{NotAPlace, Timestamp};

/// Which entries of the log.
#[derive(Debug, Clone)]
pub struct Sought {
    /// Whose chain has them.
    pub chain: Chain,
    /// Name of their event.
    pub event: Option<EventName>,
    /// The terminal that their event names.
    pub terminal: Option<TerminalId>,
    /// Not before this moment.
    pub from: Timestamp,
    /// Not after this moment.
    pub to: Timestamp,
}

impl Sought {
    /// Everything between two moments, both of them included, in all chains; without end where one is left out.
    #[must_use]
    pub fn between(from: Option<Timestamp>, to: Option<Timestamp>) -> Self {
        let (from, to) = (from.unwrap_or(Timestamp(i64::MIN)), to.unwrap_or(Timestamp(i64::MAX)));
        Self { chain: Chain::All, event: None, terminal: None, from, to }
    }
}

/// Whose chain is searched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chain {
    /// All chains.
    All,
    /// The operator's own.
    Operator,
    /// This account's.
    Account(AccountNumber),
}

/// Name of an event, such as `wrong-password`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct EventName(String);

/// Not the name of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the name of an event has 1 to 40 of a-z and -")]
pub struct NotAnEvent;

impl EventName {
    /// What was executed.
    #[must_use]
    pub fn executed() -> Self {
        Self("executed".to_owned())
    }
}

impl AsRef<str> for EventName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for EventName {
    type Error = NotAnEvent;
    fn try_from(name: String) -> Result<Self, NotAnEvent> {
        let good = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        if good && (1..=40).contains(&name.len()) { Ok(Self(name)) } else { Err(NotAnEvent) }
    }
}

/// A place in the order of time; the default is before all entries. As text it is for this server alone to read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TimePlace {
    pub(crate) at: i64,
    pub(crate) account: i64,
    pub(crate) sequence: i64,
}

impl fmt::Display for TimePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.at, self.account, self.sequence)
    }
}

impl FromStr for TimePlace {
    type Err = NotAPlace;
    fn from_str(text: &str) -> Result<Self, NotAPlace> {
        let numbers: Result<Vec<i64>, _> = text.split('.').map(str::parse).collect();
        match numbers.as_deref() {
            Ok([at, account, sequence]) => Ok(Self { at: *at, account: *account, sequence: *sequence }),
            _ => Err(NotAPlace),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_is_written() {
        let place: TimePlace = "1790000000.17.4".parse().unwrap();
        assert_eq!(place.to_string(), "1790000000.17.4");
        for text in ["", "1", "1.2", "1.2.3.4", "1.2.x", "9223372036854775808.1.1"] {
            assert_eq!(text.parse::<TimePlace>(), Err(NotAPlace), "{text}");
        }
    }
}
