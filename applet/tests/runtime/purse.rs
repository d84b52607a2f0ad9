//! The two example applets, whole; and the purse with its power cut at every write.

use onetap_applet::applets::{Echo, Purse};
use onetap_applet::nvm::{Cut, How};
use onetap_applet::runtime::Limits;

use crate::probe::pattern;
use crate::rig::{Answer, Rig};

const PIN: &[u8] = b"2468";

fn rig() -> Rig {
    let mut rig = Rig::empty(Limits::default());
    rig.card.install(&Purse::name(), Purse::name(), [0; 3], PIN).unwrap();
    rig.select(0, Purse::name().as_bytes());
    rig
}

fn verify(rig: &mut Rig, pin: &[u8]) -> String {
    rig.send([0x80, 0x20, 0, 0], pin, None).sw
}

fn credit(rig: &mut Rig, amount: u32) -> Answer {
    rig.send([0x80, 0x30, 0, 0], &amount.to_be_bytes(), Some(4))
}

fn debit(rig: &mut Rig, amount: u32) -> Answer {
    rig.send([0x80, 0x32, 0, 0], &amount.to_be_bytes(), Some(4))
}

/// Balance and number of debits.
fn state(rig: &mut Rig) -> (u32, u32) {
    let answer = rig.send([0x80, 0x50, 0, 0], &[], Some(8));
    assert_eq!(answer.sw, "9000");
    let number = |at: usize| u32::from_be_bytes(answer.data[at..at + 4].try_into().unwrap());
    (number(0), number(4))
}

fn ok(balance: u32) -> Answer {
    Answer { data: balance.to_be_bytes().to_vec(), sw: "9000".to_owned() }
}

fn refused(sw: &str) -> Answer {
    Answer { data: vec![], sw: sw.to_owned() }
}

#[test]
fn a_purse_is_filled_and_emptied() {
    let mut rig = rig();
    assert_eq!(state(&mut rig), (0, 0));
    assert_eq!(credit(&mut rig, 500_00), ok(500_00));
    assert_eq!(debit(&mut rig, 1), refused("6982"), "no PIN yet");
    assert_eq!(verify(&mut rig, PIN), "9000");
    assert_eq!(debit(&mut rig, 120_00), ok(380_00));
    assert_eq!(debit(&mut rig, 380_01), refused("6985"), "too little");
    assert_eq!(credit(&mut rig, 620_00), ok(1_000_00), "as much as it holds");
    assert_eq!(credit(&mut rig, 1), refused("6985"));
    assert_eq!(credit(&mut rig, u32::MAX), refused("6985"));
    let mut rig = rig.restart();
    rig.select(0, Purse::name().as_bytes());
    assert_eq!(state(&mut rig), (1_000_00, 1));
    assert_eq!(debit(&mut rig, 1), refused("6982"), "the PIN is asked for after each reset");
}

#[test]
fn a_purse_blocks_its_pin() {
    let mut rig = rig();
    for expected in ["63C2", "63C1", "63C0", "6983", "6983"] {
        assert_eq!(verify(&mut rig, b"0000"), expected);
    }
    assert_eq!(verify(&mut rig, PIN), "6983");
}

#[test]
fn a_purse_refuses_what_it_does_not_know() {
    let mut rig = rig();
    assert_eq!(rig.send([0x00, 0x50, 0, 0], &[], Some(8)).sw, "6E00");
    assert_eq!(rig.send([0x80, 0x51, 0, 0], &[], Some(8)).sw, "6D00");
    assert_eq!(rig.send([0x80, 0x30, 0, 0], &[1, 2, 3], None).sw, "6700");
    for pin in [&b"123"[..], b"1234567890123"] {
        let mut empty = Rig::empty(Limits::default());
        let refused = empty.card.install(&Purse::name(), Purse::name(), [0; 3], pin).unwrap_err();
        assert_eq!(refused.to_string(), "6A80");
        assert!(empty.names().is_empty());
    }
}

/// Cuts the power at each write of a command. `before` and `after` are what a new process may find; the
/// second one it must find if the card answered 9000.
fn sweep(
    prepare: fn(&mut Rig),
    command: fn(&mut Rig) -> String,
    before: (u32, u32),
    after: (u32, u32),
) -> u32 {
    let prepared = || {
        let mut rig = rig();
        prepare(&mut rig);
        rig
    };
    let mut whole = prepared();
    let start = whole.switch.writes();
    assert_eq!(command(&mut whole), "9000");
    let writes = whole.switch.writes() - start;
    let mut cuts = 0;
    for at in 0..writes {
        for how in How::ALL {
            let mut rig = prepared();
            rig.switch.arm(Cut { at, how });
            let answered = command(&mut rig);
            assert!(rig.switch.torn());
            let mut rig = rig.restart();
            rig.select(0, Purse::name().as_bytes());
            let found = state(&mut rig);
            assert!(found == before || found == after, "write {at} {how:?}: {found:?}");
            assert!(answered != "9000" || found == after, "write {at} {how:?}: it was answered");
            cuts += 1;
        }
    }
    cuts
}

#[test]
fn a_purse_torn_at_every_write_loses_and_makes_no_money() {
    let filled = |rig: &mut Rig| {
        credit(rig, 500_00);
        verify(rig, PIN);
    };
    let credits = sweep(filled, |rig| credit(rig, 7).sw, (500_00, 0), (500_07, 0));
    let debits = sweep(filled, |rig| debit(rig, 7).sw, (500_00, 0), (499_93, 1));
    let verifies = sweep(filled, |rig| verify(rig, PIN), (500_00, 0), (500_00, 0));
    println!("purse: {} cuts", credits + debits + verifies);
    assert!(credits >= 8 && debits > credits && verifies >= 16);
}

#[test]
fn a_purse_torn_at_every_write_of_a_wrong_pin_gives_no_try_back() {
    let mut whole = rig();
    let start = whole.switch.writes();
    assert_eq!(verify(&mut whole, b"0000"), "63C2");
    for at in 0..whole.switch.writes() - start {
        for how in How::ALL {
            let mut rig = rig();
            rig.switch.arm(Cut { at, how });
            let answered = verify(&mut rig, b"0000");
            let mut rig = rig.restart();
            rig.select(0, Purse::name().as_bytes());
            let left = verify(&mut rig, b"0000");
            let told_it_was_wrong = answered.starts_with("63C");
            assert!(left == "63C1" || (left == "63C2" && !told_it_was_wrong), "write {at} {how:?}: {left}");
        }
    }
}

#[test]
fn an_echo_says_what_it_hears_on_every_channel() {
    let mut rig = Rig::empty(Limits::default());
    rig.card.install(&Echo::name(), Echo::name(), [0; 3], &[]).unwrap();
    for _ in 1..4 {
        rig.open_channel(0);
    }
    for channel in 0..4 {
        assert_eq!(rig.select(channel, Echo::name().as_bytes()), "9000");
        for len in [0, 1, 16, 255] {
            let answer = rig.send([crate::rig::on(0x80, channel), 0x10, 0, 0], &pattern(len), Some(256));
            assert_eq!((answer.data, answer.sw.as_str()), (pattern(len), "9000"));
        }
    }
    let mut rig = rig.restart();
    assert_eq!(rig.select(0, Echo::name().as_bytes()), "9000");
    assert_eq!(rig.extended([0x80, 0, 0, 0], &pattern(60_000), Some(65_536)).data, pattern(60_000));
}
