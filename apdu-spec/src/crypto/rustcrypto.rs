//! The pure-Rust provider, on the crates of the RustCrypto project.

mod ecdsa;

use aes::{Aes128, Aes192, Aes256};
use cbc::cipher::array::Array;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use cmac::{Cmac, KeyInit, Mac};
use rand::SeedableRng;
use rand::rngs::{StdRng, SysRng};
use rsa::pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey};
use rsa::traits::PaddingScheme;
use rsa::{Oaep, Pkcs1v15Sign, Pss, RsaPrivateKey, RsaPublicKey};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::public_key::check_public;
use super::{
    AesBits, AesKey, Block, Crypto, CryptoError, Digest, Key256, RsaBits, RsaPrivate, RsaPublic, SigningKey,
    SigningKeyType, VerifyingKey,
};
use crate::suite::SignatureAlgorithm;

/// The pure-Rust provider: portable and readable, the reference for [`AwsLc`](super::AwsLc).
///
/// Private operations are blinded with randomness of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct RustCrypto;

impl Crypto for RustCrypto {
    fn name(&self) -> &'static str {
        "rustcrypto"
    }

    fn sha256(&self, parts: &[&[u8]]) -> Digest {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update(part);
        }
        hash.finalize().into()
    }

    fn cmac(&self, key: &Key256, parts: &[&[u8]]) -> Block {
        let mut mac = Cmac::<Aes256>::new(key.expose().into());
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    fn cbc_encrypt(&self, key: &Key256, iv: &Block, plaintext: &[u8]) -> Vec<u8> {
        cbc::Encryptor::<Aes256>::new(key.expose().into(), iv.into()).encrypt_padded_vec::<Pkcs7>(plaintext)
    }

    fn cbc_decrypt(
        &self,
        key: &Key256,
        iv: &Block,
        ciphertext: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        cbc::Decryptor::<Aes256>::new(key.expose().into(), iv.into())
            .decrypt_padded_vec::<Pkcs7>(ciphertext)
            .map(Zeroizing::new)
            .map_err(|_| CryptoError::BadCiphertext)
    }

    fn aes_cmac(&self, key: &AesKey, parts: &[&[u8]]) -> Block {
        match key.bits() {
            AesBits::B128 => authenticate::<Cmac<Aes128>>(key, parts),
            AesBits::B192 => authenticate::<Cmac<Aes192>>(key, parts),
            AesBits::B256 => authenticate::<Cmac<Aes256>>(key, parts),
        }
    }

    fn aes_cbc_encrypt(&self, key: &AesKey, iv: &Block, blocks: &mut [Block]) {
        let blocks = Array::cast_slice_from_core_mut(blocks);
        match key.bits() {
            AesBits::B128 => keyed::<cbc::Encryptor<Aes128>>(key, iv).encrypt_blocks(blocks),
            AesBits::B192 => keyed::<cbc::Encryptor<Aes192>>(key, iv).encrypt_blocks(blocks),
            AesBits::B256 => keyed::<cbc::Encryptor<Aes256>>(key, iv).encrypt_blocks(blocks),
        }
    }

    fn aes_cbc_decrypt(&self, key: &AesKey, iv: &Block, blocks: &mut [Block]) {
        let blocks = Array::cast_slice_from_core_mut(blocks);
        match key.bits() {
            AesBits::B128 => keyed::<cbc::Decryptor<Aes128>>(key, iv).decrypt_blocks(blocks),
            AesBits::B192 => keyed::<cbc::Decryptor<Aes192>>(key, iv).decrypt_blocks(blocks),
            AesBits::B256 => keyed::<cbc::Decryptor<Aes256>>(key, iv).decrypt_blocks(blocks),
        }
    }

    fn generate_rsa(&self, bits: RsaBits) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let mut rng = StdRng::try_from_rng(&mut SysRng).map_err(|_| CryptoError::Provider)?;
        let key = RsaPrivateKey::new(&mut rng, u16::from(bits).into()).map_err(|_| CryptoError::Provider)?;
        let pkcs8 = key.to_pkcs8_der().map_err(|_| CryptoError::Provider)?;
        Ok(pkcs8.to_bytes())
    }

    fn rsa_private(&self, pkcs8: &[u8]) -> Result<Box<dyn RsaPrivate>, CryptoError> {
        let key = RsaPrivateKey::from_pkcs8_der(pkcs8).map_err(|_| CryptoError::BadKey)?;
        // Only what we would have written ourselves: no trailing bytes, no BER, no inconsistent CRT values.
        let canonical = key.to_pkcs8_der().map_err(|_| CryptoError::BadKey)?;
        if pkcs8 != canonical.as_bytes() {
            return Err(CryptoError::BadKey);
        }
        let spki = key.to_public_key().to_public_key_der().map_err(|_| CryptoError::BadKey)?.into_vec();
        check_public(&spki)?;
        Ok(Box::new(PrivateKey { key, spki }))
    }

    fn rsa_public(&self, spki: &[u8]) -> Result<Box<dyn RsaPublic>, CryptoError> {
        let bits = check_public(spki)?;
        let key = RsaPublicKey::from_public_key_der(spki).map_err(|_| CryptoError::BadKey)?;
        Ok(Box::new(PublicKey { key, bits }))
    }

    fn generate_p256(&self) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        ecdsa::generate()
    }

    fn p256_private(&self, pkcs8: &[u8]) -> Result<Box<dyn SigningKey>, CryptoError> {
        Ok(Box::new(ecdsa::PrivateKey::parse(pkcs8)?))
    }

    fn p256_public(&self, spki: &[u8]) -> Result<Box<dyn VerifyingKey>, CryptoError> {
        Ok(Box::new(ecdsa::PublicKey::parse(spki)?))
    }
}

/// A MAC of all 16 bytes over the parts.
#[allow(clippy::expect_used, reason = "the caller has matched the key's length")]
fn authenticate<M: Mac + KeyInit>(key: &AesKey, parts: &[&[u8]]) -> Block {
    let mut mac = <M as KeyInit>::new_from_slice(key.expose()).expect("the key's length is the cipher's");
    for part in parts {
        Mac::update(&mut mac, part);
    }
    let mut tag = Block::default();
    tag.copy_from_slice(&mac.finalize().into_bytes());
    tag
}

/// A mode of operation under a key whose length the caller has matched.
#[allow(clippy::expect_used, reason = "the caller has matched the key's length")]
fn keyed<C: KeyIvInit>(key: &AesKey, iv: &Block) -> C {
    C::new_from_slices(key.expose(), iv).expect("key and IV have the cipher's lengths")
}

/// A private key, parsed, and its public half in DER.
#[derive(Debug)]
struct PrivateKey {
    key: RsaPrivateKey,
    spki: Vec<u8>,
}

impl SigningKey for PrivateKey {
    fn sign(&self, algorithm: SignatureAlgorithm, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let digest = Sha256::digest(message);
        match algorithm {
            SignatureAlgorithm::Pkcs1Sha256 => self.key.sign(pkcs1_sha256(), &digest),
            SignatureAlgorithm::PssSha256 => self.key.sign(pss_sha256(), &digest),
            SignatureAlgorithm::EcdsaP256Sha256 => return Err(CryptoError::BadKey),
        }
        .map_err(|_| CryptoError::Provider)
    }

    fn public_spki(&self) -> Vec<u8> {
        self.spki.clone()
    }
}

impl RsaPrivate for PrivateKey {
    fn decrypt_oaep(&self, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        self.key
            .decrypt(oaep_sha256(), ciphertext)
            .map(Zeroizing::new)
            .map_err(|_| CryptoError::BadCiphertext)
    }
}

/// A public key, parsed.
#[derive(Debug)]
struct PublicKey {
    key: RsaPublicKey,
    bits: RsaBits,
}

impl VerifyingKey for PublicKey {
    fn verify(
        &self,
        algorithm: SignatureAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), CryptoError> {
        let digest = Sha256::digest(message);
        match algorithm {
            SignatureAlgorithm::Pkcs1Sha256 => self.key.verify(pkcs1_sha256(), &digest, signature),
            SignatureAlgorithm::PssSha256 => self.key.verify(pss_sha256(), &digest, signature),
            SignatureAlgorithm::EcdsaP256Sha256 => return Err(CryptoError::BadSignature),
        }
        .map_err(|_| CryptoError::BadSignature)
    }

    fn key_type(&self) -> SigningKeyType {
        SigningKeyType::Rsa(self.bits)
    }
}

impl RsaPublic for PublicKey {
    fn encrypt_oaep(&self, plaintext: &[u8]) -> Result<Vec<u8>, CryptoError> {
        oaep_sha256().encrypt(&mut SysRng, &self.key, plaintext).map_err(|error| match error {
            rsa::Error::MessageTooLong => CryptoError::TooLong,
            _ => CryptoError::Provider,
        })
    }
}

/// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017 §8.2).
fn pkcs1_sha256() -> Pkcs1v15Sign {
    Pkcs1v15Sign::new::<Sha256>()
}

/// RSASSA-PSS with SHA-256, MGF1-SHA-256 and a salt of exactly 32 bytes (RFC 8017 §8.1).
fn pss_sha256() -> Pss<Sha256> {
    Pss::new()
}

/// RSAES-OAEP with SHA-256, MGF1-SHA-256 and the empty label (RFC 8017 §7.1).
fn oaep_sha256() -> Oaep<Sha256> {
    Oaep::new()
}
