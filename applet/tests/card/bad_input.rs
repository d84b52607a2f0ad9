//! APDUs that are wrong, each with its one right status word; chaining; GET RESPONSE; orders that
//! make no card.

use onetap_apdu_spec::command::{AID, CardState, Name};
use onetap_apdu_spec::crypto::{RsaBits, SigningKeyType};
use onetap_apdu_spec::objects;
use onetap_apdu_spec::personal::Personalisation;
use onetap_apdu_spec::suite::{SignatureAlgorithm, Suite};
use onetap_apdu_spec::sw::StatusWord;
use onetap_applet::{Card, CardError, OrderError};

use crate::grid::in_state;
use crate::rig::{CARD_KEY, PIN, Rig, START, TestNvm, environment, order, short};

#[test]
fn the_first_thing_wrong_decides() {
    let mut rig = in_state(CardState::Idle);
    for (bytes, expected) in [
        (&[][..], "6700"),
        (&[0x80], "6700"),
        (&[0x80, 0x30, 0, 0, 5, 1], "6700"),
        (&[0x84, 0xEE, 1, 1], "6882"),
        (&[0x41, 0xEE, 1, 1], "6881"),
        (&[0xFF, 0xEE, 1, 1], "6E00"),
        (&[0x80, 0xEE, 1, 1], "6D00"),
        (&[0x90, 0x32, 1, 1], "6884"),
        (&[0x80, 0x32, 1, 0], "6A86"),
        (&[0x00, 0xCA, 1, 1], "6A88"),
        (&[0x80, 0x30, 0, 0], "6700"),
        (&[0x80, 0x32, 0, 0, 1, 9], "6700"),
        (&[0x80, 0x32, 0, 0], "6985"),
        (&[0x80, 0x30, 0, 0, 1, 9], "6A80"),
        (&[0x00, 0xA4, 4, 0, 5, 1, 2, 3, 4, 5], "6A82"),
        (&[0x00, 0xC0, 0, 0, 0], "6985"),
    ] {
        assert_eq!(rig.raw(bytes).sw.to_string(), expected, "{bytes:02X?}");
    }
}

#[test]
fn an_unknown_name_leaves_the_selection() {
    let mut rig = in_state(CardState::Loaded);
    assert_eq!(rig.sw(Name::Select, b"another"), StatusWord::NOT_FOUND);
    assert_eq!(rig.card.state(), CardState::Loaded);
    assert_eq!(rig.sw(Name::GetSignature, &[]), StatusWord::OK);
}

#[test]
fn responses_are_cut_to_le_and_the_rest_is_fetched() {
    let mut rig = in_state(CardState::Loaded);
    let whole = {
        let announced = rig.raw(&short(0x80, 0x32, 0, 0, &[], None));
        assert_eq!((announced.data.len(), announced.sw.as_bytes_left()), (0, Some(256)));
        let mut data = vec![];
        loop {
            let part = rig.raw(&short(0x00, 0xC0, 0, 0, &[], Some(100)));
            data.extend(part.data);
            if part.sw == StatusWord::OK {
                break data;
            }
            assert!(part.sw.as_bytes_left().is_some());
        }
    };
    assert_eq!(rig.send(Name::GetSignature, None, &[]).data, whole);
    // Another command in between: the rest is gone.
    assert!(rig.raw(&short(0x80, 0x32, 0, 0, &[], Some(10))).sw.as_bytes_left().is_some());
    assert!(rig.card.runtime().response_waits());
    rig.raw(&[0x00, 0xCA, 0, 0, 0]);
    assert_eq!(rig.raw(&short(0x00, 0xC0, 0, 0, &[], Some(256))).sw, StatusWord::CONDITIONS);
}

#[test]
fn a_transaction_may_come_in_a_chain() {
    let mut rig = in_state(CardState::Idle);
    let message = rig.transaction("12.34").bytes().to_vec();
    let (last, parts) =
        message.chunks(40).collect::<Vec<_>>().split_last().map(|(a, b)| (*a, b.to_vec())).unwrap();
    for part in parts {
        assert_eq!(rig.raw(&short(0x90, 0x30, 0, 0, part, None)).sw, StatusWord::OK);
        assert_eq!(rig.card.state(), CardState::Idle);
    }
    assert_eq!(rig.raw(&short(0x80, 0x30, 0, 0, last, None)).sw, StatusWord::OK);
    assert_eq!(rig.card.state(), CardState::Loaded);
}

#[test]
fn a_broken_chain_is_dropped() {
    let mut rig = in_state(CardState::Idle);
    let message = rig.transaction("12.34").bytes().to_vec();
    let (first, rest) = message.split_at(50);
    let begin = short(0x90, 0x30, 0, 0, first, None);
    for (other, expected) in [
        (short(0x00, 0xCA, 0xDF, 0x26, &[], Some(256)), StatusWord::CHAIN_BROKEN),
        (short(0x80, 0x30, 1, 0, rest, None), StatusWord::CHAIN_BROKEN),
        (short(0x80, 0xEE, 1, 0, rest, None), StatusWord::WRONG_INS),
        (short(0x90, 0x32, 0, 0, &[], None), StatusWord::NO_CHAINING),
        (vec![0x80], StatusWord::WRONG_LENGTH),
    ] {
        assert_eq!(rig.raw(&begin).sw, StatusWord::OK);
        assert_eq!(rig.raw(&other).sw, expected);
        // What is left of the chain alone is no transaction.
        assert_eq!(rig.raw(&short(0x80, 0x30, 0, 0, rest, None)).sw, StatusWord::WRONG_DATA);
    }
    for n in 0..3 {
        let sw = rig.raw(&short(0x90, 0x30, 0, 0, &[0; 255], None)).sw;
        assert_eq!(sw, if n < 2 { StatusWord::OK } else { StatusWord::WRONG_LENGTH });
    }
    assert_eq!(rig.raw(&short(0x80, 0x30, 0, 0, &message, None)).sw, StatusWord::OK);
}

#[test]
fn get_data_gives_alias_and_status() {
    let mut rig = in_state(CardState::Idle);
    let alias = rig.alias();
    assert_eq!(alias, rig.keys.alias(crate::rig::crypto(), 1).as_str());
    let status = rig.send(Name::GetData, Some(objects::CARD_STATUS), &[]);
    assert_eq!(status.data[3..], [0, 0, 0]);
}

#[test]
fn without_power_there_is_still_an_answer() {
    let mut rig = Rig::new();
    assert_eq!(rig.raw(&AID).sw, StatusWord::INTERNAL);
    rig.card.power_on();
    assert_eq!(rig.raw(&AID).sw, StatusWord::INTERNAL, "no power outside of a field");
}

#[test]
fn orders_that_make_no_card_are_refused_by_name() {
    let refuse = |change: fn(&mut Personalisation)| {
        let mut order = order(Suite::default());
        change(&mut order);
        let clock = onetap_applet::card::VirtualClock::at(START);
        let nvm = TestNvm::default();
        let card = Card::personalise_with_key(
            order,
            PIN.parse().unwrap(),
            CARD_KEY,
            Box::new(nvm.clone()),
            environment(&clock),
        );
        assert_eq!(nvm.count(), 0, "nothing was written");
        match card.map(drop) {
            Err(CardError::Order(why)) => why,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(refuse(|o| o.binding.signing_key = 0), OrderError::KeyId("signing"));
    assert_eq!(refuse(|o| o.binding.issuer_key = 0), OrderError::KeyId("issuer"));
    assert_eq!(refuse(|o| o.binding.server_key = 0), OrderError::ServerKeyMissing);
    assert_eq!(refuse(|o| o.server_public_key.clear()), OrderError::ServerKeyMissing);
    assert!(matches!(refuse(|o| o.server_public_key.truncate(9)), OrderError::ServerKey(_)));
    assert_eq!(
        refuse(|o| o.binding.suite = "a3+sha256+aes-cbc-cmac".parse().unwrap()),
        OrderError::ServerKeyNotUsed
    );
    assert_eq!(refuse(|o| o.confirmation.key_up_to = u64::MAX), OrderError::Thresholds);
    assert_eq!(
        refuse(|o| o.binding.suite = "a3+sha256+rsa-oaep+ecdsa".parse().unwrap()),
        OrderError::KeyType(SignatureAlgorithm::EcdsaP256Sha256)
    );
    assert_eq!(
        refuse(|o| o.key_type = SigningKeyType::P256),
        OrderError::KeyType(SignatureAlgorithm::Pkcs1Sha256)
    );
}

/// What only the card can find wrong, it says with a status word, and it is not issued.
#[test]
fn an_order_for_another_size_of_key_is_refused_by_the_card() {
    let order = Personalisation { key_type: SigningKeyType::Rsa(RsaBits::B3072), ..order(Suite::default()) };
    let env = environment(&onetap_applet::card::VirtualClock::at(START));
    let nvm = Box::new(TestNvm::default());
    let card = Card::personalise_with_key(order, PIN.parse().unwrap(), CARD_KEY, nvm, env);
    let why = card.map(drop).unwrap_err();
    assert!(why.to_string().contains("refused STORE DATA with 6A80"), "{why}");
}
