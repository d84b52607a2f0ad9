//! The keys of a security domain: key sets, check values, the derivation of session keys, and keys
//! under keys (GPCS Amendment D §4, §6.2, §7.2).

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::{Zeroize, Zeroizing};

use super::padding::{pad, unpad};
use super::scp03::{Challenge, Mode};
use crate::crypto::{AesBits, AesKey, Block, Crypto, CryptoError};
use crate::header::CardId;
use crate::keys::{IssuerMasterKey, MasterKey, derive, derive_by};
use crate::rng::Rng;

/// A key check value: tells two keys apart, tells nothing about either.
pub type Kcv = [u8; 3];

/// The check value of an AES key: the first bytes of sixteen bytes 01, encrypted (GPCS §B.6).
#[must_use]
pub fn key_check_value(crypto: &dyn Crypto, key: &AesKey) -> Kcv {
    let mut block = [[1; 16]];
    crypto.aes_cbc_encrypt(key, &[0; 16], &mut block);
    let [[a, b, c, ..]] = block;
    [a, b, c]
}

const TEST_KEY: Block = *b"@ABCDEFGHIJKLMNO";

/// Key version number of a key set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyVersion(u8);

impl KeyVersion {
    /// The key set that a blank card comes with. It goes when the first key set is put.
    pub const INITIAL: Self = Self(0xFF);
    /// The version that issuers of SCP03 key sets begin with.
    pub const FIRST: Self = Self(0x30);
    const MAX: u8 = 0x7F;

    /// 01 … 7F, or FF for [`KeyVersion::INITIAL`].
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        match number {
            1..=Self::MAX => Some(Self(number)),
            n if n == Self::INITIAL.0 => Some(Self::INITIAL),
            _ => None,
        }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }

    /// P1 of INITIALIZE UPDATE that asks for this version: 00, the first available, for the initial set.
    #[must_use]
    pub const fn reference(self) -> u8 {
        if self.0 == Self::INITIAL.0 { 0 } else { self.0 }
    }
}

/// The static keys of a security domain: encryption, MAC and data encryption, all of one length.
#[derive(Clone)]
pub struct KeySet {
    version: KeyVersion,
    enc: AesKey,
    mac: AesKey,
    dek: AesKey,
}

/// A key set as it stands in an order: a number, and the keys in hexadecimal.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = KeySet))]
pub(crate) struct Written {
    version: u8,
    enc: String,
    mac: String,
    dek: String,
}

impl Drop for Written {
    fn drop(&mut self) {
        [&mut self.enc, &mut self.mac, &mut self.dek].into_iter().for_each(Zeroize::zeroize);
    }
}

impl Serialize for KeySet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let [enc, mac, dek] = self.keys().map(|key| hex::encode(key.expose()));
        Written { version: self.version.get(), enc, mac, dek }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for KeySet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = Written::deserialize(deserializer)?;
        let version =
            KeyVersion::new(written.version).ok_or_else(|| D::Error::custom("a key version is 1 to 127"))?;
        let key = |text: &str| {
            let bytes = Zeroizing::new(hex::decode(text).map_err(D::Error::custom)?);
            AesKey::try_from(&bytes[..]).map_err(D::Error::custom)
        };
        Self::new(version, key(&written.enc)?, key(&written.mac)?, key(&written.dek)?)
            .map_err(D::Error::custom)
    }
}

/// The three keys of a set have different lengths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the keys of one set must have one length: give three keys of 16, 24 or 32 bytes")]
pub struct MixedLengths;

/// Of ENC, MAC and DEK.
const LABELS: [&str; 3] = ["onetap/gp-enc", "onetap/gp-mac", "onetap/gp-dek"];

impl KeySet {
    /// The well-known key set of blank cards (404142…4F three times). Protects nothing: replace it.
    pub const TEST: Self = Self {
        version: KeyVersion::INITIAL,
        enc: AesKey::new_128(TEST_KEY),
        mac: AesKey::new_128(TEST_KEY),
        dek: AesKey::new_128(TEST_KEY),
    };

    /// A key set.
    ///
    /// # Errors
    /// [`MixedLengths`].
    pub fn new(version: KeyVersion, enc: AesKey, mac: AesKey, dek: AesKey) -> Result<Self, MixedLengths> {
        if enc.bits() == mac.bits() && mac.bits() == dek.bits() {
            Ok(Self { version, enc, mac, dek })
        } else {
            Err(MixedLengths)
        }
    }

    /// A key set (256 bits) of random keys.
    #[must_use]
    pub fn draw(version: KeyVersion, rng: &mut dyn Rng) -> Self {
        let mut key = || {
            let mut bytes = Zeroizing::new([0; 32]);
            rng.fill(&mut bytes[..]);
            AesKey::truncated(&bytes, AesBits::B256)
        };
        Self { version, enc: key(), mac: key(), dek: key() }
    }

    /// One card's own key set (256 bits), derived from the issuer's master key for card and version.
    #[must_use]
    pub fn diversified(
        crypto: &dyn Crypto,
        master: &IssuerMasterKey,
        card: CardId,
        version: KeyVersion,
    ) -> Self {
        let context = [&card.0[..], &[version.get()]].concat();
        let [enc, mac, dek] = LABELS.map(|label| AesKey::from(&derive(crypto, &master.0, label, &context)));
        Self { version, enc, mac, dek }
    }

    /// The same by a master key that may be in an HSM.
    ///
    /// # Errors
    /// [`CryptoError::Unavailable`] if the HSM does not answer.
    pub fn diversified_by(
        master: &dyn MasterKey,
        card: CardId,
        version: KeyVersion,
    ) -> Result<Self, CryptoError> {
        let context = [&card.0[..], &[version.get()]].concat();
        let key = |label| derive_by(|parts| master.cmac(parts), label, &context).map(|key| (&key).into());
        let [enc, mac, dek] = LABELS.map(key);
        Ok(Self { version, enc: enc?, mac: mac?, dek: dek? })
    }

    /// Key version number.
    #[must_use]
    pub fn version(&self) -> KeyVersion {
        self.version
    }

    /// Length of each key.
    #[must_use]
    pub fn bits(&self) -> AesBits {
        self.enc.bits()
    }

    /// Encryption, MAC and data encryption key: identifiers 1, 2 and 3.
    #[must_use]
    pub fn keys(&self) -> [&AesKey; 3] {
        [&self.enc, &self.mac, &self.dek]
    }

    /// The check values of the three keys, in the order of [`KeySet::keys`].
    #[must_use]
    pub fn check_values(&self, crypto: &dyn Crypto) -> [Kcv; 3] {
        self.keys().map(|key| key_check_value(crypto, key))
    }

    /// The key that encrypts keys and other secrets to this security domain.
    #[must_use]
    pub fn data_key(&self, crypto: &'static dyn Crypto) -> DataKey {
        DataKey { crypto, key: self.dek.clone() }
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeySet(version {:02X}, {:?}, redacted)", self.version.0, self.bits())
    }
}

/// The data encryption key (DEK) of a key set, for secrets inside commands.
#[derive(Debug, Clone)]
pub struct DataKey {
    crypto: &'static dyn Crypto,
    key: AesKey,
}

impl DataKey {
    /// Encrypts a secret data object: padded to whole blocks, CBC with a zero IV (GPCS Amendment D §4.1.4).
    #[must_use]
    pub fn seal(&self, secret: &[u8]) -> Vec<u8> {
        let mut blocks = pad(secret);
        self.crypto.aes_cbc_encrypt(&self.key, &[0; 16], &mut blocks);
        blocks.as_flattened().to_vec()
    }

    /// The inverse of [`DataKey::seal`].
    ///
    /// # Errors
    /// [`CryptoError::BadCiphertext`], however it failed.
    pub fn open(&self, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let blocks = self.decrypt(sealed).ok_or(CryptoError::BadCiphertext)?;
        unpad(&blocks).ok_or(CryptoError::BadCiphertext)
    }

    /// Encrypts a key: filled up with zeros to whole blocks, its length told beside it (§7.2).
    #[must_use]
    pub(super) fn seal_key(&self, key: &AesKey) -> Vec<u8> {
        let mut blocks = Zeroizing::new(vec![Block::default(); key.expose().len().div_ceil(16)]);
        blocks.as_flattened_mut()[..key.expose().len()].copy_from_slice(key.expose());
        self.crypto.aes_cbc_encrypt(&self.key, &[0; 16], &mut blocks);
        blocks.as_flattened().to_vec()
    }

    /// The inverse of [`DataKey::seal_key`], for a key of `len` bytes.
    #[must_use]
    pub(super) fn open_key(&self, sealed: &[u8], len: usize) -> Option<AesKey> {
        let blocks = self.decrypt(sealed).filter(|blocks| blocks.len() == len.div_ceil(16))?;
        AesKey::try_from(blocks.as_flattened().get(..len)?).ok()
    }

    fn decrypt(&self, sealed: &[u8]) -> Option<Zeroizing<Vec<Block>>> {
        let (blocks, []) = sealed.as_chunks() else { return None };
        let mut blocks = Zeroizing::new(blocks.to_vec());
        self.crypto.aes_cbc_decrypt(&self.key, &[0; 16], &mut blocks);
        Some(blocks)
    }
}

/// What is derived from a static key or with a session key (Amendment D §4.1.5, table 4-1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Derivation {
    CardCryptogram = 0x00,
    HostCryptogram = 0x01,
    CardChallenge = 0x02,
    SessionEnc = 0x04,
    SessionMac = 0x06,
    SessionRmac = 0x07,
}

/// A derived challenge or cryptogram.
pub(super) fn derive_challenge(
    crypto: &dyn Crypto,
    key: &AesKey,
    what: Derivation,
    mode: Mode,
    context: &[&[u8]],
) -> Challenge {
    Challenge::head(mode, kdf_block(crypto, key, what, mode.bits(), 1, context))
}

/// A derived key as long as `key`.
pub(super) fn derive_key(crypto: &dyn Crypto, key: &AesKey, what: Derivation, context: &[&[u8]]) -> AesKey {
    let bits: u16 = match key.bits() {
        AesBits::B128 => 128,
        AesBits::B192 => 192,
        AesBits::B256 => 256,
    };
    let mut out = Zeroizing::new([0; 32]);
    let (first, second) = out.split_at_mut(16);
    first.copy_from_slice(&kdf_block(crypto, key, what, bits, 1, context));
    if bits > 128 {
        second.copy_from_slice(&kdf_block(crypto, key, what, bits, 2, context));
    }
    AesKey::truncated(&out, key.bits())
}

/// One block of NIST SP 800-108 in counter mode: label, 00, length in bits, counter, context.
fn kdf_block(
    crypto: &dyn Crypto,
    key: &AesKey,
    what: Derivation,
    bits: u16,
    index: u8,
    context: &[&[u8]],
) -> Block {
    let [high, low] = bits.to_be_bytes();
    let mut label = [0; 16];
    label[11..].copy_from_slice(&[what as u8, 0, high, low, index]);
    let parts: Vec<&[u8]> = std::iter::once(&label[..]).chain(context.iter().copied()).collect();
    crypto.aes_cmac(key, &parts)
}
