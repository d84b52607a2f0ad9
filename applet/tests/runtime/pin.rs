//! The owner's PIN: no abort, tear or reset gives a try back.

use onetap_applet::nvm::{Cut, How};
use onetap_applet::runtime::{Context, Fault, OwnerPin};

use crate::rig::Rig;

const PIN: OwnerPin = OwnerPin::new(20, 3);
const RIGHT: &[u8] = b"2468";
const WRONG: &[u8] = b"1357";
const NEW: &[u8] = b"112233";

fn with_pin() -> Rig {
    let mut rig = Rig::new();
    rig.within(1, |cx| PIN.update(cx, RIGHT).unwrap());
    rig
}

fn tries(rig: &mut Rig) -> u8 {
    rig.within(1, |cx| PIN.tries_left(cx).unwrap())
}

fn check(rig: &mut Rig, pin: &[u8]) -> bool {
    rig.within(1, |cx| PIN.check(cx, pin).unwrap())
}

fn validated(rig: &mut Rig) -> bool {
    rig.within(1, |cx| PIN.is_validated(cx).unwrap())
}

#[test]
fn wrong_ones_block_it_and_then_the_right_one_is_not_even_compared() {
    let mut rig = with_pin();
    for left in [2, 1, 0] {
        assert!(!check(&mut rig, WRONG));
        assert_eq!(tries(&mut rig), left);
    }
    let before = rig.image.bytes();
    assert!(!check(&mut rig, RIGHT));
    assert!(!validated(&mut rig) && rig.image.bytes() == before);
    let mut rig = rig.restart();
    assert_eq!(tries(&mut rig), 0, "a blocked PIN stays blocked");
    rig.within(1, |cx| PIN.reset_and_unblock(cx).unwrap());
    assert_eq!(tries(&mut rig), 3);
    assert!(!validated(&mut rig) && check(&mut rig, RIGHT));
}

#[test]
fn a_right_one_gives_all_tries_back() {
    let mut rig = with_pin();
    check(&mut rig, WRONG);
    assert!(check(&mut rig, RIGHT));
    assert_eq!((tries(&mut rig), validated(&mut rig)), (3, true));
    assert_eq!(tries(&mut rig.restart()), 3);
}

#[test]
fn the_validated_flag_is_transient() {
    let mut rig = with_pin();
    check(&mut rig, RIGHT);
    assert!(!validated(&mut rig.reopened()), "it is not in the image");
    rig.card.reset();
    assert!(!validated(&mut rig));
    check(&mut rig, RIGHT);
    check(&mut rig, WRONG);
    assert!(!validated(&mut rig), "a wrong one takes it back");
    check(&mut rig, RIGHT);
    rig.within(1, |cx| PIN.reset(cx).unwrap());
    assert!(!validated(&mut rig));
    check(&mut rig, RIGHT);
    rig.within(1, |cx| PIN.update(cx, NEW).unwrap());
    assert!(!validated(&mut rig), "a new PIN is not validated yet");
}

#[test]
fn an_abort_gives_no_try_back() {
    let mut rig = with_pin();
    rig.within(1, |cx| {
        cx.begin().unwrap();
        assert!(!PIN.check(cx, WRONG).unwrap());
        cx.abort().unwrap();
        assert_eq!(PIN.tries_left(cx).unwrap(), 2);
        cx.begin().unwrap();
        assert!(PIN.check(cx, RIGHT).unwrap());
        cx.abort().unwrap();
        assert_eq!(PIN.tries_left(cx).unwrap(), 3, "nor does it take back what a right one gave");
        assert!(PIN.is_validated(cx).unwrap());
    });
}

#[test]
fn an_aborted_update_changes_nothing() {
    let mut rig = with_pin();
    check(&mut rig, WRONG);
    rig.within(1, |cx| {
        cx.begin().unwrap();
        PIN.update(cx, NEW).unwrap();
        cx.abort().unwrap();
    });
    assert_eq!(tries(&mut rig), 2);
    let mut rig = rig.restart();
    assert!(!check(&mut rig, NEW) && check(&mut rig, RIGHT));
}

#[test]
fn a_pin_cannot_be_checked_while_it_is_set_as_an_abort_would_give_tries_back() {
    for pin in [RIGHT, WRONG, NEW] {
        let mut rig = with_pin();
        check(&mut rig, WRONG);
        rig.within(1, |cx| {
            cx.begin().unwrap();
            PIN.update(cx, NEW).unwrap();
            assert!(matches!(PIN.check(cx, pin), Err(Fault::TransactionOpen)));
            cx.abort().unwrap();
            assert_eq!(PIN.tries_left(cx).unwrap(), 2);
            assert!(!PIN.is_validated(cx).unwrap());
        });
    }
}

#[test]
fn a_committed_update_counts_with_all_its_tries() {
    let mut rig = with_pin();
    check(&mut rig, WRONG);
    rig.within(1, |cx| cx.transaction(|cx| PIN.update(cx, NEW)).unwrap());
    let mut rig = rig.restart();
    assert_eq!(tries(&mut rig), 3);
    assert!(!check(&mut rig, RIGHT) && check(&mut rig, NEW));
}

#[test]
fn neither_pin_nor_anything_that_tells_it_is_in_the_image() {
    let mut rig = Rig::new();
    rig.within(1, |cx| PIN.update(cx, b"13579246801").unwrap());
    check(&mut rig, b"13579246801");
    assert!(!rig.stores(b"13579246801"));
}

/// Cuts the power at each write of `work` and looks at what a new process finds.
fn torn(work: fn(&mut Context<'_>), look: impl Fn(&mut Rig)) -> u64 {
    let prepared = || {
        let mut rig = with_pin();
        check(&mut rig, WRONG);
        rig
    };
    let mut rig = prepared();
    let before = rig.switch.writes();
    rig.within(1, work);
    let writes = rig.switch.writes() - before;
    for at in 0..writes {
        for how in How::ALL {
            let mut rig = prepared();
            rig.switch.arm(Cut { at, how });
            rig.within(1, work);
            assert!(rig.switch.torn());
            look(&mut rig.restart());
        }
    }
    writes
}

#[test]
fn a_tear_never_gives_a_try_back() {
    // Two tries are left. A wrong PIN takes one before it is compared, so that a tear leaves two only if
    // nothing was compared; the count after all is one.
    let writes = torn(|cx| drop(PIN.check(cx, WRONG)), |rig| assert!((1..=2).contains(&tries(rig))));
    assert!(writes > 0);
    // Nothing that the card says depends on the PIN while two are still left: a check that is cut before
    // its first write counts has compared nothing.
    let mut rig = with_pin();
    check(&mut rig, WRONG);
    rig.switch.arm(Cut { at: 0, how: How::Before });
    let cut = rig.within(1, |cx| (PIN.check(cx, RIGHT).is_err(), PIN.is_validated(cx).unwrap()));
    assert_eq!(cut, (true, false));
    assert_eq!(tries(&mut rig.restart()), 2);
    // A right one gives back all or has taken one.
    torn(|cx| drop(PIN.check(cx, RIGHT)), |rig| assert!((1..=3).contains(&tries(rig))));
}

#[test]
fn a_torn_update_is_the_old_pin_or_the_new_one() {
    let writes = torn(
        |cx| drop(PIN.update(cx, NEW)),
        |rig| {
            let left = tries(rig);
            let (old, new) = (check(&mut rig.reopened(), RIGHT), check(&mut rig.reopened(), NEW));
            assert!((old, new, left) == (true, false, 2) || (old, new, left) == (false, true, 3));
        },
    );
    assert!(writes > 2);
}
