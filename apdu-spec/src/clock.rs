//! Moments as they travel and as they are stored, and the clock as an input, as randomness is
//! ([`rng`](crate::rng)), so that one seed replays one run. The time that a card keeps for itself is another: it has
//! no date.

use std::fmt;

use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, PrimitiveDateTime};

/// A moment, UTC, in whole seconds since 1970. Its text form is RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(pub i64);

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = OffsetDateTime::from_unix_timestamp(self.0).map_err(|_| fmt::Error)?;
        f.write_str(&moment.format(&Rfc3339).map_err(|_| fmt::Error)?)
    }
}

impl TryFrom<String> for Timestamp {
    type Error = time::error::Parse;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        OffsetDateTime::parse(&text, &Rfc3339).map(|moment| Self(moment.unix_timestamp()))
    }
}

impl From<Timestamp> for String {
    fn from(moment: Timestamp) -> String {
        moment.to_string()
    }
}

impl From<OffsetDateTime> for Timestamp {
    fn from(moment: OffsetDateTime) -> Self {
        Self(moment.unix_timestamp())
    }
}

impl From<PrimitiveDateTime> for Timestamp {
    /// The moment of a date and time in UTC.
    fn from(moment: PrimitiveDateTime) -> Self {
        moment.assume_utc().into()
    }
}

impl Timestamp {
    /// Date and time in UTC; `None` outside of the years -9999 to 9999.
    #[must_use]
    pub fn date_time(self) -> Option<PrimitiveDateTime> {
        let moment = OffsetDateTime::from_unix_timestamp(self.0).ok()?;
        Some(PrimitiveDateTime::new(moment.date(), moment.time()))
    }
}

/// Where terminal and server take date and time from.
pub trait Clock: Send + Sync {
    /// Reads the clock.
    fn now(&self) -> Timestamp;
}

/// The operating system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        OffsetDateTime::now_utc().into()
    }
}

impl<F: Fn() -> Timestamp + Send + Sync> Clock for F {
    fn now(&self) -> Timestamp {
        self()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_written_and_read_as_rfc_3339() {
        let moment = Timestamp(1_790_000_000);
        assert_eq!(moment.to_string(), "2026-09-21T14:13:20Z");
        assert_eq!(Timestamp::try_from(moment.to_string()), Ok(moment));
        assert_eq!(moment.date_time().map(Timestamp::from), Some(moment));
        assert_eq!(Timestamp(i64::MAX).date_time(), None);
    }
}
