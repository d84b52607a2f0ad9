//! Byte strings of fixed size, secret and not.

use std::fmt;

use subtle::{Choice, ConstantTimeEq};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::CryptoError;

/// A SHA-256 digest.
pub type Digest = [u8; 32];
/// One AES block: an IV, a MAC tag or a random number.
pub type Block = [u8; 16];

/// An AES-256 key. Wiped when dropped, never printed.
#[derive(Clone, Zeroize, ZeroizeOnDrop, serde::Serialize, serde::Deserialize)]
pub struct Key256(#[serde(with = "hex::serde")] [u8; 32]);

impl Key256 {
    /// Takes the key's bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key's bytes, for a provider or for storage.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Key256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key256(redacted)")
    }
}

/// Key lengths of AES (FIPS 197).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AesBits {
    /// 128 bits.
    B128,
    /// 192 bits.
    B192,
    /// 256 bits.
    B256,
}

impl AesBits {
    /// All lengths.
    pub const ALL: [Self; 3] = [Self::B128, Self::B192, Self::B256];

    /// Length in bytes: 16, 24 or 32.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::B128 => 16,
            Self::B192 => 24,
            Self::B256 => 32,
        }
    }

    /// The length of a key of so many bytes.
    #[must_use]
    pub fn from_bytes(len: usize) -> Option<Self> {
        Self::ALL.into_iter().find(|bits| bits.bytes() == len)
    }
}

/// An AES key of any length. Wiped when dropped, never printed, compared in constant time.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct AesKey {
    /// The key, then zeros.
    bytes: [u8; 32],
    #[zeroize(skip)]
    bits: AesBits,
}

impl AesKey {
    /// A key of 128 bits; `const`, for published test keys.
    #[must_use]
    pub const fn new_128(key: Block) -> Self {
        let mut bytes = [0; 32];
        let (head, _) = bytes.split_at_mut(size_of::<Block>());
        head.copy_from_slice(&key);
        Self { bytes, bits: AesBits::B128 }
    }

    /// A key of `bits`, the first of `bytes`.
    #[must_use]
    pub fn truncated(bytes: &[u8; 32], bits: AesBits) -> Self {
        let mut key = Self { bytes: *bytes, bits };
        key.bytes[bits.bytes()..].zeroize();
        key
    }

    /// The key's length.
    #[must_use]
    pub fn bits(&self) -> AesBits {
        self.bits
    }

    /// The key's bytes, for a provider or for storage.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.bytes[..self.bits.bytes()]
    }
}

impl TryFrom<&[u8]> for AesKey {
    type Error = CryptoError;
    /// [`CryptoError::BadAesKey`] unless there are 16, 24 or 32 bytes.
    fn try_from(key: &[u8]) -> Result<Self, CryptoError> {
        let bits = AesBits::from_bytes(key.len()).ok_or(CryptoError::BadAesKey)?;
        let mut bytes = [0; 32];
        bytes[..key.len()].copy_from_slice(key);
        Ok(Self { bytes, bits })
    }
}

impl From<&Key256> for AesKey {
    fn from(key: &Key256) -> Self {
        Self { bytes: *key.expose(), bits: AesBits::B256 }
    }
}

impl ConstantTimeEq for AesKey {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.expose().ct_eq(other.expose())
    }
}

impl fmt::Debug for AesKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AesKey({} bits, redacted)", self.bits.bytes() * 8)
    }
}
