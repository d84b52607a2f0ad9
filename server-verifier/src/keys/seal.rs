//! Sealing of the key file: AES-256-GCM-SIV (RFC 8452) under a key made of a passphrase by argon2id
//! (RFC 9106), or of a key file by HKDF-SHA-256 (RFC 5869). Each sealing draws a new salt, and with it a
//! new key.

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use onetap_apdu_spec::crypto::{Block, CryptoError, Digest, Key256};
use zeroize::Zeroizing;

use super::access::{KeyProtection, Passphrase};
use crate::keys::environment::Environment;

const KEY_FILE_INFO: &str = "onetap/keys.json";

/// What argon2id costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl Cost {
    /// The second choice that RFC 9106 §4 recommends: 64 MiB.
    const DEFAULT: Self = Self { memory_kib: 64 << 10, passes: 3, lanes: 4 };
    /// No file makes us do more: 1 GiB, and a few seconds.
    const MOST: Self = Self { memory_kib: 1 << 20, passes: 16, lanes: 16 };

    fn within_bounds(self) -> bool {
        self.memory_kib <= Self::MOST.memory_kib
            && self.passes <= Self::MOST.passes
            && self.lanes <= Self::MOST.lanes
    }
}

/// How the sealing key is made, as the file says it.
#[derive(Debug, Clone, Copy, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Derivation {
    Passphrase {
        argon2id: Cost,
        #[serde(with = "hex::serde")]
        salt: Block,
    },
    KeyFile {
        #[serde(with = "hex::serde")]
        salt: Digest,
    },
}

impl Derivation {
    /// What opens it, as options and messages name it.
    pub(super) fn by(&self) -> &'static str {
        match self {
            Self::Passphrase { .. } => "passphrase",
            Self::KeyFile { .. } => "key",
        }
    }
}

/// Sealed bytes.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sealed {
    pub(super) by: Derivation,
    #[serde(with = "hex::serde")]
    nonce: [u8; NONCE_LEN],
    #[serde(with = "hex::serde")]
    ciphertext: Vec<u8>,
}

/// Why sealed bytes do not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OpenError {
    /// Nothing was given that could open it.
    NothingGiven,
    /// It asks for too much work.
    TooCostly,
    /// Wrong secret, or someone changed the file and made its check fit.
    Refused,
}

/// Seals `plaintext`, and with it `context`, which stays readable. Nothing is sealed if nothing protects.
pub(super) fn seal(
    plaintext: &[u8],
    context: &[u8],
    protection: &KeyProtection,
    env: &Environment,
) -> Result<Option<Sealed>, CryptoError> {
    let (by, key) = match protection {
        KeyProtection::Plain => return Ok(None),
        KeyProtection::Passphrase(passphrase) => {
            let (argon2id, salt) = (Cost::DEFAULT, env.random());
            (Derivation::Passphrase { argon2id, salt }, stretch(passphrase, argon2id, &salt)?)
        }
        KeyProtection::KeyFile(key) => {
            let salt = env.random();
            (Derivation::KeyFile { salt }, expand(key, &salt)?)
        }
    };
    let nonce = env.random();
    // Room for the tag, so that the plaintext is never moved and left behind.
    let mut buffer = Vec::with_capacity(plaintext.len() + AES_256_GCM_SIV.tag_len());
    buffer.extend_from_slice(plaintext);
    cipher(&key)?
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad(context, &by), &mut buffer)
        .map_err(|_| CryptoError::Provider)?;
    Ok(Some(Sealed { by, nonce, ciphertext: buffer }))
}

impl Sealed {
    /// Opens it.
    pub(super) fn open(
        &self,
        context: &[u8],
        protection: &KeyProtection,
    ) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let key = match (self.by, protection) {
            (Derivation::Passphrase { argon2id, salt }, KeyProtection::Passphrase(passphrase)) => {
                if !argon2id.within_bounds() {
                    return Err(OpenError::TooCostly);
                }
                stretch(passphrase, argon2id, &salt)
            }
            (Derivation::KeyFile { salt }, KeyProtection::KeyFile(key)) => expand(key, &salt),
            _ => return Err(OpenError::NothingGiven),
        };
        let cipher = key.and_then(|key| cipher(&key)).map_err(|_| OpenError::Refused)?;
        let mut buffer = Zeroizing::new(self.ciphertext.clone());
        let nonce = Nonce::assume_unique_for_key(self.nonce);
        let opened = cipher.open_in_place(nonce, aad(context, &self.by), &mut buffer);
        let length = opened.map_err(|_| OpenError::Refused)?.len();
        buffer.truncate(length);
        Ok(buffer)
    }
}

fn stretch(passphrase: &Passphrase, cost: Cost, salt: &Block) -> Result<Key256, CryptoError> {
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(32));
    let params = params.map_err(|_| CryptoError::Provider)?;
    let mut key = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.expose().as_bytes(), salt, &mut *key)
        .map_err(|_| CryptoError::Provider)?;
    Ok(Key256::new(*key))
}

/// The length of what HKDF is to give.
struct Length;

impl KeyType for Length {
    fn len(&self) -> usize {
        32
    }
}

fn expand(key: &Key256, salt: &Digest) -> Result<Key256, CryptoError> {
    let prk = Salt::new(HKDF_SHA256, salt).extract(key.expose());
    let mut out = Zeroizing::new([0; 32]);
    prk.expand(&[KEY_FILE_INFO.as_bytes()], Length)
        .and_then(|okm| okm.fill(&mut *out))
        .map_err(|_| CryptoError::Provider)?;
    Ok(Key256::new(*out))
}

fn cipher(key: &Key256) -> Result<LessSafeKey, CryptoError> {
    let key = UnboundKey::new(&AES_256_GCM_SIV, key.expose()).map_err(|_| CryptoError::Provider)?;
    Ok(LessSafeKey::new(key))
}

/// What is readable and must not be changed either: the file's head, and how the key is made.
fn aad(context: &[u8], by: &Derivation) -> Aad<Vec<u8>> {
    let mut all = context.to_vec();
    match by {
        Derivation::Passphrase { argon2id: Cost { memory_kib, passes, lanes }, salt } => {
            all.push(1);
            all.extend([memory_kib, passes, lanes].into_iter().flat_map(|number| number.to_be_bytes()));
            all.extend(salt);
        }
        Derivation::KeyFile { salt } => {
            all.push(2);
            all.extend(salt);
        }
    }
    Aad::from(all)
}
