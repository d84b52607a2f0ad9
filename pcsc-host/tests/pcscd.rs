//! Through a real pcscd and a virtual reader. Run by `scripts/with-pcscd`, which sets `ONETAP_PCSCD`;
//! anywhere else there is no private daemon to talk to, and the tests say so and end.
#![allow(clippy::print_stderr, reason = "a test that cannot run says why")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail like tests")]

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use onetap_apdu_spec::suite::Suite;
use onetap_pcsc_host::monitor::{Event, Monitor};
use onetap_pcsc_host::pcsc::{PcscReader, Wanted, readers, wait_for_card};
use onetap_pcsc_host::{Atr, Deadline, Disposition, Error, Reader, ReaderError, Terminal, TransactionSource};
use support::{fields, formal_card};

const PORT: u16 = 35963;
const PATIENCE: Duration = Duration::from_secs(10);
/// The readers are shared: one test at a time.
static ONE: Mutex<()> = Mutex::new(());

fn soon() -> Deadline {
    Deadline::after(PATIENCE)
}

fn alone() -> Option<MutexGuard<'static, ()>> {
    if std::env::var_os("ONETAP_PCSCD").is_none() {
        eprintln!("not run: no private pcscd here, use scripts/with-pcscd");
        return None;
    }
    Some(ONE.lock().unwrap_or_else(PoisonError::into_inner))
}

/// A card in slot 0: category 80, extended length, T=1, with TCK.
fn atr() -> Vec<u8> {
    let mut atr = hex::decode("3b8580018073000040").unwrap();
    atr.push(atr[1..].iter().fold(0, |tck, byte| tck ^ byte));
    atr
}

/// A virtual card for vpcd; leaves when dropped.
struct VirtualCard {
    stream: TcpStream,
    power: Receiver<u8>,
    thread: Option<JoinHandle<()>>,
}

impl VirtualCard {
    fn insert(mut answer: impl FnMut(&[u8]) -> Option<Vec<u8>> + Send + 'static) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", PORT)).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut peer = stream.try_clone().unwrap();
        let (powered, power) = mpsc::channel();
        let thread = thread::spawn(move || {
            while let Some(message) = receive(&mut peer) {
                let reply = match message.as_slice() {
                    [4] => Some(atr()),
                    [control] => {
                        let _ = powered.send(*control);
                        continue;
                    }
                    command => answer(command),
                };
                let Some(reply) = reply else {
                    let _ = peer.shutdown(Shutdown::Both);
                    return;
                };
                let length = u16::try_from(reply.len()).unwrap().to_be_bytes();
                if peer.write_all(&[&length[..], &reply].concat()).is_err() {
                    return;
                }
            }
        });
        Self { stream, power, thread: Some(thread) }
    }

    /// Waits until the reader has told the card to power off (0), on (1), or to reset (2).
    fn wait_for_power(&self, control: u8) {
        while self.power.recv_timeout(PATIENCE).expect("the reader switches the power") != control {}
    }
}

impl Drop for VirtualCard {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Both);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn receive(from: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 2];
    from.read_exact(&mut length).ok()?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    from.read_exact(&mut message).ok()?;
    Some(message)
}

fn slot_0() -> String {
    readers().unwrap().into_iter().find(|name| name.ends_with("00 00")).unwrap()
}

/// Waits until the reader is empty.
fn wait_until_empty() {
    let (tell, told) = mpsc::channel();
    let monitor = Monitor::start(move |event| drop(tell.send(event)));
    let mut inserted = false;
    loop {
        match told.recv_timeout(Duration::from_millis(600)) {
            Ok(Event::CardInserted { .. }) => inserted = true,
            Ok(Event::CardRemoved(_)) => inserted = false,
            Ok(_) => {}
            Err(_) if inserted => {}
            Err(_) => break,
        }
    }
    monitor.stop();
}

fn terminal() -> Terminal {
    Terminal::new("TERM0001".parse().unwrap())
}

#[test]
fn p_04_one_tap_through_pcscd() {
    let Some(_alone) = alone() else { return };
    wait_until_empty();
    let mut formal = formal_card(Suite::default());
    let card = VirtualCard::insert(move |command| Some(formal(command)));
    let mut reader = wait_for_card(&Wanted::in_reader(slot_0()), &soon()).unwrap();
    for _ in 0..3 {
        let tapped = terminal().tap(&mut reader, &fields().draft().unwrap(), &soon()).unwrap();
        assert_eq!(tapped.transaction().amount.to_string(), "12.34 EUR");
    }
    drop(card);
}

#[test]
fn extended_length_is_seen_and_a_failed_contact_ends_without_power() {
    let Some(_alone) = alone() else { return };
    wait_until_empty();
    let card = VirtualCard::insert(|_| Some(vec![0x6F, 0x00]));
    let mut reader = wait_for_card(&Wanted::any(), &soon()).unwrap();
    let contact = reader.connect(&soon()).unwrap();
    assert_eq!(*contact.atr(), Atr::new(atr()));
    assert!(contact.supports_extended());
    contact.release(Disposition::Leave).unwrap();
    let error = terminal().tap(&mut reader, &fields().draft().unwrap(), &soon()).unwrap_err();
    assert!(matches!(error, Error::Card(_)), "{error}");
    card.wait_for_power(0);
}

#[test]
fn a_card_that_leaves_in_mid_command_is_told() {
    let Some(_alone) = alone() else { return };
    wait_until_empty();
    let _card = VirtualCard::insert(|_| None);
    let mut reader = wait_for_card(&Wanted::in_reader(slot_0()), &soon()).unwrap();
    let error = terminal().tap(&mut reader, &fields().draft().unwrap(), &soon()).unwrap_err();
    assert!(matches!(error, Error::Reader(ReaderError::CardRemoved)), "{error:?}");
}

#[test]
fn an_empty_reader_and_an_unknown_one_are_told_apart() {
    let Some(_alone) = alone() else { return };
    wait_until_empty();
    let short = || Deadline::after(Duration::from_millis(50));
    let slot = slot_0();
    assert_eq!(wait_for_card(&Wanted::in_reader(&slot), &short()).err(), Some(ReaderError::Timeout));
    let unknown = ReaderError::UnknownReader("nobody".into());
    assert_eq!(wait_for_card(&Wanted::in_reader("nobody"), &short()).err(), Some(unknown.clone()));
    assert_eq!(PcscReader::open("nobody").err(), Some(unknown));
    let mut empty = PcscReader::open(&slot).unwrap();
    assert_eq!(empty.connect(&soon()).err(), Some(ReaderError::NoCard));
}

/// The attempt that came too late gives its connection back on a thread of its own: wait for that.
fn connect_exclusively(context: &pcsc::Context, name: &std::ffi::CStr) -> pcsc::Card {
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        match context.connect(name, pcsc::ShareMode::Exclusive, pcsc::Protocols::ANY) {
            Err(pcsc::Error::SharingViolation) if std::time::Instant::now() < deadline => thread::yield_now(),
            result => return result.unwrap(),
        }
    }
}

#[test]
fn another_programs_exclusive_connection_is_told() {
    let Some(_alone) = alone() else { return };
    wait_until_empty();
    let mut formal = formal_card(Suite::default());
    let _card = VirtualCard::insert(move |command| Some(formal(command)));
    let mut reader = wait_for_card(&Wanted::in_reader(slot_0()), &soon()).unwrap();
    let draft = fields().draft().unwrap();
    let other = pcsc::Context::establish(pcsc::Scope::User).unwrap();
    let name = std::ffi::CString::new(slot_0()).unwrap();
    let shared = other.connect(&name, pcsc::ShareMode::Shared, pcsc::Protocols::ANY).unwrap();
    // Connected only: no obstacle.
    terminal().tap(&mut reader, &draft, &soon()).unwrap();
    shared.disconnect(pcsc::Disposition::LeaveCard).map_err(|(_, error)| error).unwrap();
    // An exclusive connection of another program cannot be shared.
    // (A transaction held by this same process would wait for ever: libpcsclite takes one lock for both.)
    let exclusive = connect_exclusively(&other, &name);
    let error =
        terminal().tap(&mut reader, &draft, &Deadline::after(Duration::from_millis(300))).unwrap_err();
    assert!(matches!(error, Error::Reader(ReaderError::InUse)), "{error:?}");
    exclusive.disconnect(pcsc::Disposition::LeaveCard).map_err(|(_, error)| error).unwrap();
}

#[test]
fn the_monitor_tells_of_cards_that_come_and_go() {
    let Some(_alone) = alone() else { return };
    wait_until_empty();
    let (tell, told) = mpsc::channel();
    let monitor = Monitor::start(move |event| drop(tell.send(event)));
    let next = || told.recv_timeout(PATIENCE).unwrap();
    assert_eq!(next(), Event::ServiceUp);
    assert!(matches!((next(), next()), (Event::ReaderAdded(_), Event::ReaderAdded(_))));
    let card = VirtualCard::insert(|_| Some(vec![0x90, 0x00]));
    assert_eq!(next(), Event::CardInserted { reader: slot_0(), atr: Atr::new(atr()) });
    drop(card);
    assert_eq!(next(), Event::CardRemoved(slot_0()));
    monitor.stop();
}
