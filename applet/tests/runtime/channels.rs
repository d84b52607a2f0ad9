//! Logical channels (ISO/IEC 7816-4 §5.4.1, §11.1.2).

use onetap_apdu_spec::sw::StatusWord;
use onetap_applet::runtime::{DEFAULT_SELECTED, Limits};

use crate::probe::{Probe, calls};
use crate::rig::{Rig, TWENTY_CHANNELS, aid, name, on};

const MANAGE: u8 = 0x70;
const OPEN: u8 = 0x00;
const CLOSE: u8 = 0x80;

fn manage(rig: &mut Rig, origin: u8, p1: u8, channel: u8) -> String {
    rig.send([on(0x00, origin), MANAGE, p1, channel], &[], None).sw
}

#[test]
fn a_card_has_four_and_gives_them_in_order() {
    let mut rig = Rig::new();
    assert_eq!([rig.open_channel(0), rig.open_channel(0), rig.open_channel(0)], [1, 2, 3]);
    assert_eq!(rig.send([0x00, MANAGE, OPEN, 0], &[], Some(1)).sw, "6A81");
    assert_eq!(manage(&mut rig, 0, CLOSE, 2), "9000");
    assert_eq!(rig.open_channel(0), 2);
}

#[test]
fn with_the_option_it_has_twenty_in_both_codings_of_the_class_byte() {
    let mut rig = Rig::with_limits(TWENTY_CHANNELS);
    for channel in 1..20 {
        assert_eq!(rig.open_channel(0), channel);
        rig.install(Probe::PLAIN, 100 + channel);
        assert_eq!(rig.select(channel, &name(100 + channel)), "9000");
    }
    assert_eq!(rig.send([0x00, MANAGE, OPEN, 0], &[], Some(1)).sw, "6A81");
    // 4x and Cx: the number of the channel less four.
    for (cla, base, channel) in [(0x40, 0x00, 4), (0x4F, 0x00, 19), (0xC0, 0x80, 4), (0xCF, 0x80, 19)] {
        let told = rig.send([cla, Probe::TELL, 0, 0], &[], Some(256));
        assert_eq!(told.data, [base, channel, 0, 0, 0], "CLA {cla:02X}");
    }
    for channel in 0..20 {
        let expected = if channel == 0 { 1 } else { 100 + channel };
        assert_eq!(rig.selected(channel), Some(expected));
    }
}

#[test]
fn opened_by_number() {
    let mut rig = Rig::new();
    assert_eq!(manage(&mut rig, 0, OPEN, 2), "9000");
    assert_eq!(manage(&mut rig, 0, OPEN, 2), "6A86", "open already");
    assert_eq!(manage(&mut rig, 0, OPEN, 4), "6A86", "this card has four");
    assert_eq!([rig.open_channel(0), rig.open_channel(0)], [1, 3]);
}

#[test]
fn closed_by_number_or_from_itself() {
    let mut rig = Rig::new();
    let (first, second) = (rig.open_channel(0), rig.open_channel(0));
    assert_eq!(manage(&mut rig, 0, CLOSE, first), "9000");
    assert_eq!(manage(&mut rig, second, CLOSE, 0), "9000", "the channel that the command came on");
    for channel in [first, second] {
        assert_eq!(rig.select(channel, &name(1)), "6881", "closed");
        assert_eq!(manage(&mut rig, 0, CLOSE, channel), "6200", "closed already");
    }
    assert_eq!(manage(&mut rig, 0, CLOSE, 0), "6A81", "the basic channel stays open");
    assert_eq!(manage(&mut rig, 0, CLOSE, 4), "6A86");
}

#[test]
fn manage_channel_with_other_parameters_is_refused() {
    let mut rig = Rig::new();
    for p1 in [0x01, 0x40, 0x81, 0xFF] {
        assert_eq!(manage(&mut rig, 0, p1, 0), "6A86", "P1 {p1:02X}");
    }
    assert_eq!(rig.send([0x00, MANAGE, OPEN, 0], &[1], Some(1)).sw, "6700");
    assert_eq!(rig.send([0x10, MANAGE, OPEN, 0], &[], Some(1)).sw, "6884");
    assert_eq!(manage(&mut rig, 1, OPEN, 0), "6881", "from a channel that is closed");
    assert_eq!(rig.open_channel(0), 1, "nothing was opened");
}

#[test]
fn each_channel_has_a_selection_of_its_own() {
    let mut rig = Rig::new();
    rig.install(Probe::PLAIN, 2);
    let channel = rig.open_channel(0);
    assert_eq!(rig.selected(channel), None, "there is no default applet");
    rig.select(channel, &name(2));
    assert_eq!((rig.selected(0), rig.selected(channel)), (Some(1), Some(2)));
    calls();
    manage(&mut rig, 0, CLOSE, channel);
    assert_eq!(calls(), ["deselect 2 on 1"]);
    assert_eq!(rig.selected(0), Some(1));
}

#[test]
fn what_is_selected_elsewhere_is_refused_unless_multiselectable() {
    let mut rig = Rig::new();
    rig.install(Probe::MULTI, 2);
    let channel = rig.open_channel(0);
    rig.select(channel, &name(2));
    calls();
    assert_eq!(rig.select(channel, &name(1)), "6985");
    assert_eq!(rig.selected(channel), Some(2), "the current one stays");
    assert!(calls().is_empty());
    assert_eq!(rig.select(0, &name(2)), "9000");
    assert_eq!((rig.selected(0), rig.selected(channel)), (Some(2), Some(2)));
    assert_eq!(rig.select(channel, &name(1)), "9000", "free again");
}

#[test]
fn a_channel_opened_from_another_inherits_its_applet() {
    let mut rig = Rig::new();
    rig.install(Probe::MULTI, 2);
    let parent = rig.open_channel(0);
    rig.select(parent, &name(2));
    calls();
    let child = rig.open_channel(parent);
    assert_eq!(calls(), ["select 2 on 2"]);
    assert_eq!(rig.selected(child), Some(2));
    // One that is not multiselectable cannot be inherited: the channel is not opened.
    manage(&mut rig, 0, CLOSE, child);
    rig.install(Probe::PLAIN, 3);
    rig.select(parent, &name(3));
    assert_eq!(rig.send([on(0x00, parent), MANAGE, OPEN, 0], &[], Some(1)).sw, "6985");
    assert_eq!(manage(&mut rig, 0, CLOSE, child), "6200");
}

#[test]
fn a_channel_whose_inherited_applet_refuses_is_not_opened() {
    let mut rig = Rig::new();
    rig.install(Probe::MULTI, 2);
    let parent = rig.open_channel(0);
    rig.select(parent, &name(2));
    rig.probe(2, |probe, _| probe.on_select = |_, _| Err(StatusWord::CONDITIONS));
    assert_eq!(rig.send([on(0x00, parent), MANAGE, OPEN, 0], &[], Some(1)).sw, "6999");
    assert_eq!(manage(&mut rig, 0, CLOSE, 2), "6200");
    assert_eq!(rig.selected(parent), Some(2));
}

#[test]
fn a_channel_opened_from_the_basic_one_starts_with_the_default_applet() {
    let mut rig = Rig::empty(Limits::default());
    rig.card.install(&Probe::MULTI, aid(4), [DEFAULT_SELECTED, 0, 0], &[]).unwrap();
    rig.install(Probe::PLAIN, 1);
    rig.select(0, &name(1));
    let channel = rig.open_channel(0);
    assert_eq!(rig.selected(channel), Some(4));
}

#[test]
fn a_default_applet_in_use_elsewhere_leaves_the_new_channel_empty() {
    let mut rig = Rig::empty(Limits::default());
    rig.card.install(&Probe::PLAIN, aid(4), [DEFAULT_SELECTED, 0, 0], &[]).unwrap();
    rig.card.reset();
    assert_eq!(rig.selected(0), Some(4));
    let channel = rig.open_channel(0);
    assert_eq!(rig.selected(channel), None);
}

#[test]
fn reset_closes_all_but_the_basic_channel() {
    let mut rig = Rig::new();
    let channel = rig.open_channel(0);
    rig.card.reset();
    assert_eq!(rig.select(channel, &name(1)), "6881");
    assert_eq!(rig.select(0, &name(1)), "9000", "and no channel holds it any more");
}

#[test]
fn a_response_waits_for_its_own_channel_only() {
    let mut rig = Rig::new();
    let channel = rig.open_channel(0);
    rig.install(Probe::PLAIN, 2);
    rig.select(channel, &name(2));
    assert_eq!(rig.send([0x80, Probe::GIVE, 0, 20], &[], Some(8)).sw, "610C");
    let stolen = rig.send([on(0x00, channel), 0xC0, 0, 0], &[], Some(12));
    assert_eq!((stolen.data.len(), stolen.sw.as_str()), (0, "6985"));
}
