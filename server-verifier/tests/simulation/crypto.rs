//! Cryptography for simulation: every primitive is a quick mixing function, a hundred times cheaper than the real
//! one and good for nothing else. What is proven elsewhere about the real ones is taken for granted here; what
//! depends on which key, message and signature belong together still fails when they do not.

use onetap_apdu_spec::crypto::{
    Block, Crypto, CryptoError, Digest, Key256, RsaBits, RsaPrivate, RsaPublic, SigningKey, SigningKeyType,
    VerifyingKey,
};
use onetap_apdu_spec::suite::SignatureAlgorithm;
use zeroize::Zeroizing;

/// Bytes of a modulus of 2048 bits.
const MODULUS: usize = 256;

/// The provider.
#[derive(Debug, Clone, Copy)]
pub struct StandIn;

/// Takes bytes in, mixes them, gives any number of bytes out.
struct Mixer {
    state: u64,
    length: u64,
}

impl Mixer {
    fn new(label: u64) -> Self {
        Self { state: label ^ 0x9e37_79b9_7f4a_7c15, length: 0 }
    }

    /// Parts in a row are as one.
    fn feed(mut self, parts: &[&[u8]]) -> Self {
        for byte in parts.iter().flat_map(|part| part.iter()) {
            self.state = (self.state ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
            self.length += 1;
        }
        self
    }

    fn fill(self, out: &mut [u8]) {
        let mut word = self.state ^ self.length.rotate_left(32);
        for chunk in out.chunks_mut(8) {
            word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            let bytes = (mixed ^ (mixed >> 31)).to_be_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
    }

    fn bytes<const N: usize>(self) -> [u8; N] {
        let mut out = [0; N];
        self.fill(&mut out);
        out
    }
}

/// Adds or takes away what follows from key and IV.
fn stream(key: &Key256, iv: &Block, text: &mut [u8]) {
    let mut pad = vec![0; text.len()];
    Mixer::new(3).feed(&[key.expose(), iv]).fill(&mut pad);
    for (byte, pad) in text.iter_mut().zip(pad) {
        *byte ^= pad;
    }
}

impl Crypto for StandIn {
    fn name(&self) -> &'static str {
        "simulation"
    }

    fn sha256(&self, parts: &[&[u8]]) -> Digest {
        Mixer::new(1).feed(parts).bytes()
    }

    fn cmac(&self, key: &Key256, parts: &[&[u8]]) -> Block {
        Mixer::new(2).feed(&[key.expose()]).feed(parts).bytes()
    }

    fn cbc_encrypt(&self, key: &Key256, iv: &Block, plaintext: &[u8]) -> Vec<u8> {
        let pad = 16 - plaintext.len() % 16;
        let mut text = plaintext.to_vec();
        text.resize(plaintext.len() + pad, u8::try_from(pad).unwrap());
        stream(key, iv, &mut text);
        text
    }

    fn cbc_decrypt(
        &self,
        key: &Key256,
        iv: &Block,
        ciphertext: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let mut text = Zeroizing::new(ciphertext.to_vec());
        stream(key, iv, &mut text);
        let pad = text.last().map_or(0, |pad| usize::from(*pad));
        if !(1..=16).contains(&pad) || pad > text.len() {
            return Err(CryptoError::BadCiphertext);
        }
        let length = text.len() - pad;
        text.truncate(length);
        Ok(text)
    }

    fn generate_rsa(&self, _: RsaBits) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        Ok(Zeroizing::new(vec![0]))
    }

    fn rsa_private(&self, pkcs8: &[u8]) -> Result<Box<dyn RsaPrivate>, CryptoError> {
        Ok(Box::new(Key(pkcs8.to_vec())))
    }

    fn rsa_public(&self, spki: &[u8]) -> Result<Box<dyn RsaPublic>, CryptoError> {
        Ok(Box::new(Key(spki.to_vec())))
    }
}

/// Both halves of a key: its name.
#[derive(Debug)]
struct Key(Vec<u8>);

impl Key {
    fn signature(&self, message: &[u8]) -> [u8; MODULUS] {
        Mixer::new(4).feed(&[&self.0, message]).bytes()
    }
}

impl SigningKey for Key {
    fn sign(&self, _: SignatureAlgorithm, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        Ok(self.signature(message).to_vec())
    }

    fn public_spki(&self) -> Vec<u8> {
        self.0.clone()
    }
}

impl RsaPrivate for Key {
    fn decrypt_oaep(&self, _: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        Err(CryptoError::BadCiphertext)
    }
}

impl VerifyingKey for Key {
    fn verify(&self, _: SignatureAlgorithm, message: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        if signature == self.signature(message) { Ok(()) } else { Err(CryptoError::BadSignature) }
    }

    fn key_type(&self) -> SigningKeyType {
        SigningKeyType::Rsa(RsaBits::B2048)
    }
}

impl RsaPublic for Key {
    fn encrypt_oaep(&self, _: &[u8]) -> Result<Vec<u8>, CryptoError> {
        Err(CryptoError::TooLong)
    }
}
