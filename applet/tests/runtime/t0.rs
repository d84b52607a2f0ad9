//! What the reader gets under T=0 (ISO/IEC 7816-3 §12.2).

use crate::probe::{Probe, pattern};
use crate::rig::{Rig, T0};

const GET_RESPONSE: [u8; 4] = [0x00, 0xC0, 0, 0];
const ECHO: [u8; 4] = [0x80, Probe::ECHO, 0, 0];
const GIVE_20: [u8; 4] = [0x80, Probe::GIVE, 0, 20];

fn rig() -> Rig {
    Rig::with_limits(T0)
}

/// Counts how often it is executed.
fn counting() -> Rig {
    let mut rig = rig();
    rig.probe(1, |probe, _| {
        probe.on_process = |cx, reply| {
            let times = cx.transient(&crate::probe::UNTIL_RESET)? + 1;
            cx.set_transient(&crate::probe::UNTIL_RESET, &times)?;
            reply.send(&times.to_be_bytes());
            Ok(())
        };
    });
    rig
}

#[test]
fn case_1_says_how_much_waits() {
    let mut rig = rig();
    assert_eq!(rig.send([0x80, Probe::ACT, 0, 0], &[], None).sw, "9000");
    assert_eq!(rig.send(GIVE_20, &[], None).sw, "6114");
    assert_eq!(rig.send(GET_RESPONSE, &[], Some(20)).data, pattern(20));
}

#[test]
fn case_2_with_the_exact_le_gives_the_data() {
    let mut rig = rig();
    let answer = rig.send(GIVE_20, &[], Some(20));
    assert_eq!((answer.data, answer.sw.as_str()), (pattern(20), "9000"));
}

#[test]
fn case_2_with_more_is_told_the_exact_le_and_not_executed_again() {
    let mut rig = counting();
    let act = [0x80, Probe::ACT, 0, 0];
    for le in [256, 5] {
        let answer = rig.send(act, &[], Some(le));
        assert_eq!((answer.data.len(), answer.sw.as_str()), (0, "6C04"));
    }
    let answer = rig.send(act, &[], Some(4));
    assert_eq!((&answer.data[..], answer.sw.as_str()), (&[0, 0, 0, 1][..], "9000"), "executed once");
    assert_eq!(rig.send(act, &[], Some(4)).data, [0, 0, 0, 2], "a new command");
}

#[test]
fn another_command_after_6c_is_a_new_one() {
    let mut rig = counting();
    let act = [0x80, Probe::ACT, 0, 0];
    assert_eq!(rig.send(act, &[], Some(5)).sw, "6C04");
    assert_eq!(rig.send(GIVE_20, &[], Some(20)).data, pattern(20));
    assert_eq!(rig.send(act, &[], Some(4)).data, [0, 0, 0, 2]);
}

#[test]
fn case_2_with_less_is_cut() {
    let mut rig = rig();
    let first = rig.send(GIVE_20, &[], Some(8));
    assert_eq!((first.data, first.sw.as_str()), (pattern(8), "610C"));
    assert_eq!(rig.send(GET_RESPONSE, &[], Some(256)).sw, "6C0C");
    let rest = rig.send(GET_RESPONSE, &[], Some(12));
    assert_eq!((rest.data, rest.sw.as_str()), (pattern(20)[8..].to_vec(), "9000"));
}

#[test]
fn case_2_of_256_and_more() {
    let mut rig = rig();
    let exact = rig.send([0x80, Probe::GIVE, 1, 0], &[], Some(256));
    assert_eq!((exact.data.len(), exact.sw.as_str()), (256, "9000"));
    let more = rig.send([0x80, Probe::GIVE, 2, 5], &[], Some(256));
    assert_eq!((more.data.len(), more.sw.as_str()), (256, "6100"));
    let more = rig.send(GET_RESPONSE, &[], Some(256));
    assert_eq!((more.data.len(), more.sw.as_str()), (256, "6105"));
}

#[test]
fn cases_3_and_4_give_their_data_to_get_response_only() {
    let mut rig = rig();
    assert_eq!(rig.send([0x80, Probe::ACT, 0, 0], b"12", None).sw, "9000");
    for le in [None, Some(2), Some(256)] {
        let answer = rig.send(ECHO, b"12", le);
        assert_eq!((answer.data.len(), answer.sw.as_str()), (0, "6102"));
    }
    assert_eq!(rig.send(GET_RESPONSE, &[], Some(2)).data, b"12");
}

#[test]
fn a_warning_comes_with_the_last_byte() {
    let mut rig = rig();
    let warn = [0x80, Probe::WARN, 0, 0];
    assert_eq!(rig.send(warn, &[], Some(256)).sw, "6C01");
    let answer = rig.send(warn, &[], Some(1));
    assert_eq!((&answer.data[..], answer.sw.as_str()), (&[7][..], "63C2"));
}

#[test]
fn extended_lengths_are_refused() {
    let mut rig = rig();
    for answer in [
        rig.extended(GIVE_20, &[], Some(20)),
        rig.extended(ECHO, b"1", None),
        rig.extended(ECHO, b"1", Some(1)),
    ] {
        assert_eq!((answer.data.len(), answer.sw.as_str()), (0, "6700"));
    }
    assert_eq!(rig.send(GIVE_20, &[], Some(20)).sw, "9000");
}

#[test]
fn errors_have_no_data_and_nothing_waits() {
    let mut rig = rig();
    assert_eq!(rig.send([0x80, 0xEE, 0, 0], &[], Some(256)).sw, "6D00");
    assert_eq!(rig.send(GET_RESPONSE, &[], Some(256)).sw, "6985");
}
