//! The lines of a trace: the header, and the events.

use onetap_apdu_spec::account::Alias;
use onetap_apdu_spec::suite::Suite;
use onetap_apdu_spec::txn::{TerminalId, Transaction};
use serde::{Deserialize, Serialize};
use time::PrimitiveDateTime;

use super::pattern::BytePattern;
use super::response::ResponsePattern;
use crate::source::{Draft, FieldErrors, Fields};

/// The version of the format that this crate writes and reads.
pub const SCHEMA: u32 = 1;

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Header {
    /// Always [`SCHEMA`].
    #[serde(rename = "onetap-trace")]
    pub schema: u32,
    /// What the trace shows.
    pub description: String,
    /// The suite of the card that it was recorded with, and must be replayed with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suite: Option<Suite>,
    /// Requirements that it is evidence for, such as `P-04`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clauses: Vec<String>,
    /// The program that recorded it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded_by: Option<String>,
    /// Seed of the card's randomness, if it was not the operating system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// The card's clock at the start, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "moment::option")]
    pub virtual_time: Option<PrimitiveDateTime>,
    /// When the recording began, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "moment::option")]
    pub started: Option<PrimitiveDateTime>,
    /// The card that it was recorded with, as far as it tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card: Option<Identity>,
}

/// What tells one card from another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Identity {
    /// Its answer to reset.
    #[serde(with = "digits")]
    pub atr: Vec<u8>,
    /// What it answered when it was asked who it is, in this order.
    #[serde(default)]
    pub answers: Vec<Answer>,
}

/// A command that only reads, and its response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Answer {
    /// Command APDU.
    #[serde(with = "digits")]
    pub command: Vec<u8>,
    /// Response APDU.
    #[serde(with = "digits")]
    pub response: Vec<u8>,
}

/// Bytes as capital hexadecimal digits.
mod digits {
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&hex::encode_upper(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        hex::decode(String::deserialize(from)?).map_err(de::Error::custom)
    }
}

impl Header {
    /// A header that says only what the trace shows.
    #[must_use]
    pub fn new(description: impl Into<String>) -> Self {
        Self {
            schema: SCHEMA,
            description: description.into(),
            suite: None,
            clauses: Vec::new(),
            recorded_by: None,
            seed: None,
            virtual_time: None,
            started: None,
            card: None,
        }
    }
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Event {
    /// The card enters the field or is put in: power, and its answer to reset.
    #[serde(rename_all = "kebab-case")]
    FieldIn {
        /// Answer to reset.
        #[serde(default)]
        atr: BytePattern,
    },
    /// The card leaves.
    FieldOut {},
    /// The reader resets the card, which stays where it is.
    Reset {
        /// Answer to reset.
        #[serde(default)]
        atr: BytePattern,
    },
    /// A command APDU.
    Command(BytePattern),
    /// PUT TXN with a message made at replay, because the payer alias differs from card to card.
    PutTxn(Box<PutTxn>),
    /// The response to the command before.
    Response(ResponsePattern),
    /// The command before got no response: the card left.
    NoResponse {},
    /// What the card's display shows.
    Screen(Vec<String>),
    /// The holder presses a key on the card.
    Key(Key),
    /// Time passes on the card's clock, in milliseconds.
    TickMs(u64),
    /// Predicates over everything so far.
    Check(Vec<String>),
    /// The terminal sends a request to the server, which decides.
    Server(ServerStep),
}

/// One request to the server, in the words of whoever plays the terminal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ServerStep {
    /// What is sent, such as `as-shown` or `wrong-password`.
    pub request: String,
    /// What comes of it, such as `executed` or `refused`.
    pub outcome: String,
}

/// Keys of the card, without what would give the PIN away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Key {
    /// Confirm, or end of PIN entry.
    Confirm,
    /// Cancel.
    Cancel,
    /// Next page.
    Next,
    /// Previous page.
    Previous,
    /// Drop the digits typed so far.
    Clear,
    /// The next digit of the right PIN.
    Digit,
    /// A digit that is not the PIN's next one.
    WrongDigit,
}

/// Everything of a transaction message but the payer alias.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PutTxn {
    /// As a person would type them.
    pub fields: Fields,
    /// The terminal.
    pub terminal: TerminalId,
    /// Date and time, UTC.
    #[serde(with = "moment")]
    pub at: PrimitiveDateTime,
    /// The terminal's random number.
    #[serde(with = "hex::serde")]
    pub unpredictable_number: [u8; 4],
    /// The payer alias; left out for the one that the card gave last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payer: Option<Alias>,
}

impl PutTxn {
    /// The transaction for this payer.
    ///
    /// # Errors
    /// [`FieldErrors`].
    pub fn transaction(&self, payer: Alias) -> Result<Transaction, FieldErrors> {
        let draft = self.fields.draft()?;
        Ok(draft.complete(payer, self.at, self.terminal.clone(), self.unpredictable_number))
    }
}

impl From<&Transaction> for PutTxn {
    /// Leaves the payer alias out.
    fn from(t: &Transaction) -> Self {
        let draft = Draft {
            kind: t.kind,
            payee_account: t.payee_account.clone(),
            payee_name: t.payee_name.clone(),
            amount: t.amount,
            reference: t.reference.clone(),
            details: t.details.clone(),
        };
        Self {
            fields: Fields::from(&draft),
            terminal: t.terminal.clone(),
            at: t.at,
            unpredictable_number: t.unpredictable_number,
            payer: None,
        }
    }
}

/// Date and time as `2026-07-01T12:00:00`, UTC.
mod moment {
    use serde::{Deserialize, Deserializer, Serializer, de, ser};
    use time::PrimitiveDateTime;
    use time::format_description::BorrowedFormatItem;
    use time::macros::format_description;

    const FORMAT: &[BorrowedFormatItem<'_>] =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]");

    pub(super) fn serialize<S: Serializer>(at: &PrimitiveDateTime, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&at.format(FORMAT).map_err(ser::Error::custom)?)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PrimitiveDateTime, D::Error> {
        let text = String::deserialize(from)?;
        PrimitiveDateTime::parse(&text, FORMAT).map_err(de::Error::custom)
    }

    pub(super) mod option {
        use super::{Deserializer, PrimitiveDateTime, Serializer};

        // The signature is serde's.
        #[allow(clippy::ref_option)]
        pub(in super::super) fn serialize<S: Serializer>(
            at: &Option<PrimitiveDateTime>,
            to: S,
        ) -> Result<S::Ok, S::Error> {
            match at {
                Some(at) => super::serialize(at, to),
                None => to.serialize_none(),
            }
        }

        pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
            from: D,
        ) -> Result<Option<PrimitiveDateTime>, D::Error> {
            super::deserialize(from).map(Some)
        }
    }
}
