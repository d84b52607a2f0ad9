//! Cards and their marks.

use onetap_apdu_spec::crypto::Digest;
use onetap_apdu_spec::header::Binding;

/// What a card may do.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, strum::Display, strum::EnumString,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum CardState {
    /// Ordered: its key is not enrolled yet.
    Ordered,
    /// It may pay.
    Active,
    /// It may not pay any more.
    Blocked,
}

/// How far a card's counter has come, and what became of the value there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Mark {
    /// Highest C that came with a valid signature.
    pub counter: u32,
    /// Hash of the bytes that were signed with it.
    #[serde(with = "hex::serde")]
    pub fingerprint: Digest,
    /// Whether it may still be used.
    pub life: Life,
    /// Wrong passwords given for it.
    pub wrong: u32,
}

impl Mark {
    /// The same, never to be used again.
    #[must_use]
    pub fn dead(self) -> Self {
        Self { life: Life::Dead, ..self }
    }
}

/// Whether a counter value may still be used.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, strum::Display, strum::EnumString,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Life {
    /// Yes, by the same bytes.
    Alive,
    /// It was executed: the same bytes get the same receipt.
    Executed,
    /// No.
    Dead,
}

/// A card with an enrolled key. None of this ever changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnrolledCard {
    /// Row of its account.
    pub account: i64,
    /// As enrolled.
    pub binding: Binding,
    /// SubjectPublicKeyInfo DER.
    pub public_key: Vec<u8>,
}
