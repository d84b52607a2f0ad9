//! RSA keys that no card may have (REQ-S-18 to REQ-S-20, REQ-I-14, REQ-I-15); those of P-256 are in `ecdsa`.

use crate::home::*;
use crate::support::*;
use onetap_apdu_spec::crypto::{CryptoError, SigningKey, default_provider};
use onetap_apdu_spec::personal::EnrolmentStatement;
use onetap_apdu_spec::suite::SignatureAlgorithm;
use onetap_server_verifier::*;

const SUITE: &str = "a3+sha256+rsa-oaep";

fn desk(world: &World) -> Desk<'_> {
    world.verifier.desk(Act::of_program("test", "set-up"))
}

/// A key with exponent 3, which signs rightly.
#[derive(Debug)]
struct ExponentThree {
    pair: aws_lc_rs::rsa::KeyPair,
    public: Vec<u8>,
}

impl ExponentThree {
    fn new() -> Self {
        let vector =
            public_keys().into_iter().find(|vector| vector["id"] == "public-key-exponent-3").unwrap();
        let bytes = |field: &str| hex::decode(vector[field].as_str().unwrap()).unwrap();
        let pair = aws_lc_rs::rsa::KeyPair::from_pkcs8(&bytes("private_pkcs8")).unwrap();
        Self { pair, public: bytes("public_key") }
    }
}

impl SigningKey for ExponentThree {
    fn sign(&self, _: SignatureAlgorithm, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let (encoding, rng) = (&aws_lc_rs::signature::RSA_PKCS1_SHA256, aws_lc_rs::rand::SystemRandom::new());
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair.sign(encoding, &rng, message, &mut signature).map_err(|_| CryptoError::Provider)?;
        Ok(signature)
    }

    fn public_spki(&self) -> Vec<u8> {
        self.public.clone()
    }
}

/// `fixtures/vectors/public-keys.json`, made by another program from docs/spec/signing.md.
fn public_keys() -> Vec<serde_json::Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/vectors/public-keys.json");
    let file: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    file["vectors"].as_array().unwrap().clone()
}

/// REQ-S-18 to REQ-S-20, REQ-I-14: whatever its signature is worth.
#[test]
fn a_public_key_that_no_card_may_have_is_not_enrolled() {
    let world = world();
    let order = desk(&world).order_card(&world.ada, &CardOptions::new(eur())).unwrap().personalisation;
    let mut card = Card::make(order);
    for vector in
        public_keys().into_iter().filter(|vector| vector["expect"] == "invalid" && vector["kind"] == "rsa")
    {
        let public_key = hex::decode(vector["public_key"].as_str().unwrap()).unwrap();
        let refused = desk(&world).activate_card(&EnrolmentStatement { public_key, ..card.statement() });
        assert!(matches!(refused, Err(ServiceError::UnusableKey(_))), "{}: {refused:?}", vector["id"]);
    }
    card.key = Box::new(ExponentThree::new());
    let refused = desk(&world).activate_card(&card.statement());
    assert!(matches!(refused, Err(ServiceError::UnusableKey(CryptoError::BadKey))), "{refused:?}");
}

/// REQ-I-15: enrolled by an earlier version, or written into the database.
#[test]
fn attack_pay_with_a_stored_key_that_no_card_may_have() {
    let home = Home::new();
    let mut card = home.card(SUITE);
    card.key = Box::new(ExponentThree::new());
    home.behind(&format!("UPDATE card_keys SET public_key = {}", literal(&card.key.public_spki())));
    let tap = card.tap(home.payment(100));
    assert_eq!(home.send(&tap.request), Outcome::Refused);
    assert_eq!(home.balances(), (100_000, 0));
    assert_eq!(home.why(), None, "as of an unknown card: no trace");
}

/// REQ-I-14: a card that states the server's key would be one whose payments the server could sign.
#[test]
fn a_key_of_the_servers_own_is_not_enrolled() {
    let home = Home::new();
    let order = desk(&home).order_card(&home.ada, &CardOptions::new(eur())).unwrap().personalisation;
    let mut card = Card::make(order);
    for key in home.private_keys() {
        card.key = default_provider().rsa_private(&key).unwrap();
        assert!(matches!(desk(&home).activate_card(&card.statement()), Err(ServiceError::ServersKey)));
    }
}
