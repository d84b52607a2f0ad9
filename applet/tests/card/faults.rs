//! A signature unit that fails: what it makes never leaves, and no counter value is used twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use onetap_apdu_spec::command::{CardState, Name};
use onetap_apdu_spec::crypto::{Block, Crypto, CryptoError, Digest, Key256, RsaBits, RsaPrivate, RsaPublic};
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

#[derive(Debug)]
struct FaultyKey(Box<dyn RsaPrivate>, Faulty);

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
}

impl RsaPrivate for FaultyKey {
    fn sign(&self, algorithm: SignatureAlgorithm, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.1.commits_at_signature.store(self.1.commits.load(Ordering::SeqCst), Ordering::SeqCst);
        let mut signature = self.0.sign(algorithm, message)?;
        match self.1.fault.load(Ordering::SeqCst) {
            WRONG_BIT => signature[100] ^= 1,
            PANIC => panic!("a fault on purpose"),
            _ => {}
        }
        Ok(signature)
    }
    fn decrypt_oaep(&self, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        self.0.decrypt_oaep(ciphertext)
    }
    fn public_spki(&self) -> Vec<u8> {
        self.0.public_spki()
    }
}

fn faulty() -> (Rig, Faulty) {
    let mut rig = Rig::new();
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
    let (mut rig, faulty) = faulty();
    rig.load("12.34");
    faulty.fault.store(WRONG_BIT, Ordering::SeqCst);
    let response = rig.send(Name::GetSignature, None, &[]);
    assert_eq!((response.data.len(), response.sw), (0, StatusWord::INTERNAL));
    assert_eq!(rig.card.state(), CardState::Idle);
    faulty.fault.store(SOUND, Ordering::SeqCst);
    rig.tap("12.34");
}

#[test]
fn after_a_panic_a_counter_value_that_was_taken_stays_taken() {
    let (mut rig, faulty) = faulty();
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
    let (mut rig, faulty) = faulty();
    rig.load("12.34");
    let before = rig.nvm.count();
    assert_eq!(rig.sw(Name::GetSignature, &[]), StatusWord::OK);
    assert_eq!(faulty.commits_at_signature.load(Ordering::SeqCst), before + 1);
}
