//! What a card is given when it is personalised, and what it gives back to be enrolled.

use std::fmt;
use std::str::FromStr;

use zeroize::Zeroizing;

use crate::crypto::{Crypto, CryptoError, Key256, SigningKey, SigningKeyType};
use crate::gp::KeySet;
use crate::header::Binding;
use crate::money::CurrencyCode;
use crate::password::PasswordPolicy;
use crate::suite::SignatureAlgorithm;

/// The issuer's order to make a card. Holds the card key: handle it as a secret.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Personalisation {
    /// Server, card, suite and key ids: fixed for the life of the card.
    pub binding: Binding,
    /// What kind of signing key the card makes for itself: the bits of its RSA modulus, 0 where the suite signs with ECDSA.
    #[serde(rename = "rsa_bits")]
    #[cfg_attr(feature = "openapi", schema(value_type = u16))]
    pub key_type: SigningKeyType,
    /// The card key (see [`crate::keys::CardKeys`]).
    #[cfg_attr(feature = "openapi", schema(value_type = String, pattern = "^[0-9a-f]{64}$"))]
    pub card_key: Key256,
    /// The server's encryption key, SubjectPublicKeyInfo DER, if the suite uses it.
    #[serde(default, with = "hex::serde")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, pattern = "^([0-9a-f]{2})*$"))]
    pub server_public_key: Vec<u8>,
    /// How joint passwords are drawn.
    pub password: PasswordPolicy,
    /// When the holder needs what.
    pub confirmation: ConfirmationPolicy,
}

/// An order as the server writes it for whoever makes the card. A secret, to be deleted once the card is made.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CardOrder {
    /// What goes into the card.
    #[serde(flatten)]
    pub personalisation: Personalisation,
    /// The keys by which its issuer will reach it (GlobalPlatform). Without, nobody will.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<crate::gp::WrittenKeys>))]
    pub management: Option<KeySet>,
}

/// How much it takes to confirm a transaction (P-21, P-22). Amounts in minor units of `currency`;
/// any other currency counts as large.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConfirmationPolicy {
    /// The account's currency.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub currency: CurrencyCode,
    /// Up to here the confirm key is enough (t1).
    pub key_up_to: u64,
    /// Up to here the PIN is enough (t2); above, PIN and key.
    pub pin_up_to: u64,
    /// Most key-only payments since the last PIN; the next one takes the PIN.
    pub key_only_count: u16,
    /// Most that key-only payments since the last PIN may sum up to, in minor units; above it the PIN is taken.
    pub key_only_sum: u64,
}

/// Fewest digits of a PIN.
pub const PIN_MIN: usize = 4;
/// Most digits of a PIN.
pub const PIN_MAX: usize = 12;

/// The holder's PIN. Wiped when dropped, never printed.
#[derive(Clone)]
pub struct Pin(Zeroizing<String>);

/// Text that is not a PIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a PIN: {PIN_MIN} to {PIN_MAX} digits")]
pub struct NotAPin;

impl Pin {
    /// The digits. Named so that each place that needs them is easy to find.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for Pin {
    type Err = NotAPin;
    fn from_str(text: &str) -> Result<Self, NotAPin> {
        let fits = (PIN_MIN..=PIN_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        if fits { Ok(Self(Zeroizing::new(text.to_owned()))) } else { Err(NotAPin) }
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pin(redacted)")
    }
}

/// A card's public key, with proof that the card holds the private one. Not a secret.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EnrolmentStatement {
    /// As personalised.
    pub binding: Binding,
    /// SubjectPublicKeyInfo DER.
    #[serde(with = "hex::serde")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, pattern = "^([0-9A-Fa-f]{2})*$"))]
    pub public_key: Vec<u8>,
    /// RSASSA-PKCS1-v1_5 with SHA-256, or ECDSA where the suite signs with it, over domain tag, binding and public key
    /// (docs/spec, personalisation).
    #[serde(with = "hex::serde")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, pattern = "^([0-9A-Fa-f]{2})*$"))]
    pub signature: Vec<u8>,
}

impl EnrolmentStatement {
    /// Made by the card, once, when its key is made.
    ///
    /// # Errors
    /// [`CryptoError`] if signing fails.
    pub fn make(binding: Binding, key: &dyn SigningKey) -> Result<Self, CryptoError> {
        let public_key = key.public_spki();
        let message = Self::signed_bytes(&binding, &public_key);
        Ok(Self { binding, signature: key.sign(Self::algorithm(&binding), &message)?, public_key })
    }

    /// Checked by the server before it enrols the key.
    ///
    /// # Errors
    /// [`CryptoError::BadKey`], [`CryptoError::BadSignature`].
    pub fn verify(&self, crypto: &dyn Crypto) -> Result<(), CryptoError> {
        let message = Self::signed_bytes(&self.binding, &self.public_key);
        let algorithm = Self::algorithm(&self.binding);
        let key = crypto.verifying_key(algorithm, &self.public_key)?;
        key.verify(algorithm, &message, &self.signature)
    }

    /// PKCS1 for every RSA key, whatever the suite signs with.
    fn algorithm(binding: &Binding) -> SignatureAlgorithm {
        match binding.suite.signature() {
            SignatureAlgorithm::Pkcs1Sha256 | SignatureAlgorithm::PssSha256 => {
                SignatureAlgorithm::Pkcs1Sha256
            }
            SignatureAlgorithm::EcdsaP256Sha256 => SignatureAlgorithm::EcdsaP256Sha256,
        }
    }

    /// `OneTapEn`, version, server id, suite, card id, key ids, public key. The domain tag keeps it
    /// apart from every signed transaction.
    fn signed_bytes(binding: &Binding, public_key: &[u8]) -> Vec<u8> {
        let mut out = b"OneTapEn\x01".to_vec();
        out.extend(binding.server.0);
        out.extend(binding.suite.to_bytes());
        out.extend(binding.card.0);
        for id in [binding.signing_key, binding.server_key, binding.issuer_key] {
            out.extend(id.to_be_bytes());
        }
        out.extend(public_key);
        out
    }
}
