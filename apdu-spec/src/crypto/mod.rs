//! What the card and the server need of cryptography, as one trait with two providers.
//!
//! [`Crypto`] is implemented by [`AwsLc`] (AWS-LC: constant time and about five times faster at RSA; what
//! programs use) and, with the feature `rustcrypto`, by `RustCrypto` (pure Rust; for tests). Each is tested
//! against the other and against `fixtures/vectors`. Keys come in and go out as DER: PKCS#8 for private keys (RFC 5958),
//! SubjectPublicKeyInfo for public ones (RFC 5280 §4.1).

#[cfg(feature = "aws-lc")]
mod aws_lc;
mod error;
mod key_type;
mod p256;
mod public_key;
#[cfg(feature = "rustcrypto")]
mod rustcrypto;
mod secret;

use std::fmt::Debug;

use zeroize::Zeroizing;

#[cfg(feature = "aws-lc")]
pub use aws_lc::AwsLc;
pub use error::CryptoError;
pub use key_type::{RsaBits, SigningKeyType};
#[cfg(feature = "rustcrypto")]
pub use rustcrypto::RustCrypto;
pub use secret::{AesBits, AesKey, Block, Digest, Key256};

use crate::suite::SignatureAlgorithm;

/// One provider of the primitives. Messages come as parts that are processed one after another, as
/// if concatenated; framing them is the caller's duty.
///
/// Randomness inside RSA (OAEP seeds, PSS salts) and ECDSA (the secret number of each signature), and that of key generation
/// comes from the provider's own generator, which the operating system seeds. All randomness of the protocol itself comes
/// through [`crate::rng::Rng`].
pub trait Crypto: Debug + Send + Sync {
    /// Short name for logs and benchmarks, such as `aws-lc`.
    fn name(&self) -> &'static str;

    /// SHA-256 (FIPS 180-4).
    fn sha256(&self, parts: &[&[u8]]) -> Digest;

    /// AES-256-CMAC (NIST SP 800-38B), full 16 bytes.
    fn cmac(&self, key: &Key256, parts: &[&[u8]]) -> Block;

    /// AES-256-CBC with PKCS#7 padding (NIST SP 800-38A, RFC 5652 §6.3): 1 to 16 bytes longer than
    /// the plaintext, always whole blocks.
    fn cbc_encrypt(&self, key: &Key256, iv: &Block, plaintext: &[u8]) -> Vec<u8>;

    /// The inverse of [`Crypto::cbc_encrypt`].
    ///
    /// # Errors
    /// [`CryptoError::BadCiphertext`] if the length or the padding is wrong. Authenticate first.
    fn cbc_decrypt(
        &self,
        key: &Key256,
        iv: &Block,
        ciphertext: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, CryptoError>;

    /// AES-CMAC (NIST SP 800-38B) under a key of any length, full 16 bytes. A test double that fakes
    /// other primitives need not write this one and the next two: they are the default provider's.
    fn aes_cmac(&self, key: &AesKey, parts: &[&[u8]]) -> Block {
        default_provider().aes_cmac(key, parts)
    }

    /// AES-CBC without padding (NIST SP 800-38A), in place, over whole blocks.
    fn aes_cbc_encrypt(&self, key: &AesKey, iv: &Block, blocks: &mut [Block]) {
        default_provider().aes_cbc_encrypt(key, iv, blocks);
    }

    /// The inverse of [`Crypto::aes_cbc_encrypt`]. Authenticate first.
    fn aes_cbc_decrypt(&self, key: &AesKey, iv: &Block, blocks: &mut [Block]) {
        default_provider().aes_cbc_decrypt(key, iv, blocks);
    }

    /// Makes an RSA key with public exponent 65537 and returns it as PKCS#8 DER.
    ///
    /// # Errors
    /// [`CryptoError::Provider`] if the generator failed.
    fn generate_rsa(&self, bits: RsaBits) -> Result<Zeroizing<Vec<u8>>, CryptoError>;

    /// Parses an RSA private key once, for many operations. Its public half must be one that [`Crypto::rsa_public`] takes.
    ///
    /// # Errors
    /// [`CryptoError::BadKey`], [`CryptoError::WeakKey`].
    fn rsa_private(&self, pkcs8: &[u8]) -> Result<Box<dyn RsaPrivate>, CryptoError>;

    /// Parses an RSA public key once, for many operations: the one way from bytes to such a key of a card or a server, at
    /// enrolment, in the card and whenever a stored one is used. Checks REQ-S-18 to REQ-S-20.
    ///
    /// # Errors
    /// [`CryptoError::BadKey`], [`CryptoError::WeakKey`].
    fn rsa_public(&self, spki: &[u8]) -> Result<Box<dyn RsaPublic>, CryptoError>;

    /// Makes a key of P-256 and returns it as PKCS#8 DER (RFC 5958, RFC 5915) with its public half. A test double that fakes RSA
    /// only need not write this one and the next two.
    ///
    /// # Errors
    /// [`CryptoError::Provider`] if the generator failed.
    fn generate_p256(&self) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        default_provider().generate_p256()
    }

    /// Parses a private key of P-256 once, for many signatures.
    ///
    /// # Errors
    /// [`CryptoError::BadKey`], also if the public half that it brings along is another one's.
    fn p256_private(&self, pkcs8: &[u8]) -> Result<Box<dyn SigningKey>, CryptoError> {
        default_provider().p256_private(pkcs8)
    }

    /// Parses a public key of P-256 once, for many signatures. Checks REQ-S-21.
    ///
    /// # Errors
    /// [`CryptoError::BadKey`].
    fn p256_public(&self, spki: &[u8]) -> Result<Box<dyn VerifyingKey>, CryptoError> {
        default_provider().p256_public(spki)
    }

    /// Makes a card's signing key and returns it as PKCS#8 DER.
    ///
    /// # Errors
    /// [`CryptoError::Provider`] if the generator failed.
    fn generate_key(&self, key: SigningKeyType) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        match key {
            SigningKeyType::Rsa(bits) => self.generate_rsa(bits),
            SigningKeyType::P256 => self.generate_p256(),
        }
    }

    /// Parses a private key that signs by `algorithm`.
    ///
    /// # Errors
    /// [`CryptoError::BadKey`], [`CryptoError::WeakKey`].
    fn signing_key(
        &self,
        algorithm: SignatureAlgorithm,
        pkcs8: &[u8],
    ) -> Result<Box<dyn SigningKey>, CryptoError> {
        match algorithm {
            SignatureAlgorithm::Pkcs1Sha256 | SignatureAlgorithm::PssSha256 => Ok(self.rsa_private(pkcs8)?),
            SignatureAlgorithm::EcdsaP256Sha256 => self.p256_private(pkcs8),
        }
    }

    /// Parses a public key that verifies by `algorithm`: the one way from bytes to the key of a card.
    ///
    /// # Errors
    /// [`CryptoError::BadKey`], [`CryptoError::WeakKey`].
    fn verifying_key(
        &self,
        algorithm: SignatureAlgorithm,
        spki: &[u8],
    ) -> Result<Box<dyn VerifyingKey>, CryptoError> {
        match algorithm {
            SignatureAlgorithm::Pkcs1Sha256 | SignatureAlgorithm::PssSha256 => Ok(self.rsa_public(spki)?),
            SignatureAlgorithm::EcdsaP256Sha256 => self.p256_public(spki),
        }
    }
}

/// A private key that signs, held by a provider.
pub trait SigningKey: Debug + Send + Sync {
    /// Signs `message` (hashed inside with SHA-256): RSASSA-PKCS1-v1_5, or PSS with MGF1-SHA-256 and a salt of 32 bytes
    /// (RFC 8017), or ECDSA with S as r ‖ s of 32 bytes each (FIPS 186-5 §6.4). As long as
    /// [`SigningKeyType::signature_len`] says.
    ///
    /// # Errors
    /// [`CryptoError::BadKey`] if the key does not sign by `algorithm`; [`CryptoError::Provider`].
    fn sign(&self, algorithm: SignatureAlgorithm, message: &[u8]) -> Result<Vec<u8>, CryptoError>;

    /// The public half as SubjectPublicKeyInfo DER.
    fn public_spki(&self) -> Vec<u8>;
}

/// A public key that verifies, held by a provider.
pub trait VerifyingKey: Debug + Send + Sync {
    /// Verifies a signature made by [`SigningKey::sign`]. Of ECDSA both s and n − s verify (REQ-S-22).
    ///
    /// # Errors
    /// [`CryptoError::BadSignature`], also if the key does not verify by `algorithm`.
    fn verify(
        &self,
        algorithm: SignatureAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), CryptoError>;

    /// What kind of key it is.
    fn key_type(&self) -> SigningKeyType;
}

/// An RSA private key held by a provider (RFC 8017).
pub trait RsaPrivate: SigningKey {
    /// RSAES-OAEP decryption with SHA-256, MGF1-SHA-256 and the empty label.
    ///
    /// # Errors
    /// [`CryptoError::BadCiphertext`], however it failed; [`CryptoError::Unavailable`] if the key is in
    /// an HSM that does not answer.
    fn decrypt_oaep(&self, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError>;
}

/// An RSA public key held by a provider (RFC 8017).
pub trait RsaPublic: VerifyingKey {
    /// RSAES-OAEP encryption with SHA-256, MGF1-SHA-256 and the empty label: as long as the modulus.
    ///
    /// # Errors
    /// [`CryptoError::TooLong`] if the plaintext exceeds modulus length − 66 bytes.
    fn encrypt_oaep(&self, plaintext: &[u8]) -> Result<Vec<u8>, CryptoError>;
}

/// The provider that programs use: AWS-LC where it is compiled in, else RustCrypto.
#[must_use]
pub fn default_provider() -> &'static dyn Crypto {
    #[cfg(feature = "aws-lc")]
    return &AwsLc;
    #[cfg(all(not(feature = "aws-lc"), feature = "rustcrypto"))]
    return &RustCrypto;
    #[cfg(not(any(feature = "aws-lc", feature = "rustcrypto")))]
    compile_error!("enable one of the features `aws-lc` and `rustcrypto`");
}
