//! Installation: all or nothing.

use onetap_applet::runtime::{Field, Limits};

use crate::probe::{BYTES, NUMBER, OTHER, Probe, UNTIL_RESET};
use crate::rig::{Rig, aid, name};

const LEFT: &[u8] = b"left by a failed installation";

/// Nothing of instance 1 is there: not in the registry, in memory, in transient memory, after a restart.
fn nothing_remains(mut rig: Rig) {
    assert!(rig.names().is_empty());
    assert_eq!(rig.select(0, &name(1)), "6A82");
    assert!(!rig.stores(LEFT), "an object is in the image");
    // The next one gets the same place, and finds it clean.
    rig.install(Probe::PLAIN, 1);
    rig.within(1, |cx| {
        assert_eq!(cx.find(&NUMBER).unwrap(), None);
        assert_eq!(cx.find(&OTHER).unwrap(), None);
        assert_eq!(cx.find(&BYTES).unwrap(), None);
        assert_eq!(cx.transient(&UNTIL_RESET).unwrap(), 0);
    });
    assert_eq!(rig.restart().names().len(), 1);
}

#[test]
fn an_install_that_fails_after_registering_leaves_nothing() {
    for (how, expected) in [
        (&b"panics"[..], "6F00"),
        (b"commits", "6F00"),
        (b"aborts", "6F00"),
        (b"begins", "6F00"),
        (b"writes now", "6A80"),
        (b"fills the buffer", "6F00"),
    ] {
        let mut rig = Rig::empty(Limits::default());
        let before = rig.image.bytes();
        let refused = rig.card.install(&Probe::PLAIN, aid(1), [0; 3], how).unwrap_err();
        assert_eq!(refused.to_string(), expected, "{}", String::from_utf8_lossy(how));
        assert!(rig.image.bytes() == before, "{} wrote something", String::from_utf8_lossy(how));
        assert!(rig.reopened().names().is_empty(), "no ghost");
        nothing_remains(rig);
    }
}

#[test]
fn an_install_cannot_end_the_transaction_that_it_runs_in() {
    for how in [&b"ignores a refused commit"[..], b"ignores a refused abort"] {
        let mut rig = Rig::empty(Limits::default());
        rig.card.install(&Probe::PLAIN, aid(1), [0; 3], how).unwrap();
        let mut rig = rig.restart();
        assert_eq!(rig.within(1, |cx| cx.get(&NUMBER).unwrap()), 7);
    }
}

#[test]
fn an_install_that_is_torn_leaves_nothing_or_all() {
    let writes = {
        let mut rig = Rig::empty(Limits::default());
        let before = rig.switch.writes();
        rig.card.install(&Probe::PLAIN, aid(1), [0; 3], b"stores").unwrap();
        rig.switch.writes() - before
    };
    let mut seen = [0; 2];
    for at in 0..writes {
        for how in onetap_applet::nvm::How::ALL {
            let mut rig = Rig::empty(Limits::default());
            rig.switch.arm(onetap_applet::nvm::Cut { at, how });
            let _ = rig.card.install(&Probe::PLAIN, aid(1), [0; 3], b"stores");
            assert!(rig.switch.torn());
            let mut rig = rig.restart();
            match rig.names().len() {
                0 => nothing_remains(rig),
                _ => assert_eq!(rig.within(1, |cx| cx.get(&NUMBER).unwrap()), 7),
            }
            seen[usize::from(at > 0)] += 1;
        }
    }
    assert!(writes > 1 && seen.iter().all(|count| *count > 0));
}

#[test]
fn a_name_is_taken_once_and_a_module_must_exist() {
    let mut rig = Rig::new();
    let again = rig.card.install(&Probe::MULTI, aid(1), [0; 3], &[]).unwrap_err();
    assert_eq!(again.to_string(), "6985");
    let unknown = rig.card.install(&aid(99), aid(2), [0; 3], &[]).unwrap_err();
    assert_eq!(unknown.to_string(), "6A88");
    assert_eq!(rig.selected(0), Some(1), "all is as before");
}

#[test]
fn a_card_takes_64_instances_and_no_more() {
    let mut rig = Rig::empty(Limits::default());
    for n in 1..=64 {
        rig.install(Probe::PLAIN, n);
    }
    let one_more = rig.card.install(&Probe::PLAIN, aid(65), [0; 3], &[]).unwrap_err();
    assert_eq!(one_more.to_string(), "6A84");
    assert_eq!(rig.restart().names().len(), 64);
}

#[test]
fn an_instance_whose_module_is_not_in_this_program_stays_on_the_card() {
    let mut rig = Rig::empty(Limits::default());
    rig.install(Probe::PLAIN, 1);
    rig.install(Probe::MULTI, 2);
    rig.within(2, |cx| cx.set(&NUMBER, &2).unwrap());
    // A program that does not know the second one's module opens the card and installs a third.
    let nvm = onetap_applet::nvm::Nvm::open(Box::new(rig.image.clone())).unwrap();
    let known = [onetap_applet::runtime::Module::new::<Probe>(Probe::PLAIN)];
    let env = onetap_applet::Environment::default();
    let mut poorer = onetap_applet::runtime::Runtime::open(nvm, &known, env).unwrap();
    assert_eq!(poorer.instances().count(), 2);
    assert!(poorer.with(&aid(2), |_: &mut Probe, _| ()).is_none(), "it cannot run");
    poorer.install(&Probe::PLAIN, aid(3), [0; 3], &[]).unwrap();
    let found = poorer.with(&aid(3), |_: &mut Probe, cx| cx.find(&NUMBER).unwrap());
    assert_eq!(found, Some(None), "the third one has memory of its own");
    drop(poorer);
    let mut rig = rig.restart();
    assert_eq!(rig.within(2, |cx| cx.get(&NUMBER).unwrap()), 2);
    assert_eq!(rig.select(0, &name(2)), "9000");
    assert!(rig.within(1, |cx| cx.find(&Field::<u32>::new(0)).unwrap()).is_none());
}
