//! `fixtures/vectors/issuing.json`, computed by another program: both ends of a channel, of every variant, at every level
//! and key length, keys under keys, and orders, byte for byte.

use onetap_apdu_spec::apdu::{CommandApdu, ResponseApdu};
use onetap_apdu_spec::crypto::{AesKey, Crypto, Key256};
use onetap_apdu_spec::gp::order::Order;
use onetap_apdu_spec::gp::put_key::PutKey;
use onetap_apdu_spec::gp::scp03::{
    AuthenticationError, CardChallenge, CardHandshake, CardSession, Drawing, HostSession, InitializeUpdate,
    Offer, SecurityLevel, SequenceCounter, Variant,
};
use onetap_apdu_spec::gp::store_data::{Assembled, Assembler, StoreData};
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
fn channels_of_every_variant_at_every_level_and_key_length() {
    let file = file();
    let sessions = vectors(&file, "session");
    assert_eq!(
        sessions.len(),
        15 + 4 * (2 + 4 + 5) - 5,
        "the usual variant, and the others at each of their levels"
    );
    for vector in sessions {
        for crypto in PROVIDERS {
            let (mut host, mut card) = open(&vector, crypto);
            for exchange in vector["exchanges"].as_array().unwrap() {
                (host, card) = converse(host, card, exchange, id(&vector));
            }
        }
    }
}

fn variant(vector: &Value) -> Variant {
    Variant::from_code(number(&vector["variant"]).try_into().unwrap()).unwrap()
}

/// Both ends, as far as the card's answer.
fn greet(vector: &Value, crypto: &'static dyn Crypto) -> (InitializeUpdate, CardHandshake, Vec<u8>) {
    let (keys, Variant { mode, drawing, responses }) = (key_set(vector), variant(vector));
    let mut host_challenge = Saying(bytes(&vector["host_challenge"]));
    let initialize = InitializeUpdate::new(&mut host_challenge, keys.version(), mode);
    let sequence = SequenceCounter::new(number(&vector["sequence"])).unwrap();
    let mut drawn = Saying(bytes(&vector["card_challenge"]));
    let challenge = match drawing {
        Drawing::Random => CardChallenge::Random(&mut drawn),
        Drawing::PseudoRandom => CardChallenge::PseudoRandom { sequence, aid: &ISD_AID },
    };
    let offer = Offer { diversification: [0; 10], challenge, responses };
    let (card, answer) = CardHandshake::answer(crypto, &keys, offer, initialize.host_challenge());
    (initialize, card, answer)
}

/// Levels that a card has not, or that there are not, though all else of EXTERNAL AUTHENTICATE is right.
#[test]
fn levels_that_a_variant_has_not_are_refused() {
    let file = file();
    for vector in vectors(&file, "refused") {
        for crypto in PROVIDERS {
            let (_, card, _) = greet(&vector, crypto);
            let command = bytes(&vector["external_authenticate"]);
            let error = card.authenticate(&CommandApdu::parse(&command).unwrap()).unwrap_err();
            assert_eq!(error, AuthenticationError::UnknownLevel, "{}", id(&vector));
            assert_eq!(hex::encode(error.status().to_bytes()), vector["sw"], "{}", id(&vector));
        }
    }
}

/// Orders in the blocks of STORE DATA: what is well formed is read and written the same way again.
#[test]
fn orders_and_the_blocks_that_carry_them() {
    let (file, data_key) = (file(), KeySet::TEST.data_key(PROVIDERS[0]));
    for vector in vectors(&file, "order") {
        let blocks = vector["store_data"].as_array().unwrap().iter().map(bytes);
        let parsed: Vec<StoreData> = blocks
            .map(|block| match GpCommand::parse(&CommandApdu::parse(&block).unwrap()) {
                Ok(GpCommand::StoreData(block)) => block,
                other => panic!("{}: {other:?}", id(&vector)),
            })
            .collect();
        let mut whole = None;
        let mut assembler = Some(Assembler::default());
        for block in &parsed {
            match assembler.take().unwrap().push(block).unwrap() {
                Assembled::Partial(next) => assembler = Some(next),
                Assembled::Whole(payload) => whole = Some(payload.to_vec()),
            }
        }
        let payload = bytes(&vector["payload"]);
        assert_eq!(whole.as_ref(), Some(&payload), "{}", id(&vector));
        let order = Order::parse(&payload, &data_key);
        if vector["expect"] == "valid" {
            assert_eq!(order.unwrap().encode(&data_key), payload, "{}", id(&vector));
            let most = SecurityLevel::Full.max_short_data(Variant::USUAL.mode);
            assert_eq!(StoreData::split(&payload, most).unwrap(), parsed, "{}", id(&vector));
        }
    }
}

fn open(vector: &Value, crypto: &'static dyn Crypto) -> (HostSession, CardSession) {
    let keys = key_set(vector);
    let level = SecurityLevel::from_code(number(&vector["level"]).try_into().unwrap()).unwrap();
    let (initialize, card, answer) = greet(vector, crypto);
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
