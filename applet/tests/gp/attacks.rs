//! The attacks of docs/threat-model.md that go by way of GlobalPlatform.

use onetap_apdu_spec::command::CardState;
use onetap_apdu_spec::gp::ceremony::signing_applet;
use onetap_apdu_spec::gp::life_cycle::CardLifeCycle;
use onetap_apdu_spec::gp::registry::SetStatus;
use onetap_apdu_spec::gp::scp03::SecurityLevel;
use onetap_apdu_spec::gp::{Aid, KeySet, SIGNING_APPLET};
use onetap_apdu_spec::sw::StatusWord;
use onetap_applet::{Key, KeyRefused};

use crate::issuing::{GET_ALIAS, SELECT_SIGNING, pay};
use crate::rig::{Bench, PIN, own_keys, pin, refusal};
use crate::tear::sweep;

fn lock(lock: bool) -> SetStatus {
    SetStatus::Application { aid: SIGNING_APPLET, lock }
}

/// Deleting the applet must not give C back: the server knows this card by its card id.
#[test]
fn attack_delete_and_reinstall_to_count_from_the_start() {
    let (mut bench, _) = Bench::issued();
    let keys = own_keys(0x30);
    assert_eq!((pay(&mut bench), cancel(&mut bench), pay(&mut bench)), (1, (), 2));
    for c in 3..6 {
        bench.enter();
        bench.with_keys(&keys, |issuer| issuer.delete(SIGNING_APPLET)).unwrap();
        // Nor does an applet in between that never signed.
        bench.with_keys(&keys, |issuer| issuer.install(&signing_applet())).unwrap();
        bench.with_keys(&keys, |issuer| issuer.delete(SIGNING_APPLET)).unwrap();
        bench = bench.restart();
        bench.issue(&keys, None).unwrap();
        assert_eq!(pay(&mut bench), c);
    }
}

fn cancel(bench: &mut Bench) {
    bench.card.press(Key::Cancel).unwrap();
    bench.enter();
}

/// Nor does tearing the card out while the applet is deleted.
#[test]
fn attack_tear_the_deletion_to_count_from_the_start() {
    let (mut bench, _) = Bench::issued();
    let keys = own_keys(0x30);
    pay(&mut bench);
    cancel(&mut bench);
    let delete = |bench: &mut Bench| bench.with_keys(&keys, |issuer| issuer.delete(SIGNING_APPLET));
    let mut gone = 0;
    let cuts = sweep(&bench.memory, delete, |mut after, result| {
        match after.issue(&keys, None) {
            Ok(_) => gone += 1,
            again => {
                assert!(result.is_err(), "told that it is gone");
                assert_eq!(refusal(again), StatusWord::CONDITIONS);
            }
        }
        assert_eq!(pay(&mut after), 2);
    });
    assert!(gone > 0 && cuts > gone, "{gone} of {cuts}");
}

/// A second instance would sign with a C of its own, and no display would show what.
#[test]
fn attack_second_instance_of_the_signing_applet() {
    let (mut bench, _) = Bench::issued();
    let mut second = signing_applet();
    second.instance = Aid::new(b"\xF0ONETAP\x02").unwrap();
    let refused = bench.with_keys(&own_keys(0x30), |issuer| issuer.install(&second));
    assert_eq!(refusal(refused), StatusWord::CONDITIONS);
}

/// Who recorded a channel plays it again once its keys are put a second time: were the sequence counter
/// counted from the start, the card would draw the challenges of old.
#[test]
fn attack_replay_a_channel_of_keys_that_came_back() {
    let own = own_keys(0x30);
    let back: [&dyn Fn(&mut Bench); 2] = [
        &|bench| bench.with_keys(&own_keys(0x30), |issuer| issuer.put_keys(&own_keys(0x30))).unwrap(),
        &|bench| {
            bench.with_keys(&own_keys(0x30), |issuer| issuer.put_keys(&own_keys(0x31))).unwrap();
            bench.with_keys(&own_keys(0x31), |issuer| issuer.put_keys(&own_keys(0x30))).unwrap();
        },
    ];
    for come_back in back {
        let (mut bench, _) = Bench::issued();
        let (initialize, answer) = bench.initialize(own.version());
        let crypto = onetap_apdu_spec::crypto::default_provider();
        let recorded = initialize.command().to_bytes().unwrap();
        let authenticate = initialize.check(crypto, &own, SecurityLevel::Full, &answer.data).unwrap();
        let authenticate = authenticate.command().to_bytes().unwrap();
        assert_eq!(bench.send(&authenticate).sw, StatusWord::OK);
        come_back(&mut bench);
        for _ in 0..20 {
            bench.card.reset();
            assert_eq!(bench.sw("00A40400 08 A000000151000000 00"), StatusWord::OK);
            assert_ne!(bench.send(&recorded).data, answer.data);
            assert_eq!(bench.send(&authenticate).sw, StatusWord::SECURITY_STATUS);
        }
    }
}

/// Deleting a key set and putting it again is no way either.
#[test]
fn attack_delete_keys_to_have_their_sequence_counter_back() {
    let (mut bench, _) = Bench::issued();
    let (old, new) = (own_keys(0x30), own_keys(0x31));
    let last = bench.sequence(&old);
    bench.add_keys(&old, &new);
    bench.with_keys(&new, |issuer| issuer.delete_keys(old.version())).unwrap();
    bench = bench.restart();
    bench.add_keys(&new, &old);
    assert!(bench.sequence(&old) > last);
}

/// The issuer locks a card that was stolen: what waits on its display is shown to nobody.
#[test]
fn attack_confirm_on_a_card_that_was_locked() {
    let card = SetStatus::Card;
    let locks: [(&[SetStatus], bool); 3] = [
        (&[lock(true)], true),
        (
            &[card(CardLifeCycle::Initialized), card(CardLifeCycle::Secured), card(CardLifeCycle::Locked)],
            true,
        ),
        (&[card(CardLifeCycle::Terminated)], false),
    ];
    for (steps, unlocks) in locks {
        let (mut bench, _) = Bench::issued();
        pay(&mut bench);
        bench.enter();
        for step in steps {
            bench.with_keys(&own_keys(0x30), |issuer| issuer.set_status(*step)).unwrap();
        }
        bench = bench.restart();
        bench.card.leave_field();
        bench.pass(onetap_applet::DEBOUNCE_MS);
        assert!(bench.card.screen().is_blank());
        for key in [Key::Next, Key::Digit(2), Key::Confirm, Key::Cancel] {
            assert!(matches!(bench.card.press(key), Err(KeyRefused::OutOfService)), "{key:?}");
        }
        bench.enter();
        let unlock = match steps {
            [SetStatus::Application { .. }] => lock(false),
            _ => card(CardLifeCycle::Secured),
        };
        let unlocked = bench.sw("00A40400 08 A000000151000000 00") != StatusWord::CONDITIONS;
        assert_eq!(unlocked, unlocks, "for good");
        if unlocks {
            bench.with_keys(&own_keys(0x30), |issuer| issuer.set_status(unlock)).unwrap();
            bench.card.leave_field();
            bench.pass(onetap_applet::DEBOUNCE_MS);
            for _ in 1..bench.card.screen().pages() {
                bench.card.press(Key::Next).unwrap();
            }
            bench.pass(onetap_applet::DEAD_TIME_MS);
            bench.type_pin(PIN);
            assert_eq!(bench.card.state(), CardState::Revealed, "it is as it was");
        }
    }
}

/// Blocks of two channels must not become one order.
#[test]
fn attack_finish_the_order_of_another_channel() {
    let mut bench = Bench::issued().0;
    let begin = "80E62000 0E 0000 08 F04F4E4554415001 000000 00";
    for _ in 0..2 {
        let host = bench.channel(&own_keys(0x30), SecurityLevel::Full);
        let (host, response) = bench.on(host, begin);
        assert_eq!(response.sw, StatusWord::OK);
        let (host, response) = bench.on(host, "80E2B001 01 BB 00");
        assert_eq!(
            response.sw,
            StatusWord::WRONG_P1P2,
            "block 1 of an order that this channel did not begin"
        );
        let (host, _) = bench.on(host, begin);
        assert_eq!(bench.on(host, "80E23000 01 AA 00").1.sw, StatusWord::OK);
    }
}

/// Deleting the applet takes what waits with it, from display and memory.
#[test]
fn attack_delete_the_applet_under_the_holders_eyes() {
    let (mut bench, _) = Bench::issued();
    pay(&mut bench);
    let stored = |bench: &Bench| bench.memory.bytes().windows(11).any(|bytes| bytes == b"Coffee Shop");
    assert!(stored(&bench));
    bench.enter();
    bench.with_keys(&own_keys(0x30), |issuer| issuer.delete(SIGNING_APPLET)).unwrap();
    assert!(!stored(&bench));
    bench.card.leave_field();
    bench.pass(onetap_applet::DEBOUNCE_MS);
    assert!(bench.card.screen().is_blank());
    assert!(matches!(bench.card.press(Key::Confirm), Err(KeyRefused::OutOfService)));
    bench.enter();
    bench.issue(&own_keys(0x30), None).unwrap();
    bench.card.leave_field();
    bench.pass(onetap_applet::DEBOUNCE_MS);
    assert!(bench.card.screen().is_blank(), "nothing of it comes back");
}

/// A reader that has the applet selected on another channel when the issuer locks it.
#[test]
fn attack_sign_on_another_channel_after_the_lock() {
    let (mut bench, _) = Bench::issued();
    assert_eq!(bench.sw("00700001 00"), StatusWord::OK);
    assert_eq!(bench.sw(&SELECT_SIGNING.replacen("00", "01", 1)), StatusWord::OK);
    let alias = GET_ALIAS.replacen("00", "01", 1);
    assert_eq!(bench.sw(&alias), StatusWord::OK);
    bench.with_keys(&own_keys(0x30), |issuer| issuer.set_status(lock(true))).unwrap();
    assert_eq!(bench.sw(&alias), StatusWord::CONDITIONS);
}

/// On a locked card nobody changes content or keys, the issuer neither (GPCS §5.1.1.4).
#[test]
fn attack_change_a_locked_card() {
    let (mut bench, _) = Bench::issued();
    let keys = own_keys(0x30);
    for next in [CardLifeCycle::Initialized, CardLifeCycle::Secured, CardLifeCycle::Locked] {
        bench.with_keys(&keys, |issuer| issuer.set_status(SetStatus::Card(next))).unwrap();
    }
    bench
        .with_keys(&keys, |issuer| {
            assert_eq!(refusal(issuer.delete(SIGNING_APPLET)), StatusWord::CONDITIONS);
            assert_eq!(refusal(issuer.install(&signing_applet())), StatusWord::CONDITIONS);
            assert_eq!(refusal(issuer.put_keys(&own_keys(0x31))), StatusWord::CONDITIONS);
            assert_eq!(refusal(issuer.delete_keys(keys.version())), StatusWord::CONDITIONS);
            assert_eq!(refusal(issuer.unblock_pin(&pin("1357"))), StatusWord::CONDITIONS);
            Ok(())
        })
        .unwrap();
    bench.with_keys(&keys, |issuer| issuer.set_status(SetStatus::Card(CardLifeCycle::Secured))).unwrap();
    assert_eq!(bench.sw(SELECT_SIGNING), StatusWord::OK);
    assert!(bench.with_keys(&KeySet::TEST, |_| Ok(())).is_err());
}
