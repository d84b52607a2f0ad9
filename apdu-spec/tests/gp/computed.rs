//! `fixtures/vectors/issuing.json`, computed by another program: both ends of a channel, at every level and
//! key length, and keys under keys, byte for byte.

use onetap_apdu_spec::apdu::{CommandApdu, ResponseApdu};
use onetap_apdu_spec::crypto::{AesKey, Crypto, Key256};
use onetap_apdu_spec::gp::put_key::PutKey;
use onetap_apdu_spec::gp::scp03::{
    CardHandshake, CardSession, HostSession, InitializeUpdate, SecurityLevel, SequenceCounter,
};
use onetap_apdu_spec::gp::{GpCommand, ISD_AID, KeySet, KeyVersion};
use onetap_apdu_spec::keys::IssuerMasterKey;
use onetap_apdu_spec::sw::StatusWord;
use serde_json::Value;

use super::rig::{PROVIDERS, Saying};

fn file() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/vectors/issuing.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The vectors whose id begins so.
fn vectors(file: &Value, kind: &str) -> Vec<Value> {
    let all = file["vectors"].as_array().unwrap().iter();
    let found: Vec<_> = all.filter(|vector| id(vector).starts_with(kind)).cloned().collect();
    assert!(found.len() >= 5, "{kind}: {} vectors", found.len());
    found
}

fn id(vector: &Value) -> &str {
    vector["id"].as_str().unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap_or_else(|| panic!("no text: {value}"))).unwrap()
}

fn number(value: &Value) -> u32 {
    value.as_u64().unwrap().try_into().unwrap()
}

fn version(vector: &Value) -> KeyVersion {
    KeyVersion::new(number(&vector["version"]).try_into().unwrap()).unwrap()
}

fn key_set(vector: &Value) -> KeySet {
    let key = |at: usize| AesKey::try_from(&bytes(&vector["key_set"][at])[..]).unwrap();
    KeySet::new(version(vector), key(0), key(1), key(2)).unwrap()
}

#[test]
fn key_sets_of_cards_and_keys_under_keys() {
    let file = file();
    let master = Key256::new(bytes(&file["keys"]["issuer_master_key"]).try_into().unwrap());
    let master = IssuerMasterKey(master);
    for vector in vectors(&file, "key-set") {
        for crypto in PROVIDERS {
            let card = vector["card"].as_str().unwrap().parse().unwrap();
            let keys = KeySet::diversified(crypto, &master, card, version(&vector));
            let exposed = |set: &KeySet| set.keys().map(|key| hex::encode(key.expose()));
            assert_eq!(exposed(&keys), exposed(&key_set(&vector)), "{}", id(&vector));
            let expected = [0, 1, 2].map(|at| bytes(&vector["check_values"][at]));
            assert_eq!(keys.check_values(crypto).map(Vec::from), expected);
            let test_dek = KeySet::TEST.data_key(crypto);
            let put = PutKey::seal(crypto, &test_dek, KeyVersion::INITIAL, &keys);
            let put = GpCommand::PutKey(put).encode();
            assert_eq!(hex::encode(put.data.as_slice()), vector["put_key"], "{}", id(&vector));
            let sealed = keys.data_key(crypto).seal(vector["pin"].as_str().unwrap().as_bytes());
            assert_eq!(hex::encode(sealed), vector["sealed_pin"], "{}", id(&vector));
        }
    }
}

#[test]
fn channels_at_every_level_and_key_length() {
    let file = file();
    let sessions = vectors(&file, "session");
    assert_eq!(sessions.len(), 15);
    for vector in sessions {
        for crypto in PROVIDERS {
            let (mut host, mut card) = open(&vector, crypto);
            for exchange in vector["exchanges"].as_array().unwrap() {
                (host, card) = converse(host, card, exchange, id(&vector));
            }
        }
    }
}

fn open(vector: &Value, crypto: &'static dyn Crypto) -> (HostSession, CardSession) {
    let keys = key_set(vector);
    let level = SecurityLevel::from_code(number(&vector["level"]).try_into().unwrap()).unwrap();
    let initialize = InitializeUpdate::new(&mut Saying(bytes(&vector["host_challenge"])), keys.version());
    let sequence = SequenceCounter::new(number(&vector["sequence"])).unwrap();
    let challenge = initialize.host_challenge();
    let (card, answer) = CardHandshake::answer(crypto, &keys, [0; 10], sequence, &ISD_AID, challenge);
    assert_eq!(hex::encode(&answer), vector["answer"], "{}", id(vector));
    let authenticate = initialize.check(crypto, &keys, level, &answer).unwrap();
    let command = authenticate.command().to_bytes().unwrap();
    assert_eq!(hex::encode(&command), vector["external_authenticate"], "{}", id(vector));
    let card = card.authenticate(&CommandApdu::parse(&command).unwrap()).unwrap();
    (authenticate.confirm(StatusWord::OK).unwrap(), card)
}

fn converse(host: HostSession, card: CardSession, exchange: &Value, id: &str) -> (HostSession, CardSession) {
    let plain = bytes(&exchange["plain"]);
    let (waiting, wrapped) = host.wrap(&CommandApdu::parse(&plain).unwrap()).unwrap();
    assert_eq!(hex::encode(&wrapped), exchange["wrapped"], "{id}");
    let (card, received) = card.unwrap(&CommandApdu::parse(&wrapped).unwrap()).unwrap();
    let sent = CommandApdu::parse(&plain).unwrap();
    assert_eq!((received.borrow().data, received.header[1..].to_vec()), (sent.data, plain[1..4].to_vec()));
    let response = ResponseApdu::parse(&bytes(&exchange["response_plain"])).unwrap();
    let secured = card.wrap(response.clone());
    assert_eq!(hex::encode(secured.clone().to_bytes()), exchange["response_wrapped"], "{id}");
    let (host, opened) = waiting.unwrap(&secured).unwrap();
    assert_eq!(opened, response, "{id}");
    (host, card)
}
