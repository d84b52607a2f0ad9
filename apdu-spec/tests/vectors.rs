//! `fixtures/vectors`, computed by another program from `docs/spec`: both providers must reproduce
//! what is deterministic, and verify or decrypt what is not; and refuse what must be refused.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is how a test fails")]

#[path = "vectors/apdus.rs"]
mod apdus;

use std::collections::VecDeque;
use std::path::PathBuf;

use onetap_apdu_spec::crypto::{
    AwsLc, Crypto, Key256, RsaPrivate, RsaPublic, RustCrypto, SigningKey, VerifyingKey,
};
use onetap_apdu_spec::digest::{Digester, Subject};
use onetap_apdu_spec::envelope::{Envelope, OpenError};
use onetap_apdu_spec::header::{Binding, Header};
use onetap_apdu_spec::keys::{CardKeys, IssuerMasterKey};
use onetap_apdu_spec::money::{Amount, CurrencyCode};
use onetap_apdu_spec::password::Password;
use onetap_apdu_spec::personal::{CardOrder, EnrolmentStatement};
use onetap_apdu_spec::rng::Rng;
use onetap_apdu_spec::signed::{SignatureMessage, signed_bytes};
use onetap_apdu_spec::suite::{DigestMethod, EncryptionMethod, Owed, Profile, SignatureAlgorithm, Suite};
use onetap_apdu_spec::tlv::Tag;
use onetap_apdu_spec::txn::{TransactionError, TransactionMessage};
use onetap_apdu_spec::{editions, objects, txn};
use serde_json::Value;

const PROVIDERS: [&dyn Crypto; 2] = [&AwsLc, &RustCrypto];

/// Every file, and how many vectors it holds at least: a file that was emptied fails.
const FILES: [(&str, usize); 14] = [
    ("apdus.json", 89),
    ("derivations.json", 5),
    ("digests.json", 90),
    ("editions.json", 460),
    ("enrolments.json", 69),
    ("envelopes.json", 250),
    ("headers.json", 300),
    ("issuing.json", 148),
    ("primitives.json", 189),
    ("public-keys.json", 57),
    ("sessions.json", 18),
    ("signatures.json", 92),
    ("suites.json", 129),
    ("transactions.json", 330),
];

// --- Reading the files ---------------------------------------------------------------------------

struct Vectors {
    keys: Value,
    vectors: Vec<Value>,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fixtures/vectors")
}

fn load(name: &str) -> Vectors {
    let text = std::fs::read_to_string(folder().join(name)).unwrap();
    let file: Value = serde_json::from_str(&text).unwrap();
    let vectors = file["vectors"].as_array().unwrap().clone();
    let least = FILES.iter().find(|(file, _)| *file == name).unwrap().1;
    assert!(vectors.len() >= least, "{name} holds {} vectors", vectors.len());
    assert_eq!(file["count"], vectors.len(), "{name}");
    Vectors { keys: file["keys"].clone(), vectors }
}

fn text<'v>(vector: &'v Value, key: &str) -> &'v str {
    vector[key].as_str().unwrap_or_else(|| panic!("{}: no {key}", vector["id"]))
}

fn bytes(vector: &Value, key: &str) -> Vec<u8> {
    hex::decode(text(vector, key)).unwrap()
}

fn array<const N: usize>(vector: &Value, key: &str) -> [u8; N] {
    bytes(vector, key).try_into().unwrap()
}

fn number<T: TryFrom<u64, Error: std::fmt::Debug>>(vector: &Value, key: &str) -> T {
    vector[key].as_u64().unwrap().try_into().unwrap()
}

fn valid(vector: &Value) -> bool {
    match text(vector, "expect") {
        "valid" => true,
        "invalid" => false,
        other => panic!("{}: expects {other}", vector["id"]),
    }
}

/// The keys of the card and the server in one provider.
struct World {
    crypto: &'static dyn Crypto,
    file: Value,
    keys: CardKeys,
    server: Box<dyn RsaPrivate>,
    server_public: Box<dyn RsaPublic>,
}

impl World {
    fn of(file: &Vectors) -> [Self; 2] {
        PROVIDERS.map(|crypto| Self {
            crypto,
            keys: CardKeys::new(crypto, Key256::new(array(&file.keys, "card_key"))),
            file: file.keys.clone(),
            server: crypto.rsa_private(&bytes(&file.keys, "server_private_pkcs8")).unwrap(),
            server_public: crypto.rsa_public(&bytes(&file.keys, "server_public_spki")).unwrap(),
        })
    }

    /// The card's key for this algorithm.
    fn card(&self, algorithm: SignatureAlgorithm) -> Box<dyn SigningKey> {
        let name = match algorithm {
            SignatureAlgorithm::EcdsaP256Sha256 => "card_p256_private_pkcs8",
            _ => "card_private_pkcs8",
        };
        self.crypto.signing_key(algorithm, &bytes(&self.file, name)).unwrap()
    }

    fn card_public(&self, algorithm: SignatureAlgorithm) -> Box<dyn VerifyingKey> {
        let name = match algorithm {
            SignatureAlgorithm::EcdsaP256Sha256 => "card_p256_public_spki",
            _ => "card_public_spki",
        };
        self.crypto.verifying_key(algorithm, &bytes(&self.file, name)).unwrap()
    }

    fn digester<'a>(&'a self, header: &'a [u8; 39], counter: u32, method: DigestMethod) -> Digester<'a> {
        Digester { crypto: self.crypto, keys: &self.keys, method, header, counter }
    }
}

#[test]
fn every_file_is_known_and_every_vector_says_what_it_expects() {
    let mut found: Vec<_> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".json"))
        .collect();
    found.sort();
    assert_eq!(found, FILES.map(|(name, _)| name));
    let mut ids = std::collections::BTreeSet::new();
    for vector in FILES.iter().flat_map(|(name, _)| load(name).vectors) {
        let why = if valid(&vector) { "hunts" } else { "reason" };
        assert!(!text(&vector, "clause").is_empty() && !text(&vector, why).is_empty());
        assert!(ids.insert(text(&vector, "id").to_owned()), "{} stands twice", vector["id"]);
    }
}

// --- T, H and keys ---------------------------------------------------------------------------------

#[test]
fn p_01_transaction_messages() {
    for vector in load("transactions.json").vectors {
        let id = text(&vector, "id");
        let data = bytes(&vector, "bytes");
        match TransactionMessage::parse(&data) {
            Ok(message) => {
                assert!(valid(&vector), "{id} parses");
                assert_eq!(message.bytes(), data, "{id}");
                assert_eq!(message.transaction().encode().unwrap(), message, "{id}");
                check_fields(&vector, &message);
            }
            Err(error) => {
                assert!(!valid(&vector), "{id}: {error}");
                assert_eq!(class(&error), (text(&vector, "class"), expected_tag(&vector)), "{id}: {error}");
            }
        }
    }
}

/// The fields as their own types print them, against the bytes of the vector.
fn check_fields(vector: &Value, message: &TransactionMessage) {
    let Some(fields) = vector["fields"].as_object() else { return };
    let of = |tag: Tag| hex::decode(fields[&tag.to_string()].as_str().unwrap()).unwrap();
    let t = message.transaction();
    let id = text(vector, "id");
    assert_eq!(of(objects::TRANSACTION_TYPE), [t.kind.code()], "{id}");
    assert_eq!(of(objects::PAYER_ALIAS), t.payer.as_str().as_bytes(), "{id}");
    assert_eq!(of(objects::PAYEE_ACCOUNT), t.payee_account.as_str().as_bytes(), "{id}");
    assert_eq!(of(objects::PAYEE_NAME), t.payee_name.as_str().as_bytes(), "{id}");
    assert_eq!(hex::encode(of(objects::AMOUNT)), format!("{:012}", t.amount.minor()), "{id}");
    assert_eq!(hex::encode(of(objects::CURRENCY)), format!("{:04}", t.amount.currency().numeric()), "{id}");
    let (date, time) = (t.at.date(), t.at.time());
    let day = format!("{:02}{:02}{:02}", date.year() - 2000, u8::from(date.month()), date.day());
    assert_eq!(hex::encode(of(objects::DATE)), day, "{id}");
    let moment = format!("{:02}{:02}{:02}", time.hour(), time.minute(), time.second());
    assert_eq!(hex::encode(of(objects::TIME)), moment, "{id}");
    assert_eq!(of(objects::TERMINAL_ID), t.terminal.as_str().as_bytes(), "{id}");
    assert_eq!(of(objects::UNPREDICTABLE_NUMBER), t.unpredictable_number, "{id}");
    assert_eq!(of(objects::REFERENCE), t.reference.as_str().as_bytes(), "{id}");
    assert_eq!(fields.contains_key("DF21"), t.details.is_some(), "{id}");
    if let Some(details) = &t.details {
        assert_eq!(of(objects::DETAILS), details.as_str().as_bytes(), "{id}");
    }
}

/// Form is for everyone, editions for terminal and server: a card takes all of these.
#[test]
fn accounts_and_currencies_of_the_editions() {
    for vector in load("editions.json").vectors {
        let id = text(&vector, "id");
        let verdict = match vector["account"].as_str() {
            Some(account) => editions::check_account(&account.parse().unwrap()),
            None => editions::check_currency(currency(&vector)),
        };
        assert_eq!(verdict.is_ok(), valid(&vector), "{id}: {verdict:?}");
        if let (Some(minor), Some(shown)) = (vector["minor"].as_u64(), vector["shown"].as_str()) {
            assert_eq!(Amount::new(minor, currency(&vector)).unwrap().to_string(), shown, "{id}");
        }
    }
}

fn currency(vector: &Value) -> CurrencyCode {
    CurrencyCode::new(vector["currency"].as_u64().unwrap().try_into().unwrap()).unwrap()
}

/// Class and tag of a refusal, as the vectors name them.
fn class(error: &TransactionError) -> (&'static str, Option<String>) {
    match error {
        TransactionError::TooLong(_) => ("length", None),
        TransactionError::Tlv(_) => ("template", None),
        TransactionError::Unexpected { expected } => ("objects", Some(expected.to_string())),
        TransactionError::Trailing(tag) => ("objects", Some(tag.to_string())),
        TransactionError::Field { tag, .. } => ("field", Some(tag.to_string())),
    }
}

fn expected_tag(vector: &Value) -> Option<String> {
    vector["tag"].as_str().map(str::to_owned)
}

#[test]
fn headers() {
    for vector in load("headers.json").vectors {
        let id = text(&vector, "id");
        let data = bytes(&vector, "bytes");
        let parsed = Header::parse(&data);
        assert_eq!(parsed.is_ok(), valid(&vector), "{id}");
        if let Ok(header) = parsed {
            let binding = Binding {
                server: text(&vector, "server").parse().unwrap(),
                card: text(&vector, "card").parse().unwrap(),
                suite: text(&vector, "suite").parse().unwrap(),
                signing_key: number(&vector, "signing_key"),
                server_key: number(&vector, "server_key"),
                issuer_key: number(&vector, "issuer_key"),
            };
            assert_eq!(header, Header { binding, counter: number(&vector, "counter") }, "{id}");
            assert_eq!(header.to_bytes()[..], data, "{id}");
        }
    }
}

/// The keys below the card key are private: `digests.json` and `suites.json` show them at work.
#[test]
fn card_keys_and_payer_aliases() {
    let file = load("derivations.json");
    let master = IssuerMasterKey(Key256::new(array(&file.keys, "issuer_master_key")));
    for crypto in PROVIDERS {
        for vector in &file.vectors {
            let (server, card) =
                (text(vector, "server").parse().unwrap(), text(vector, "card").parse().unwrap());
            let card_key = master.card_key(crypto, server, card, number(vector, "issuer_key"));
            assert_eq!(hex::encode(card_key.expose()), text(vector, "card_key"), "{}", vector["id"]);
            let keys = CardKeys::new(crypto, card_key);
            let counters = vector["counters"].as_array().unwrap();
            assert!(!counters.is_empty());
            for row in counters {
                assert_eq!(keys.alias(crypto, number(row, "counter")).as_str(), text(row, "alias"));
            }
        }
    }
}

// --- D, E and S ------------------------------------------------------------------------------------

#[test]
fn p_14_digests() {
    let file = load("digests.json");
    for world in World::of(&file) {
        for vector in &file.vectors {
            let method = text(vector, "method");
            let method = DigestMethod::ALL.iter().find(|m| m.name() == method).unwrap();
            let subject = match text(vector, "subject") {
                "T" => Subject::Transaction,
                "pw" => Subject::Password,
                _ => Subject::Envelope,
            };
            let header = array(vector, "header");
            let digester = world.digester(&header, number(vector, "counter"), *method);
            let digest = digester.digest(subject, &bytes(vector, "input"));
            assert_eq!(
                hex::encode(digest),
                text(vector, "digest"),
                "{} {}",
                vector["id"],
                world.crypto.name()
            );
        }
    }
}

/// Hands out the IV and R of a vector, in the order in which [`Envelope::seal`] asks.
struct Script(VecDeque<u8>);

impl Script {
    fn of(vector: &Value) -> Self {
        Self([bytes(vector, "iv"), bytes(vector, "random")].concat().into())
    }
}

impl Rng for Script {
    fn fill(&mut self, out: &mut [u8]) {
        out.fill_with(|| self.0.pop_front().unwrap());
    }
}

/// P-07 … P-15: every suite, from pw to signature message.
#[test]
fn p_07_to_p_15_suites() {
    let file = load("suites.json");
    let mut named: Vec<Suite> = file.vectors.iter().map(|v| text(v, "suite").parse().unwrap()).collect();
    named.sort_by_key(|suite| suite.to_bytes());
    let mut all: Vec<Suite> = Suite::all().collect();
    all.sort_by_key(|suite| suite.to_bytes());
    assert_eq!(named, all);
    for world in World::of(&file) {
        for vector in &file.vectors {
            check_suite(&world, vector);
        }
    }
}

fn check_suite(world: &World, vector: &Value) {
    let id = format!("{} {}", text(vector, "id"), world.crypto.name());
    let header = Header::parse(&bytes(vector, "header")).unwrap();
    let suite = header.binding.suite;
    assert_eq!(
        (suite.to_string().as_str(), header.counter),
        (text(vector, "suite"), number(vector, "counter"))
    );
    assert_eq!(suite.danger().is_some(), vector["danger"] == true, "{id}");
    let t = bytes(vector, "transaction");
    let alias = TransactionMessage::parse(&t).unwrap().transaction().payer.clone();
    assert_eq!(alias, world.keys.alias(world.crypto, header.counter), "{id}");
    check_envelope(world, vector, &header, &t);
    let envelope = vector["envelope"].as_str().map(|e| hex::decode(e).unwrap()).unwrap_or_default();
    let header_bytes = header.to_bytes();
    let digester = world.digester(&header_bytes, header.counter, suite.digest());
    let password = text(vector, "password").as_bytes();
    let d_t = digester.digest(Subject::Transaction, &t);
    if let Some(expected) = vector["digest_t"].as_str() {
        assert_eq!(hex::encode(&d_t), expected, "{id}");
    }
    let second = match suite.profile() {
        Profile::A1 | Profile::A2 => Some(digester.digest(Subject::Password, password)),
        Profile::A3 | Profile::A3NoRandom => Some(envelope.clone()),
        Profile::A4 => Some(digester.digest(Subject::Envelope, &envelope)),
        Profile::B1 | Profile::B2 => None,
    };
    let owed = suite.owed().map(|kind| match kind {
        Owed::Encrypted => (objects::ENCRYPTED_PASSWORD, envelope.clone()),
        Owed::EncryptedDigest => (objects::ENCRYPTED_PASSWORD_DIGEST, second.clone().unwrap()),
        Owed::PasswordDigest => (objects::PASSWORD_DIGEST, second.clone().unwrap()),
    });
    let (tag, object) = owed.map(|(tag, object)| (tag.to_string(), hex::encode(object))).unzip();
    assert_eq!(
        (tag.as_deref(), object.as_deref()),
        (vector["owed_tag"].as_str(), vector["owed"].as_str()),
        "{id}"
    );
    let parts: Vec<&[u8]> = [Some(&d_t[..]), second.as_deref()].into_iter().flatten().collect();
    let message = signed_bytes(&header, &parts);
    assert_eq!(hex::encode(&message), text(vector, "signed"), "{id}");
    check_signature(world, vector, &header, &message);
}

/// Opens to pw; and where all is given, is made again byte for byte.
fn check_envelope(world: &World, vector: &Value, header: &Header, t: &[u8]) {
    let id = text(vector, "id");
    let envelope = Envelope::new(world.crypto, &world.keys, header, t);
    let password: Password = text(vector, "password").parse().unwrap();
    let Some(expected) = vector["envelope"].as_str().map(|e| hex::decode(e).unwrap()) else {
        assert!(envelope.seal(&password, None, &mut Script::of(vector)).is_err(), "{id}");
        assert_eq!(envelope.open(b"", None).unwrap_err(), OpenError::NoKey, "{id}");
        return;
    };
    let opened = envelope.open(&expected, Some(&*world.server)).unwrap();
    assert!(opened.matches(&password), "{id} {}", world.crypto.name());
    let sealed = envelope.seal(&password, Some(&*world.server_public), &mut Script::of(vector)).unwrap();
    if header.binding.suite.encryption() == EncryptionMethod::AesCbcCmac {
        assert_eq!(hex::encode(sealed), hex::encode(expected), "{id} {}", world.crypto.name());
    } else {
        assert_eq!(sealed.len(), expected.len(), "{id}");
    }
}

/// Verifies; PKCS1 is made again byte for byte. The message holds both.
fn check_signature(world: &World, vector: &Value, header: &Header, message: &[u8]) {
    let id = format!("{} {}", text(vector, "id"), world.crypto.name());
    let algorithm = header.binding.suite.signature();
    let signature = bytes(vector, "signature");
    let public = world.card_public(algorithm);
    assert_eq!(public.verify(algorithm, message, &signature), Ok(()), "{id}");
    let own = world.card(algorithm).sign(algorithm, message).unwrap();
    assert_eq!(public.verify(algorithm, message, &own), Ok(()), "{id}");
    assert_eq!(own == signature, algorithm == SignatureAlgorithm::Pkcs1Sha256, "{id}");
    let message = SignatureMessage { header: *header, signature };
    assert_eq!(hex::encode(message.encode()), text(vector, "message"), "{id}");
    assert_eq!(SignatureMessage::parse(&message.encode()).unwrap(), message, "{id}");
}

proptest::proptest! {
    /// Reading the bytes back in one way only is what makes the encoding injective: no other tuple of
    /// header and parts gives them.
    #[test]
    fn attack_parts_cut_elsewhere_give_other_bytes(
        parts in proptest::collection::vec(proptest::collection::vec(0..4u8, 0..12), 1..=2),
        counter: u32,
    ) {
        let file = load("headers.json");
        let suite = if parts.len() == 1 { "b1+aes-cbc-cmac+pkcs1" } else { "danger-a1+pkcs1" };
        let vector = file.vectors.iter().find(|v| v["suite"] == suite).unwrap();
        let header = Header { counter, ..Header::parse(&bytes(vector, "bytes")).unwrap() };
        let borrowed: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        let signed = signed_bytes(&header, &borrowed);
        let (head, mut rest) = signed.split_at(39);
        proptest::prop_assert_eq!(Header::parse(head), Ok(header));
        for part in &parts {
            let (length, behind) = rest.split_first_chunk::<4>().unwrap();
            let (read, behind) = behind.split_at(u32::from_be_bytes(*length) as usize);
            proptest::prop_assert_eq!(read, part);
            rest = behind;
        }
        proptest::prop_assert!(rest.is_empty());
    }
}

/// P-10, P-12, P-15: what opens, and what must not and how.
#[test]
fn p_12_envelopes_that_must_not_open() {
    let file = load("envelopes.json");
    for world in World::of(&file) {
        for vector in &file.vectors {
            let id = format!("{} {}", text(vector, "id"), world.crypto.name());
            let header = Header::parse(&bytes(vector, "header")).unwrap();
            let t = bytes(vector, "transaction");
            let envelope = Envelope::new(world.crypto, &world.keys, &header, &t);
            let opened = envelope.open(&bytes(vector, "envelope"), Some(&*world.server));
            let expected = match vector["error"].as_str() {
                None => None,
                Some("not-authentic") => Some(OpenError::NotAuthentic),
                Some("undecryptable") => Some(OpenError::Undecryptable),
                Some(other) => panic!("{id}: {other}"),
            };
            assert_eq!(opened.as_ref().err(), expected.as_ref(), "{id}");
            assert_eq!(opened.is_ok(), valid(vector), "{id}");
            if let Ok(password) = opened {
                assert!(password.matches(&text(vector, "password").parse().unwrap()), "{id}");
            }
        }
    }
}

#[test]
fn signatures_and_signature_messages() {
    let file = load("signatures.json");
    for world in World::of(&file) {
        for vector in &file.vectors {
            let id = format!("{} {}", text(vector, "id"), world.crypto.name());
            if vector["message"].is_string() {
                let data = bytes(vector, "message");
                let parsed = SignatureMessage::parse(&data);
                assert_eq!(parsed.is_ok(), valid(vector), "{id}");
                assert!(parsed.is_err() || parsed.unwrap().encode() == data, "{id}");
                continue;
            }
            let algorithm = SignatureAlgorithm::ALL.iter().find(|a| a.name() == text(vector, "algorithm"));
            let algorithm = *algorithm.unwrap();
            let (message, signature) = (bytes(vector, "signed"), bytes(vector, "signature"));
            let key = match vector["public_key"].as_str() {
                None => world.card_public(algorithm),
                Some(_) => world.crypto.verifying_key(algorithm, &bytes(vector, "public_key")).unwrap(),
            };
            let verified = key.verify(algorithm, &message, &signature);
            assert_eq!(verified.is_ok(), valid(vector), "{id}");
        }
    }
}

#[test]
fn public_keys_of_cards_and_servers() {
    for vector in load("public-keys.json").vectors {
        for provider in PROVIDERS {
            let algorithm = match text(&vector, "kind") {
                "p-256" => SignatureAlgorithm::EcdsaP256Sha256,
                _ => SignatureAlgorithm::Pkcs1Sha256,
            };
            let parsed = provider.verifying_key(algorithm, &bytes(&vector, "public_key"));
            assert_eq!(parsed.is_ok(), valid(&vector), "{} {}", text(&vector, "id"), provider.name());
        }
    }
}

#[test]
fn enrolment_statements() {
    let file = load("enrolments.json");
    for world in World::of(&file) {
        for vector in &file.vectors {
            let id = format!("{} {}", text(vector, "id"), world.crypto.name());
            let statement: EnrolmentStatement = serde_json::from_value(vector.clone()).unwrap();
            assert_eq!(statement.verify(world.crypto).is_ok(), valid(vector), "{id}");
            if valid(vector) && text(vector, "public_key") == text(&file.keys, "card_public_spki") {
                let card = world.card(SignatureAlgorithm::Pkcs1Sha256);
                assert_eq!(EnrolmentStatement::make(statement.binding, &*card), Ok(statement), "{id}");
            }
        }
    }
}

/// The order in `docs/spec/personalisation.md` is one.
#[test]
fn the_order_in_the_specification_parses() {
    let path = folder().join("../../docs/spec/personalisation.md");
    let document = std::fs::read_to_string(path).unwrap();
    let (_, example) = document.split_once("```json\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    let order: CardOrder = serde_json::from_str(example).unwrap();
    assert_eq!(order.personalisation.binding.suite, Suite::default());
    assert_eq!(serde_json::to_value(&order).unwrap(), serde_json::from_str::<Value>(example).unwrap());
}

/// The worked example in `docs/spec/transaction.md` is the vector that it names.
#[test]
fn p_01_the_worked_example_is_the_vector() {
    let path = folder().join("../../docs/spec/transaction.md");
    let document = std::fs::read_to_string(path).unwrap();
    let (_, example) = document.split_once("```\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    let digits: String = example.lines().map(left_column).collect();
    let vectors = load("transactions.json").vectors;
    let vector = vectors.iter().find(|vector| vector["id"] == "txn-payment").unwrap();
    assert_eq!(digits.to_lowercase(), text(vector, "bytes"));
}

/// Tag, length and value of one line, without what is said of them.
fn left_column(line: &str) -> String {
    line.chars().take(58).filter(|c| *c != ' ').collect()
}

/// The largest T of the specification is the largest that the card takes.
#[test]
fn p_01_the_longest_transaction_is_accepted() {
    let longest =
        load("transactions.json").vectors.into_iter().filter(valid).map(|v| bytes(&v, "bytes").len()).max();
    assert_eq!(longest, Some(txn::MAX_TRANSACTION));
}
