//! The signing card on a chip with limits, and what the answer to reset says of them.

use std::sync::{Arc, Mutex};

use onetap_apdu_spec::atr::{ATR, CONTACTLESS_ATR};
use onetap_apdu_spec::command::{CardState, Name};
use onetap_apdu_spec::suite::Suite;
use onetap_apdu_spec::sw::StatusWord;
use onetap_applet::applets::Echo;
use onetap_applet::card::{CardTime as _, Interface, Product, VirtualClock};
use onetap_applet::front::InProcess;
use onetap_applet::nvm::MemoryImage;
use onetap_applet::runtime::{Costs, DEFAULT_SELECTED, Limits};
use onetap_applet::{Card, CardError, Environment};

use crate::rig::{PIN, Rig, START, environment, order};

fn within(limits: Limits, clock: &VirtualClock) -> Environment {
    Environment { limits, ..environment(clock) }
}

/// The card of a rig on another chip.
fn rig(limits: Limits) -> Rig {
    let mut rig = Rig::new();
    rig.card = Card::open(Box::new(rig.nvm.clone()), within(limits, &rig.clock)).unwrap();
    rig
}

/// An applet that echoes, on a chip with these limits, at the door of this process.
fn echo(limits: &str, interface: Interface) -> InProcess {
    let (name, env) = (Echo::name(), within(limits.parse().unwrap(), &VirtualClock::at(START)));
    let product = Product::new(&[Echo::module()]).instance(name, name, [DEFAULT_SELECTED, 0, 0], &[]);
    let mut card = product.make(Box::new(MemoryImage::default()), env).unwrap();
    card.set_interface(interface);
    InProcess::connect(Arc::new(Mutex::new(card)))
}

/// An echo with extended length.
const EXTENDED: [u8; 11] = [0x80, 0x10, 0, 0, 0, 0, 2, 7, 7, 0, 0];

#[test]
fn the_answer_to_reset_says_what_the_card_can() {
    let refused = [0x67, 0x00];
    let taken = [7, 7, 0x90, 0x00];
    for (limits, interface, atr, answer) in [
        ("none", Interface::Contact, &ATR[..], &taken[..]),
        ("none", Interface::Contactless, &CONTACTLESS_ATR, &taken),
        // The capabilities are the last byte before the check byte, 9B without extended length; T=0 has no check byte.
        ("real-card", Interface::Contact, b"\x3B\x85\x01\x80\x73\xC0\x01\x9B\x2D", &refused),
        ("apdu=261", Interface::Contact, b"\x3B\x85\x01\x80\x73\xC0\x01\x9B\x2D", &refused),
        ("short", Interface::Contactless, b"\x3B\x85\x80\x01\x80\x73\xC0\x01\x9B\xAD", &refused),
        ("real-card,t0", Interface::Contact, b"\x3B\x05\x80\x73\xC0\x01\x9B", &refused),
        ("t0,channels=1", Interface::Contact, b"\x3B\x05\x80\x73\xC0\x01\x80", &refused),
        // Without contacts there is no T=0.
        ("t0", Interface::Contactless, &CONTACTLESS_ATR, &taken),
    ] {
        let contact = echo(limits, interface);
        assert_eq!(contact.atr(), atr, "{limits}, {interface:?}");
        assert_eq!(contact.transmit(&EXTENDED), answer, "{limits}, {interface:?}");
    }
}

#[test]
fn a_slow_card_signs_as_slowly_as_its_chip() {
    let costs = Costs { rsa_private: 400_000, page: 3_000, ..Costs::NONE };
    let mut rig = rig(Limits { costs, ..Limits::NONE });
    rig.load("12.34");
    let before = rig.clock.now().unwrap();
    assert_eq!(rig.sw(Name::GetSignature, &[]), StatusWord::OK);
    let took = rig.clock.now().unwrap().since(before).unwrap();
    assert!((400..500).contains(&took) && took > 400, "{took} ms: a signature, and pages");
}

#[test]
fn on_worn_pages_the_card_signs_no_more_and_no_counter_value_twice() {
    let mut rig = rig(Limits { endurance: Some(6), ..Limits::NONE });
    let mut signed = Vec::new();
    let worn = loop {
        rig.enter();
        rig.select();
        let message = rig.transaction("12.34");
        let sw = [Name::PutTxn, Name::GetSignature].map(|name| {
            let data = if name == Name::PutTxn { message.bytes() } else { &[] };
            let response = rig.send(name, None, data);
            if name == Name::GetSignature && response.sw == StatusWord::OK {
                signed.push(response.data);
            }
            response.sw
        });
        rig.leave();
        if sw != [StatusWord::OK; 2] {
            break sw;
        }
        assert!(signed.len() < 10, "six writes are not ten signatures");
    };
    assert!(worn.contains(&StatusWord::MEMORY_FAILURE), "{worn:?}");
    assert!(!signed.is_empty());
    // On a chip that is not worn the same memory signs again, with the next counter value.
    rig.restart();
    let next = rig.deliver("12.34").signature_message;
    assert!(!signed.contains(&next));
}

#[test]
fn a_commit_buffer_that_is_too_small_makes_no_card() {
    let issue = |commit| {
        let env = within(Limits { commit, ..Limits::NONE }, &VirtualClock::at(START));
        let (order, pin) = (order(Suite::default()), PIN.parse().unwrap());
        Card::issue(&order, pin, None, Box::new(MemoryImage::default()), env)
    };
    assert!(matches!(issue(512).map(drop), Err(CardError::Issue(_) | CardError::Refused(_))));
    let (card, _) = issue(Limits::REAL_CARD.commit).unwrap();
    assert_eq!(card.state(), CardState::Idle);
}
