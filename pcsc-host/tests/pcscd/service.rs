//! The service itself ends, restarts, hangs, or has nothing to do.

use std::process::Command;
use std::time::Duration;

use onetap_pcsc_host::pcsc::{Wanted, abandoned, readers, wait_for_card, wait_for_removal};
use onetap_pcsc_host::{Cancel, Deadline, Error, Reader as _, ReaderError};

use crate::card::VirtualCard;
use crate::{alone, in_time, slot, soon, tap, until};

const SHORT: Duration = Duration::from_millis(300);

/// `scripts/with-pcscd` starts it again if it is killed.
pub(crate) fn signal_pcscd(signal: &str) {
    let pid = std::fs::read_to_string("/run/pcscd/pcscd.pid").unwrap();
    let pid: String = pid.chars().filter(char::is_ascii_digit).collect();
    assert!(Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());
}

/// How many handles this process has, and threads that call PC/SC.
pub(crate) fn held() -> (usize, usize) {
    (std::fs::read_dir("/proc/self/fd").unwrap().count(), threads())
}

/// How many threads call PC/SC, or wait to.
pub(crate) fn threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let name =
        |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
    tasks.map(|task| name(task.unwrap())).filter(|name| name.trim() == "pcsc").count()
}

/// Lets pcscd go on, also after a failed test.
struct Frozen;

impl Frozen {
    fn pcscd() -> Self {
        signal_pcscd("STOP");
        Self
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        signal_pcscd("CONT");
    }
}

#[test]
fn a_service_that_is_killed_in_mid_command_is_told_and_the_same_reader_works_again() {
    let Some(_alone) = alone() else { return };
    let (card, arrived) = VirtualCard::stuck_at(2);
    let mut reader = wait_for_card(&Wanted::in_reader(slot(0)), &soon()).unwrap();
    let killing = std::thread::spawn(move || {
        arrived.recv().unwrap();
        signal_pcscd("KILL");
    });
    let error = tap(&mut reader, &soon()).unwrap_err();
    assert!(matches!(error, Error::Reader(ReaderError::ServiceEnded)), "{error:?}");
    killing.join().unwrap();
    drop(card);
    slot(0);
    let _next = VirtualCard::formal(0);
    until("the card is served", || tap(&mut reader, &soon()).is_ok());
    assert_eq!(abandoned(), 0);
}

#[test]
fn a_service_that_restarts_between_two_taps_is_not_even_noticed() {
    let Some(_alone) = alone() else { return };
    let card = VirtualCard::formal(0);
    let mut reader = wait_for_card(&Wanted::in_reader(slot(0)), &soon()).unwrap();
    tap(&mut reader, &soon()).unwrap();
    signal_pcscd("KILL");
    drop(card);
    slot(0);
    let _card = VirtualCard::formal(0);
    until("the card is served", || tap(&mut reader, &soon()).is_ok());
}

#[test]
fn waiting_for_a_card_goes_on_over_a_restart() {
    let Some(_alone) = alone() else { return };
    let name = slot(0);
    let waiting = std::thread::spawn(move || wait_for_card(&Wanted::in_reader(name), &soon()));
    signal_pcscd("KILL");
    slot(0);
    let _card = VirtualCard::formal(0);
    tap(&mut waiting.join().unwrap().unwrap(), &soon()).unwrap();
}

#[test]
fn a_service_that_hangs_costs_the_deadline_and_a_bounded_number_of_threads() {
    let Some(_alone) = alone() else { return };
    let _card = VirtualCard::formal(0);
    let mut reader = wait_for_card(&Wanted::in_reader(slot(0)), &soon()).unwrap();
    let frozen = Frozen::pcscd();
    let silent = Err(ReaderError::ServiceSilent);
    assert_eq!(in_time(SHORT, readers), silent);
    let tapped = in_time(SHORT, |deadline| tap(&mut reader, deadline));
    assert!(matches!(tapped, Err(Error::Reader(ReaderError::ServiceSilent))), "{tapped:?}");
    for _ in 0..40 {
        assert_eq!(readers(&Deadline::after(Duration::ZERO)), silent);
    }
    assert!(abandoned() <= 16, "{} calls", abandoned());
    let cancel = Cancel::new();
    cancel.cancel();
    assert_eq!(wait_for_removal(reader.name(), &soon().cancelled_by(&cancel)), Err(ReaderError::Cancelled));
    drop(frozen);
    until("all calls returned", || abandoned() == 0);
    until("the card is served", || tap(&mut reader, &soon()).is_ok());
}

#[test]
fn between_contacts_nothing_of_the_service_is_held() {
    let Some(_alone) = alone() else { return };
    let _card = VirtualCard::formal(0);
    let mut reader = wait_for_card(&Wanted::in_reader(slot(0)), &soon()).unwrap();
    until("nothing waits any more", || threads() == 0);
    let before = held();
    for _ in 0..50 {
        tap(&mut reader, &soon()).unwrap();
        drop(reader.connect(&soon()).unwrap());
    }
    until("threads and handles are what they were", || held() == before);
}
