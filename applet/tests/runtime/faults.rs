//! Panics and errors in applets: the card lives on.

use onetap_apdu_spec::sw::StatusWord;
use onetap_applet::Environment;
use onetap_applet::nvm::{Cut, How, Nvm, ObjectId};
use onetap_applet::runtime::{Fault, Runtime};

use crate::probe::{BYTES, LOAD, NUMBER, PANIC, Probe, REFUSE, calls, modules};
use crate::rig::{Rig, aid, name};

const ACT: [u8; 4] = [0x80, Probe::ACT, 0, 0];

#[test]
fn a_panic_in_process_is_6f00_and_the_applet_is_loaded_anew() {
    let mut rig = Rig::new();
    rig.probe(1, |probe, _| {
        probe.admits = Err(StatusWord::NO_CHAINING);
        probe.on_process = |cx, reply| {
            reply.send(b"never seen");
            cx.set(&NUMBER, &5)?;
            cx.begin()?;
            cx.set(&NUMBER, &6)?;
            panic!("as the test asks")
        };
    });
    let answer = rig.send(ACT, &[], Some(256));
    assert_eq!((answer.data.len(), answer.sw.as_str()), (0, "6F00"));
    assert_eq!(rig.within(1, |cx| cx.get(&NUMBER).unwrap()), 5, "outside of the transaction it counts");
    assert_eq!(rig.selected(0), Some(1), "still selected");
    assert_eq!(rig.send(ACT, &[], None).sw, "9000", "what it kept in its own fields is gone");
    assert!(rig.probe(1, |probe, _| probe.admits.is_ok()));
}

#[test]
fn a_panic_in_select_leaves_nothing_selected() {
    let mut rig = Rig::new();
    rig.install(Probe::PLAIN, 2);
    rig.probe(2, |probe, _| probe.on_select = |_, _| panic!("as the test asks"));
    assert_eq!(rig.select(0, &name(2)), "6999");
    assert_eq!(rig.selected(0), None);
    assert_eq!(rig.select(0, &name(2)), "9000", "it was loaded anew");
}

#[test]
fn a_panic_in_deselect_does_not_keep_it_selected() {
    let mut rig = Rig::new();
    rig.install(Probe::PLAIN, 2);
    rig.probe(1, |probe, _| probe.on_deselect = |_, _| panic!("as the test asks"));
    assert_eq!(rig.select(0, &name(2)), "9000");
    assert_eq!(rig.selected(0), Some(2));
    assert_eq!(rig.select(0, &name(1)), "9000");
}

#[test]
fn a_panic_at_reset_does_not_reach_the_reader() {
    let mut rig = Rig::new();
    rig.install(Probe::PLAIN, 2);
    rig.probe(1, |probe, _| probe.panics_on_reset = true);
    rig.card.reset();
    assert_eq!(rig.select(0, &name(2)), "9000");
    assert_eq!(rig.select(0, &name(1)), "9000", "it was loaded anew");
}

#[test]
fn a_panic_in_admit_is_6f00() {
    let mut rig = Rig::new();
    let none = rig.card.with(&aid(1), |_: &mut Probe, _| -> () { panic!("as the test asks") });
    assert!(none.is_none(), "so is one in a direct call");
    assert_eq!(rig.send([0x80, Probe::ECHO, 0, 0], b"1", Some(256)).data, b"1");
}

#[test]
fn an_applet_that_cannot_be_loaded_after_a_panic_answers_6985() {
    for how in [PANIC, REFUSE] {
        let mut rig = Rig::new();
        rig.install(Probe::PLAIN, 2);
        rig.within(1, |cx| cx.set(&LOAD, &how).unwrap());
        rig.probe(1, |probe, _| probe.on_process = |_, _| panic!("as the test asks"));
        assert_eq!(rig.send(ACT, &[], None).sw, "6F00");
        assert_eq!(rig.send(ACT, &[], None).sw, "6985");
        assert_eq!(rig.select(0, &name(1)), "6A82", "nobody of that name can run");
        calls();
        assert_eq!(rig.select(0, &name(2)), "9000");
        assert_eq!(calls(), ["select 2 on 0"]);
    }
}

#[test]
fn an_applet_that_cannot_be_loaded_when_the_card_is_opened_leaves_the_others() {
    for how in [PANIC, REFUSE] {
        let mut rig = Rig::new();
        rig.install(Probe::PLAIN, 2);
        rig.within(1, |cx| cx.set(&LOAD, &how).unwrap());
        let mut rig = rig.restart();
        assert_eq!(rig.names().len(), 2, "it is still there");
        assert_eq!(rig.select(0, &name(1)), "6A82");
        assert_eq!(rig.select(0, &name(2)), "9000");
    }
}

/// An image that was made up, its checks right.
#[test]
fn attack_a_registry_with_owners_that_there_are_not() {
    let rig = Rig::new();
    let registry = ObjectId { owner: 0, number: 0 };
    for owner in [0, 65, 255] {
        let image = rig.image.copy();
        let mut nvm = Nvm::open(Box::new(image.clone())).unwrap();
        let mut bytes = nvm.read(registry).unwrap().to_vec();
        *bytes.last_mut().unwrap() = owner;
        nvm.commit(&[(registry, Some(&bytes))]).unwrap();
        let nvm = Nvm::open(Box::new(image)).unwrap();
        let opened = Runtime::open(nvm, &modules(), Environment::default());
        assert!(matches!(opened.map(drop), Err(Fault::NoSuchObject(0))), "{owner}");
    }
}

#[test]
fn a_fault_that_an_applet_lets_through_becomes_a_status_word() {
    let mut rig = Rig::new();
    rig.probe(1, |probe, _| probe.on_process = |cx, _| Ok(cx.get(&NUMBER).map(|_| ())?));
    assert_eq!(rig.send(ACT, &[], None).sw, "6F00", "no such object");
    rig.switch.arm(Cut { at: 0, how: How::Before });
    rig.probe(1, |probe, _| probe.on_process = |cx, _| Ok(cx.set(&BYTES, &vec![1])?));
    assert_eq!(rig.send(ACT, &[], None).sw, "6581", "the memory failed");
    assert_eq!(rig.within(1, |cx| cx.find(&BYTES).unwrap()), None);
}
