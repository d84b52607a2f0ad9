//! A defect in a decision costs that decision, and no other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use onetap_apdu_spec::crypto::{
    Block, Crypto, CryptoError, Digest, Key256, RsaBits, RsaPrivate, RsaPublic, default_provider,
};
use onetap_apdu_spec::rng::OsRng;
use onetap_server_verifier::*;
use zeroize::Zeroizing;

use crate::home::*;

const SUITE: &str = "a3+sha256+aes-cbc-cmac";

/// A provider that panics where a decision seals its entry of the log.
#[derive(Debug, Default)]
struct Defective {
    armed: AtomicBool,
}

/// A verifier of the same books with such a provider.
fn defective(home: &Home) -> (&'static Defective, Verifier) {
    let crypto: &Defective = Box::leak(Box::default());
    let env = Environment::new(crypto, Arc::new(home.clock.clone()), Box::new(OsRng));
    (crypto, home.open_with(env).unwrap())
}

impl Crypto for Defective {
    fn name(&self) -> &'static str {
        "defective"
    }

    fn sha256(&self, parts: &[&[u8]]) -> Digest {
        let seals = parts.first() == Some(&&b"onetap/entry"[..]);
        assert!(!(seals && self.armed.swap(false, Ordering::SeqCst)), "the defect");
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

    fn generate_rsa(&self, bits: RsaBits) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        default_provider().generate_rsa(bits)
    }

    fn rsa_private(&self, pkcs8: &[u8]) -> Result<Box<dyn RsaPrivate>, CryptoError> {
        default_provider().rsa_private(pkcs8)
    }

    fn rsa_public(&self, spki: &[u8]) -> Result<Box<dyn RsaPublic>, CryptoError> {
        default_provider().rsa_public(spki)
    }
}

#[test]
fn a_decision_that_panics_leaves_nothing_and_the_next_ones_are_made() {
    let home = Home::new();
    let (crypto, verifier) = defective(&home);
    let mut card = home.card(SUITE);
    // More panics than there are workers that decide, on either store.
    for round in 0..20 {
        let (doomed, other) = (card.tap(home.payment(100)), card.tap(home.payment(100)));
        let key = |what| format!("{what}-{round}");
        crypto.armed.store(true, Ordering::SeqCst);
        let ended = verifier.authorise(&home.client, &key("doomed"), &doomed.request);
        assert!(matches!(ended, Err(ServiceError::Store(StoreError::Defect))), "{ended:?}");
        assert_eq!(home.balances().1, 200 * round, "nothing of it was written");
        let again = verifier.authorise(&home.client, &key("doomed"), &doomed.request).unwrap();
        assert!(matches!(again, Outcome::Executed(_)), "{again:?}");
        let other = verifier.authorise(&home.client, &key("other"), &other.request).unwrap();
        assert!(matches!(other, Outcome::Executed(_)), "{other:?}");
    }
    home.check_books();
}

/// An act that panics gives back the connection that it borrowed, without what it had written.
#[test]
fn an_act_that_panics_leaves_nothing_and_the_next_ones_are_made() {
    let home = Home::new();
    let (crypto, verifier) = defective(&home);
    let before = home.verifier.accounts().unwrap().len();
    for round in 1..=6 {
        crypto.armed.store(true, Ordering::SeqCst);
        let act = || crate::support::account(&verifier, "Eve", AccountKind::Current, 0);
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(act)).is_err());
        act();
        assert_eq!(verifier.accounts().unwrap().len(), before + round);
    }
    home.check_books();
}
