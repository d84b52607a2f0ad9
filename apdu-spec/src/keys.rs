//! The symmetric keys: one issuer master key, one card key derived from it for each card and server,
//! and below that one key per purpose. Key derivation is NIST SP 800-108 in counter mode with
//! AES-256-CMAC: block i is CMAC(K, i ‖ label ‖ 00 ‖ context ‖ length), i and the length in bits in
//! four bytes each.

use crate::account::Alias;
use crate::crypto::{Block, Crypto, Key256};
use crate::header::{CardId, KeyId, ServerId};

/// The operator's root of all card keys. Never leaves the server (or its HSM).
#[derive(Debug, Clone)]
pub struct IssuerMasterKey(pub Key256);

impl IssuerMasterKey {
    /// The key of one card at one server.
    #[must_use]
    pub fn card_key(&self, crypto: &dyn Crypto, server: ServerId, card: CardId, id: KeyId) -> Key256 {
        let context = [&server.0[..], &card.0[..], &id.to_be_bytes()[..]].concat();
        derive(crypto, &self.0, "onetap/card", &context)
    }
}

/// A card's symmetric keys, one per purpose, computed once from its card key.
#[derive(Debug, Clone)]
pub struct CardKeys {
    card_key: Key256,
    pub(crate) envelope_encryption: Key256,
    pub(crate) envelope_mac: Key256,
    pub(crate) origin_mac: Key256,
    pub(crate) digest_mac: Key256,
    pub(crate) danger_mac: Key256,
}

impl CardKeys {
    /// Derives the keys.
    #[must_use]
    pub fn new(crypto: &dyn Crypto, card_key: Key256) -> Self {
        let key = |label| derive(crypto, &card_key, label, &[]);
        Self {
            envelope_encryption: key("onetap/e-enc"),
            envelope_mac: key("onetap/e-mac"),
            origin_mac: key("onetap/b-mac"),
            digest_mac: key("onetap/d-mac"),
            danger_mac: key("onetap/danger-mac"),
            card_key,
        }
    }

    /// The payer alias for counter value C.
    #[must_use]
    pub fn alias(&self, crypto: &dyn Crypto, counter: u32) -> Alias {
        let [bits @ .., _, _, _, _, _, _] = self.block(crypto, "onetap/alias", counter);
        Alias::from_bits(bits)
    }

    /// The key of the CBC digest for C and one of T, pw, E (told apart by `label`).
    pub(crate) fn cbc_digest_key(&self, crypto: &dyn Crypto, label: &str, counter: u32) -> Key256 {
        derive(crypto, &self.card_key, label, &counter.to_be_bytes())
    }

    /// IV and R of profile A4 for C: the server has to compute them again.
    pub(crate) fn a4_iv_and_random(&self, crypto: &dyn Crypto, counter: u32) -> (Block, Block) {
        let iv = self.block(crypto, "onetap/iv", counter);
        (iv, self.block(crypto, "onetap/r", counter))
    }

    fn block(&self, crypto: &dyn Crypto, label: &str, counter: u32) -> Block {
        kdf_block(crypto, &self.card_key, 1, label, &counter.to_be_bytes(), 128)
    }
}

pub(crate) fn derive(crypto: &dyn Crypto, key: &Key256, label: &str, context: &[u8]) -> Key256 {
    let mut out = zeroize::Zeroizing::new([0; 32]);
    let (first, second) = out.split_at_mut(16);
    first.copy_from_slice(&kdf_block(crypto, key, 1, label, context, 256));
    second.copy_from_slice(&kdf_block(crypto, key, 2, label, context, 256));
    Key256::new(*out)
}

fn kdf_block(crypto: &dyn Crypto, key: &Key256, i: u32, label: &str, context: &[u8], bits: u32) -> Block {
    let (i, bits) = (i.to_be_bytes(), bits.to_be_bytes());
    crypto.cmac(key, &[&i, label.as_bytes(), &[0], context, &bits])
}
