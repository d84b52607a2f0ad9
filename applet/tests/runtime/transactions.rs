//! Transactions over persistent memory.

use onetap_apdu_spec::sw::StatusWord;
use onetap_applet::nvm::{COMMIT_CAPACITY, Cut, How, PAGE_LEN, PAGE_PAYLOAD};
use onetap_applet::runtime::{Context, Fault, Field};

use crate::probe::{BYTES, NUMBER, OTHER, Probe};
use crate::rig::{Rig, name};

fn number(rig: &mut Rig) -> u32 {
    rig.within(1, |cx| cx.get(&NUMBER).unwrap())
}

fn with_number(value: u32) -> Rig {
    let mut rig = Rig::new();
    rig.within(1, |cx| cx.set(&NUMBER, &value).unwrap());
    rig
}

#[test]
fn a_commit_makes_all_true_and_an_abort_nothing() {
    let mut rig = with_number(1);
    rig.within(1, |cx| {
        cx.begin().unwrap();
        cx.set(&NUMBER, &2).unwrap();
        cx.set(&OTHER, &3).unwrap();
        cx.abort().unwrap();
        assert_eq!((cx.get(&NUMBER).unwrap(), cx.find(&OTHER).unwrap()), (1, None));
        cx.begin().unwrap();
        cx.set(&NUMBER, &2).unwrap();
        cx.set(&OTHER, &3).unwrap();
        cx.commit().unwrap();
    });
    let mut rig = rig.restart();
    rig.within(1, |cx| assert_eq!((cx.get(&NUMBER).unwrap(), cx.get(&OTHER).unwrap()), (2, 3)));
}

#[test]
fn an_abort_goes_back_to_the_beginning_however_often_was_written() {
    let mut rig = with_number(1);
    rig.within(1, |cx| {
        cx.begin().unwrap();
        for value in 2..10 {
            cx.set(&NUMBER, &value).unwrap();
        }
        cx.abort().unwrap();
        assert_eq!(cx.get(&NUMBER).unwrap(), 1);
    });
}

#[test]
fn reads_inside_see_new_values_and_the_image_does_not() {
    let mut rig = with_number(1);
    let image = rig.image.clone();
    rig.within(1, |cx| {
        let before = image.bytes();
        cx.begin().unwrap();
        cx.set(&NUMBER, &2).unwrap();
        assert_eq!(cx.get(&NUMBER).unwrap(), 2);
        cx.remove(&NUMBER).unwrap();
        assert_eq!(cx.find(&NUMBER).unwrap(), None);
        cx.set(&NUMBER, &3).unwrap();
        assert_eq!(cx.get(&NUMBER).unwrap(), 3);
        assert!(image.bytes() == before);
        cx.commit().unwrap();
    });
    assert_eq!(number(&mut rig), 3);
}

#[test]
fn transactions_do_not_nest() {
    let mut rig = with_number(1);
    rig.within(1, |cx| {
        assert!(matches!(cx.commit(), Err(Fault::NoTransaction)));
        assert!(matches!(cx.abort(), Err(Fault::NoTransaction)));
        cx.begin().unwrap();
        cx.set(&NUMBER, &2).unwrap();
        assert!(matches!(cx.begin(), Err(Fault::TransactionOpen)));
        let nested = cx.transaction(|cx| cx.set(&NUMBER, &3));
        assert!(matches!(nested, Err(Fault::TransactionOpen)));
        assert!(cx.transaction_open(), "the refused one leaves the open one alone");
        cx.commit().unwrap();
        assert!(!cx.transaction_open());
    });
    assert_eq!(number(&mut rig), 2);
}

/// Opens a transaction and returns without ending it.
fn leaves_one_open(cx: &mut Context<'_>) -> Result<(), StatusWord> {
    cx.begin()?;
    cx.set(&NUMBER, &99)?;
    Ok(())
}

#[test]
fn whatever_an_applet_returns_from_an_open_transaction_is_aborted() {
    let mut rig = with_number(1);
    rig.install(Probe::PLAIN, 2);
    rig.probe(1, |probe, _| {
        probe.on_process = |cx, _| leaves_one_open(cx);
        probe.on_deselect = |cx, _| leaves_one_open(cx);
        probe.on_select = |cx, _| leaves_one_open(cx);
    });
    let unchanged = |rig: &mut Rig, after: &str| {
        assert_eq!(number(rig), 1, "after {after}");
        assert!(!rig.within(1, |cx| cx.transaction_open()), "after {after}");
    };
    assert_eq!(rig.send([0x80, Probe::ACT, 0, 0], &[], None).sw, "9000");
    unchanged(&mut rig, "process");
    rig.select(0, &name(2));
    unchanged(&mut rig, "deselect");
    assert_eq!(rig.select(0, &name(1)), "9000");
    unchanged(&mut rig, "select");
    rig.within(1, |cx| leaves_one_open(cx).unwrap());
    unchanged(&mut rig, "a direct call");
    rig.probe(1, |probe, _| {
        probe.on_process = |cx, _| leaves_one_open(cx).and(Err(StatusWord::CONDITIONS));
    });
    assert_eq!(rig.send([0x80, Probe::ACT, 0, 0], &[], None).sw, "6985");
    unchanged(&mut rig, "an error");
    rig.probe(1, |probe, _| {
        probe.on_process = |cx, _| {
            leaves_one_open(cx)?;
            panic!("as the test asks")
        };
    });
    assert_eq!(rig.send([0x80, Probe::ACT, 0, 0], &[], None).sw, "6F00");
    unchanged(&mut rig, "a panic");
    assert_eq!(rig.restart().within(1, |cx| cx.get(&NUMBER).unwrap()), 1);
}

#[test]
fn the_commit_buffer_is_bounded_and_a_write_that_does_not_fit_leaves_the_rest() {
    let mut rig = with_number(1);
    rig.within(1, |cx| {
        assert_eq!(cx.commit_capacity(), COMMIT_CAPACITY);
        cx.begin().unwrap();
        let pages = u8::try_from(COMMIT_CAPACITY / PAGE_LEN).unwrap();
        for number in 10..10 + pages {
            cx.set(&Field::new(number), &u32::from(number)).unwrap();
        }
        assert_eq!(cx.commit_capacity(), 0);
        let one_more = cx.set(&Field::new(10 + pages), &1_u32);
        assert!(matches!(one_more, Err(Fault::BufferFull)), "{one_more:?}");
        // What is staged may still change, and the transaction is whole.
        cx.set(&Field::new(10), &77_u32).unwrap();
        cx.commit().unwrap();
        assert_eq!(cx.get(&Field::<u32>::new(10)).unwrap(), 77);
        assert_eq!(cx.get(&Field::<u32>::new(9 + pages)).unwrap(), u32::from(9 + pages));
        assert_eq!(cx.find(&Field::<u32>::new(10 + pages)).unwrap(), None);
    });
}

#[test]
fn an_object_that_grows_out_of_the_buffer_keeps_its_staged_content() {
    let mut rig = Rig::new();
    rig.within(1, |cx| {
        cx.begin().unwrap();
        cx.set(&BYTES, &vec![1; 100]).unwrap();
        cx.set(&NUMBER, &1).unwrap();
        // Alone it would fit.
        let largest = COMMIT_CAPACITY / PAGE_LEN * PAGE_PAYLOAD - 2;
        assert!(matches!(cx.set(&BYTES, &vec![2; largest]), Err(Fault::BufferFull)));
        assert_eq!(cx.get(&BYTES).unwrap(), vec![1; 100]);
        cx.commit().unwrap();
        assert_eq!(cx.get(&BYTES).unwrap(), vec![1; 100]);
        cx.set(&BYTES, &vec![1; largest]).unwrap();
        cx.set(&BYTES, &vec![1; 100]).unwrap();
        let alone = cx.set(&BYTES, &vec![3; largest + 1]);
        assert!(matches!(alone, Err(Fault::BufferFull)), "outside of a transaction too");
        assert_eq!(cx.get(&BYTES).unwrap(), vec![1; 100]);
    });
}

#[test]
fn a_full_memory_refuses_and_stays_as_it_is() {
    let mut rig = with_number(1);
    let filled = rig.within(1, |cx| {
        (10..=255_u8).find_map(|number| {
            let field = Field::<Vec<u8>>::new(number);
            cx.set(&field, &vec![number; 4000]).err().map(|why| (number, StatusWord::from(why)))
        })
    });
    let (last, why) = filled.expect("the memory has an end");
    assert_eq!(why, StatusWord::NO_SPACE);
    let mut rig = rig.restart();
    rig.within(1, |cx| {
        assert_eq!(cx.find(&Field::<Vec<u8>>::new(last)).unwrap(), None);
        cx.remove(&Field::<Vec<u8>>::new(10)).unwrap();
        cx.set(&Field::<Vec<u8>>::new(last), &vec![last; 4000]).unwrap();
    });
}

/// Ten objects go from 1 to 2 in one transaction, and the power is cut at each write of it.
#[test]
fn a_tear_leaves_the_state_before_or_after() {
    let fields = || (10..20).map(Field::<u32>::new);
    let set = |cx: &mut Context<'_>, value: u32| {
        cx.transaction(|cx| fields().try_for_each(|field| cx.set(&field, &value)))
    };
    let prepared = || {
        let mut rig = Rig::new();
        rig.within(1, |cx| set(cx, 1).unwrap());
        rig
    };
    let mut rig = prepared();
    let before = rig.switch.writes();
    rig.within(1, |cx| set(cx, 2).unwrap());
    let writes = rig.switch.writes() - before;
    assert!(writes > 10);
    let mut outcomes = [0; 2];
    for at in 0..writes {
        for how in How::ALL {
            let mut rig = prepared();
            rig.switch.arm(Cut { at, how });
            let _ = rig.within(1, |cx| set(cx, 2));
            assert!(rig.switch.torn());
            let mut rig = rig.restart();
            let all: Vec<u32> = rig.within(1, |cx| fields().map(|field| cx.get(&field).unwrap()).collect());
            assert!(all == [1; 10] || all == [2; 10], "write {at} {how:?}: {all:?}");
            outcomes[usize::from(all[0] == 2)] += 1;
        }
    }
    assert!(outcomes.iter().all(|count| *count > 0), "{outcomes:?}");
}
