//! Arrows between states that no command makes.

use onetap_apdu_spec::atr::{ATR, CONTACTLESS_ATR};
use onetap_apdu_spec::command::{CardState, Name};
use onetap_apdu_spec::sw::StatusWord;
use onetap_applet::Key;
use onetap_applet::card::Interface;

use crate::grid::in_state;
use crate::rig::Rig;

#[test]
fn p_19_power_and_reset_void_what_is_not_delivered() {
    for (state, after) in [
        (CardState::Loaded, CardState::Idle),
        (CardState::Signed, CardState::Idle),
        (CardState::Delivered, CardState::Delivered),
    ] {
        for cut in 0..2 {
            let mut rig = in_state(state);
            if cut == 0 {
                rig.card.reset();
            } else {
                rig.card.power_off();
            }
            assert_eq!(rig.card.state(), after);
            rig.card.power_on();
            assert_eq!(rig.sw(Name::GetData, &[]), StatusWord::NO_SUCH_OBJECT, "selected anew");
        }
        let mut rig = in_state(state);
        rig.card.leave_field();
        assert_eq!(rig.card.state(), after);
    }
}

#[test]
fn p_04_a_reply_lost_on_the_way_is_repeated_within_the_contact() {
    let mut rig = Rig::new();
    let tapped = rig.deliver("12.34");
    rig.card.power_off();
    rig.card.power_on();
    rig.select();
    assert_eq!(rig.send(Name::GetSignature, None, &[]).data, tapped.signature_message);
    assert_eq!(rig.send(Name::GetEncPassword, None, &[]).data, tapped.owed.unwrap());
    rig.leave();
    rig.enter();
    rig.select();
    assert_eq!(rig.sw(Name::GetSignature, &[]), StatusWord::CONDITIONS, "the contact is over");
}

#[test]
fn a_key_in_idle_shows_that_there_is_a_holder() {
    let mut rig = Rig::new();
    rig.load("1.00");
    rig.sw(Name::GetSignature, &[]);
    rig.leave();
    assert_eq!(rig.card.status().unconfirmed, 1);
    rig.card.press(Key::Clear).unwrap();
    assert_eq!(rig.card.status().unconfirmed, 0);
}

#[test]
fn the_answer_to_reset_is_that_of_the_interface() {
    let mut rig = Rig::new();
    assert_eq!(rig.card.atr(), ATR);
    rig.card.set_interface(Interface::Contactless);
    rig.enter();
    assert_eq!(rig.card.atr(), CONTACTLESS_ATR);
    rig.card.reset();
    assert_eq!(rig.card.atr(), CONTACTLESS_ATR);
}

#[test]
fn p_03_in_process_contact_begins_and_ends_with_its_value() {
    use std::sync::{Arc, Mutex};
    let card = Arc::new(Mutex::new(Rig::new().card));
    let contact = onetap_applet::front::InProcess::connect(Arc::clone(&card));
    assert!(card.lock().unwrap().in_field());
    assert!(contact.transmit(&[]).len() == 2);
    assert_eq!(contact.atr().len(), 9);
    contact.reset();
    contact.release();
    assert!(!card.lock().unwrap().in_field());
}
