//! Transient memory: CLEAR_ON_RESET and CLEAR_ON_DESELECT.

use onetap_applet::runtime::{Fault, Limits, Transient};

use crate::probe::{NUMBER, Probe, UNTIL_DESELECT, UNTIL_RESET};
use crate::rig::{Rig, name, on};

/// Writes both kinds while the probe runs on a channel.
fn fill(rig: &mut Rig, n: u8, channel: u8) {
    rig.probe(n, |probe, _| {
        probe.on_process = |cx, _| {
            let value = 10 + u32::from(cx.channel());
            cx.set_transient(&UNTIL_RESET, &value)?;
            Ok(cx.set_transient(&UNTIL_DESELECT, &value)?)
        };
    });
    assert_eq!(rig.send([on(0x80, channel), Probe::ACT, 0, 0], &[], None).sw, "9000");
}

/// Both kinds, as the probe selected on a channel sees them.
fn look(rig: &mut Rig, n: u8, channel: u8) -> [u32; 2] {
    rig.probe(n, |probe, _| {
        probe.on_process = |cx, reply| {
            reply.send(&cx.transient(&UNTIL_RESET)?.to_be_bytes());
            reply.send(&cx.transient(&UNTIL_DESELECT)?.to_be_bytes());
            Ok(())
        };
    });
    let seen = rig.send([on(0x80, channel), Probe::ACT, 0, 0], &[], Some(256));
    assert_eq!(seen.sw, "9000");
    let number = |at: usize| u32::from_be_bytes(seen.data[at..at + 4].try_into().unwrap());
    [number(0), number(4)]
}

#[test]
fn one_kind_goes_when_deselected_and_both_at_reset() {
    let mut rig = Rig::new();
    rig.install(Probe::PLAIN, 2);
    fill(&mut rig, 1, 0);
    assert_eq!(look(&mut rig, 1, 0), [10, 10]);
    rig.select(0, &name(2));
    rig.select(0, &name(1));
    assert_eq!(look(&mut rig, 1, 0), [10, 0]);
    fill(&mut rig, 1, 0);
    rig.card.reset();
    rig.select(0, &name(1));
    assert_eq!(look(&mut rig, 1, 0), [0, 0]);
}

#[test]
fn selecting_the_same_applet_again_clears_too() {
    let mut rig = Rig::new();
    fill(&mut rig, 1, 0);
    rig.select(0, &name(1));
    assert_eq!(look(&mut rig, 1, 0), [10, 0]);
}

#[test]
fn clear_on_deselect_is_per_channel_and_clear_on_reset_is_shared() {
    let mut rig = Rig::new();
    rig.install(Probe::MULTI, 2);
    rig.select(0, &name(2));
    let channel = rig.open_channel(0);
    rig.select(channel, &name(2));
    fill(&mut rig, 2, 0);
    assert_eq!(look(&mut rig, 2, channel), [10, 0], "its own copy is empty");
    fill(&mut rig, 2, channel);
    assert_eq!(look(&mut rig, 2, 0), [11, 10]);
    rig.send([0x00, 0x70, 0x80, channel], &[], None);
    assert_eq!(look(&mut rig, 2, 0), [11, 10], "closing another channel leaves this one's");
    assert_eq!(rig.open_channel(0), channel);
    rig.select(channel, &name(2));
    assert_eq!(look(&mut rig, 2, channel), [11, 0]);
}

#[test]
fn it_is_bounded_for_all_applets_together() {
    let mut rig = Rig::with_limits(Limits { transient: 100, ..Limits::default() });
    rig.install(Probe::PLAIN, 2);
    const BUFFER: Transient<Vec<u8>> = Transient::on_reset(9);
    rig.within(1, |cx| cx.set_transient(&BUFFER, &vec![7; 90]).unwrap());
    let full = rig.within(2, |cx| cx.set_transient(&BUFFER, &vec![7; 10]));
    assert!(matches!(full, Err(Fault::NoTransientSpace)), "{full:?}");
    let too_large = rig.within(1, |cx| cx.set_transient(&BUFFER, &vec![8; 100]));
    assert!(matches!(too_large, Err(Fault::NoTransientSpace)));
    assert_eq!(rig.within(1, |cx| cx.transient(&BUFFER).unwrap()), vec![7; 90], "the old content stands");
    rig.within(1, |cx| cx.set_transient(&BUFFER, &vec![9; 9]).unwrap());
    rig.within(2, |cx| cx.set_transient(&BUFFER, &vec![7; 80]).unwrap());
}

#[test]
fn an_abort_does_not_touch_it() {
    let mut rig = Rig::new();
    rig.within(1, |cx| {
        cx.set(&NUMBER, &1).unwrap();
        cx.set_transient(&UNTIL_RESET, &1).unwrap();
        cx.begin().unwrap();
        cx.set(&NUMBER, &2).unwrap();
        cx.set_transient(&UNTIL_RESET, &2).unwrap();
        cx.abort().unwrap();
        assert_eq!((cx.get(&NUMBER).unwrap(), cx.transient(&UNTIL_RESET).unwrap()), (1, 2));
    });
}

#[test]
fn it_is_never_in_the_image() {
    const SECRET: Transient<[u8; 16]> = Transient::on_reset(9);
    let mut rig = Rig::new();
    let before = rig.image.bytes();
    rig.within(1, |cx| cx.set_transient(&SECRET, b"a session secret").unwrap());
    assert!(rig.image.bytes() == before);
    let mut rig = rig.restart();
    assert_eq!(rig.within(1, |cx| cx.transient(&SECRET).unwrap()), [0; 16]);
}

#[test]
fn an_object_of_another_type_is_refused() {
    let mut rig = Rig::new();
    rig.within(1, |cx| {
        cx.set_transient(&Transient::<u8>::on_reset(5), &200).unwrap();
        let wrong = cx.transient(&Transient::<String>::on_reset(5));
        assert!(matches!(wrong, Err(Fault::NoSuchObject(5))), "{wrong:?}");
    });
}
