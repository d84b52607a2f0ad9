//! Command chaining (ISO/IEC 7816-4 §5.3.3).

use onetap_apdu_spec::sw::StatusWord;

use crate::probe::{Probe, pattern};
use crate::rig::{Rig, name, on};

const ECHO: [u8; 4] = [0x80, Probe::ECHO, 0, 0];
/// The same with the bit that says: more to come.
const MORE: [u8; 4] = [0x90, Probe::ECHO, 0, 0];

#[test]
fn parts_become_one_command() {
    let mut rig = Rig::new();
    for part in pattern(1000).chunks(255).take(3) {
        let answer = rig.send(MORE, part, None);
        assert_eq!((answer.data.len(), answer.sw.as_str()), (0, "9000"));
    }
    let answer = rig.extended(ECHO, &pattern(1000)[765..], Some(65_536));
    assert_eq!((answer.data, answer.sw.as_str()), (pattern(1000), "9000"));
    // The applet sees no chaining, and only the whole.
    rig.send([0x90, Probe::TELL, 0, 0], &[1; 200], None);
    assert_eq!(rig.send([0x80, Probe::TELL, 0, 0], &[1; 100], Some(256)).data, [0x80, 0, 0, 1, 44]);
}

#[test]
fn a_chain_is_bounded_by_the_card_and_by_the_applet() {
    let mut rig = Rig::new();
    assert_eq!(rig.extended(MORE, &[7; 65_535], None).sw, "9000");
    assert_eq!(rig.send(MORE, &[7], None).sw, "6700", "whatever an applet admits");
    assert_eq!(rig.send(ECHO, &[7], Some(256)).data, [7], "the chain is gone");
    rig.probe(1, |probe, _| probe.admits = Ok(300));
    rig.send(MORE, &[7; 200], None);
    assert_eq!(rig.send(ECHO, &[7; 101], Some(256)).sw, "6700");
    rig.send(MORE, &[7; 200], None);
    assert_eq!(rig.extended(ECHO, &[7; 100], Some(300)).data.len(), 300);
}

#[test]
fn an_applet_may_refuse_a_part() {
    let mut rig = Rig::new();
    rig.probe(1, |probe, _| probe.admits = Err(StatusWord::NO_CHAINING));
    assert_eq!(rig.send(MORE, b"12", None).sw, "6884");
    assert_eq!(rig.send(ECHO, b"3", Some(256)).data, b"3", "no chain was opened");
}

#[test]
fn another_command_breaks_the_chain_and_drops_it() {
    let others: [(&str, Vec<u8>, &str); 9] = [
        ("INS", vec![0x80, Probe::TELL, 0, 0], "6883"),
        ("P1", vec![0x80, Probe::ECHO, 1, 0, 1, 9], "6883"),
        ("P2", vec![0x80, Probe::ECHO, 0, 1, 1, 9], "6883"),
        ("CLA", vec![0x00, Probe::ECHO, 0, 0, 1, 9], "6883"),
        ("SELECT", [&[0x00, 0xA4, 4, 0, 7][..], &name(1)].concat(), "6883"),
        ("MANAGE CHANNEL", vec![0x00, 0x70, 0, 0, 1], "6883"),
        ("GET RESPONSE", vec![0x00, 0xC0, 0, 0, 0], "6883"),
        ("a malformed one", vec![0x80, Probe::ECHO, 0], "6700"),
        ("a reserved class", vec![0xFF, Probe::ECHO, 0, 0], "6E00"),
    ];
    for (what, bytes, expected) in others {
        let mut rig = Rig::new();
        rig.send(MORE, b"12", None);
        let answer = rig.raw(&bytes);
        assert_eq!((answer.data.len(), answer.sw.as_str()), (0, expected), "{what}");
        assert_eq!(rig.send(ECHO, b"3", Some(256)).data, b"3", "{what}: the chain is gone");
    }
}

#[test]
fn a_command_on_another_channel_breaks_it_too() {
    for module in [Probe::PLAIN, Probe::OWN_TRANSPORT] {
        let mut rig = Rig::new();
        rig.install(module, 2);
        let channel = rig.open_channel(0);
        rig.select(channel, &name(2));
        rig.send(MORE, b"12", None);
        assert_eq!(rig.send([on(0x80, channel), Probe::ECHO, 0, 0], b"3", Some(256)).sw, "6883");
        assert_eq!(rig.send(ECHO, b"4", Some(256)).data, b"4", "the chain is gone");
    }
}

#[test]
fn what_the_card_does_itself_is_not_chained() {
    let mut rig = Rig::new();
    for (ins, p1) in [(0xA4, 4), (0x70, 0), (0xC0, 0)] {
        assert_eq!(rig.send([0x10, ins, p1, 0], &name(1), None).sw, "6884", "INS {ins:02X}");
    }
}

#[test]
fn reset_and_a_panic_drop_it() {
    let mut rig = Rig::new();
    rig.send(MORE, b"12", None);
    rig.card.reset();
    rig.select(0, &name(1));
    assert_eq!(rig.send(ECHO, b"3", Some(256)).data, b"3");
    rig.probe(1, |probe, _| probe.on_process = |_, _| panic!("as the test asks"));
    rig.send([0x90, Probe::ACT, 0, 0], b"12", None);
    assert_eq!(rig.send([0x80, Probe::ACT, 0, 0], b"3", None).sw, "6F00");
    assert_eq!(rig.send([0x80, Probe::TELL, 0, 0], b"3", Some(256)).data, [0x80, 0, 0, 0, 1]);
}

#[test]
fn an_applet_with_its_own_transport_gets_raw_parts_and_get_response() {
    let mut rig = Rig::new();
    rig.install(Probe::OWN_TRANSPORT, 2);
    rig.select(0, &name(2));
    let tell = |cla| [cla, Probe::TELL, 0, 0];
    assert_eq!(rig.send(tell(0x90), b"12", Some(256)).data, [0x90, 0, 0, 0, 2], "a part, at once");
    assert_eq!(rig.send(tell(0x80), b"3", Some(256)).data, [0x80, 0, 0, 0, 1]);
    assert_eq!(rig.send([0x00, 0xC0, 0, 0], &[], Some(256)).sw, "6D00", "the applet's word");
    // SELECT and MANAGE CHANNEL are still the card's.
    assert_eq!(rig.open_channel(0), 1);
    assert_eq!(rig.select(0, &name(1)), "9000");
}
