//! `fixtures/vectors/recorded/scp03.json`: exchanges of real cards. The terminal's end reproduces every
//! command byte for byte and reads every response; the card's end reproduces every answer and response
//! byte for byte and reads every command.

use onetap_apdu_spec::apdu::{CommandApdu, ResponseApdu};
use onetap_apdu_spec::crypto::{AesBits, AesKey, Crypto};
use onetap_apdu_spec::gp::command::{GpCommand, IsdObject};
use onetap_apdu_spec::gp::keys::key_check_value;
use onetap_apdu_spec::gp::registry::Scope;
use onetap_apdu_spec::gp::scp03::{
    CardHandshake, HostSession, InitializeUpdate, Mode, Offer, SecurityLevel, SequenceCounter,
};
use onetap_apdu_spec::gp::{KeySet, KeyVersion};
use onetap_apdu_spec::sw::StatusWord;
use serde_json::Value;

use super::rig::{PROVIDERS, Saying};

fn recorded() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/vectors/recorded/scp03.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn vectors() -> Vec<Value> {
    let file = recorded();
    let vectors = file["vectors"].as_array().unwrap().clone();
    assert_eq!(vectors.len(), 9, "three security levels of each key length");
    assert_eq!(file["count"], vectors.len());
    vectors
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap_or_else(|| panic!("no text: {value}"))).unwrap()
}

/// A command, plain and wrapped, and its response, wrapped and plain, if one was recorded.
type Step = (Vec<u8>, Vec<u8>, Option<[Vec<u8>; 2]>);

/// One recorded exchange.
struct Exchange {
    id: String,
    keys: KeySet,
    level: SecurityLevel,
    initialize: InitializeUpdate,
    answer: Vec<u8>,
    vector: Value,
}

impl Exchange {
    fn read(vector: &Value) -> Self {
        let key = |name: &str| AesKey::try_from(&bytes(&vector[name])[..]).unwrap();
        let command = bytes(&vector["initialize_update"]["command"]);
        let version = KeyVersion::new(command[2]).unwrap();
        Self {
            id: vector["id"].as_str().unwrap().to_owned(),
            keys: KeySet::new(version, key("key_enc"), key("key_mac"), key("key_dek")).unwrap(),
            level: SecurityLevel::from_code(bytes(&vector["security_level"])[0]).unwrap(),
            initialize: InitializeUpdate::new(&mut Saying(command[5..13].to_vec()), version, Mode::S8),
            answer: bytes(&vector["initialize_update"]["response"]),
            vector: vector.clone(),
        }
    }

    /// Its commands, in order.
    fn commands(&self) -> Vec<Step> {
        let read = |row: &Value| {
            let response =
                row.get("response_wrapped").map(|wrapped| [wrapped, &row["response_plain"]].map(bytes));
            (bytes(&row["plain"]), bytes(&row["wrapped"]), response)
        };
        self.vector["in_order"].as_array().unwrap().iter().map(read).collect()
    }

    fn open(self, crypto: &'static dyn Crypto) -> HostSession {
        let authenticate = self.initialize.check(crypto, &self.keys, self.level, &self.answer).unwrap();
        let expected = bytes(&self.vector["external_authenticate"]);
        assert_eq!(authenticate.command().to_bytes().unwrap(), expected, "{}", self.id);
        authenticate.confirm(StatusWord::OK).unwrap()
    }
}

#[test]
fn the_terminal_says_byte_for_byte_what_was_recorded() {
    let mut lengths = Vec::new();
    for vector in vectors() {
        for crypto in PROVIDERS {
            let exchange = Exchange::read(&vector);
            let (id, commands) = (exchange.id.clone(), exchange.commands());
            lengths.push(exchange.keys.bits());
            let initialize = exchange.initialize.command().to_bytes().unwrap();
            assert_eq!(initialize, bytes(&vector["initialize_update"]["command"]), "{id}");
            let mut host = exchange.open(crypto);
            for (plain, wrapped, response) in commands {
                let (waiting, sent) = host.wrap(&CommandApdu::parse(&plain).unwrap()).unwrap();
                assert_eq!(hex::encode(sent), hex::encode(wrapped), "{id}");
                let (received, expected) = match response {
                    Some([received, expected]) => (ResponseApdu::ok(received), ResponseApdu::ok(expected)),
                    None => (StatusWord::CONDITIONS.into(), StatusWord::CONDITIONS.into()),
                };
                let (open, response) = waiting.unwrap(&received).unwrap();
                assert_eq!(response, expected, "{id}");
                host = open;
            }
        }
    }
    assert!(AesBits::ALL.iter().all(|bits| lengths.contains(bits)));
}

/// The application that those terminals had selected: an eUICC's ISD-R (GSMA SGP.02 §2.2.3).
const ISD_R: &[u8] = b"\xA0\x00\x00\x05\x59\x10\x10\xFF\xFF\xFF\xFF\x89\x00\x00\x01\x00";

/// Our card in the place of the recorded one: keys, sequence counter and AID give the same challenge,
/// and from there on every byte is the same.
#[test]
fn the_card_says_byte_for_byte_what_was_recorded() {
    for vector in vectors() {
        for crypto in PROVIDERS {
            let exchange = Exchange::read(&vector);
            let (id, keys) = (&exchange.id, &exchange.keys);
            let [.., counter] = exchange.answer[..] else { panic!("{id}: no answer") };
            let counter = SequenceCounter::new(u32::from(counter)).unwrap();
            let challenge = exchange.initialize.host_challenge();
            let (card, answer) = CardHandshake::answer(crypto, keys, Offer::usual(counter, ISD_R), challenge);
            assert_eq!(hex::encode(answer), hex::encode(&exchange.answer), "{id}");
            let authenticate = bytes(&vector["external_authenticate"]);
            let mut card = card.authenticate(&CommandApdu::parse(&authenticate).unwrap()).unwrap();
            assert_eq!(card.level(), exchange.level, "{id}");
            for (plain, wrapped, response) in exchange.commands() {
                let (open, received) = card.unwrap(&CommandApdu::parse(&wrapped).unwrap()).unwrap();
                assert_eq!(hex::encode(received.to_bytes().unwrap()), hex::encode(plain), "{id}");
                if let Some([wrapped, plain]) = response {
                    assert_eq!(open.wrap(ResponseApdu::ok(plain)), ResponseApdu::ok(wrapped), "{id}");
                }
                card = open;
            }
        }
    }
}

#[test]
fn check_values_are_those_recorded() {
    let (file, first) = (recorded(), Exchange::read(&vectors()[0]));
    for crypto in PROVIDERS {
        for (key, name) in first.keys.keys().into_iter().zip(["enc", "mac", "dek"]) {
            assert_eq!(key_check_value(crypto, key).to_vec(), bytes(&file["kcv"][name]), "{name}");
        }
    }
}

/// The recorded commands that are in our table mean what they meant to that terminal.
#[test]
fn recorded_commands_parse() {
    let commands = Exchange::read(&vectors()[0]).commands();
    let parse = |at: usize| GpCommand::parse(&CommandApdu::parse(&commands[at].0).unwrap());
    assert_eq!(parse(1), Err(StatusWord::WRONG_DATA), "GET STATUS without a search criterion");
    assert_eq!(parse(2), Ok(GpCommand::GetData(IsdObject::CardData)));
    let Ok(GpCommand::GetStatus(get)) = parse(4) else { panic!("GET STATUS of the issuer domain") };
    assert_eq!((get.scope, get.aid.is_empty(), get.next), (Scope::IssuerDomain, true, false));
}
