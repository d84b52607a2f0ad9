//! The issuer's conversation with the card on the bench.

use std::cell::RefCell;
use std::convert::Infallible;

use onetap_apdu_spec::crypto::{AesBits, AwsLc, Key256, RsaBits, SigningKeyType};
use onetap_apdu_spec::gp::ceremony::{CeremonyError, Issue, Issuer, personalise};
use onetap_apdu_spec::gp::life_cycle::CardLifeCycle;
use onetap_apdu_spec::gp::order::{self, Order};
use onetap_apdu_spec::gp::registry::{Entry, KeyInformation, Scope, SetStatus};
use onetap_apdu_spec::gp::scp03::{HandshakeError, SecurityLevel, Variant};
use onetap_apdu_spec::gp::{Ins, KeySet, KeyVersion, SIGNING_APPLET};
use onetap_apdu_spec::header::{Binding, CardId, ServerId};
use onetap_apdu_spec::keys::IssuerMasterKey;
use onetap_apdu_spec::password::{Alphabet, PasswordPolicy};
use onetap_apdu_spec::personal::{ConfirmationPolicy, EnrolmentStatement, Personalisation, Pin};
use onetap_apdu_spec::sw::StatusWord;
use proptest::prelude::*;

use super::bench_card::BenchCard;
use super::rig::{Counting, key_set};

type Failed = CeremonyError<Infallible>;

fn personal_order() -> Personalisation {
    Personalisation {
        binding: Binding {
            server: ServerId([1; 8]),
            card: CardId([2; 8]),
            suite: "a3+sha256+rsa-oaep+pkcs1".parse().unwrap(),
            signing_key: 1,
            server_key: 2,
            issuer_key: 3,
        },
        key_type: SigningKeyType::Rsa(RsaBits::B2048),
        card_key: Key256::new([0xC4; 32]),
        server_public_key: vec![0x30; 294],
        password: PasswordPolicy::new(Alphabet { digits: true, letters: false, symbols: true }, 7).unwrap(),
        confirmation: ConfirmationPolicy {
            currency: "EUR".parse().unwrap(),
            key_up_to: 20_00,
            pin_up_to: 500_00,
            key_only_count: 5,
            key_only_sum: 100_00,
        },
    }
}

fn pin(digits: &str) -> Pin {
    digits.parse().unwrap()
}

fn own_keys() -> KeySet {
    let master = IssuerMasterKey(Key256::new([0x77; 32]));
    KeySet::diversified(&AwsLc, &master, CardId([2; 8]), KeyVersion::FIRST)
}

fn issue(card: &RefCell<BenchCard>, new_keys: Option<&KeySet>) -> Result<EnrolmentStatement, Failed> {
    let keys = card.borrow().keys.clone();
    let (order, pin) = (personal_order(), pin("493817"));
    let level = card.borrow().variant.highest_level();
    let issue = Issue { keys: &keys, level, order: &order, pin: &pin, new_keys };
    personalise(&AwsLc, &issue, &mut Counting(1), &mut |apdu| Ok(card.borrow_mut().transmit(apdu)))
}

/// Opens a channel with `keys` and does something with it.
fn with<T>(
    card: &RefCell<BenchCard>,
    keys: &KeySet,
    act: impl FnOnce(&mut Issuer<'_, Infallible>) -> Result<T, Failed>,
) -> Result<T, Failed> {
    let mut transmit = |apdu: &[u8]| Ok(card.borrow_mut().transmit(apdu));
    act(&mut Issuer::open(&AwsLc, keys, SecurityLevel::Full, &mut Counting(9), &mut transmit)?)
}

fn json(order: &Personalisation) -> serde_json::Value {
    serde_json::to_value(order).unwrap()
}

#[test]
fn a_blank_card_becomes_this_card_with_its_own_keys() {
    for max_answer in [32, 255, 256] {
        let card = RefCell::new(BenchCard::blank());
        card.borrow_mut().max_answer = max_answer;
        let keys = own_keys();
        let statement = issue(&card, Some(&keys)).unwrap();
        assert_eq!(statement.binding, personal_order().binding);
        let made = card.borrow();
        assert_eq!(json(made.order.as_ref().unwrap()), json(&personal_order()));
        assert_eq!(made.pin.as_deref(), Some("493817"));
        assert_eq!((made.keys.version(), made.keys.bits()), (KeyVersion::FIRST, AesBits::B256));
        assert_eq!(made.keys.check_values(&AwsLc), keys.check_values(&AwsLc));
        assert_eq!(made.refused, [StatusWord::NO_SUCH_OBJECT], "the registry is empty at first");
    }
}

/// The issuer learns the mode by asking, and says itself which level is enough.
#[test]
fn cards_of_every_variant_are_issued_at_their_highest_level_and_at_no_higher_one() {
    for variant in Variant::all() {
        let card = RefCell::new(BenchCard::blank());
        card.borrow_mut().variant = variant;
        issue(&card, Some(&own_keys())).unwrap();
        assert_eq!(card.borrow().keys.check_values(&AwsLc), own_keys().check_values(&AwsLc), "{variant:?}");
        let full = with(&card, &own_keys(), |_| Ok(()));
        match full {
            Ok(()) => assert_eq!(variant.highest_level(), SecurityLevel::Full),
            Err(CeremonyError::Handshake(HandshakeError::OtherProtocol {
                scp: 3, variant: said, ..
            })) => {
                assert_eq!(said, variant.code());
                assert_ne!(variant.highest_level(), SecurityLevel::Full);
            }
            Err(error) => panic!("{variant:?}: {error}"),
        }
    }
}

#[test]
fn once_issued_the_test_keys_open_nothing() {
    let card = RefCell::new(BenchCard::blank());
    issue(&card, Some(&own_keys())).unwrap();
    let error = with(&card, &KeySet::TEST, |_| Ok(())).unwrap_err();
    let CeremonyError::Handshake(HandshakeError::OtherKeyVersion(0x30)) = error else { panic!("{error}") };
    let others = IssuerMasterKey(Key256::new([0x78; 32]));
    let others = KeySet::diversified(&AwsLc, &others, CardId([2; 8]), KeyVersion::FIRST);
    let error = with(&card, &others, |_| Ok(())).unwrap_err();
    let CeremonyError::Handshake(HandshakeError::WrongCardCryptogram) = error else { panic!("{error}") };
    assert!(error.advice().contains("block"));
}

#[test]
fn keys_differ_by_master_card_version_and_purpose() {
    let key_set = |master: u8, card: u8, version: u8| {
        let master = IssuerMasterKey(Key256::new([master; 32]));
        KeySet::diversified(&AwsLc, &master, CardId([card; 8]), KeyVersion::new(version).unwrap())
    };
    let sets = [key_set(1, 1, 0x30), key_set(2, 1, 0x30), key_set(1, 2, 0x30), key_set(1, 1, 0x31)];
    let keys: Vec<_> = sets.iter().flat_map(|set| set.keys().map(|key| key.expose().to_vec())).collect();
    let distinct: std::collections::BTreeSet<_> = keys.iter().collect();
    assert_eq!(distinct.len(), keys.len());
}

#[test]
fn a_card_is_personalised_once_and_cared_for_after() {
    let card = RefCell::new(BenchCard::blank());
    issue(&card, Some(&own_keys())).unwrap();
    let error = issue(&card, None).unwrap_err();
    let CeremonyError::Refused { command: Ins::StoreData, sw: StatusWord::CONDITIONS } = error else {
        panic!("{error}")
    };
    with(&card, &own_keys(), |issuer| issuer.unblock_pin(&pin("2468"))).unwrap();
    assert_eq!(card.borrow().pin.as_deref(), Some("2468"));
    let next = key_set(9, AesBits::B192);
    with(&card, &own_keys(), |issuer| issuer.put_keys(&next)).unwrap();
    let information = with(&card, &next, |issuer| issuer.key_information()).unwrap();
    assert_eq!(information, KeyInformation::of_set(next.version(), AesBits::B192));
}

#[test]
fn locks_registry_and_deletion() {
    let card = RefCell::new(BenchCard::blank());
    issue(&card, None).unwrap();
    let keys = KeySet::TEST;
    with(&card, &keys, |issuer| {
        let lock = SetStatus::Application { aid: SIGNING_APPLET, lock: true };
        issuer.set_status(lock)?;
        let listed = issuer.list(Scope::Applications)?;
        assert_eq!(listed.len(), 2, "asked for the next after 6310");
        let Entry::Application(state) = listed[1].entry else { panic!("{listed:?}") };
        assert!(state.locked && listed[1].aid == SIGNING_APPLET);
        for next in [CardLifeCycle::Initialized, CardLifeCycle::Secured, CardLifeCycle::Locked] {
            issuer.set_status(SetStatus::Card(next))?;
        }
        assert_eq!(issuer.list(Scope::IssuerDomain)?[0].entry, Entry::IssuerDomain(CardLifeCycle::Locked));
        let back = issuer.set_status(SetStatus::Card(CardLifeCycle::OpReady)).unwrap_err();
        assert!(matches!(back, CeremonyError::Refused { command: Ins::SetStatus, .. }));
        issuer.set_status(SetStatus::Card(CardLifeCycle::Terminated))?;
        issuer.delete(SIGNING_APPLET)?;
        assert_eq!(issuer.list(Scope::Applications)?, []);
        Ok(())
    })
    .unwrap();
    assert_eq!(card.borrow().life_cycle, CardLifeCycle::Terminated);
}

/// Somebody on the line alters one bit of one command or answer: the card never becomes another card, and
/// the issuer never takes what another card said.
#[test]
fn whatever_is_altered_on_the_line_is_noticed() {
    let whole = RefCell::new(BenchCard::blank());
    let mut messages = 0;
    let order = personal_order();
    let run = |card: &RefCell<BenchCard>, alter: &mut dyn FnMut(&mut Vec<u8>)| {
        // Whole answers: GET RESPONSE, which is not secured either, would only stand in the way.
        card.borrow_mut().max_answer = 4096;
        let pin = pin("493817");
        let level = SecurityLevel::Full;
        let issue = Issue { keys: &KeySet::TEST, level, order: &order, pin: &pin, new_keys: None };
        personalise(&AwsLc, &issue, &mut Counting(1), &mut |apdu| {
            let mut apdu = apdu.to_vec();
            alter(&mut apdu);
            let mut answer = card.borrow_mut().transmit(&apdu);
            alter(&mut answer);
            Ok::<_, Infallible>(answer)
        })
    };
    run(&whole, &mut |_| messages += 1).unwrap();
    assert!(messages > 15, "{messages} messages");
    // SELECT is neither secured nor secret: what is altered there shows in what follows.
    for altered in 2..messages {
        let card = RefCell::new(BenchCard::blank());
        let mut at = 0;
        let result = run(&card, &mut |message| {
            if at == altered {
                let byte = message.len() - 1;
                message[byte.min(12)] ^= 0x20;
            }
            at += 1;
        });
        assert!(result.is_err(), "message {altered} of {messages}");
    }
}

#[test]
fn a_statement_of_another_card_is_refused() {
    let card = RefCell::new(BenchCard::blank());
    let statement = issue(&card, None).unwrap();
    let answer = order::encode_statement(&statement);
    assert_eq!(order::parse_statement(&answer), Some(statement));
    for cut in 0..answer.len() {
        assert_eq!(order::parse_statement(&answer[..cut]), None, "{cut} bytes");
    }
    assert_eq!(order::parse_statement(&[&answer[..], &[0]].concat()), None);
}

#[test]
fn secrets_travel_sealed_and_under_their_own_key() {
    let (keys, others) = (key_set(1, AesBits::B192), key_set(2, AesBits::B192));
    let order = Order::Personalise(Box::new(personal_order()), pin("493817"));
    let payload = order.encode(&keys.data_key(&AwsLc));
    assert!(!payload.windows(6).any(|window| window == b"493817"));
    assert!(!payload.windows(16).any(|window| window == [0xC4; 16]));
    assert!(Order::parse(&payload, &keys.data_key(&AwsLc)).is_ok());
    assert!(Order::parse(&payload, &others.data_key(&AwsLc)).is_err());
    for cut in 0..payload.len() {
        assert!(Order::parse(&payload[..cut], &keys.data_key(&AwsLc)).is_err());
    }
    assert!(!format!("{order:?}").contains("493817"));
}

proptest! {
    #[test]
    fn any_payload_is_an_order_or_refused(payload in proptest::collection::vec(any::<u8>(), 0..80)) {
        let data_key = KeySet::TEST.data_key(&AwsLc);
        for tag in [&[][..], b"\xFF\x30\x20", b"\xFF\x31\x15\xDF\x36\x10"] {
            if let Ok(order) = Order::parse(&[tag, &payload].concat(), &data_key) {
                prop_assert_eq!(order.encode(&data_key), [tag, &payload].concat());
            }
        }
    }
}
