//! What the terminal sends to the server (P-17): exactly this and nothing else of the card's.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::base64;
use crate::password::Password;
use crate::rng::Rng;
use crate::suite::Owed;

/// One request to execute a transaction. A terminal makes it of what the holder typed only (P-16); the server judges
/// it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Authorisation))]
pub struct AuthorisationRequest {
    /// T, the bytes that the card signed, in base64.
    #[serde(with = "base64")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Byte))]
    pub transaction: Vec<u8>,
    /// The signature message, header and S, in base64.
    #[serde(with = "base64")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Byte))]
    pub signature_message: Vec<u8>,
    /// What the holder typed.
    #[serde(with = "typed")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Password, min_length = 6, max_length = 16))]
    pub verification_password: Password,
    /// E, D(E) or D(pw), where the profile owes one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_object: Option<PasswordObject>,
}

/// A wish that a transaction shall never be executed, or the question what became of it: the request without the
/// password. Its answer is a resolution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Cancellation {
    /// T, the bytes that the card signed, in base64.
    #[serde(with = "base64")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Byte))]
    pub transaction: Vec<u8>,
    /// The signature message, header and S, in base64.
    #[serde(with = "base64")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Byte))]
    pub signature_message: Vec<u8>,
    /// E, D(E) or D(pw), where the profile owes one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_object: Option<PasswordObject>,
}

/// What travels besides S, by profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PasswordObject {
    /// Which of the three.
    #[cfg_attr(
        feature = "openapi",
        schema(value_type = String, pattern = "^(encrypted|encrypted-digest|password-digest)$")
    )]
    pub kind: Owed,
    /// Its bytes, in base64.
    #[serde(with = "base64")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Byte))]
    pub bytes: Vec<u8>,
}

impl AuthorisationRequest {
    /// The same without the password.
    #[must_use]
    pub fn cancellation(&self) -> Cancellation {
        Cancellation {
            transaction: self.transaction.clone(),
            signature_message: self.signature_message.clone(),
            password_object: self.password_object.clone(),
        }
    }
}

/// Tells one attempt of a client from its next: 1 to 64 printable ASCII characters without spaces.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IdempotencyKey(String);

/// Text that cannot be an idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an idempotency key has 1 to 64 printable ASCII characters and no spaces")]
pub struct NotAKey;

impl IdempotencyKey {
    /// Most characters of a key.
    pub const MAX_LEN: usize = 64;

    /// A new key of 128 random bits.
    #[must_use]
    pub fn random(rng: &mut dyn Rng) -> Self {
        let mut key = [0; 16];
        rng.fill(&mut key);
        Self(hex::encode(key))
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `text` has the form of a key.
    #[must_use]
    pub fn fits(text: &str) -> bool {
        (1..=Self::MAX_LEN).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
    }
}

impl TryFrom<String> for IdempotencyKey {
    type Error = NotAKey;
    fn try_from(text: String) -> Result<Self, NotAKey> {
        if Self::fits(&text) { Ok(Self(text)) } else { Err(NotAKey) }
    }
}

impl FromStr for IdempotencyKey {
    type Err = NotAKey;
    fn from_str(text: &str) -> Result<Self, NotAKey> {
        text.to_owned().try_into()
    }
}

impl From<IdempotencyKey> for String {
    fn from(key: IdempotencyKey) -> String {
        key.0
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The password as text, for `#[serde(with)]`. An error does not repeat what was there instead.
mod typed {
    use serde::de::{Error, Visitor};

    use super::{Deserializer, Password, Serializer, fmt};

    pub(super) fn serialize<S: Serializer>(password: &Password, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(password.expose())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Password, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Password;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a password")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Password, E> {
                text.parse().map_err(E::custom)
            }
        }
        // Whatever stood there may be what somebody typed, so it is not named.
        from.deserialize_str(Text).map_err(|_| D::Error::custom("not a joint password"))
    }
}
