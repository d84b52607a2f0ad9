//! SELECT by name (ISO/IEC 7816-4 §11.2.2).

use onetap_apdu_spec::sw::StatusWord;
use onetap_applet::runtime::{DEFAULT_SELECTED, Limits};

use crate::probe::{Probe, UNTIL_DESELECT, calls};
use crate::rig::{FAMILY, Rig, aid, name};

const FIRST: u8 = 0;
const LAST: u8 = 1;
const NEXT: u8 = 2;
const PREVIOUS: u8 = 3;
const NO_ANSWER: u8 = 0x0C;

fn three() -> Rig {
    let mut rig = Rig::empty(Limits::default());
    for n in 1..=3 {
        rig.install(Probe::PLAIN, n);
    }
    rig
}

#[test]
fn by_its_full_name_and_by_a_part_of_it() {
    let mut rig = three();
    assert_eq!(rig.select(0, &name(2)), "9000");
    assert_eq!(rig.selected(0), Some(2));
    assert_eq!(rig.select(0, &FAMILY[..5]), "9000");
    assert_eq!(rig.selected(0), Some(1));
    // Too short to be a name, and longer than the name.
    assert_eq!(rig.select(0, &FAMILY[..4]), "6A82");
    assert_eq!(rig.select(0, &[&name(3)[..], &[0]].concat()), "6A82");
    assert_eq!(rig.selected(0), Some(1));
}

#[test]
fn first_last_next_and_previous_occurrence() {
    let mut rig = three();
    for (p2, expected) in [
        (FIRST, 1),
        (NEXT, 2),
        (NEXT, 3),
        (PREVIOUS, 2),
        (LAST, 3),
        (PREVIOUS, 2),
        (PREVIOUS, 1),
        (LAST, 3),
        (FIRST, 1),
    ] {
        let answer = rig.select_as(0, FAMILY, p2);
        assert_eq!((answer.sw.as_str(), answer.data), ("9000", name(expected).to_vec()));
        assert_eq!(rig.selected(0), Some(expected));
    }
    // Beyond either end: nothing changes.
    assert_eq!(rig.select_as(0, FAMILY, PREVIOUS).sw, "6A82");
    assert_eq!(rig.selected(0), Some(1));
    rig.select_as(0, FAMILY, LAST);
    assert_eq!(rig.select_as(0, FAMILY, NEXT).sw, "6A82");
    assert_eq!(rig.selected(0), Some(3));
}

#[test]
fn without_an_answer_if_p2_says_so() {
    let mut rig = three();
    for (occurrence, expected) in [(FIRST, 1), (NEXT, 2), (LAST, 3), (PREVIOUS, 2)] {
        let answer = rig.select_as(0, FAMILY, NO_ANSWER | occurrence);
        assert_eq!((answer.data.len(), answer.sw.as_str()), (0, "9000"));
        assert_eq!(rig.selected(0), Some(expected));
    }
    for p2 in [0x04, 0x08, 0x10, 0x80] {
        assert_eq!(rig.select_as(0, &name(1), p2).sw, "6A86", "P2 {p2:02X}");
    }
    assert_eq!(rig.selected(0), Some(2));
}

#[test]
fn an_unknown_name_leaves_the_current_one() {
    let mut rig = three();
    rig.select(0, &name(2));
    rig.within(2, |cx| cx.set_transient(&UNTIL_DESELECT, &5).unwrap());
    calls();
    assert_eq!(rig.select(0, &name(9)), "6A82");
    assert_eq!(rig.selected(0), Some(2));
    assert!(calls().is_empty(), "nobody was deselected");
    assert_eq!(rig.within(2, |cx| cx.transient(&UNTIL_DESELECT).unwrap()), 5);
}

#[test]
fn the_old_one_is_deselected_before_the_new_one_is_selected() {
    let mut rig = three();
    calls();
    rig.select(0, &name(1));
    rig.select(0, &name(2));
    rig.select(0, &name(2));
    let expected = ["select 1 on 0", "deselect 1 on 0", "select 2 on 0", "deselect 2 on 0", "select 2 on 0"];
    assert_eq!(calls(), expected);
}

#[test]
fn an_applet_that_refuses_leaves_nothing_selected() {
    let mut rig = three();
    rig.select(0, &name(1));
    rig.probe(2, |probe, _| {
        probe.on_select = |cx, reply| {
            reply.send(b"never seen");
            cx.set_transient(&UNTIL_DESELECT, &5)?;
            Err(StatusWord::SECURITY_STATUS)
        };
    });
    let refused = rig.select_as(0, &name(2), FIRST);
    assert_eq!((refused.data.len(), refused.sw.as_str()), (0, "6999"));
    assert_eq!(rig.selected(0), None);
    assert_eq!(rig.send([0x80, Probe::ECHO, 0, 0], b"1", None).sw, "6985");
    assert_eq!(rig.send([0x00, 0xC0, 0, 0], &[], Some(256)).sw, "6985", "no response waits");
    let kept = rig.within(2, |cx| cx.transient(&UNTIL_DESELECT).unwrap());
    assert_eq!(kept, 0, "what it kept until it is deselected is gone");
    assert_eq!(rig.select(0, &name(1)), "9000");
}

#[test]
fn select_by_anything_else_is_for_the_applet() {
    let mut rig = three();
    assert_eq!(rig.send([0x00, 0xA4, 0x00, 0x0C], &[0x3F, 0x00], None).sw, "6A86", "nobody is there");
    rig.select(0, &name(1));
    assert_eq!(rig.send([0x00, 0xA4, 0x00, 0x0C], &[0x3F, 0x00], None).sw, "6D00", "the applet's word");
    // And so is a proprietary command with the same instruction byte.
    assert_eq!(rig.send([0x80, 0xA4, 0x04, 0x00], &name(2), None).sw, "6D00");
    assert_eq!(rig.selected(0), Some(1));
}

#[test]
fn the_default_applet_is_selected_at_reset() {
    let mut rig = three();
    rig.card.install(&Probe::PLAIN, aid(4), [DEFAULT_SELECTED, 0, 0], &[]).unwrap();
    rig.select(0, &name(1));
    calls();
    rig.card.reset();
    let called = calls();
    assert_eq!(called.last().map(String::as_str), Some("select 4 on 0"));
    assert!(!called.iter().any(|call| call.starts_with("deselect")), "no card calls anybody at power-off");
    assert_eq!(rig.selected(0), Some(4));
    assert_eq!(rig.send([0x00, 0xC0, 0, 0], &[], Some(256)).sw, "6985", "its answer goes nowhere");
    assert_eq!(rig.restart().selected(0), Some(4));
}

#[test]
fn a_default_applet_that_refuses_is_not_selected() {
    let mut rig = Rig::empty(Limits::default());
    rig.card.install(&Probe::PLAIN, aid(4), [DEFAULT_SELECTED, 0, 0], &[]).unwrap();
    rig.probe(4, |probe, _| probe.on_select = |_, _| Err(StatusWord::CONDITIONS));
    rig.card.reset();
    assert_eq!(rig.selected(0), None);
}

#[test]
fn without_a_default_applet_nothing_is_selected_at_reset() {
    let mut rig = three();
    rig.select(0, &name(1));
    rig.card.reset();
    assert_eq!(rig.selected(0), None);
    assert_eq!(rig.send([0x80, Probe::ECHO, 0, 0], b"1", None).sw, "6985");
}
