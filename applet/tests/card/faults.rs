//! A signature unit that fails: what it makes never leaves, and no counter value is used twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use onetap_apdu_spec::command::{CardState, Name};
use onetap_apdu_spec::crypto::{
    Block, Crypto, CryptoError, Digest, Key256, RsaBits, RsaPrivate, RsaPublic, SigningKey,
};
use onetap_apdu_spec::suite::SignatureAlgorithm;
use onetap_apdu_spec::sw::StatusWord;
use onetap_applet::card::VirtualClock;
use onetap_applet::{Card, Environment};
use zeroize::Zeroizing;

use crate::rig::{Rig, Seeded, crypto};

const SOUND: u8 = 0;
const WRONG_BIT: u8 = 1;
const PANIC: u8 = 2;

/// The real provider, but for the signatures.
#[derive(Debug, Clone, Default)]
struct Faulty {
    fault: Arc<AtomicU8>,
    /// Commits of the memory, and how many there were at the last signature.
    commits: Arc<AtomicUsize>,
    commits_at_signature: Arc<AtomicUsize>,
}

const RSA: &str = "a3+sha256+rsa-oaep+pkcs1";
const ECDSA: &str = "a3+sha256+rsa-oaep+ecdsa";

#[derive(Debug)]
struct FaultyKey(Box<dyn SigningKey>, Faulty);

impl Crypto for Faulty {
    fn name(&self) -> &'static str {
        "faulty"
    }
    fn sha256(&self, parts: &[&[u8]]) -> Digest {
        crypto().sha256(parts)
    }
    fn cmac(&self, key: &Key256, parts: &[&[u8]]) -> Block {
        crypto().cmac(key, parts)
    }
    fn cbc_encrypt(&self, key: &Key256, iv: &Block, plaintext: &[u8]) -> Vec<u8> {
        crypto().cbc_encrypt(key, iv, plaintext)
    }
    fn cbc_decrypt(
        &self,
        key: &Key256,
        iv: &Block,
        ciphertext: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        crypto().cbc_decrypt(key, iv, ciphertext)
    }
    fn generate_rsa(&self, bits: RsaBits) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        crypto().generate_rsa(bits)
    }
    fn rsa_private(&self, pkcs8: &[u8]) -> Result<Box<dyn RsaPrivate>, CryptoError> {
        Ok(Box::new(FaultyKey(crypto().rsa_private(pkcs8)?, self.clone())))
    }
    fn rsa_public(&self, spki: &[u8]) -> Result<Box<dyn RsaPublic>, CryptoError> {
        crypto().rsa_public(spki)
    }
    fn p256_private(&self, pkcs8: &[u8]) -> Result<Box<dyn SigningKey>, CryptoError> {
        Ok(Box::new(FaultyKey(crypto().p256_private(pkcs8)?, self.clone())))
    }
}

impl SigningKey for FaultyKey {
    fn sign(&self, algorithm: SignatureAlgorithm, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.1.commits_at_signature.store(self.1.commits.load(Ordering::SeqCst), Ordering::SeqCst);
        let mut signature = self.0.sign(algorithm, message)?;
        match self.1.fault.load(Ordering::SeqCst) {
            WRONG_BIT => signature[50] ^= 1,
            PANIC => panic!("a fault on purpose"),
            _ => {}
        }
        Ok(signature)
    }
    fn public_spki(&self) -> Vec<u8> {
        self.0.public_spki()
    }
}

/// A card's key decrypts nothing.
impl RsaPrivate for FaultyKey {
    fn decrypt_oaep(&self, _: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        Err(CryptoError::BadCiphertext)
    }
}

fn faulty(suite: &str) -> (Rig, Faulty) {
    let mut rig = Rig::suite(suite.parse().unwrap());
    let faulty = Faulty { commits: Arc::clone(&rig.nvm.commits), ..Faulty::default() };
    let clock: VirtualClock = rig.clock.clone();
    let env = Environment {
        crypto: Box::leak(Box::new(faulty.clone())),
        rng: Box::new(Seeded(1)),
        clock: Box::new(clock),
        ..Environment::default()
    };
    rig.card = Card::open(Box::new(rig.nvm.clone()), env).unwrap();
    (rig, faulty)
}

/// A fault in one half of a CRT signature gives the key away to whoever gets it.
#[test]
fn attack_crt_fault() {
    for suite in [RSA, "a3+sha256+rsa-oaep+pss"] {
        let (mut rig, faulty) = faulty(suite);
        rig.load("12.34");
        faulty.fault.store(WRONG_BIT, Ordering::SeqCst);
        let response = rig.send(Name::GetSignature, None, &[]);
        assert_eq!((response.data.len(), response.sw), (0, StatusWord::INTERNAL), "{suite}");
        assert_eq!(rig.card.state(), CardState::Idle);
        faulty.fault.store(SOUND, Ordering::SeqCst);
        rig.tap("12.34");
    }
}

#[test]
fn after_a_panic_a_counter_value_that_was_taken_stays_taken() {
    let (mut rig, faulty) = faulty(RSA);
    rig.load("12.34");
    let alias = rig.alias();
    faulty.fault.store(PANIC, Ordering::SeqCst);
    assert_eq!(rig.sw(Name::GetSignature, &[]), StatusWord::INTERNAL);
    faulty.fault.store(SOUND, Ordering::SeqCst);
    assert_eq!(rig.sw(Name::GetSignature, &[]), StatusWord::CONDITIONS, "void");
    assert_ne!(rig.alias(), alias);
}

#[test]
fn c_is_persisted_before_anything_is_signed_with_it() {
    for suite in [RSA, ECDSA] {
        let (mut rig, faulty) = faulty(suite);
        rig.load("12.34");
        let before = rig.nvm.count();
        assert_eq!(rig.sw(Name::GetSignature, &[]), StatusWord::OK);
        assert_eq!(faulty.commits_at_signature.load(Ordering::SeqCst), before + 1, "{suite}");
    }
}
