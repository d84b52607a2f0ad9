//! Names of what the ledger has booked.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::header::CardId;

/// Names one transaction of the ledger by what made it. Written as text everywhere; each id has one text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum TransactionId {
    /// What a card signed, such as `0123456789abcdef00000001`. A card signs, and the server executes, each counter
    /// value at most once, so the id is known before anything is sent.
    Signed {
        /// The card's id.
        card: CardId,
        /// Its counter value C.
        counter: u32,
    },
    /// What was paid out of a hold that the operator captured, such as `capture-17-4`.
    Capture {
        /// Row of the account whose money was held.
        account: i64,
        /// Number of the event that placed the hold, in the account's log.
        sequence: i64,
    },
    /// The opposite of a transaction of the first two kinds, such as `reversal-capture-17-4`; see
    /// [`TransactionId::reversal`].
    Reversal(Box<TransactionId>),
    /// What an account had when it was opened, such as `opening-17`.
    Opening {
        /// Row of the account.
        account: i64,
    },
    /// What followed an account to the shard that it has moved to, such as `carried-17-4`.
    Carried {
        /// Row of what settles with that shard, in the shard that sent it.
        account: i64,
        /// Number of the event that sent it, in the log of that row.
        sequence: i64,
    },
}

/// Text that names no transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a transaction's id is the card's id and its counter, 24 digits of 0-9 and a-f; or capture- and a hold, reversal- \
     and one of these, opening- and a number, carried- and an entry of the log"
)]
pub struct NotATransactionId;

impl TransactionId {
    /// The id of what `card` signed with `counter`.
    #[must_use]
    pub const fn of(card: CardId, counter: u32) -> Self {
        Self::Signed { card, counter }
    }

    /// The card and the counter value, if a card signed it.
    #[must_use]
    pub const fn signed(&self) -> Option<(CardId, u32)> {
        match self {
            Self::Signed { card, counter } => Some((*card, *counter)),
            Self::Capture { .. } | Self::Reversal(_) | Self::Opening { .. } | Self::Carried { .. } => None,
        }
    }

    /// The id of its reversal; `None` if it is one itself, an opening balance or what was carried to another shard: these are not
    /// reversed.
    #[must_use]
    pub fn reversal(&self) -> Option<Self> {
        match self {
            Self::Signed { .. } | Self::Capture { .. } => Some(Self::Reversal(Box::new(self.clone()))),
            Self::Reversal(_) | Self::Opening { .. } | Self::Carried { .. } => None,
        }
    }
}

impl fmt::Display for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signed { card, counter } => write!(f, "{card}{counter:08x}"),
            Self::Capture { account, sequence } => write!(f, "capture-{account}-{sequence}"),
            Self::Reversal(original) => write!(f, "reversal-{original}"),
            Self::Opening { account } => write!(f, "opening-{account}"),
            Self::Carried { account, sequence } => write!(f, "carried-{account}-{sequence}"),
        }
    }
}

impl FromStr for TransactionId {
    type Err = NotATransactionId;
    fn from_str(text: &str) -> Result<Self, NotATransactionId> {
        let id = match text.split_once('-') {
            Some(("reversal", text)) => original(text).and_then(|original| original.reversal()),
            Some(("opening", account)) => row(account).map(|account| Self::Opening { account }),
            Some(("carried", sent)) => {
                entry(sent).map(|(account, sequence)| Self::Carried { account, sequence })
            }
            _ => original(text),
        };
        id.filter(|id| id.to_string() == text).ok_or(NotATransactionId)
    }
}

/// Reads the id of what can be reversed; the caller checks that it is spelled in its one way.
fn original(text: &str) -> Option<TransactionId> {
    if let Some(hold) = text.strip_prefix("capture-") {
        let (account, sequence) = entry(hold)?;
        return Some(TransactionId::Capture { account, sequence });
    }
    let (card, counter) = text.split_at_checked(16)?;
    Some(TransactionId::of(card.parse().ok()?, u32::from_str_radix(counter, 16).ok()?))
}

/// Row and place of an entry of the log.
fn entry(text: &str) -> Option<(i64, i64)> {
    let (account, sequence) = text.split_once('-')?;
    row(account).zip(row(sequence))
}

fn row(digits: &str) -> Option<i64> {
    digits.parse().ok().filter(|number| *number > 0)
}

impl TryFrom<String> for TransactionId {
    type Error = NotATransactionId;
    fn try_from(text: String) -> Result<Self, NotATransactionId> {
        text.parse()
    }
}

impl From<TransactionId> for String {
    fn from(id: TransactionId) -> String {
        id.to_string()
    }
}
