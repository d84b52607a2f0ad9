//! Life cycles of applets and of the card (GlobalPlatform Card Specification §5).

use onetap_applet::nvm::{Cut, How};
use onetap_applet::runtime::{
    Context, DEFAULT_SELECTED, LOCKED, Limits, PERSONALISED, SECURITY_DOMAIN, SELECTABLE,
};

use crate::probe::{CARD_LOCK, CARD_SECURE, CARD_TERMINATE, NUMBER, Probe, SET_STATE};
use crate::rig::{FAMILY, Rig, aid, name, on};

/// Domain 1, selected; probe 2 is the default applet.
fn rig() -> Rig {
    let mut rig = Rig::empty(Limits::default());
    rig.card.install(&Probe::PLAIN, aid(1), [SECURITY_DOMAIN, 0, 0], &[]).unwrap();
    rig.card.install(&Probe::PLAIN, aid(2), [DEFAULT_SELECTED, 0, 0], &[]).unwrap();
    assert_eq!(rig.select(0, &name(1)), "9000");
    rig
}

fn manage(rig: &mut Rig, what: u8, p2: u8, n: u8) {
    assert_eq!(rig.send([0x80, Probe::MANAGE, what, p2], &name(n), None).sw, "9000");
}

#[test]
fn a_locked_applet_is_not_selected_until_it_is_unlocked() {
    let mut rig = rig();
    manage(&mut rig, SET_STATE, SELECTABLE | LOCKED, 2);
    assert_eq!(rig.select(0, &name(2)), "6A82");
    assert_eq!(rig.select_as(0, FAMILY, 1).data, name(1), "a partial name passes it over");
    let mut rig = rig.restart();
    assert_eq!(rig.selected(0), Some(1), "nor by default: the issuer's domain is instead");
    rig.select(0, &name(1));
    manage(&mut rig, SET_STATE, SELECTABLE, 2);
    assert_eq!(rig.select(0, &name(2)), "9000");
}

#[test]
fn an_applet_sets_its_own_state_and_cannot_unlock_itself() {
    let mut rig = rig();
    rig.within(2, |cx| cx.set_life_cycle(0x1F).unwrap());
    manage(&mut rig, SET_STATE, 0x1F | LOCKED, 2);
    rig.within(2, |cx| cx.set_life_cycle(SELECTABLE).unwrap());
    rig.within(2, |cx| cx.set_life_cycle(0x10).unwrap());
    let mut rig = rig.restart();
    assert_eq!(rig.card.instances().last().unwrap().state, 0x10 | SELECTABLE | LOCKED, "nor hide what it is");
    assert_eq!(rig.select(0, &name(2)), "6A82");
}

#[test]
fn a_locked_card_selects_its_issuers_domain_only() {
    let mut rig = rig();
    manage(&mut rig, CARD_LOCK, 0, 1);
    assert_eq!(rig.select(0, &name(2)), "6A82");
    assert_eq!(rig.selected(0), Some(1));
    let mut rig = rig.restart();
    assert_eq!(rig.selected(0), Some(1), "and no other by default");
    assert_eq!(rig.select(0, &name(1)), "6283", "and says that it is locked");
    manage(&mut rig, CARD_SECURE, 0, 1);
    assert_eq!(rig.select(0, &name(2)), "9000");
}

/// Whoever was selected before the lock has no more use of it, and cannot take it to another channel.
#[test]
fn attack_go_on_with_an_applet_that_was_locked_while_selected() {
    let mut rig = rig();
    rig.card.install(&Probe::MULTI, aid(3), [0; 3], &[]).unwrap();
    let channel = rig.open_channel(0);
    assert_eq!(rig.select(channel, &name(3)), "9000");
    assert_eq!(rig.selected(channel), Some(3));
    manage(&mut rig, SET_STATE, SELECTABLE | LOCKED, 3);
    assert_eq!(rig.selected(channel), None);
    assert_eq!(rig.send([on(0, channel), 0x70, 0, 0], &[], Some(1)).sw, "6985");
    manage(&mut rig, SET_STATE, SELECTABLE, 3);
    assert_eq!(rig.selected(channel), Some(3));
    manage(&mut rig, CARD_LOCK, 0, 1);
    assert_eq!(rig.selected(channel), None, "the whole card is locked");
}

#[test]
fn a_terminated_card_does_nothing_more() {
    let mut rig = rig();
    manage(&mut rig, CARD_TERMINATE, 0, 1);
    let mut rig = rig.restart();
    assert_eq!(rig.select(0, &name(1)), "6985");
    assert_eq!(rig.select(0, &name(2)), "6985");
    assert_eq!(rig.send([0x80, Probe::WHO, 0, 0], &[], Some(256)).sw, "6985");
}

#[test]
fn a_state_set_in_a_transaction_goes_with_it() {
    let mut rig = rig();
    let state = |rig: &Rig| rig.card.instances().last().unwrap().state;
    let personalise = |cx: &mut Context<'_>| {
        cx.begin().unwrap();
        cx.set(&NUMBER, &1).unwrap();
        cx.set_life_cycle(PERSONALISED).unwrap();
        assert_eq!(cx.instance().unwrap().state, PERSONALISED);
    };
    rig.within(2, |cx| {
        personalise(cx);
        cx.abort().unwrap();
    });
    assert_eq!((state(&rig), state(&rig.reopened())), (SELECTABLE, SELECTABLE));
    rig.within(2, personalise);
    assert_eq!((state(&rig), state(&rig.reopened())), (SELECTABLE, SELECTABLE), "aborted on return");
    rig.within(2, |cx| {
        personalise(cx);
        cx.commit().unwrap();
    });
    assert_eq!((state(&rig), state(&rig.reopened())), (PERSONALISED, PERSONALISED));
}

#[test]
fn a_state_that_cannot_be_written_is_not_set() {
    let mut rig = rig();
    rig.switch.arm(Cut { at: 0, how: How::Before });
    assert_eq!(rig.send([0x80, Probe::MANAGE, CARD_LOCK, 0], &name(1), None).sw, "6581");
    assert_eq!(rig.send([0x80, Probe::MANAGE, SET_STATE, LOCKED], &name(2), None).sw, "6581");
    assert_eq!(rig.card.instances().last().unwrap().state, SELECTABLE);
    assert_eq!(rig.select(0, &name(2)), "9000", "neither card nor applet is locked");
}
