//! Which keys a card may sign with.

use super::error::CryptoError;
use crate::suite::SignatureAlgorithm;

/// Modulus sizes that a card may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub enum RsaBits {
    /// 2048 bits, the default.
    B2048,
    /// 3072 bits.
    B3072,
    /// 4096 bits.
    B4096,
}

impl From<RsaBits> for u16 {
    fn from(bits: RsaBits) -> u16 {
        match bits {
            RsaBits::B2048 => 2048,
            RsaBits::B3072 => 3072,
            RsaBits::B4096 => 4096,
        }
    }
}

impl TryFrom<u16> for RsaBits {
    type Error = CryptoError;
    fn try_from(bits: u16) -> Result<Self, CryptoError> {
        match bits {
            2048 => Ok(Self::B2048),
            3072 => Ok(Self::B3072),
            4096 => Ok(Self::B4096),
            _ => Err(CryptoError::BadKey),
        }
    }
}

/// What kind of key a card signs with. As a number, in an order and wherever one is stored: the bits of its RSA modulus, 0 for
/// P-256, which has one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub enum SigningKeyType {
    /// RSA with public exponent 65537.
    Rsa(RsaBits),
    /// The curve P-256 (NIST SP 800-186 §3.2.1.3).
    P256,
}

impl SigningKeyType {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::Rsa(RsaBits::B2048), Self::Rsa(RsaBits::B3072), Self::Rsa(RsaBits::B4096), Self::P256];

    /// The kind of key that signs by `algorithm`; of `bits`, where it is RSA.
    #[must_use]
    pub const fn of(algorithm: SignatureAlgorithm, bits: RsaBits) -> Self {
        match algorithm {
            SignatureAlgorithm::Pkcs1Sha256 | SignatureAlgorithm::PssSha256 => Self::Rsa(bits),
            SignatureAlgorithm::EcdsaP256Sha256 => Self::P256,
        }
    }

    /// Whether such a key signs by `algorithm`.
    #[must_use]
    pub const fn signs_by(self, algorithm: SignatureAlgorithm) -> bool {
        let ecdsa = matches!(algorithm, SignatureAlgorithm::EcdsaP256Sha256);
        ecdsa == matches!(self, Self::P256)
    }

    /// Bytes of a signature: those of the RSA modulus, or of r and s.
    #[must_use]
    pub fn signature_len(self) -> usize {
        match self {
            Self::Rsa(bits) => usize::from(u16::from(bits) / 8),
            Self::P256 => 64,
        }
    }
}

impl From<SigningKeyType> for u16 {
    fn from(key: SigningKeyType) -> u16 {
        match key {
            SigningKeyType::Rsa(bits) => bits.into(),
            SigningKeyType::P256 => 0,
        }
    }
}

impl TryFrom<u16> for SigningKeyType {
    type Error = CryptoError;
    fn try_from(bits: u16) -> Result<Self, CryptoError> {
        match bits {
            0 => Ok(Self::P256),
            bits => RsaBits::try_from(bits).map(Self::Rsa),
        }
    }
}
