//! ECDSA on P-256. The secret number of a signature is drawn by AWS-LC, with the private key and the message's hash mixed in.

use aws_lc_rs::encoding::{AsBigEndian as _, EcPrivateKeyBin};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, ParsedPublicKey,
};
use zeroize::Zeroizing;

use super::super::p256::{POINT_LEN, point, private_der, private_parts, public_der};
use super::super::{CryptoError, SigningKey, SigningKeyType, VerifyingKey};
use crate::suite::SignatureAlgorithm;

pub(super) fn generate() -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| CryptoError::Provider)?;
    let private = pair.private_key();
    let number: EcPrivateKeyBin<'_> = private.as_be_bytes().map_err(|_| CryptoError::Provider)?;
    Ok(private_der(number.as_ref(), pair.public_key().as_ref()))
}

/// A private key, parsed.
#[derive(Debug)]
pub(super) struct PrivateKey {
    pair: EcdsaKeyPair,
    point: [u8; POINT_LEN],
}

impl PrivateKey {
    pub(super) fn parse(pkcs8: &[u8]) -> Result<Self, CryptoError> {
        let (_, point) = private_parts(pkcs8)?;
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8)
            .map_err(|_| CryptoError::BadKey)?;
        if pair.public_key().as_ref() != point {
            return Err(CryptoError::BadKey);
        }
        Ok(Self { pair, point: *point })
    }
}

impl SigningKey for PrivateKey {
    fn sign(&self, algorithm: SignatureAlgorithm, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        if !SigningKeyType::P256.signs_by(algorithm) {
            return Err(CryptoError::BadKey);
        }
        let signature = self.pair.sign(&SystemRandom::new(), message).map_err(|_| CryptoError::Provider)?;
        Ok(signature.as_ref().to_vec())
    }

    fn public_spki(&self) -> Vec<u8> {
        public_der(&self.point)
    }
}

/// A public key, parsed.
#[derive(Debug)]
pub(super) struct PublicKey(ParsedPublicKey);

impl PublicKey {
    pub(super) fn parse(spki: &[u8]) -> Result<Self, CryptoError> {
        let key = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point(spki)?);
        key.map(Self).map_err(|_| CryptoError::BadKey)
    }
}

impl VerifyingKey for PublicKey {
    fn verify(
        &self,
        algorithm: SignatureAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), CryptoError> {
        if !SigningKeyType::P256.signs_by(algorithm) {
            return Err(CryptoError::BadSignature);
        }
        self.0.verify_sig(message, signature).map_err(|_| CryptoError::BadSignature)
    }

    fn key_type(&self) -> SigningKeyType {
        SigningKeyType::P256
    }
}
