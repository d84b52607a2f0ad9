//! How long the card has worked: cryptography that takes as long as [`Costs`] say.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use onetap_apdu_spec::crypto::{
    AesKey, Block, Crypto, CryptoError, Digest, Key256, RsaBits, RsaPrivate, RsaPublic, SigningKey,
    SigningKeyType, VerifyingKey,
};
use onetap_apdu_spec::suite::SignatureAlgorithm;
use zeroize::Zeroizing;

use super::time::Millis;
use crate::runtime::{Costs, Work};

/// What the card has worked and its clock does not know yet. Clones are the same meter.
#[derive(Debug, Clone)]
pub(crate) struct Meter {
    costs: Costs,
    /// In microseconds.
    worked: Arc<AtomicU64>,
}

impl Meter {
    pub(crate) fn new(costs: Costs) -> Self {
        Self { costs, worked: Arc::default() }
    }

    /// True if nothing takes time.
    #[inline]
    pub(crate) fn is_idle(&self) -> bool {
        self.costs == Costs::NONE
    }

    #[inline]
    pub(crate) fn charge(&self, work: Work) {
        if !self.is_idle() {
            self.worked.fetch_add(self.costs.of(work), Ordering::Relaxed);
        }
    }

    /// The whole milliseconds since this was asked last; the rest stays.
    pub(crate) fn take(&self) -> Millis {
        let worked = self.worked.load(Ordering::Relaxed);
        let whole = worked / 1000;
        self.worked.fetch_sub(whole * 1000, Ordering::Relaxed);
        Millis(whole)
    }

    /// The provider whose work this meter counts. Keys that it parsed count too, so it lives as long as the process:
    /// some bytes for each slow card that is opened.
    pub(crate) fn provider(&self, inner: &'static dyn Crypto) -> &'static dyn Crypto {
        if self.is_idle() { inner } else { Box::leak(Box::new(Metered { inner, meter: self.clone() })) }
    }
}

#[derive(Debug)]
struct Metered {
    inner: &'static dyn Crypto,
    meter: Meter,
}

/// A key that a metered provider parsed.
#[derive(Debug)]
struct MeteredKey<T: ?Sized> {
    inner: Box<T>,
    meter: Meter,
}

impl Metered {
    fn key<T: ?Sized>(&self, inner: Box<T>) -> MeteredKey<T> {
        MeteredKey { inner, meter: self.meter.clone() }
    }
}

fn len(parts: &[&[u8]]) -> usize {
    parts.iter().map(|part| part.len()).sum()
}

impl Crypto for Metered {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn sha256(&self, parts: &[&[u8]]) -> Digest {
        self.meter.charge(Work::Hash(len(parts)));
        self.inner.sha256(parts)
    }

    fn cmac(&self, key: &Key256, parts: &[&[u8]]) -> Block {
        self.meter.charge(Work::Aes(len(parts)));
        self.inner.cmac(key, parts)
    }

    fn cbc_encrypt(&self, key: &Key256, iv: &Block, plaintext: &[u8]) -> Vec<u8> {
        self.meter.charge(Work::Aes(plaintext.len() + 1));
        self.inner.cbc_encrypt(key, iv, plaintext)
    }

    fn cbc_decrypt(
        &self,
        key: &Key256,
        iv: &Block,
        ciphertext: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        self.meter.charge(Work::Aes(ciphertext.len()));
        self.inner.cbc_decrypt(key, iv, ciphertext)
    }

    fn aes_cmac(&self, key: &AesKey, parts: &[&[u8]]) -> Block {
        self.meter.charge(Work::Aes(len(parts)));
        self.inner.aes_cmac(key, parts)
    }

    fn aes_cbc_encrypt(&self, key: &AesKey, iv: &Block, blocks: &mut [Block]) {
        self.meter.charge(Work::Aes(blocks.as_flattened().len()));
        self.inner.aes_cbc_encrypt(key, iv, blocks);
    }

    fn aes_cbc_decrypt(&self, key: &AesKey, iv: &Block, blocks: &mut [Block]) {
        self.meter.charge(Work::Aes(blocks.as_flattened().len()));
        self.inner.aes_cbc_decrypt(key, iv, blocks);
    }

    fn generate_rsa(&self, bits: RsaBits) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        self.meter.charge(Work::RsaKey(bits));
        self.inner.generate_rsa(bits)
    }

    fn rsa_private(&self, pkcs8: &[u8]) -> Result<Box<dyn RsaPrivate>, CryptoError> {
        Ok(Box::new(self.key(self.inner.rsa_private(pkcs8)?)))
    }

    fn rsa_public(&self, spki: &[u8]) -> Result<Box<dyn RsaPublic>, CryptoError> {
        Ok(Box::new(self.key(self.inner.rsa_public(spki)?)))
    }

    fn generate_p256(&self) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        self.meter.charge(Work::Curve);
        self.inner.generate_p256()
    }

    fn p256_private(&self, pkcs8: &[u8]) -> Result<Box<dyn SigningKey>, CryptoError> {
        Ok(Box::new(self.key(self.inner.p256_private(pkcs8)?)))
    }

    fn p256_public(&self, spki: &[u8]) -> Result<Box<dyn VerifyingKey>, CryptoError> {
        Ok(Box::new(self.key(self.inner.p256_public(spki)?)))
    }
}

impl<T: SigningKey + ?Sized> SigningKey for MeteredKey<T> {
    fn sign(&self, algorithm: SignatureAlgorithm, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let signature = self.inner.sign(algorithm, message)?;
        self.meter.charge(Work::Hash(message.len()));
        self.meter.charge(match algorithm {
            SignatureAlgorithm::Pkcs1Sha256 | SignatureAlgorithm::PssSha256 => {
                Work::RsaPrivate(signature.len())
            }
            SignatureAlgorithm::EcdsaP256Sha256 => Work::Curve,
        });
        Ok(signature)
    }

    fn public_spki(&self) -> Vec<u8> {
        self.inner.public_spki()
    }
}

impl RsaPrivate for MeteredKey<dyn RsaPrivate> {
    fn decrypt_oaep(&self, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        self.meter.charge(Work::RsaPrivate(ciphertext.len()));
        self.inner.decrypt_oaep(ciphertext)
    }
}

impl<T: VerifyingKey + ?Sized> VerifyingKey for MeteredKey<T> {
    fn verify(
        &self,
        algorithm: SignatureAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), CryptoError> {
        self.meter.charge(Work::Hash(message.len()));
        self.meter.charge(match self.key_type() {
            SigningKeyType::Rsa(bits) => Work::RsaPublic(usize::from(u16::from(bits) / 8)),
            SigningKeyType::P256 => Work::Curve,
        });
        self.inner.verify(algorithm, message, signature)
    }

    fn key_type(&self) -> SigningKeyType {
        self.inner.key_type()
    }
}

impl RsaPublic for MeteredKey<dyn RsaPublic> {
    fn encrypt_oaep(&self, plaintext: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let ciphertext = self.inner.encrypt_oaep(plaintext)?;
        self.meter.charge(Work::RsaPublic(ciphertext.len()));
        Ok(ciphertext)
    }
}
