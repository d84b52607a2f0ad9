//! No applet reaches another one's memory.

use onetap_applet::applets::Purse;
use onetap_applet::runtime::{Field, OwnerPin};

use crate::probe::{BYTES, NUMBER, Probe, UNTIL_DESELECT, UNTIL_RESET};
use crate::rig::{Rig, aid, name};

#[test]
fn two_instances_of_one_module_have_memory_of_their_own() {
    let mut rig = Rig::new();
    rig.install(Probe::PLAIN, 2);
    const PIN: OwnerPin = OwnerPin::new(20, 3);
    rig.within(1, |cx| {
        cx.set(&NUMBER, &1).unwrap();
        cx.set(&BYTES, &b"first".to_vec()).unwrap();
        cx.set_transient(&UNTIL_RESET, &1).unwrap();
        cx.set_transient(&UNTIL_DESELECT, &1).unwrap();
        PIN.update(cx, b"1111").unwrap();
        PIN.check(cx, b"1111").unwrap();
    });
    rig.within(2, |cx| {
        assert_eq!(cx.find(&NUMBER).unwrap(), None);
        assert_eq!(cx.find(&BYTES).unwrap(), None);
        assert_eq!(cx.transient(&UNTIL_RESET).unwrap(), 0);
        assert_eq!(cx.transient(&UNTIL_DESELECT).unwrap(), 0);
        assert!(!PIN.is_validated(cx).unwrap() && PIN.tries_left(cx).is_err());
        cx.set(&NUMBER, &2).unwrap();
        cx.remove(&BYTES).unwrap();
        PIN.update(cx, b"2222").unwrap();
    });
    let mut rig = rig.restart();
    rig.within(1, |cx| {
        assert_eq!((cx.get(&NUMBER).unwrap(), cx.get(&BYTES).unwrap()), (1, b"first".to_vec()));
        assert!(PIN.check(cx, b"1111").unwrap());
    });
    rig.within(2, |cx| assert!(cx.get(&NUMBER).unwrap() == 2 && PIN.check(cx, b"2222").unwrap()));
}

#[test]
fn no_object_number_reaches_out_of_an_applets_own_memory() {
    let mut rig = Rig::new();
    rig.card.install(&Purse::name(), Purse::name(), [0; 3], b"1234").unwrap();
    rig.install(Probe::PLAIN, 2);
    rig.within(2, |cx| {
        for number in 0..=255 {
            assert_eq!(cx.find(&Field::<Vec<u8>>::new(number)).unwrap(), None, "object {number}");
            cx.set(&Field::new(number), &number).unwrap();
            cx.remove(&Field::<u8>::new(number)).unwrap();
        }
    });
    let mut rig = rig.restart();
    assert_eq!(rig.names().len(), 3, "the runtime's own objects are as before");
    assert_eq!(rig.select(0, Purse::name().as_bytes()), "9000");
    assert_eq!(rig.send([0x80, 0x50, 0, 0], &[], Some(256)).data, [0; 8]);
}

#[test]
fn a_direct_call_reaches_an_instance_of_the_right_type_only() {
    let mut rig = Rig::new();
    assert!(rig.card.with(&aid(1), |_: &mut Purse, _| ()).is_none());
    assert!(rig.card.with(&aid(9), |_: &mut Probe, _| ()).is_none());
    assert!(rig.card.peek(&aid(1), |_: &Purse| ()).is_none());
    assert!(rig.card.peek(&aid(1), |_: &Probe| ()).is_some());
}

#[test]
fn only_a_security_domain_manages_the_card() {
    let mut rig = Rig::new();
    rig.install(Probe::PLAIN, 2);
    assert_eq!(rig.send([0x80, Probe::MANAGE, crate::probe::DELETE, 0], &name(2), None).sw, "6982");
    assert_eq!(rig.names().len(), 2);
}
