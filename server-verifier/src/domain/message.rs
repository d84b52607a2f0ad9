//! What others are told.

use onetap_apdu_spec::account::AccountNumber;
use onetap_apdu_spec::header::ServerId;

use crate::domain::{EntryId, Event, Timestamp};

/// What a message tells of.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    serde::Serialize,
    serde::Deserialize,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Topic {
    /// An account was locked.
    AccountLocked,
    /// An encrypted joint password did not open (REQ-V-22).
    Alarm,
    /// A transaction was executed.
    Executed,
    /// A transaction was accepted for another system, which is asked to book it.
    Execute,
    /// That system has booked it.
    Settled,
    /// That system has not booked it.
    Failed,
    /// A hold was captured.
    Captured,
    /// A transaction was reversed.
    Reversed,
}

impl Topic {
    /// Whether it is for those only who asked to be told of each transaction; the others are told in any case.
    pub(crate) fn is_announcement(self) -> bool {
        match self {
            Self::AccountLocked | Self::Alarm | Self::Execute => false,
            Self::Executed | Self::Settled | Self::Failed | Self::Captured | Self::Reversed => true,
        }
    }
}

/// One message, as it is sent. Sent again, it is the same to the byte.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Message {
    /// The same for every copy: `{server}-{account row}-{sequence}`. Who has seen it ignores it.
    pub id: String,
    /// What it tells of.
    pub topic: Topic,
    /// Who tells it.
    pub server: ServerId,
    /// Which account it concerns.
    pub account: AccountNumber,
    /// The order of an account's messages: it rises, with gaps.
    pub sequence: i64,
    /// When it happened.
    pub at: Timestamp,
    /// What happened, as the audit chain has it.
    pub event: Event,
}

/// A message that nobody took.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct DeadLetter {
    /// Names it to whoever sends it again or discards it.
    pub message: EntryId,
    /// What it tells of.
    pub topic: Topic,
    /// Which account it concerns.
    pub account: AccountNumber,
    /// How often it was sent.
    pub attempts: u32,
    /// Why it was not taken the last time.
    pub failure: String,
    /// Since when nobody tries any more.
    pub dead_at: Timestamp,
}

/// How far a message is that was not taken yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MessageState {
    /// It is sent as soon as it is due.
    Waiting,
    /// It comes after a dead letter of its account.
    HeldBack,
    /// A dead letter.
    Dead,
}

/// A message that was not taken yet, for the operator.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct MessageView {
    /// Names it to whoever sends it again or discards it.
    pub message: EntryId,
    /// What it tells of.
    pub topic: Topic,
    /// Which account it concerns.
    pub account: AccountNumber,
    /// How far it is.
    pub state: MessageState,
    /// How often it was sent.
    pub attempts: u32,
    /// Why it was not taken the last time, if it was sent.
    pub failure: Option<String>,
    /// When it is sent next, or later; none unless it is waiting.
    pub due_at: Option<Timestamp>,
    /// Since when nobody tries any more.
    pub dead_at: Option<Timestamp>,
}

/// How much waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Backlog {
    /// Messages that were not taken yet, dead letters and what they hold back included.
    pub waiting: u64,
    /// Dead letters.
    pub dead: u64,
}
