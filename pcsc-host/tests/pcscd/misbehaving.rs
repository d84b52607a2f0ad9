//! Cards and other programs that keep the terminal waiting, or answer nonsense: each is told as what it is, in time.

use std::time::Duration;

use onetap_pcsc_host::pcsc::{PcscReader, Share, Wanted, abandoned, wait_for_card};
use onetap_pcsc_host::{Cancel, Deadline, Disposition, Error, ProtocolError, Reader, ReaderError};

use crate::card::VirtualCard;
use crate::other::{Other, Role};
use crate::service::threads;
use crate::{alone, in_time, slot, soon, tap, until};

const SHORT: Duration = Duration::from_millis(300);

/// The reader with the card; the thread that waited for it has ended.
fn reader_0() -> PcscReader {
    let reader = wait_for_card(&Wanted::in_reader(slot(0)), &soon()).unwrap();
    until("nothing waits any more", || threads() == 0);
    reader
}

/// Besides those that come and go, such as for the names of the readers.
fn one_thread_is_held() {
    assert_eq!(abandoned(), 1);
    until("one thread is left", || threads() == 1);
}

fn reader_error(error: Error) -> ReaderError {
    match error {
        Error::Reader(error) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_card_that_never_answers_costs_the_deadline_and_one_thread() {
    let Some(_alone) = alone() else { return };
    for number in 0..5 {
        let (card, _) = VirtualCard::stuck_at(number);
        let mut reader = reader_0();
        let error = reader_error(in_time(SHORT, |deadline| tap(&mut reader, deadline)).unwrap_err());
        assert!(matches!(&error, ReaderError::NoAnswer { reader, .. } if *reader == slot(0)), "{error}");
        assert_eq!(abandoned(), 1);
        for _ in 0..20 {
            let again = in_time(Duration::from_millis(10), |deadline| reader.connect(deadline)).err();
            assert_eq!(again, Some(ReaderError::Stuck(slot(0))));
        }
        one_thread_is_held();
        // The card leaves: its command ends, and with it the thread.
        drop(card);
        until("the call returned", || abandoned() == 0);
        until("the thread ended", || threads() == 0);
        let next = VirtualCard::formal(0);
        let mut reader = reader_0();
        until("the next card is served", || tap(&mut reader, &soon()).is_ok());
        drop(next);
        onetap_pcsc_host::pcsc::wait_for_removal(&slot(0), &soon()).unwrap();
    }
}

#[test]
fn the_error_names_the_reader_and_the_time() {
    let Some(_alone) = alone() else { return };
    let (_card, _) = VirtualCard::stuck_at(0);
    let error = tap(&mut reader_0(), &Deadline::after(SHORT)).unwrap_err().to_string();
    let start = format!("the card in {:?} did not answer within ", slot(0));
    assert!(error.starts_with(&start) && error.ends_with("ms"), "{error}");
}

#[test]
fn a_cancelled_tap_ends_at_once_and_the_card_loses_its_power() {
    let Some(_alone) = alone() else { return };
    let (mut card, arrived) = VirtualCard::stuck_at(2);
    let (mut reader, cancel) = (reader_0(), Cancel::new());
    let button = cancel.clone();
    let press = std::thread::spawn(move || {
        arrived.recv().unwrap();
        button.cancel();
    });
    let error = tap(&mut reader, &soon().cancelled_by(&cancel)).unwrap_err();
    assert_eq!(reader_error(error), ReaderError::Cancelled);
    press.join().unwrap();
    card.let_go();
    until("the call returned", || abandoned() == 0);
}

#[test]
fn one_byte_is_no_answer_and_no_removed_card() {
    let Some(_alone) = alone() else { return };
    let _card = VirtualCard::insert(|_| Some(vec![0x90]));
    let error = tap(&mut reader_0(), &soon()).unwrap_err();
    assert!(matches!(error, Error::Protocol(ProtocolError::NotAResponse(1))), "{error:?}");
    assert!(error.to_string().contains("1 bytes"), "{error}");
}

#[test]
fn a_transaction_of_another_program_is_waited_for_on_one_thread() {
    let Some(_alone) = alone() else { return };
    let _card = VirtualCard::formal(0);
    let mut reader = reader_0();
    let other = Other::start(Role::InTransaction, &slot(0));
    for _ in 0..20 {
        let error = in_time(Duration::from_millis(20), |deadline| tap(&mut reader, deadline)).unwrap_err();
        assert_eq!(reader_error(error), ReaderError::InUse(slot(0)));
    }
    one_thread_is_held();
    other.finish();
    tap(&mut reader, &soon()).unwrap();
    until("nothing is left", || threads() == 0 && abandoned() == 0);
}

#[test]
fn an_exclusive_connection_of_another_program_is_told_and_then_waited_for() {
    let Some(_alone) = alone() else { return };
    let _card = VirtualCard::formal(0);
    let mut reader = reader_0();
    let other = Other::start(Role::Exclusive, &slot(0));
    let error = reader_error(in_time(SHORT, |deadline| tap(&mut reader, deadline)).unwrap_err());
    assert_eq!(error, ReaderError::InUse(slot(0)));
    assert!(error.advice().contains("restart the PC/SC service"));
    let letting_go = std::thread::spawn(move || other.finish());
    tap(&mut reader, &soon()).unwrap();
    letting_go.join().unwrap();
}

#[test]
fn the_command_of_a_killed_program_is_told_with_what_helps() {
    let Some(_alone) = alone() else { return };
    let (_card, arrived) = VirtualCard::stuck_at(0);
    let mut reader = reader_0();
    let other = Other::start(Role::InCommand, &slot(0));
    arrived.recv().unwrap();
    other.kill();
    let error = reader_error(in_time(SHORT, |deadline| tap(&mut reader, deadline)).unwrap_err());
    assert!(matches!(error, ReaderError::InUse(_) | ReaderError::Stuck(_)), "{error}");
    assert!(error.advice().contains("restart the PC/SC service"), "{}", error.advice());
}

#[test]
fn other_programs_may_be_connected_and_share_if_they_are_let() {
    let Some(_alone) = alone() else { return };
    let _card = VirtualCard::formal(0);
    let mut reader = reader_0();
    let other = Other::start(Role::Connected, &slot(0));
    tap(&mut reader, &soon()).unwrap();
    other.finish();
    // During a shared contact another program gets in.
    let mut shared = reader.share(Share::Shared);
    let contact = shared.connect(&soon()).unwrap();
    Other::start(Role::InTransaction, &slot(0)).finish();
    contact.release(Disposition::Leave).unwrap();
}

#[test]
fn one_process_has_one_contact_with_a_reader_at_a_time() {
    let Some(_alone) = alone() else { return };
    let _card = VirtualCard::formal(0);
    let (mut first, mut second) = (reader_0(), reader_0());
    let contact = first.connect(&soon()).unwrap();
    let refused = in_time(SHORT, |deadline| second.connect(deadline)).err();
    assert_eq!(refused, Some(ReaderError::InUse(slot(0))));
    contact.release(Disposition::Leave).unwrap();
    tap(&mut second, &soon()).unwrap();
}
