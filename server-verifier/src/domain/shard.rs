//! Shards: parts of one bank, each with accounts of its own in a database of its own.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use onetap_apdu_spec::service::{NotASystemName, SystemName};

use crate::domain::{Lock, Timestamp};

/// The number of a shard, from 0 to 8191. A bank that is not spread is shard 0. The rows of the accounts that a shard opens begin
/// with its number, so that a row names one account in all shards, and an account keeps its row wherever it moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct Shard(u16);

/// A number that no shard can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a shard has a number from 0 to 8191")]
pub struct NotAShard;

/// How many bits of a row count the accounts of one shard. With the shard's number it has 53 bits, which every JSON reader keeps.
const BITS: u32 = 40;
const MAX: u16 = 8_191;
/// What the name of every shard begins with.
const NAME: &str = "shard-";

impl Shard {
    /// The shard in which the account of this row was opened; none if no shard has such rows.
    pub(crate) fn of_row(row: i64) -> Option<Self> {
        u16::try_from(row >> BITS).ok()?.try_into().ok()
    }

    /// The rows of the accounts that it opens, and of its operator. The first one is no account's in any shard but 0.
    pub(crate) fn rows(self) -> RangeInclusive<i64> {
        let first = i64::from(self.0) << BITS;
        first..=first + (1 << BITS) - 1
    }

    /// The name of the system that it is to another shard, which settles with it as with any other system.
    ///
    /// # Errors
    /// None of any number that a shard can have.
    pub(crate) fn system(self) -> Result<SystemName, NotASystemName> {
        self.to_string().parse()
    }

    /// Whether a system's name is kept for shards.
    pub(crate) fn is_named_by(system: &SystemName) -> bool {
        system.as_str().starts_with(NAME)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{NAME}{}", self.0)
    }
}

impl TryFrom<u16> for Shard {
    type Error = NotAShard;
    fn try_from(number: u16) -> Result<Self, NotAShard> {
        if number <= MAX { Ok(Self(number)) } else { Err(NotAShard) }
    }
}

impl From<Shard> for u16 {
    fn from(shard: Shard) -> Self {
        shard.0
    }
}

impl FromStr for Shard {
    type Err = NotAShard;
    fn from_str(text: &str) -> Result<Self, NotAShard> {
        text.parse::<u16>().map_err(|_| NotAShard)?.try_into()
    }
}

/// Why an account cannot move. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MoveError {
    /// Another server id.
    #[error(
        "the destination is another bank's; give a folder of the same bank, made by `init --shard` beside its keys.json"
    )]
    OtherBank,
    /// Both databases have one number.
    #[error("source and destination are both {0}; make the destination by `init` with another `--shard`")]
    SameShard(Shard),
    /// The number, or the row, is another account's.
    #[error(
        "the destination has an account with this number already, which did not move from there; close its use first"
    )]
    AccountThere,
    /// It was carried elsewhere before.
    #[error("the account has moved to {0} before; move it on from there")]
    MovedElsewhere(Shard),
    /// It is kept by another system, which has not answered yet.
    #[error(
        "another system has not answered what this account's payments wait for; record its answers first"
    )]
    AwaitsSystem,
    /// Its cards would be of no use.
    #[error(
        "the destination lacks a key that a card of this account is bound to; copy the source's keys.json there"
    )]
    KeyMissing,
    /// The chain was written by a later version of this program.
    #[error("the account's log has an event of a newer version; install a newer program")]
    NewerEvent,
    /// A client has used a key in both shards.
    #[error(
        "the destination has an answer under an idempotency key of this account; repeat the move in a day, when it is forgotten"
    )]
    SameKey,
}

/// What an account that moves has besides what its chain tells as it was: the shard that it leaves sets it free or forgets it, and
/// the one to which it moves takes it up.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Carried {
    /// Since when and why it was locked before it moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locked: Option<Lock>,
    /// Its open holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<CarriedHold>,
    /// Places of the entries that its messages tell which nobody took yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<i64>,
}

/// An open hold.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct CarriedHold {
    /// Place of the entry that placed it.
    pub sequence: i64,
    /// Minor units that are held.
    pub amount: u64,
    /// Row of who is to be paid, if that is known.
    pub payee: Option<i64>,
    /// The other system whose answer it waits for.
    pub system: Option<SystemName>,
    /// Since when.
    pub placed_at: Timestamp,
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn the_rows_of_two_shards_are_never_the_same() {
        let [first, second, last] = [0, 1, MAX].map(|number| Shard::try_from(number).unwrap());
        assert_eq!(first.rows(), 0..=1_099_511_627_775);
        assert_eq!(second.rows(), 1_099_511_627_776..=2_199_023_255_551);
        assert_eq!(*last.rows().end(), (1 << 53) - 1);
        for shard in [first, second, last] {
            assert_eq!([*shard.rows().start(), *shard.rows().end()].map(Shard::of_row), [Some(shard); 2]);
        }
        assert_eq!([-1, 1 << 53, i64::MAX].map(Shard::of_row), [None; 3]);
        assert_eq!(Shard::try_from(MAX + 1), Err(NotAShard));
    }
}
