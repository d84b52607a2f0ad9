//! What the applet's parts have in common: what they compute with, and the keys of the card's own.

use onetap_apdu_spec::crypto::{Block, Crypto, Key256};
use onetap_apdu_spec::rng::Rng;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// What the applet's parts compute with.
pub(crate) struct Tools<'a> {
    pub(crate) crypto: &'static dyn Crypto,
    pub(crate) rng: &'a mut dyn Rng,
}

/// A 16-byte check value or IV, drawn.
pub(crate) fn draw_block(rng: &mut dyn Rng) -> Block {
    let mut block = Block::default();
    rng.fill(&mut block);
    block
}

/// Keys that the card makes for itself; they never leave it. One key, one purpose.
#[derive(Serialize, Deserialize)]
pub(crate) struct StorageKeys {
    /// Encrypts joint passwords at rest (P-23).
    pub(crate) seal_encryption: Key256,
    /// Authenticates them.
    pub(crate) seal_mac: Key256,
}

impl StorageKeys {
    /// Draws them.
    pub(crate) fn draw(rng: &mut dyn Rng) -> Self {
        let mut key = || {
            let mut bytes = Zeroizing::new([0; 32]);
            rng.fill(&mut bytes[..]);
            Key256::new(*bytes)
        };
        Self { seal_encryption: key(), seal_mac: key() }
    }
}

/// A byte string that postcard copies whole instead of byte by byte.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Bytes(pub(crate) Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&[u8]>::deserialize(deserializer).map(|bytes| Self(bytes.to_vec()))
    }
}
