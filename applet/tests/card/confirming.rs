//! The holder's side: keys, PIN, thresholds, time (P-19 … P-23).

use onetap_apdu_spec::command::{CardState, Name};
use onetap_apdu_spec::sw::StatusWord;
use onetap_applet::{DEAD_TIME_MS, Key, KeyRefused, PENDING_MS, REVEALED_MS};

use crate::rig::{PIN, Rig};

#[test]
fn p_20_nothing_is_shown_before_the_contact_is_over() {
    let mut rig = Rig::new();
    rig.deliver("12.34");
    assert!(rig.card.screen().is_blank());
    rig.card.power_off();
    rig.pass(60_000);
    assert!(rig.card.screen().is_blank(), "no power is not absence");
    assert!(matches!(rig.card.press(Key::Next), Err(KeyRefused::InField)));
    rig.leave();
    assert!(!rig.card.screen().is_blank());
    rig.enter();
    assert!(rig.card.screen().is_blank(), "nor in the next one");
}

#[test]
fn p_21_the_key_counts_only_after_all_pages_and_the_dead_time() {
    let mut rig = Rig::new();
    rig.tap("12.34");
    let pages = rig.card.screen().pages();
    for _ in 1..pages {
        rig.pass(DEAD_TIME_MS);
        assert!(matches!(rig.card.press(Key::Confirm), Err(KeyRefused::NotYet)));
        rig.card.press(Key::Next).unwrap();
    }
    rig.pass(DEAD_TIME_MS - 1);
    assert!(matches!(rig.card.press(Key::Confirm), Err(KeyRefused::NotYet)));
    rig.pass(1);
    rig.card.press(Key::Confirm).unwrap();
    rig.password();
}

#[test]
fn p_22_a_medium_amount_takes_the_pin() {
    let mut rig = Rig::new();
    rig.tap("50.01");
    rig.read();
    assert!(matches!(rig.card.press(Key::Confirm), Err(KeyRefused::PinMissing)));
    rig.type_pin("246");
    assert!(matches!(rig.card.press(Key::Confirm), Err(KeyRefused::PinMissing)));
    rig.type_pin(PIN);
    rig.card.press(Key::Confirm).unwrap();
    rig.password();
}

#[test]
fn p_22_a_large_amount_takes_pin_and_key() {
    for amount in ["1000.01", "0.01 USD"] {
        let mut rig = Rig::new();
        rig.tap(amount);
        rig.read();
        assert!(matches!(rig.card.press(Key::Confirm), Err(KeyRefused::PinMissing)));
        rig.type_pin(PIN);
        rig.card.press(Key::Confirm).unwrap();
        assert_eq!(rig.card.state(), CardState::Showing);
        // The finger that confirmed the PIN does not confirm the payment too.
        assert!(matches!(rig.card.press(Key::Confirm), Err(KeyRefused::NotYet)));
        rig.pass(DEAD_TIME_MS);
        rig.card.press(Key::Confirm).unwrap();
        rig.password();
    }
}

/// In a field the reading starts anew, and with it what was typed: a PIN too.
#[test]
fn p_22_a_pin_does_not_outlast_a_reader() {
    let mut rig = Rig::new();
    rig.tap("1000.01");
    rig.read();
    rig.type_pin(PIN);
    rig.card.press(Key::Confirm).unwrap();
    rig.enter();
    rig.leave();
    rig.read();
    assert!(matches!(rig.card.press(Key::Confirm), Err(KeyRefused::PinMissing)));
    assert_eq!(rig.card.state(), CardState::Showing);
}

#[test]
fn p_21_three_wrong_pins_wipe_and_block() {
    let mut rig = Rig::new();
    rig.tap("50.01");
    rig.read();
    for left in [2, 1] {
        rig.type_pin("1111");
        assert!(matches!(rig.card.press(Key::Confirm), Err(KeyRefused::WrongPin { left: l }) if l == left));
        rig.restart();
        rig.read();
    }
    rig.type_pin("1111");
    assert!(matches!(rig.card.press(Key::Confirm), Err(KeyRefused::PinBlocked)));
    assert_eq!(rig.card.state(), CardState::Idle);
    rig.restart();
    assert_eq!(rig.card.state(), CardState::Idle);
    rig.enter();
    rig.select();
    let message = rig.transaction("1.00");
    assert_eq!(rig.sw(Name::PutTxn, message.bytes()), StatusWord::PIN_BLOCKED);
    assert_eq!(rig.sw(Name::PutTxn, b"x"), StatusWord::PIN_BLOCKED, "before the content");
}

#[test]
fn a_right_pin_gives_the_tries_back() {
    let mut rig = Rig::new();
    for _ in 0..3 {
        rig.tap("50.01");
        rig.read();
        for _ in 0..2 {
            rig.type_pin("1111");
            assert!(rig.card.press(Key::Confirm).is_err());
        }
        rig.type_pin(PIN);
        rig.card.press(Key::Confirm).unwrap();
        rig.password();
    }
}

#[test]
fn the_try_is_persisted_before_the_pin_is_compared() {
    let mut rig = Rig::new();
    rig.tap("50.01");
    rig.read();
    // The try cannot be written: nothing is compared, even a right PIN reveals nothing.
    rig.type_pin(PIN);
    rig.nvm.fail_after(0);
    assert!(matches!(rig.card.press(Key::Confirm), Err(KeyRefused::Memory(_))));
    assert_eq!(rig.card.state(), CardState::Showing);
    // The try is written, then power goes: it is lost for good.
    rig.type_pin(PIN);
    rig.nvm.heal();
    rig.nvm.fail_after(1);
    assert!(matches!(rig.card.press(Key::Confirm), Err(KeyRefused::Memory(_))));
    rig.nvm.heal();
    rig.restart();
    rig.read();
    rig.type_pin("1111");
    assert!(matches!(rig.card.press(Key::Confirm), Err(KeyRefused::WrongPin { left: 1 })));
}

#[test]
fn p_23_cancel_wipes() {
    let mut rig = Rig::new();
    rig.tap("12.34");
    let holds = |rig: &Rig| rig.nvm.image().windows(11).any(|bytes| bytes == b"Coffee Shop");
    assert!(holds(&rig));
    rig.card.press(Key::Cancel).unwrap();
    assert_eq!(rig.card.state(), CardState::Idle);
    assert!(!holds(&rig), "nothing of it is left in the image");
    rig.restart();
    assert_eq!(rig.card.state(), CardState::Idle);
}

#[test]
fn p_23_time_out_wipes() {
    for restart in [false, true] {
        let mut rig = Rig::new();
        rig.tap("12.34");
        rig.read();
        rig.clock.advance(PENDING_MS);
        if restart {
            rig.restart();
        }
        let _ = rig.card.press(Key::Confirm);
        assert_eq!(rig.card.state(), CardState::Idle);
        assert!(rig.card.screen().is_blank());
    }
}

#[test]
fn the_password_goes_dark_by_key_time_and_field() {
    for end in 0..3 {
        let mut rig = Rig::new();
        rig.tap("12.34");
        rig.confirm();
        match end {
            0 => rig.card.press(Key::Next).unwrap(),
            1 => rig.pass(REVEALED_MS),
            _ => rig.enter(),
        }
        assert_eq!(rig.card.state(), CardState::Idle);
        rig.leave();
        assert!(rig.card.screen().is_blank());
    }
}

#[test]
fn without_the_clock_pending_is_void() {
    for set in [None, Some(0)] {
        let mut rig = Rig::new();
        rig.tap("12.34");
        match set {
            None => rig.clock.lose(),
            Some(time) => rig.clock.set(onetap_applet::card::Millis(time)),
        }
        rig.restart();
        assert_eq!(rig.card.state(), CardState::Idle);
    }
}

#[test]
fn pending_survives_a_restart() {
    let mut rig = Rig::new();
    rig.deliver("12.34");
    rig.restart();
    assert_eq!(rig.card.state(), CardState::Showing);
    rig.confirm();
}

#[test]
fn a_digit_is_not_wanted_where_the_key_is_enough() {
    let mut rig = Rig::new();
    rig.tap("12.34");
    assert!(matches!(rig.card.press(Key::Digit(1)), Err(KeyRefused::NotYet)));
    rig.read();
    assert!(matches!(rig.card.press(Key::Digit(1)), Err(KeyRefused::NoPinWanted)));
    rig.confirm();
}
