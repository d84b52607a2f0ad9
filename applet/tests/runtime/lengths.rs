//! Cases 1 to 4, short and extended, and responses longer than asked for (ISO/IEC 7816-4 §5.1, §11.7.1).

use onetap_applet::runtime::Limits;

use crate::probe::{Probe, pattern};
use crate::rig::{Rig, name};

const GET_RESPONSE: [u8; 4] = [0x00, 0xC0, 0, 0];

fn give(len: u16) -> [u8; 4] {
    let [p1, p2] = len.to_be_bytes();
    [0x80, Probe::GIVE, p1, p2]
}

const ECHO: [u8; 4] = [0x80, Probe::ECHO, 0, 0];

#[test]
fn the_four_cases_short_and_extended() {
    let mut rig = Rig::new();
    let (one, data) = (vec![7], pattern(200));
    for (answer, expected) in [
        (rig.send(ECHO, &[], None), vec![]),
        (rig.send(give(5), &[], Some(5)), pattern(5)),
        (rig.send([0x80, Probe::ACT, 0, 0], &data, None), vec![]),
        (rig.send(ECHO, &data, Some(200)), data.clone()),
        (rig.extended(give(500), &[], Some(500)), pattern(500)),
        (rig.extended([0x80, Probe::ACT, 0, 0], &one, None), vec![]),
        (rig.extended(ECHO, &data, Some(65_536)), data.clone()),
    ] {
        assert_eq!((answer.data, answer.sw.as_str()), (expected, "9000"));
    }
}

#[test]
fn a_short_case_4_of_261_bytes_works() {
    let mut rig = Rig::new();
    let data = pattern(255);
    let bytes = [&[0x80, Probe::ECHO, 0, 0, 255][..], &data, &[0]].concat();
    assert_eq!(bytes.len(), 261);
    let answer = rig.raw(&bytes);
    assert_eq!((answer.data, answer.sw.as_str()), (data, "9000"));
}

#[test]
fn the_largest_extended_command_works() {
    let mut rig = Rig::new();
    let answer = rig.extended([0x80, Probe::TELL, 0, 0], &pattern(65_535), Some(65_536));
    assert_eq!((&answer.data[..], answer.sw.as_str()), (&[0x80, 0, 0, 0xFF, 0xFF][..], "9000"));
}

#[test]
fn le_00_means_256_and_extended_le_0000_means_65536() {
    let mut rig = Rig::new();
    let answer = rig.raw(&[0x80, Probe::GIVE, 1, 0, 0]);
    assert_eq!((answer.data, answer.sw.as_str()), (pattern(256), "9000"));
    let answer = rig.raw(&[0x80, Probe::GIVE, 0xFF, 0xFD, 0, 0, 0]);
    assert_eq!((answer.data, answer.sw.as_str()), (pattern(65_533), "9000"), "the most there can be");
}

#[test]
fn a_response_too_long_for_any_message_is_an_error_of_the_applet() {
    let mut rig = Rig::new();
    let answer = rig.extended(give(65_534), &[], Some(65_536));
    assert_eq!((answer.data.len(), answer.sw.as_str()), (0, "6F00"));
    assert_eq!(rig.send(GET_RESPONSE, &[], Some(256)).sw, "6985", "nothing waits");
}

#[test]
fn a_response_shorter_than_asked_for_is_just_that() {
    let mut rig = Rig::new();
    let answer = rig.send(give(3), &[], Some(256));
    assert_eq!((answer.data, answer.sw.as_str()), (pattern(3), "9000"));
}

#[test]
fn a_longer_one_is_cut_and_the_rest_fetched() {
    let mut rig = Rig::new();
    let mut all = Vec::new();
    for (header, ne, sw) in [
        (give(300), Some(10), "6100"),
        (GET_RESPONSE, Some(20), "6100"),
        (GET_RESPONSE, Some(15), "61FF"),
        (GET_RESPONSE, Some(5), "61FA"),
        (GET_RESPONSE, None, "61FA"),
        (GET_RESPONSE, Some(249), "6101"),
        (GET_RESPONSE, Some(256), "9000"),
    ] {
        let answer = rig.send(header, &[], ne);
        assert_eq!(answer.sw, sw);
        all.extend(answer.data);
    }
    assert_eq!(all, pattern(300));
    assert_eq!(rig.send(GET_RESPONSE, &[], Some(256)).sw, "6985");
}

#[test]
fn without_le_all_of_it_waits() {
    let mut rig = Rig::new();
    let answer = rig.send(ECHO, &pattern(40), None);
    assert_eq!((answer.data.len(), answer.sw.as_str()), (0, "6128"));
    assert_eq!(rig.send(GET_RESPONSE, &[], Some(0x28)).data, pattern(40));
}

#[test]
fn another_command_drops_what_waits() {
    let others: [&[u8]; 5] = [
        &[0x80, Probe::ACT, 0, 0],
        &[0x80, 0xEE, 0, 0],
        &[0x00, 0xC0, 0, 1, 0],
        &[0x00, 0x70, 0x80, 1],
        &[0x80],
    ];
    for other in others {
        let mut rig = Rig::new();
        assert_eq!(rig.send(give(300), &[], Some(10)).sw, "6100");
        assert!(rig.card.response_waits());
        rig.raw(other);
        assert!(!rig.card.response_waits(), "{other:02X?}");
        assert_eq!(rig.send(GET_RESPONSE, &[], Some(256)).sw, "6985");
    }
}

#[test]
fn get_response_with_other_parameters_is_refused() {
    for (header, data, expected) in [
        ([0x00, 0xC0, 1, 0], &[][..], "6A86"),
        (GET_RESPONSE, b"x", "6700"),
        ([0x10, 0xC0, 0, 0], b"", "6884"),
    ] {
        let mut rig = Rig::new();
        rig.send(give(300), &[], Some(10));
        assert_eq!(rig.send(header, data, Some(256)).sw, expected);
    }
}

#[test]
fn a_warning_goes_out_with_its_data_and_last() {
    let mut rig = Rig::new();
    let answer = rig.send([0x80, Probe::WARN, 0, 0], &[], Some(256));
    assert_eq!((&answer.data[..], answer.sw.as_str()), (&[7][..], "63C2"));
    assert_eq!(rig.send([0x80, Probe::WARN, 0, 0], &[], None).sw, "6101");
    let rest = rig.send(GET_RESPONSE, &[], Some(1));
    assert_eq!((&rest.data[..], rest.sw.as_str()), (&[7][..], "63C2"));
}

#[test]
fn malformed_lengths_are_refused_before_all_else() {
    let mut rig = Rig::new();
    let bad: [&[u8]; 9] = [
        &[],
        &[0x80],
        &[0x80, Probe::ECHO, 0],
        &[0x80, Probe::ECHO, 0, 0, 2, 9],
        &[0x80, Probe::ECHO, 0, 0, 1, 9, 0, 0],
        &[0x80, Probe::ECHO, 0, 0, 0, 9],
        &[0x80, Probe::ECHO, 0, 0, 0, 0, 2, 9],
        &[0x80, Probe::ECHO, 0, 0, 0, 0, 1, 9, 0],
        &[0xFF, Probe::ECHO, 0, 0, 9],
    ];
    for bytes in &bad[..8] {
        assert_eq!(rig.raw(bytes).sw, "6700", "{bytes:02X?}");
    }
    assert_eq!(rig.raw(bad[8]).sw, "6E00", "the form is right, the class is not");
    assert_eq!(rig.selected(0), Some(1));
}

#[test]
fn class_bytes_that_are_reserved_or_announce_secure_messaging_are_refused() {
    let mut rig = Rig::new();
    for (cla, expected) in [
        (0x20, "6E00"),
        (0x3F, "6E00"),
        (0xA0, "6E00"),
        (0xFF, "6E00"),
        (0x04, "6882"),
        (0x08, "6882"),
        (0x8C, "6882"),
        (0x60, "6882"),
        (0xE5, "6882"),
        (0x01, "6881"),
        (0x43, "6881"),
        (0xCF, "6881"),
    ] {
        let answer = rig.send([cla, Probe::ECHO, 0, 0], b"12", Some(256));
        assert_eq!((answer.data.len(), answer.sw.as_str()), (0, expected), "CLA {cla:02X}");
    }
}

#[test]
fn an_applet_that_does_secure_messaging_sees_it_in_one_coding() {
    let mut rig = Rig::empty(Limits { channels: 20, ..Limits::default() });
    rig.install(Probe::SECURE, 1);
    for channel in [0, 4] {
        if channel == 4 {
            rig.send([0x00, 0x70, 0x00, 4], &[], None);
            rig.card.reset();
            rig.send([0x00, 0x70, 0x00, 4], &[], None);
        }
        assert_eq!(rig.select(channel, &name(1)), "9000");
        let cla = crate::rig::on(0x84, channel);
        let told = rig.send([cla, Probe::TELL, 0, 0], &[], Some(256));
        assert_eq!(told.data, [0x84, channel, 0, 0, 0], "CLA {cla:02X}");
        rig.card.reset();
    }
}
