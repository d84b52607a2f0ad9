//! ECDSA on P-256. The secret number of a signature follows from key and message (RFC 6979).

use p256::ecdsa::signature::{Signer as _, Verifier as _};
use p256::ecdsa::{Signature, SigningKey as P256Key, VerifyingKey as P256Public};
use p256::elliptic_curve::Generate as _;
use rand::rngs::SysRng;
use zeroize::Zeroizing;

use super::super::p256::{FIELD_LEN, POINT_LEN, point, private_der, private_parts, public_der};
use super::super::{CryptoError, SigningKey, SigningKeyType, VerifyingKey};
use crate::suite::SignatureAlgorithm;

pub(super) fn generate() -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    let key = P256Key::try_generate_from_rng(&mut SysRng).map_err(|_| CryptoError::Provider)?;
    let number = Zeroizing::new(<[u8; FIELD_LEN]>::from(key.to_bytes()));
    Ok(private_der(&number[..], &uncompressed(key.verifying_key())))
}

fn uncompressed(key: &P256Public) -> [u8; POINT_LEN] {
    let mut point = [0; POINT_LEN];
    point.copy_from_slice(key.to_sec1_point(false).as_bytes());
    point
}

/// A private key, parsed.
#[derive(Debug)]
pub(super) struct PrivateKey(P256Key);

impl PrivateKey {
    pub(super) fn parse(pkcs8: &[u8]) -> Result<Self, CryptoError> {
        let (number, point) = private_parts(pkcs8)?;
        let key = P256Key::from_slice(&number[..]).map_err(|_| CryptoError::BadKey)?;
        if uncompressed(key.verifying_key()) != *point {
            return Err(CryptoError::BadKey);
        }
        Ok(Self(key))
    }
}

impl SigningKey for PrivateKey {
    fn sign(&self, algorithm: SignatureAlgorithm, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        if !SigningKeyType::P256.signs_by(algorithm) {
            return Err(CryptoError::BadKey);
        }
        let signature: Signature = self.0.try_sign(message).map_err(|_| CryptoError::Provider)?;
        Ok(signature.to_bytes().to_vec())
    }

    fn public_spki(&self) -> Vec<u8> {
        public_der(&uncompressed(self.0.verifying_key()))
    }
}

/// A public key, parsed.
#[derive(Debug)]
pub(super) struct PublicKey(P256Public);

impl PublicKey {
    pub(super) fn parse(spki: &[u8]) -> Result<Self, CryptoError> {
        P256Public::from_sec1_bytes(point(spki)?).map(Self).map_err(|_| CryptoError::BadKey)
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
        let signature = Signature::from_slice(signature).map_err(|_| CryptoError::BadSignature)?;
        self.0.verify(message, &signature).map_err(|_| CryptoError::BadSignature)
    }

    fn key_type(&self) -> SigningKeyType {
        SigningKeyType::P256
    }
}
