//! One tap, and the cards that come and go around it.

use std::sync::mpsc;
use std::time::Duration;

use onetap_pcsc_host::monitor::{Event, Monitor};
use onetap_pcsc_host::pcsc::{PcscReader, Wanted, readers, wait_for_card};
use onetap_pcsc_host::{Atr, Deadline, Disposition, Error, Reader, ReaderError};

use crate::card::{VirtualCard, atr};
use crate::{PATIENCE, alone, slot, soon, tap};

#[test]
fn p_04_one_tap_through_pcscd() {
    let Some(_alone) = alone() else { return };
    let card = VirtualCard::formal(0);
    let mut reader = wait_for_card(&Wanted::in_reader(slot(0)), &soon()).unwrap();
    for _ in 0..3 {
        let tapped = tap(&mut reader, &soon()).unwrap();
        assert_eq!(tapped.transaction().amount.to_string(), "12.34 EUR");
    }
    drop(card);
}

#[test]
fn extended_length_is_seen_and_a_failed_contact_ends_without_power() {
    let Some(_alone) = alone() else { return };
    let card = VirtualCard::insert(|_| Some(vec![0x6F, 0x00]));
    let mut reader = wait_for_card(&Wanted::any(), &soon()).unwrap();
    let contact = reader.connect(&soon()).unwrap();
    assert_eq!(*contact.atr(), Atr::new(atr()));
    assert!(contact.supports_extended());
    contact.release(Disposition::Leave).unwrap();
    let error = tap(&mut reader, &soon()).unwrap_err();
    assert!(matches!(error, Error::Card(_)), "{error}");
    card.wait_for_power(0);
}

#[test]
fn a_card_that_leaves_in_mid_command_is_told() {
    let Some(_alone) = alone() else { return };
    let _card = VirtualCard::insert(|_| None);
    let mut reader = wait_for_card(&Wanted::in_reader(slot(0)), &soon()).unwrap();
    let error = tap(&mut reader, &soon()).unwrap_err();
    assert!(matches!(error, Error::Reader(ReaderError::CardRemoved)), "{error:?}");
}

#[test]
fn an_empty_reader_and_an_unknown_one_are_told_apart() {
    let Some(_alone) = alone() else { return };
    let short = || Deadline::after(Duration::from_millis(50));
    let empty = slot(0);
    assert_eq!(wait_for_card(&Wanted::in_reader(&empty), &short()).err(), Some(ReaderError::NoCardCame));
    let unknown = ReaderError::UnknownReader("nobody".into());
    assert_eq!(wait_for_card(&Wanted::in_reader("nobody"), &short()).err(), Some(unknown.clone()));
    assert_eq!(PcscReader::open("nobody", &soon()).err(), Some(unknown));
    let mut empty = PcscReader::open(&empty, &soon()).unwrap();
    assert_eq!(empty.connect(&soon()).err(), Some(ReaderError::NoCard));
}

#[test]
fn the_monitor_tells_of_cards_that_come_and_go() {
    let Some(_alone) = alone() else { return };
    let (tell, told) = mpsc::channel();
    let monitor = Monitor::start(move |event| drop(tell.send(event)));
    let next = || told.recv_timeout(PATIENCE).unwrap();
    assert_eq!(next(), Event::ServiceUp);
    for _ in readers(&soon()).unwrap() {
        assert!(matches!(next(), Event::ReaderAdded(_)));
    }
    let card = VirtualCard::insert(|_| Some(vec![0x90, 0x00]));
    assert_eq!(next(), Event::CardInserted { reader: slot(0), atr: Atr::new(atr()) });
    drop(card);
    assert_eq!(next(), Event::CardRemoved(slot(0)));
    monitor.stop();
}
