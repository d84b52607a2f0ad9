//! The memory fails, or the process dies, at each commit of a whole transaction: the card is then in the
//! state before or after, and no counter value is signed with twice.

use onetap_apdu_spec::command::{CardState, Name};
use onetap_apdu_spec::sw::StatusWord;
use onetap_applet::Key;

use crate::rig::Rig;

#[test]
fn each_commit_may_fail_and_the_card_goes_on() {
    // C, Delivered, first key, reveal.
    for ok in 0..4 {
        let mut rig = Rig::new();
        rig.load("12.34");
        rig.nvm.fail_after(ok);
        let signature = rig.sw(Name::GetSignature, &[]);
        let envelope = rig.sw(Name::GetEncPassword, &[]);
        let expected = match ok {
            0 => (StatusWord::MEMORY_FAILURE, StatusWord::CONDITIONS, CardState::Loaded),
            1 => (StatusWord::OK, StatusWord::MEMORY_FAILURE, CardState::Signed),
            _ => (StatusWord::OK, StatusWord::OK, CardState::Delivered),
        };
        assert_eq!((signature, envelope, rig.card.state()), expected);
        rig.leave();
        if ok >= 2 {
            let key = rig.card.press(Key::Next);
            assert_eq!(key.is_ok(), ok >= 3);
            if ok == 3 {
                rig.read();
                assert!(rig.card.press(Key::Confirm).is_err());
            }
            assert_eq!(rig.card.state(), CardState::Showing);
        }
        rig.nvm.heal();
        rig.restart();
        assert_eq!(rig.card.state(), if ok >= 2 { CardState::Showing } else { CardState::Idle });
        if ok >= 2 {
            rig.confirm();
        } else {
            rig.tap("1.00");
        }
    }
}

#[test]
fn after_a_failed_write_the_same_command_may_be_sent_again() {
    let mut rig = Rig::new();
    rig.load("12.34");
    rig.nvm.fail_after(0);
    assert_eq!(rig.sw(Name::GetSignature, &[]), StatusWord::MEMORY_FAILURE);
    rig.nvm.heal();
    assert_eq!(rig.sw(Name::GetSignature, &[]), StatusWord::OK);
    rig.nvm.fail_after(0);
    assert_eq!(rig.sw(Name::GetEncPassword, &[]), StatusWord::MEMORY_FAILURE);
    rig.nvm.heal();
    assert_eq!(rig.sw(Name::GetEncPassword, &[]), StatusWord::OK);
}

#[test]
fn where_c_is_taken_and_delivery_fails_the_transaction_is_void() {
    let mut rig = Rig::suite("danger-a1+pkcs1".parse().unwrap());
    rig.load("12.34");
    let alias = rig.alias();
    rig.nvm.fail_after(1);
    assert_eq!(rig.sw(Name::GetSignature, &[]), StatusWord::MEMORY_FAILURE);
    assert_eq!(rig.card.state(), CardState::Idle);
    rig.nvm.heal();
    assert_ne!(rig.alias(), alias, "the counter value is spent");
}
