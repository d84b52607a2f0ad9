//! Which card is taken, where there are several.

use onetap_apdu_spec::command::AID;
use onetap_pcsc_host::pcsc::{Wanted, wait_for_card};
use onetap_pcsc_host::{Cancel, Deadline, Reader, ReaderError};

use crate::card::{VirtualCard, atr};
use crate::{alone, slot, soon, tap};

use std::time::Duration;

/// Another kind of card: T=1, no historical bytes.
fn other_atr() -> Vec<u8> {
    hex::decode("3b800181")
        .map(|mut atr| {
            atr[3] = 0x80 ^ 0x01;
            atr
        })
        .unwrap()
}

/// Waits until both cards are seen.
fn both() -> (String, String) {
    let names = (slot(0), slot(1));
    for name in [&names.0, &names.1] {
        wait_for_card(&Wanted::in_reader(name), &soon()).unwrap();
    }
    names
}

#[test]
fn two_cards_are_not_guessed_between() {
    let Some(_alone) = alone() else { return };
    let _cards = [VirtualCard::formal(0), VirtualCard::formal(1)];
    let (first, second) = both();
    for wanted in [Wanted::any(), Wanted::any().with_application(AID), Wanted::any().with_atr(atr(), [])] {
        let error = wait_for_card(&wanted, &soon()).err().unwrap();
        assert_eq!(error, ReaderError::Ambiguous(vec![first.clone(), second.clone()]));
        let told = error.to_string();
        assert!(told.contains(&first) && told.contains(&second), "{told}");
    }
}

#[test]
fn reader_answer_to_reset_and_application_choose() {
    let Some(_alone) = alone() else { return };
    let _ours = VirtualCard::formal(1);
    let _other = VirtualCard::put(0, other_atr(), |_| Some(vec![0x6A, 0x82]));
    let (first, second) = both();
    let chosen = |wanted: Wanted| wait_for_card(&wanted, &soon()).unwrap().name().to_owned();
    assert_eq!(chosen(Wanted::in_reader(&first)), first);
    assert_eq!(chosen(Wanted::any().with_atr(atr(), [])), second);
    assert_eq!(chosen(Wanted::any().with_atr(other_atr(), [0xFF, 0xFF])), first);
    assert_eq!(chosen(Wanted::any().with_application(AID)), second);
    let mut reader = wait_for_card(&Wanted::any().with_application(&AID[..5]), &soon()).unwrap();
    tap(&mut reader, &soon()).unwrap();
}

#[test]
fn a_card_without_the_application_is_not_taken_and_the_next_one_is() {
    let Some(_alone) = alone() else { return };
    let other = VirtualCard::insert(|_| Some(vec![0x6A, 0x82]));
    let wanted = Wanted::in_reader(slot(0)).with_application(AID);
    let short = Deadline::after(Duration::from_millis(700));
    assert_eq!(wait_for_card(&wanted, &short).err(), Some(ReaderError::NoCardCame));
    drop(other);
    let _ours = VirtualCard::formal(0);
    wait_for_card(&wanted, &soon()).unwrap();
}

#[test]
fn waiting_for_a_card_is_cancelled_from_another_thread() {
    let Some(_alone) = alone() else { return };
    let cancel = Cancel::new();
    let button = cancel.clone();
    let start = std::time::Instant::now();
    let press = std::thread::spawn(move || button.cancel());
    let deadline = soon().cancelled_by(&cancel);
    assert_eq!(wait_for_card(&Wanted::any(), &deadline).err(), Some(ReaderError::Cancelled));
    assert!(start.elapsed() < Duration::from_secs(5));
    press.join().unwrap();
}
