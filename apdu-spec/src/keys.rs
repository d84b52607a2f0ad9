//! The symmetric keys: one issuer master key, one card key derived from it for each card and server,
//! and below that one key per purpose. Key derivation is NIST SP 800-108 in counter mode with
//! AES-256-CMAC: block i is CMAC(K, i ‖ label ‖ 00 ‖ context ‖ length), i and the length in bits in
//! four bytes each.

use std::convert::Infallible;
use std::fmt::Debug;

use crate::account::Alias;
use crate::crypto::{Block, Crypto, CryptoError, Key256};
use crate::header::{CardId, KeyId, ServerId};

/// An issuer master key, wherever it lives: in memory, or in an HSM that computes with it.
pub trait MasterKey: Debug + Send + Sync {
    /// AES-256-CMAC (NIST SP 800-38B) under this key.
    ///
    /// # Errors
    /// [`CryptoError::Unavailable`] if the HSM that holds the key does not answer.
    fn cmac(&self, parts: &[&[u8]]) -> Result<Block, CryptoError>;

    /// The key of one card at one server.
    ///
    /// # Errors
    /// As [`MasterKey::cmac`].
    fn card_key(&self, server: ServerId, card: CardId, id: KeyId) -> Result<Key256, CryptoError> {
        derive_by(|parts| self.cmac(parts), CARD, &card_context(server, card, id))
    }

    /// Tells one master key from another without telling the key.
    ///
    /// # Errors
    /// As [`MasterKey::cmac`].
    fn check_value(&self) -> Result<Block, CryptoError> {
        self.cmac(&[&kdf_message(1, "onetap/check", &[], 128)])
    }
}

const CARD: &str = "onetap/card";

fn card_context(server: ServerId, card: CardId, id: KeyId) -> Vec<u8> {
    [&server.0[..], &card.0[..], &id.to_be_bytes()[..]].concat()
}

/// The operator's root of all card keys, in memory.
#[derive(Debug, Clone)]
pub struct IssuerMasterKey(pub Key256);

impl IssuerMasterKey {
    /// The key of one card at one server.
    #[must_use]
    pub fn card_key(&self, crypto: &dyn Crypto, server: ServerId, card: CardId, id: KeyId) -> Key256 {
        derive(crypto, &self.0, CARD, &card_context(server, card, id))
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
    let Ok(derived) = derive_by(|parts| Ok::<_, Infallible>(crypto.cmac(key, parts)), label, context);
    derived
}

/// Derives a key by any AES-256-CMAC.
pub(crate) fn derive_by<E>(
    cmac: impl Fn(&[&[u8]]) -> Result<Block, E>,
    label: &str,
    context: &[u8],
) -> Result<Key256, E> {
    let mut out = zeroize::Zeroizing::new([0; 32]);
    let (first, second) = out.split_at_mut(16);
    first.copy_from_slice(&cmac(&[&kdf_message(1, label, context, 256)])?);
    second.copy_from_slice(&cmac(&[&kdf_message(2, label, context, 256)])?);
    Ok(Key256::new(*out))
}

fn kdf_block(crypto: &dyn Crypto, key: &Key256, i: u32, label: &str, context: &[u8], bits: u32) -> Block {
    crypto.cmac(key, &[&kdf_message(i, label, context, bits)])
}

/// What the CMAC of block `i` is computed over (NIST SP 800-108 §4.1).
fn kdf_message(i: u32, label: &str, context: &[u8], bits: u32) -> Vec<u8> {
    [&i.to_be_bytes(), label.as_bytes(), &[0], context, &bits.to_be_bytes()].concat()
}
