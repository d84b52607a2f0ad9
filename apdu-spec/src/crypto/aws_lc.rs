//! The fast provider, on AWS-LC through `aws-lc-rs`.

mod ecdsa;

use aws_lc_rs::cipher::{
    AES_128, AES_192, AES_256, DecryptingKey, DecryptionContext, EncryptingKey, EncryptionContext,
    PaddedBlockDecryptingKey, PaddedBlockEncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{
    KeyPair, KeySize, OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, OaepPublicEncryptingKey,
    PrivateDecryptingKey, PublicEncryptingKey,
};
use aws_lc_rs::signature::{
    ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RSA_PSS_2048_8192_SHA256, RSA_PSS_SHA256,
    RsaSignatureEncoding,
};
use aws_lc_rs::{cmac, digest};
use zeroize::Zeroizing;

use super::public_key::check_public;
use super::{
    AesBits, AesKey, Block, Crypto, CryptoError, Digest, Key256, RsaBits, RsaPrivate, RsaPublic, SigningKey,
    SigningKeyType, VerifyingKey,
};
use crate::suite::SignatureAlgorithm;

/// The fast provider: assembly for the common processors, constant time.
#[derive(Debug, Clone, Copy, Default)]
pub struct AwsLc;

impl Crypto for AwsLc {
    fn name(&self) -> &'static str {
        "aws-lc"
    }

    fn sha256(&self, parts: &[&[u8]]) -> Digest {
        let mut hash = digest::Context::new(&digest::SHA256);
        for part in parts {
            hash.update(part);
        }
        let mut output = Digest::default();
        output.copy_from_slice(hash.finish().as_ref());
        output
    }

    fn cmac(&self, key: &Key256, parts: &[&[u8]]) -> Block {
        infallible(cmac(cmac::AES_256, key.expose(), parts))
    }

    fn cbc_encrypt(&self, key: &Key256, iv: &Block, plaintext: &[u8]) -> Vec<u8> {
        infallible(cbc_encrypt(key, iv, plaintext))
    }

    fn cbc_decrypt(
        &self,
        key: &Key256,
        iv: &Block,
        ciphertext: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        cbc_decrypt(key, iv, ciphertext).map_err(|_| CryptoError::BadCiphertext)
    }

    fn aes_cmac(&self, key: &AesKey, parts: &[&[u8]]) -> Block {
        let algorithm = match key.bits() {
            AesBits::B128 => cmac::AES_128,
            AesBits::B192 => cmac::AES_192,
            AesBits::B256 => cmac::AES_256,
        };
        infallible(cmac(algorithm, key.expose(), parts))
    }

    fn aes_cbc_encrypt(&self, key: &AesKey, iv: &Block, blocks: &mut [Block]) {
        infallible(encrypt_blocks(key, iv, blocks));
    }

    fn aes_cbc_decrypt(&self, key: &AesKey, iv: &Block, blocks: &mut [Block]) {
        infallible(decrypt_blocks(key, iv, blocks));
    }

    fn generate_rsa(&self, bits: RsaBits) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let size = match bits {
            RsaBits::B2048 => KeySize::Rsa2048,
            RsaBits::B3072 => KeySize::Rsa3072,
            RsaBits::B4096 => KeySize::Rsa4096,
        };
        let key = PrivateDecryptingKey::generate(size).map_err(|_| CryptoError::Provider)?;
        let pkcs8 = key.as_der().map_err(|_| CryptoError::Provider)?;
        Ok(Zeroizing::new(pkcs8.as_ref().to_vec()))
    }

    fn rsa_private(&self, pkcs8: &[u8]) -> Result<Box<dyn RsaPrivate>, CryptoError> {
        Ok(Box::new(PrivateKey::parse(pkcs8)?))
    }

    fn rsa_public(&self, spki: &[u8]) -> Result<Box<dyn RsaPublic>, CryptoError> {
        Ok(Box::new(PublicKey::parse(spki)?))
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

/// AES-CMAC, as AWS-LC returns it.
fn cmac(algorithm: cmac::Algorithm, key: &[u8], parts: &[&[u8]]) -> Result<Block, Unspecified> {
    let key = cmac::Key::new(algorithm, key)?;
    let mut mac = cmac::Context::with_key(&key);
    for part in parts {
        mac.update(part)?;
    }
    let mut tag = Block::default();
    tag.copy_from_slice(mac.sign()?.as_ref());
    Ok(tag)
}

/// AES-256-CBC with PKCS#7 padding, as AWS-LC returns it.
fn cbc_encrypt(key: &Key256, iv: &Block, plaintext: &[u8]) -> Result<Vec<u8>, Unspecified> {
    let key = UnboundCipherKey::new(&AES_256, key.expose())?;
    // Room for the padding, so that the plaintext is never moved and left behind.
    let mut buffer = Vec::with_capacity(plaintext.len() + size_of::<Block>());
    buffer.extend_from_slice(plaintext);
    PaddedBlockEncryptingKey::cbc_pkcs7(key)?
        .less_safe_encrypt(&mut buffer, EncryptionContext::Iv128(iv.into()))?;
    Ok(buffer)
}

/// The inverse of [`cbc_encrypt`]; fails if the length or the padding is wrong.
fn cbc_decrypt(key: &Key256, iv: &Block, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unspecified> {
    let key = UnboundCipherKey::new(&AES_256, key.expose())?;
    let mut buffer = Zeroizing::new(ciphertext.to_vec());
    let plaintext_len = PaddedBlockDecryptingKey::cbc_pkcs7(key)?
        .decrypt(&mut buffer, DecryptionContext::Iv128(iv.into()))?
        .len();
    buffer.truncate(plaintext_len);
    Ok(buffer)
}

/// AES-CBC without padding, as AWS-LC returns it.
fn encrypt_blocks(key: &AesKey, iv: &Block, blocks: &mut [Block]) -> Result<(), Unspecified> {
    let iv = EncryptionContext::Iv128(iv.into());
    EncryptingKey::cbc(unbound(key)?)?.less_safe_encrypt(blocks.as_flattened_mut(), iv)?;
    Ok(())
}

/// The inverse of [`encrypt_blocks`].
fn decrypt_blocks(key: &AesKey, iv: &Block, blocks: &mut [Block]) -> Result<(), Unspecified> {
    let iv = DecryptionContext::Iv128(iv.into());
    DecryptingKey::cbc(unbound(key)?)?.decrypt(blocks.as_flattened_mut(), iv)?;
    Ok(())
}

fn unbound(key: &AesKey) -> Result<UnboundCipherKey, Unspecified> {
    let algorithm = match key.bits() {
        AesBits::B128 => &AES_128,
        AesBits::B192 => &AES_192,
        AesBits::B256 => &AES_256,
    };
    UnboundCipherKey::new(algorithm, key.expose())
}

/// Unwraps what can only fail if memory runs out, which Rust answers by aborting anyway.
#[allow(clippy::expect_used, reason = "no input makes it fail")]
fn infallible<T>(result: Result<T, Unspecified>) -> T {
    result.expect("AES takes any key of its length and any message")
}

/// A private key, parsed once for each of its two uses, and its public half in DER.
#[derive(Debug)]
struct PrivateKey {
    signing: KeyPair,
    decrypting: OaepPrivateDecryptingKey,
    spki: Vec<u8>,
}

impl PrivateKey {
    fn parse(pkcs8: &[u8]) -> Result<Self, CryptoError> {
        let signing = KeyPair::from_pkcs8(pkcs8).map_err(|_| CryptoError::BadKey)?;
        let key = PrivateDecryptingKey::from_pkcs8(pkcs8).map_err(|_| CryptoError::BadKey)?;
        // Only what we would have written ourselves: no trailing bytes, no BER.
        let canonical = key.as_der().map_err(|_| CryptoError::BadKey)?;
        if pkcs8 != canonical.as_ref() {
            return Err(CryptoError::BadKey);
        }
        let spki = key.public_key().as_der().map_err(|_| CryptoError::BadKey)?.as_ref().to_vec();
        check_public(&spki)?;
        let decrypting = OaepPrivateDecryptingKey::new(key).map_err(|_| CryptoError::BadKey)?;
        Ok(Self { signing, decrypting, spki })
    }
}

impl SigningKey for PrivateKey {
    fn sign(&self, algorithm: SignatureAlgorithm, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let encoding: &'static RsaSignatureEncoding = match algorithm {
            SignatureAlgorithm::Pkcs1Sha256 => &RSA_PKCS1_SHA256,
            SignatureAlgorithm::PssSha256 => &RSA_PSS_SHA256,
            SignatureAlgorithm::EcdsaP256Sha256 => return Err(CryptoError::BadKey),
        };
        let mut signature = vec![0; self.signing.public_modulus_len()];
        self.signing
            .sign(encoding, &SystemRandom::new(), message, &mut signature)
            .map_err(|_| CryptoError::Provider)?;
        Ok(signature)
    }

    fn public_spki(&self) -> Vec<u8> {
        self.spki.clone()
    }
}

impl RsaPrivate for PrivateKey {
    fn decrypt_oaep(&self, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let mut buffer = Zeroizing::new(vec![0; self.decrypting.min_output_size()]);
        let plaintext_len = self
            .decrypting
            .decrypt(&OAEP_SHA256_MGF1SHA256, ciphertext, &mut buffer, None)
            .map_err(|_| CryptoError::BadCiphertext)?
            .len();
        buffer.truncate(plaintext_len);
        Ok(buffer)
    }
}

/// A public key, parsed once for each of its three uses.
#[derive(Debug)]
struct PublicKey {
    pkcs1: ParsedPublicKey,
    pss: ParsedPublicKey,
    encrypting: OaepPublicEncryptingKey,
    bits: RsaBits,
}

impl PublicKey {
    fn parse(spki: &[u8]) -> Result<Self, CryptoError> {
        let bits = check_public(spki)?;
        let key = PublicEncryptingKey::from_der(spki).map_err(|_| CryptoError::BadKey)?;
        let pkcs1 =
            ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, spki).map_err(|_| CryptoError::BadKey)?;
        let pss = ParsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, spki).map_err(|_| CryptoError::BadKey)?;
        let encrypting = OaepPublicEncryptingKey::new(key).map_err(|_| CryptoError::BadKey)?;
        Ok(Self { pkcs1, pss, encrypting, bits })
    }
}

impl VerifyingKey for PublicKey {
    fn verify(
        &self,
        algorithm: SignatureAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), CryptoError> {
        match algorithm {
            SignatureAlgorithm::Pkcs1Sha256 => &self.pkcs1,
            SignatureAlgorithm::PssSha256 => &self.pss,
            SignatureAlgorithm::EcdsaP256Sha256 => return Err(CryptoError::BadSignature),
        }
        .verify_sig(message, signature)
        .map_err(|_| CryptoError::BadSignature)
    }

    fn key_type(&self) -> SigningKeyType {
        SigningKeyType::Rsa(self.bits)
    }
}

impl RsaPublic for PublicKey {
    fn encrypt_oaep(&self, plaintext: &[u8]) -> Result<Vec<u8>, CryptoError> {
        if plaintext.len() > self.encrypting.max_plaintext_size(&OAEP_SHA256_MGF1SHA256) {
            return Err(CryptoError::TooLong);
        }
        let mut ciphertext = vec![0; self.encrypting.ciphertext_size()];
        self.encrypting
            .encrypt(&OAEP_SHA256_MGF1SHA256, plaintext, &mut ciphertext, None)
            .map_err(|_| CryptoError::Provider)?;
        Ok(ciphertext)
    }
}
