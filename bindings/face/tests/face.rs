//! The face, as a binding calls it: a payment at a real bank, with a card behind a socket; and what goes wrong.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use onetap_conformance::bank::Bank;
use onetap_face::payment::{self, Event, Step, What};
use onetap_face::port::{CardPort, PortError};
use onetap_face::source::{self, Transaction};
use onetap_face::till::{self, End, TillConfig};
use onetap_face::{Error, Handle, Kind, close, trace};
use tempfile::TempDir;

const LONG: Duration = Duration::from_secs(60);

/// A card behind a socket, in the words of vpcd. It goes when a contact has ended, and comes back at once.
struct Socket {
    addr: SocketAddr,
    contact: Option<TcpStream>,
    gone: bool,
}

impl Socket {
    fn at(addr: SocketAddr) -> Box<Self> {
        Box::new(Self { addr, contact: None, gone: false })
    }

    fn exchange(&mut self, message: &[u8]) -> std::io::Result<Vec<u8>> {
        let stream = self.contact.as_mut().unwrap();
        let len = u16::try_from(message.len()).unwrap().to_be_bytes();
        stream.write_all(&[&len[..], message].concat())?;
        let mut len = [0; 2];
        stream.read_exact(&mut len)?;
        let mut answer = vec![0; u16::from_be_bytes(len).into()];
        stream.read_exact(&mut answer)?;
        Ok(answer)
    }
}

impl CardPort for Socket {
    fn present(&mut self, _: Duration) -> Result<bool, PortError> {
        Ok(!std::mem::take(&mut self.gone))
    }

    fn connect(&mut self) -> Result<Vec<u8>, PortError> {
        self.contact = Some(TcpStream::connect(self.addr).unwrap());
        Ok(self.exchange(&[4]).unwrap())
    }

    fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, PortError> {
        self.exchange(command).map_err(|_| PortError::CardLeft)
    }

    fn disconnect(&mut self, _: bool) -> Result<(), PortError> {
        self.contact = None;
        self.gone = true;
        Ok(())
    }
}

/// A port whose every function does the same.
struct Broken(fn() -> PortError);

impl CardPort for Broken {
    fn present(&mut self, _: Duration) -> Result<bool, PortError> {
        Ok(true)
    }

    fn connect(&mut self) -> Result<Vec<u8>, PortError> {
        Err((self.0)())
    }

    fn transmit(&mut self, _: &[u8]) -> Result<Vec<u8>, PortError> {
        Err((self.0)())
    }

    fn disconnect(&mut self, _: bool) -> Result<(), PortError> {
        Err((self.0)())
    }
}

fn bank() -> (TempDir, Bank) {
    let folder = tempfile::tempdir().unwrap();
    let bank = Bank::open(folder.path()).unwrap();
    (folder, bank)
}

fn config(bank: &Bank, port: Box<dyn CardPort>) -> TillConfig {
    TillConfig {
        terminal: "POS00001".into(),
        server: bank.url.clone(),
        ca: Some(bank.ca.clone().into_bytes()),
        token: Some(bank.token.clone()),
        port: Some(port),
        ..TillConfig::default()
    }
}

fn coffee(bank: &Bank) -> Transaction {
    Transaction {
        payee_account: bank.payee.to_string(),
        payee_name: "Coffee Shop".into(),
        amount: "0.01".into(),
        currency: "EUR".into(),
        reference: "Order 17".into(),
        ..Transaction::default()
    }
}

/// Follows a payment to its end.
fn follow(bank: &Bank, payment: Handle, mut heard: impl FnMut(&Event)) -> Result<Event, Error> {
    loop {
        let event = payment::next(payment, LONG)?;
        heard(&event);
        match event.what {
            What::Began if event.step == Step::Holder => {
                assert!(payment::type_in(payment, &bank.holder_reads().unwrap()).unwrap());
            }
            What::Ended => return Ok(event),
            _ => {}
        }
    }
}

#[test]
fn a_payment_goes_through_with_every_event_and_its_end_can_be_read_again() {
    let (_folder, bank) = bank();
    let till = till::till(config(&bank, Socket::at(bank.listen().unwrap()))).unwrap();
    let payment = payment::start(till, coffee(&bank), Some("order-17")).unwrap();
    let mut heard = Vec::new();
    let end = follow(&bank, payment, |event| heard.push(event.clone())).unwrap();
    let words: Vec<_> = heard.iter().map(|event| format!("{} {}", event.what, event.step)).collect();
    let expected = [
        "began check",
        "began tap",
        "card-found none",
        "signed none",
        "began removal",
        "began holder",
        "began sending",
        "ended none",
    ];
    assert_eq!(words, expected);
    let outcome = end.outcome.clone().unwrap();
    let receipt = outcome.receipt.unwrap();
    assert_eq!((outcome.result, receipt.minor, &*receipt.currency), (End::Executed, 1, "EUR"));
    assert_eq!(heard[3].id, outcome.transaction);
    assert_eq!(heard[3].transaction.as_ref().unwrap().payee_name, "Coffee Shop");
    assert_eq!(payment::next(payment, LONG).unwrap(), end, "told again");
    let kept = till::attempts(till).unwrap();
    assert_eq!(kept.iter().map(|kept| kept.outcome.clone()).collect::<Vec<_>>(), [end.outcome]);
    close(payment).unwrap();
    assert_eq!(till::attempts(till).unwrap(), [], "the app is done with it");
    // The till can take the next one, under a key of its own.
    let again = payment::start(till, coffee(&bank), None).unwrap();
    assert!(follow(&bank, again, |_| ()).is_ok());
    close(again).unwrap();
    close(till).unwrap();
}

#[test]
fn what_is_lost_is_resolved() {
    let (folder, bank) = bank();
    let journal = folder.path().join("journal").to_str().unwrap().to_owned();
    let with_journal = |port| TillConfig { journal: Some(journal.clone()), ..config(&bank, port) };
    let till = till::till(with_journal(Socket::at(bank.listen().unwrap()))).unwrap();
    let payment = payment::start(till, coffee(&bank), None).unwrap();
    // Cancelled as soon as the request may be on its way: it may have been quick enough.
    let end = follow(&bank, payment, |event| {
        if event.step == Step::Sending {
            payment::cancel(payment).unwrap();
        }
    });
    close(payment).unwrap();
    close(till).unwrap();
    let error = end.unwrap_err();
    assert_eq!(error.kind, Kind::Unknown, "{error}");
    // Another run of the program.
    let till = till::till(with_journal(Socket::at(bank.listen().unwrap()))).unwrap();
    let open = till::attempts(till).unwrap();
    assert_eq!((open.len(), &open[0].outcome), (1, &None));
    assert_eq!(
        till::forget(till, &error.transaction).unwrap_err().kind,
        Kind::Argument,
        "its end is not known"
    );
    assert_eq!(open[0].id, error.transaction);
    assert_eq!(open[0].transaction, Some(source::check(coffee(&bank)).unwrap()));
    let outcome = till::resolve(till, &error.transaction, LONG).unwrap();
    assert!(matches!(outcome.result, End::Executed | End::Cancelled), "{outcome:?}");
    assert_eq!(till::attempts(till).unwrap()[0].outcome, Some(outcome));
    till::forget(till, &error.transaction).unwrap();
    assert_eq!(till::attempts(till).unwrap(), []);
    let nothing = till::resolve(till, "nothing", LONG).unwrap_err();
    assert_eq!(nothing.kind, Kind::Argument);
    close(till).unwrap();
}

fn ends(bank: &Bank, port: Box<dyn CardPort>) -> Error {
    let till = till::till(config(bank, port)).unwrap();
    let payment = payment::start(till, coffee(bank), None).unwrap();
    let error = follow(bank, payment, |_| ()).unwrap_err();
    assert_eq!(payment::next(payment, LONG).unwrap_err(), error, "told again");
    close(payment).unwrap();
    close(till).unwrap();
    error
}

#[test]
fn a_port_that_fails_or_panics_ends_the_payment_with_one_error() {
    let (_folder, bank) = bank();
    let failed = ends(&bank, Box::new(Broken(|| PortError::Failed("no field".into()))));
    assert_eq!((failed.kind, &*failed.cause), (Kind::Callback, "the app's reader failed: no field"));
    let panicked = ends(&bank, Box::new(Broken(|| panic!("a bug of the app's"))));
    assert_eq!(panicked.kind, Kind::Callback);
    assert!(panicked.cause.ends_with("a bug of the app's"), "{panicked}");
}

#[test]
fn threads_and_closed_handles_get_one_clear_error() {
    let (_folder, bank) = bank();
    let till = till::till(config(&bank, Box::new(Broken(|| PortError::CardLeft)))).unwrap();
    let payment = payment::start(till, coffee(&bank), None).unwrap();
    let kind = |error: Error| error.kind;
    assert_eq!(payment::start(till, coffee(&bank), None).map_err(kind), Err(Kind::Busy));
    // A card that is said to stay is waited for; meanwhile one thread follows the payment.
    while payment::next(payment, Duration::from_millis(50)).unwrap().what != What::TapAgain {}
    thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            loop {
                if let Err(error) = payment::next(payment, LONG) {
                    return error.kind;
                }
            }
        });
        let busy = || payment::next(payment, Duration::ZERO).map_err(kind) == Err(Kind::Busy);
        while !busy() {
            thread::yield_now();
        }
        assert_eq!(payment::type_in(payment, "12345678"), Ok(false), "nobody waits for it");
        close(payment).unwrap();
        let told = waiting.join().unwrap();
        assert!(matches!(told, Kind::Closed | Kind::Cancelled), "{told}");
    });
    for closed in [
        payment::next(payment, LONG).map(drop),
        payment::cancel(payment),
        payment::type_in(payment, "12345678").map(drop),
        close(payment),
    ] {
        assert_eq!(closed.map_err(kind), Err(Kind::Closed));
    }
    assert_eq!(payment::cancel(till).map_err(kind), Err(Kind::Argument), "not a payment");
    assert_eq!(payment::cancel(Handle::MAX).map_err(kind), Err(Kind::Argument), "never given");
    assert_eq!(payment::cancel(0).map_err(kind), Err(Kind::Argument), "never given");
    close(till).unwrap();
    assert_eq!(till::attempts(till).map_err(kind), Err(Kind::Closed));
}

#[test]
fn arguments_are_checked_before_anything_is_opened() {
    let (_folder, bank) = bank();
    let good = || config(&bank, Box::new(Broken(|| PortError::CardLeft)));
    for wrong in [
        TillConfig { terminal: "too long for a terminal".into(), ..good() },
        TillConfig { server: "http://192.0.2.1".into(), ..good() },
        TillConfig { server: "nonsense".into(), ..good() },
        TillConfig { token: None, ..good() },
        TillConfig { token: Some("two words".into()), ..good() },
        TillConfig { ca: Some(b"no PEM".to_vec()), ..good() },
        TillConfig { certificate: Some(bank.ca.clone().into_bytes()), ..good() },
        TillConfig { reader: Some("Reader".into()), ..good() },
    ] {
        let error = till::till(wrong).unwrap_err();
        assert_eq!(error.kind, Kind::Argument, "{error}");
        assert!(!error.cause.is_empty() && !error.cure.is_empty());
    }
    let unwritable = till::till(TillConfig { journal: Some("/proc/journal".into()), ..good() }).unwrap_err();
    assert_eq!(unwritable.kind, Kind::Journal);
    let till = till::till(good()).unwrap();
    let wrong = Transaction { amount: "0".into(), currency: "EURO".into(), ..coffee(&bank) };
    let error = payment::start(till, wrong, None).unwrap_err();
    assert_eq!(error.kind, Kind::Transaction);
    let error = payment::start(till, coffee(&bank), Some("a key with spaces")).unwrap_err();
    assert_eq!(error.kind, Kind::Argument);
    close(till).unwrap();
}

#[test]
fn a_server_that_is_not_there_or_not_trusted_is_told_before_the_tap() {
    let (_folder, bank) = bank();
    let port = || Box::new(Broken(|| PortError::CardLeft));
    let kind_with = |config| {
        let till = till::till(config).unwrap();
        let payment = payment::start(till, coffee(&bank), None).unwrap();
        let kind = follow(&bank, payment, |_| ()).unwrap_err().kind;
        close(payment).unwrap();
        close(till).unwrap();
        kind
    };
    let nobody = TillConfig { server: "https://127.0.0.1:1".into(), ..config(&bank, port()) };
    assert_eq!(kind_with(nobody), Kind::Server);
    let untrusted = TillConfig { ca: None, ..config(&bank, port()) };
    assert_eq!(kind_with(untrusted), Kind::Server);
    let other = TillConfig { terminal: "POS00002".into(), ..config(&bank, port()) };
    assert_eq!(kind_with(other), Kind::NotReady);
}

#[test]
fn transactions_come_from_text_json_codes_and_urls() {
    let json = br#"{"payee-account":"DE89 3704 0044 0532 0130 00","payee-name":"Coffee Shop",
        "amount":"12.34","currency":"EUR","reference":"Order 17"}"#;
    let read = source::json(json).unwrap();
    assert_eq!((&*read.payee_account, read.top_up, &*read.details), ("DE89370400440532013000", false, ""));
    assert_eq!(source::check(read.clone()).unwrap(), read);
    let code = |amount| format!("BCD\n002\n1\nSCT\n\nShop\nDE89370400440532013000\n{amount}\n\n\nOrder 17\n");
    assert_eq!(source::scan(code("EUR5").as_bytes(), None, None).unwrap().amount, "5.00");
    let open = source::scan(code("").as_bytes(), None, None).unwrap_err();
    assert_eq!(open.kind, Kind::AmountMissing, "{open}");
    assert_eq!(source::scan(code("").as_bytes(), Some("7"), None).unwrap().amount, "7.00");
    assert_eq!(source::scan(b"WIFI:", None, None).unwrap_err().kind, Kind::Transaction);
    assert_eq!(source::json(b"[]").unwrap_err().kind, Kind::Transaction);
    assert_eq!(source::fetch("http://192.0.2.1/", None).unwrap_err().kind, Kind::Transaction);
    assert_eq!(source::fetch("https://localhost/", Some(b"no PEM")).unwrap_err().kind, Kind::Argument);
}

#[test]
fn traces_are_shown_and_made_of_logs() {
    let log = b"# ATR: 3B85018073C001DB6D\n# PROTOCOL: T=1\n00EE0000\n6E00\n";
    let made = trace::import("apdu4j", log, "one card").unwrap();
    let shown = trace::show(&made).unwrap();
    assert!(shown.starts_with("one card\n") && shown.contains("6E00"), "{shown}");
    let error = trace::import("apdu4j", b"nothing\n", "one card").unwrap_err();
    assert_eq!(error.kind, Kind::Trace, "{error}");
    assert_eq!(trace::show("{}").unwrap_err().kind, Kind::Trace);
    assert_eq!(trace::import("word", b"", "a log").unwrap_err().kind, Kind::Argument);
}
