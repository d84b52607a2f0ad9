//! Cryptography for fuzzing: symmetric algorithms are the real ones; RSA is a hash, a thousand times
//! faster. What the card does with keys is tested elsewhere; here it is what it does with input.

use onetap_apdu_spec::crypto::{
    Block, Crypto, CryptoError, Digest, Key256, RsaBits, RsaPrivate, RsaPublic, SigningKey, SigningKeyType,
    VerifyingKey, default_provider,
};
use onetap_apdu_spec::suite::SignatureAlgorithm;
use zeroize::Zeroizing;

/// The provider.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StandIn;

impl Crypto for StandIn {
    fn name(&self) -> &'static str {
        "stand-in"
    }

    fn sha256(&self, parts: &[&[u8]]) -> Digest {
        default_provider().sha256(parts)
    }

    fn cmac(&self, key: &Key256, parts: &[&[u8]]) -> Block {
        default_provider().cmac(key, parts)
    }

    fn cbc_encrypt(&self, key: &Key256, iv: &Block, plaintext: &[u8]) -> Vec<u8> {
        default_provider().cbc_encrypt(key, iv, plaintext)
    }

    fn cbc_decrypt(
        &self,
        key: &Key256,
        iv: &Block,
        ciphertext: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        default_provider().cbc_decrypt(key, iv, ciphertext)
    }

    fn generate_rsa(&self, _: RsaBits) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        Ok(Zeroizing::new(vec![1]))
    }

    fn rsa_private(&self, pkcs8: &[u8]) -> Result<Box<dyn RsaPrivate>, CryptoError> {
        Ok(Box::new(StandInKey(pkcs8.to_vec())))
    }

    fn rsa_public(&self, spki: &[u8]) -> Result<Box<dyn RsaPublic>, CryptoError> {
        Ok(Box::new(StandInKey(spki.to_vec())))
    }
}

/// Both halves of a key. Whatever its bytes are, which only tell one key from another, it signs as every other does.
#[derive(Debug)]
struct StandInKey(Vec<u8>);

/// As many bytes as a signature or ciphertext has; tells nothing of `input`.
fn stretch(label: u8, input: &[u8]) -> Vec<u8> {
    (0..8_u8).flat_map(|i| default_provider().sha256(&[&[label, i], input])).collect()
}

impl SigningKey for StandInKey {
    fn sign(&self, _: SignatureAlgorithm, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        Ok(stretch(b'S', message))
    }

    fn public_spki(&self) -> Vec<u8> {
        default_provider().sha256(&[&self.0]).to_vec()
    }
}

impl RsaPrivate for StandInKey {
    fn decrypt_oaep(&self, _: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        Err(CryptoError::BadCiphertext)
    }
}

impl VerifyingKey for StandInKey {
    fn verify(&self, _: SignatureAlgorithm, message: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        if signature == stretch(b'S', message) { Ok(()) } else { Err(CryptoError::BadSignature) }
    }

    fn key_type(&self) -> SigningKeyType {
        SigningKeyType::Rsa(RsaBits::B2048)
    }
}

impl RsaPublic for StandInKey {
    fn encrypt_oaep(&self, plaintext: &[u8]) -> Result<Vec<u8>, CryptoError> {
        Ok(stretch(b'E', plaintext))
    }
}
