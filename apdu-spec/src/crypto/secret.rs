//! Byte strings of fixed size, secret and not.

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

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
