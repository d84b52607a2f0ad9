//! The attacks of docs/threat-model.md, as far as the card defends against them.

use std::collections::BTreeSet;

use onetap_apdu_spec::command::{AID, CardState, MAX_UNCONFIRMED, Name};
use onetap_apdu_spec::gp::ceremony::Issuer;
use onetap_apdu_spec::gp::scp03::SecurityLevel;
use onetap_apdu_spec::gp::{KeySet, KeyVersion};
use onetap_apdu_spec::signed::SignatureMessage;
use onetap_apdu_spec::suite::{Profile, Suite};
use onetap_apdu_spec::sw::StatusWord;
use onetap_apdu_spec::txn::TransactionMessage;
use onetap_applet::{Card, Key, KeyRefused};

use crate::rig::{Rig, Seeded, TestNvm, crypto, environment, short, transaction};

/// A hostile reader swaps T while the finger is on the key.
#[test]
fn attack_swap_the_transaction_while_the_holder_confirms() {
    let mut rig = Rig::new();
    rig.tap("12.34");
    rig.read();
    rig.enter();
    rig.select();
    let other = rig.transaction("999.00");
    assert_eq!(rig.sw(Name::PutTxn, other.bytes()), StatusWord::CONDITIONS);
    assert!(matches!(rig.card.press(Key::Confirm), Err(KeyRefused::InField)));
    assert!(rig.card.screen().is_blank());
    rig.leave();
    assert!(rig.card.screen().lines().iter().any(|line| line == "12.34 EUR"));
    assert!(matches!(rig.card.press(Key::Confirm), Err(KeyRefused::NotYet)), "pages must be read again");
}

/// The same C signed as A3 and as A1 makes S an oracle for pw: GET commands take no selector, and one C
/// has one S and one E.
#[test]
fn attack_two_signatures_for_one_counter_value() {
    let mut rig = Rig::new();
    rig.load("12.34");
    let signature = rig.send(Name::GetSignature, None, &[]).data;
    assert_eq!(
        rig.send(Name::GetSignature, None, &[]).data,
        signature,
        "before the terminal has all it needs"
    );
    let envelope = rig.send(Name::GetEncPassword, None, &[]).data;
    for _ in 0..3 {
        assert_eq!(rig.send(Name::GetSignature, None, &[]).data, signature);
        assert_eq!(rig.send(Name::GetEncPassword, None, &[]).data, envelope);
    }
    for p1 in [1, 0xA1, 0xFF] {
        assert_eq!(rig.raw(&short(0x80, 0x32, p1, 0, &[], Some(256))).sw, StatusWord::WRONG_P1P2);
    }
}

/// Power cut between PUT TXN and the end must not give C back.
#[test]
fn attack_reset_to_get_the_counter_value_back() {
    let mut rig = Rig::new();
    let mut seen = vec![];
    for cut in 0..6 {
        rig.load("12.34");
        let signature = rig.send(Name::GetSignature, None, &[]).data;
        seen.push(SignatureMessage::parse(&signature).unwrap().header.counter);
        match cut % 3 {
            0 => rig.card.reset(),
            1 => rig.leave(),
            _ => rig.restart(),
        }
        assert_eq!(rig.card.state(), CardState::Idle);
    }
    assert_eq!(seen, [1, 2, 3, 4, 5, 6]);
}

/// A reader in the pocket wears the card out or burns tries.
#[test]
fn attack_wear_out_in_the_pocket() {
    let mut rig = Rig::new();
    for _ in 0..MAX_UNCONFIRMED {
        rig.load("12.34");
        assert_eq!(rig.sw(Name::GetSignature, &[]), StatusWord::OK);
        rig.card.leave_field();
        rig.restart();
    }
    rig.enter();
    rig.select();
    let message = rig.transaction("12.34");
    assert_eq!(rig.sw(Name::PutTxn, message.bytes()), StatusWord::CONDITIONS);
    assert_eq!(rig.card.status().unconfirmed, MAX_UNCONFIRMED);
    rig.leave();
    rig.card.press(Key::Clear).unwrap();
    rig.tap("12.34");
}

/// Payee name "Coffee Shop" over a thief's account: both are shown, and no field can pose as another.
#[test]
fn attack_name_over_another_account() {
    let mut rig = Rig::new();
    rig.tap("12.34");
    let mut all = vec![];
    for _ in 1..rig.card.screen().pages() {
        all.extend(rig.card.screen().lines().to_vec());
        rig.card.press(Key::Next).unwrap();
    }
    let text = all.concat();
    for part in [
        "Coffee Shop 咖啡店 on the Corner",
        "DE89370400440532013000",
        "12.34 EUR",
        "2026-01-02 03:04:05",
        "Order 4711",
        "Two flat whites and a croissant",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(text.contains("▸ Payment") && text.contains("▸ To") && text.contains("▸ Account"));
}

/// The payer is not the card's account: an alias of another card or another counter value.
#[test]
fn attack_alias_of_another_contact() {
    let mut rig = Rig::new();
    rig.enter();
    rig.select();
    let old = rig.transaction("12.34");
    rig.leave();
    rig.tap("12.34");
    rig.card.press(Key::Cancel).unwrap();
    rig.enter();
    rig.select();
    assert_ne!(rig.alias(), old.transaction().payer.as_str());
    assert_eq!(rig.sw(Name::PutTxn, old.bytes()), StatusWord::WRONG_DATA);
    let foreign = transaction("MZXW6YTBOJTG633C", "12.34").encode().unwrap();
    assert_eq!(rig.sw(Name::PutTxn, foreign.bytes()), StatusWord::WRONG_DATA);
    assert_eq!(rig.card.state(), CardState::Idle);
}

/// A stolen card pays small amounts by the key alone: these payments are capped in number.
#[test]
fn attack_stolen_card_many_small_payments() {
    let mut rig = Rig::new();
    for _ in 0..rig.order.confirmation.key_only_count {
        rig.tap("1.00");
        rig.confirm();
        rig.restart();
    }
    rig.tap("1.00");
    rig.read();
    assert!(matches!(rig.card.press(Key::Confirm), Err(KeyRefused::PinMissing)));
    rig.type_pin(crate::rig::PIN);
    rig.card.press(Key::Confirm).unwrap();
    rig.password();
    rig.tap("1.00");
    rig.confirm();
}

/// Key-only payments are capped in sum.
#[test]
fn attack_stolen_card_up_to_the_threshold_each_time() {
    let mut rig = Rig::new();
    for _ in 0..2 {
        rig.tap("50.00");
        rig.confirm();
    }
    rig.tap("0.01");
    rig.read();
    assert!(matches!(rig.card.press(Key::Confirm), Err(KeyRefused::PinMissing)));
}

/// A confusable or invisible text is refused at PUT TXN, never cut.
#[test]
fn attack_text_that_cannot_be_shown() {
    let mut rig = Rig::new();
    rig.enter();
    rig.select();
    let good = rig.transaction("12.34").bytes().to_vec();
    for (from, to) in [
        ("Coffee", "C\u{202E}ffe"),
        ("Order 4711", "Order\u{200B}47"),
        ("Coffee", "C\u{85}ffee"),
        ("Coffee", "\u{421}offe"), // Cyrillic Es
    ] {
        let at = good.windows(from.len()).position(|w| w == from.as_bytes()).unwrap();
        let mut bad = good.clone();
        let to: Vec<u8> = to.bytes().chain(*b"xxxxxxxx").take(from.len()).collect();
        bad[at..at + from.len()].copy_from_slice(&to);
        assert_eq!(rig.sw(Name::PutTxn, &bad), StatusWord::WRONG_DATA, "{from}");
    }
}

/// The third wrong PIN wipes what waits. If the memory fails just then, unblocking must not bring it back.
#[test]
fn attack_unblock_to_have_back_what_was_to_be_wiped() {
    let mut rig = Rig::new();
    let keys = KeySet::draw(KeyVersion::FIRST, &mut Seeded(5));
    rig.nvm = TestNvm::default();
    let (pin, image) = (crate::rig::PIN.parse().unwrap(), Box::new(rig.nvm.clone()));
    rig.card = Card::issue(&rig.order, pin, Some(&keys), image, environment(&rig.clock)).unwrap().0;
    rig.tap("60.00");
    rig.read();
    for last in [false, false, true] {
        rig.type_pin("1111");
        if last {
            rig.nvm.fail_after(1);
        }
        assert!(rig.card.press(Key::Confirm).is_err());
    }
    assert!(rig.card.screen().is_blank());
    rig.nvm.heal();
    rig.enter();
    let mut transmit = |apdu: &[u8]| Ok::<_, std::convert::Infallible>(rig.card.transmit(apdu));
    let mut issuer =
        Issuer::open(crypto(), &keys, SecurityLevel::Full, &mut Seeded(7), &mut transmit).unwrap();
    issuer.unblock_pin(&"1357".parse().unwrap()).unwrap();
    rig.restart();
    assert_eq!((rig.card.state(), rig.card.status().pin_blocked), (CardState::Idle, false));
}

/// Any reader learns that this is such a card, and nothing that tells one from another; what it asks for tells of nothing
/// that it was told before a signature.
#[test]
fn attack_recognise_a_card_by_its_answers() {
    let mut answers = vec![];
    for key in [7, 8] {
        let mut order = crate::rig::order(Suite::default());
        order.card_key = onetap_apdu_spec::crypto::Key256::new([key; 32]);
        order.binding.card.0 = [key; 8];
        let mut rig = Rig::with(order);
        rig.enter();
        answers.push((rig.card.atr().to_vec(), rig.send(Name::Select, None, &AID).data));
    }
    assert_eq!(answers[0], answers[1]);
    let (mut rig, mut aliases) = (Rig::new(), BTreeSet::new());
    for _ in 0..4 {
        let alias = rig.tap("12.34").transaction;
        let alias = TransactionMessage::parse(&alias).unwrap().transaction().payer.as_str().to_owned();
        assert!(aliases.insert(alias), "an alias again");
        rig.card.press(Key::Cancel).unwrap();
    }
}

/// A contact that flickers must not wake the display in the field (P-19, P-20).
#[test]
fn attack_flicker_of_the_field_wakes_nothing() {
    let mut rig = Rig::new();
    rig.deliver("12.34");
    for _ in 0..10 {
        rig.card.leave_field();
        rig.pass(onetap_applet::DEBOUNCE_MS - 1);
        assert!(rig.card.screen().is_blank());
        assert!(matches!(rig.card.press(Key::Next), Err(KeyRefused::Asleep)));
        rig.enter();
    }
    assert_eq!(rig.card.state(), CardState::Delivered);
}

/// The joint password must not be found by anyone who reads the image or the wire (P-23, P-27).
#[test]
fn attack_read_the_password_from_image_or_wire() {
    for suite in Suite::all().filter(|suite| suite.profile() != Profile::A1) {
        let mut rig = Rig::suite(suite);
        let mut seen = vec![rig.nvm.image()];
        let tapped = rig.deliver("12.34");
        seen.push(rig.nvm.image());
        seen.push([tapped.signature_message, tapped.owed.unwrap_or_default()].concat());
        rig.leave();
        let password = rig.confirm();
        seen.push(rig.nvm.image());
        let text = password.expose().as_bytes().to_vec();
        let bcd: Vec<u8> = text.chunks(2).map(|pair| (pair[0] - b'0') << 4 | (pair[1] - b'0')).collect();
        let digits: Vec<u8> = text.iter().map(|digit| digit - b'0').collect();
        let hex: Vec<u8> = text.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect();
        let wide: Vec<u8> = text.iter().flat_map(|byte| [*byte, 0]).collect();
        for form in [&text, &bcd, &digits, &hex, &wide] {
            for bytes in &seen {
                assert!(!bytes.windows(form.len()).any(|w| w == &form[..]), "{suite}");
            }
        }
    }
}
