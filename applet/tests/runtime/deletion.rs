//! Deleting an instance.

use onetap_applet::nvm::{Cut, How};
use onetap_applet::runtime::{Limits, SECURITY_DOMAIN};

use crate::probe::{BYTES, DELETE, NUMBER, OTHER, Probe, UNTIL_RESET, calls};
use crate::rig::{Rig, aid, name};

/// Domain 1, selected, and probe 2 with data.
fn rig() -> Rig {
    let mut rig = Rig::empty(Limits::default());
    rig.card.install(&Probe::PLAIN, aid(1), [SECURITY_DOMAIN, 0, 0], &[]).unwrap();
    rig.install(Probe::PLAIN, 2);
    rig.within(2, |cx| {
        cx.set(&NUMBER, &2).unwrap();
        cx.set(&BYTES, &SECRET.to_vec()).unwrap();
        cx.set_transient(&UNTIL_RESET, &2).unwrap();
    });
    assert_eq!(rig.select(0, &name(1)), "9000");
    rig
}

const SECRET: &[u8] = b"a secret of the applet";

fn delete(rig: &mut Rig, n: u8) -> String {
    rig.send([0x80, Probe::MANAGE, DELETE, 0], &name(n), None).sw
}

#[test]
fn its_objects_are_wiped_from_the_image() {
    let mut rig = rig();
    assert!(rig.stores(SECRET));
    calls();
    assert_eq!(delete(&mut rig, 2), "9000");
    assert_eq!(calls(), ["uninstall 2 on 0"]);
    assert!(!rig.stores(SECRET) && !rig.stores(&name(2)));
    assert_eq!(rig.select(0, &name(2)), "6A82");
    // Who gets its place gets nothing of it.
    rig.install(Probe::PLAIN, 3);
    rig.within(3, |cx| {
        assert_eq!((cx.find(&NUMBER).unwrap(), cx.find(&BYTES).unwrap()), (None, None));
        assert_eq!(cx.transient(&UNTIL_RESET).unwrap(), 0);
    });
    assert_eq!(rig.restart().names(), [aid(1).to_string(), aid(3).to_string()]);
}

#[test]
fn one_that_is_selected_or_unknown_is_not_deleted() {
    let mut rig = rig();
    assert_eq!(delete(&mut rig, 9), "6A88");
    let channel = rig.open_channel(0);
    rig.select(channel, &name(2));
    assert_eq!(delete(&mut rig, 2), "6985");
    assert_eq!(delete(&mut rig, 1), "6985", "nor itself");
    assert!(rig.stores(SECRET));
    assert_eq!(rig.selected(channel), Some(2));
}

#[test]
fn it_goes_whatever_it_does_when_told() {
    let mut rig = rig();
    rig.probe(2, |probe, _| {
        probe.on_uninstall = |cx, _| {
            cx.set(&OTHER, &1)?;
            cx.begin()?;
            cx.set(&BYTES, &SECRET.to_vec())?;
            panic!("as the test asks")
        };
    });
    assert_eq!(delete(&mut rig, 2), "9000");
    assert!(!rig.stores(SECRET));
    rig.install(Probe::PLAIN, 3);
    assert_eq!(rig.within(3, |cx| cx.find(&OTHER).unwrap()), None);
}

#[test]
fn a_torn_deletion_is_whole_or_none() {
    let mut whole = rig();
    let before = whole.switch.writes();
    delete(&mut whole, 2);
    let writes = whole.switch.writes() - before;
    assert!(writes > 2);
    let mut outcomes = [0; 2];
    for at in 0..writes {
        for how in How::ALL {
            let mut rig = rig();
            rig.switch.arm(Cut { at, how });
            delete(&mut rig, 2);
            let mut rig = rig.restart();
            let there = rig.names().len() == 2;
            if there {
                assert_eq!(rig.within(2, |cx| cx.get(&BYTES).unwrap()), SECRET);
            } else {
                assert!(!rig.stores(SECRET), "write {at} {how:?}");
            }
            outcomes[usize::from(there)] += 1;
        }
    }
    assert!(outcomes.iter().all(|count| *count > 0), "{outcomes:?}");
}
