//! The whole payment as a machine: its steps, its ends, its journal.

use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use futures_core::Stream;
use onetap_apdu_spec::service::Answer;
use onetap_apdu_spec::suite::Suite;
use onetap_pcsc_host::journal::{Entry, FileJournal};
use onetap_pcsc_host::payment::{Happened, resolve};
use onetap_pcsc_host::{
    Atr, Cards, Control, Deadline, Error, Event, InProcessReader, Journal, KeyboardError, Limits,
    LineKeyboard, MemoryJournal, Payment, PaymentError, Reader, ReaderError, Step, Stopped, Terminal, Till,
    VerificationPassword,
};

use crate::fake::{Fake, json};
use crate::support::{fields, formal_card};
use crate::{LONG, LOOKS, executed, moment, service, soon};

/// A holder's hand, which may hesitate.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hand {
    Quick,
    NoCard,
    /// No reader is plugged in.
    NoReader,
    LeavesTheCard,
    TapsTwice,
}

struct Counter {
    hand: Hand,
    taps: usize,
}

impl Cards for Counter {
    fn wait(&mut self, deadline: &Deadline) -> Result<Box<dyn Reader>, ReaderError> {
        if self.hand == Hand::NoCard {
            deadline.sleep(LONG)?;
        }
        if self.hand == Hand::NoReader {
            let _ = deadline.sleep(LONG);
            return Err(ReaderError::NoReaders);
        }
        self.taps += 1;
        if self.hand == Hand::TapsTwice && self.taps == 1 {
            return Err(ReaderError::CardRemoved);
        }
        Ok(Box::new(InProcessReader::new("formal", Atr::default(), formal_card(Suite::default()))))
    }

    fn wait_for_removal(&mut self, deadline: &Deadline) -> Result<(), ReaderError> {
        if self.hand == Hand::LeavesTheCard {
            deadline.sleep(LONG)?;
        }
        Ok(())
    }
}

fn me() -> Vec<u8> {
    json(
        200,
        r#"{"client": "till-1", "role": "terminal", "terminal": "TERM0001", "server": "0101010101010101",
            "time": "2026-07-01T12:00:00Z", "max_age": 600, "max_ahead": 120}"#,
    )
}

/// A server that knows the terminal, and answers a request with `answer`; without one it hangs.
fn bank(knows: bool, answer: Option<Vec<u8>>) -> Fake {
    Fake::plain(move |peer| {
        while let Some(request) = peer.request() {
            match (&answer, request.starts_with("GET /v1/me ")) {
                (_, true) if knows => peer.send(&me()),
                (Some(answer), false) => peer.send(answer),
                _ => return peer.hang(),
            };
        }
    })
}

fn till(hand: Hand, bank: &Fake, journal: Arc<dyn Journal>) -> Till {
    let terminal = Terminal::with("TERM0001".parse().unwrap(), moment, onetap_apdu_spec::rng::OsRng);
    Till::new(terminal, Counter { hand, taps: 0 }, Arc::new(service(&bank.url())), journal)
}

fn memory() -> Arc<dyn Journal> {
    Arc::new(MemoryJournal::default())
}

fn typed() -> VerificationPassword {
    let typed: Result<_, KeyboardError> =
        VerificationPassword::type_in(&mut LineKeyboard(b"12345678\n".as_slice()));
    typed.unwrap()
}

/// Types as soon as the payment waits for it, from another thread, as a keypad does.
fn keypad(control: &Control, event: &Event) {
    if matches!(event, Event::Began { step: Step::Holder, .. }) {
        let control = control.clone();
        thread::spawn(move || {
            while !control.type_in(typed()) {
                thread::yield_now();
            }
        });
    }
}

fn name(event: &Event) -> String {
    match event {
        Event::Began { step, .. } => format!("{step:?}"),
        Event::CardFound { reader } => format!("found in {reader}"),
        Event::TapAgain { .. } => "tap again".to_owned(),
        Event::Signed { .. } => "signed".to_owned(),
        Event::Retrying(_) => "retrying".to_owned(),
    }
}

fn pay(till: &mut Till, control: &Control, names: &mut Vec<String>) -> Result<Answer, PaymentError> {
    till.pay(&fields().draft().unwrap(), None, control, &mut |event| {
        names.push(name(&event));
        keypad(control, &event);
    })
}

#[test]
fn a_payment_tells_each_step_in_order() {
    let bank = bank(true, Some(executed()));
    let (mut names, journal) = (Vec::new(), memory());
    let answer =
        pay(&mut till(Hand::Quick, &bank, Arc::clone(&journal)), &Control::new(), &mut names).unwrap();
    assert!(matches!(answer, Answer::Executed { .. }));
    assert_eq!(names, ["Check", "Tap", "found in formal", "signed", "Removal", "Holder", "Sending"]);
    assert!(journal.entries().unwrap().iter().all(|entry| !entry.is_unresolved()));

    let mut names = Vec::new();
    pay(&mut till(Hand::TapsTwice, &bank, memory()), &Control::new(), &mut names).unwrap();
    assert_eq!(names[1..4], ["Tap", "tap again", "found in formal"]);
}

/// Where a payment can be made to stand still.
fn stuck(step: Step) -> (Hand, Fake) {
    match step {
        Step::Check => (Hand::Quick, bank(false, None)),
        Step::Tap => (Hand::NoCard, bank(true, None)),
        Step::Removal => (Hand::LeavesTheCard, bank(true, None)),
        Step::Holder | Step::Sending => (Hand::Quick, bank(true, None)),
    }
}

const STEPS: [Step; 5] = [Step::Check, Step::Tap, Step::Removal, Step::Holder, Step::Sending];

/// Whether the payment ended at `step`, with nothing sent unless it was the last.
fn ended_at(step: Step, why: Stopped, ended: Result<Answer, PaymentError>, bank: &Fake) {
    let error = ended.unwrap_err();
    match (step, &error) {
        (Step::Sending, PaymentError::Unknown { .. }) => {}
        (_, PaymentError::Stopped { step: at, why: told }) => {
            assert_eq!((*at, *told), (step, why), "{error}");
        }
        _ => panic!("{step:?}: {error:?}"),
    }
    let sent = bank.seen().requests.iter().any(|request| request.starts_with("POST "));
    assert_eq!(sent, step == Step::Sending, "{step:?}");
}

#[test]
fn that_no_reader_came_is_told_rather_than_that_the_time_is_up() {
    let bank = bank(true, None);
    let limits = Limits { tap: Duration::from_millis(20), ..Limits::default() };
    let mut till = till(Hand::NoReader, &bank, memory()).with_limits(limits);
    let ended = till.pay(&fields().draft().unwrap(), None, &Control::new(), &mut |_| ());
    assert!(matches!(ended, Err(PaymentError::Tap(Error::Reader(ReaderError::NoReaders)))), "{ended:?}");
}

#[test]
fn a_payment_is_cancelled_at_any_step_from_another_thread_within_a_tenth_of_a_second() {
    for step in STEPS {
        let in_time = (0..LOOKS).any(|_| {
            let (hand, bank) = stuck(step);
            let control = Control::new();
            let (reached, was_reached) = mpsc::channel();
            let cancelled = thread::scope(|scope| {
                let steered = control.clone();
                let cancelling = scope.spawn(move || {
                    was_reached.recv().unwrap();
                    steered.cancel();
                    Instant::now()
                });
                let ended = till(hand, &bank, memory()).pay(&fields().draft().unwrap(), None, &control, &mut |event| {
                    if matches!(event, Event::Began { step: began, .. } if began == step && step != Step::Sending) {
                        let _ = reached.send(());
                    }
                    if step == Step::Sending {
                        keypad(&control, &event);
                        if matches!(event, Event::Began { step: Step::Sending, .. }) {
                            wait_until_asked(&bank, reached.clone());
                        }
                    }
                });
                let ended_after = Instant::now();
                let since = ended_after.saturating_duration_since(cancelling.join().unwrap());
                ended_at(step, Stopped::Cancelled, ended, &bank);
                since
            });
            cancelled <= Duration::from_millis(100)
        });
        assert!(in_time, "{step:?}");
    }
}

/// Tells `reached` once the request is at the server.
fn wait_until_asked(bank: &Fake, reached: mpsc::Sender<()>) {
    let seen = bank.watch();
    thread::spawn(move || {
        while !seen.lock().unwrap().requests.iter().any(|request| request.starts_with("POST ")) {
            thread::yield_now();
        }
        let _ = reached.send(());
    });
}

#[test]
fn each_step_ends_by_its_own_deadline() {
    let short = Duration::from_millis(150);
    for step in STEPS {
        let in_time = (0..LOOKS).any(|_| {
            let (hand, bank) = stuck(step);
            let limits = Limits { check: LONG, tap: LONG, removal: LONG, holder: LONG, sending: LONG };
            let limits = match step {
                Step::Check => Limits { check: short, ..limits },
                Step::Tap => Limits { tap: short, ..limits },
                Step::Removal => Limits { removal: short, ..limits },
                Step::Holder => Limits { holder: short, ..limits },
                Step::Sending => Limits { sending: short, ..limits },
            };
            let control = Control::new();
            let mut began = None;
            let mut till = till(hand, &bank, memory()).with_limits(limits);
            let ended = till.pay(&fields().draft().unwrap(), None, &control, &mut |event| {
                if matches!(event, Event::Began { step: now, .. } if now == step) {
                    began = Some(Instant::now());
                }
                if step == Step::Sending {
                    keypad(&control, &event);
                }
            });
            let took = began.unwrap().elapsed();
            // A server that did not get the whole request before the time was up is one more look.
            if step == Step::Sending
                && !bank.seen().requests.iter().any(|request| request.starts_with("POST "))
            {
                return false;
            }
            ended_at(step, Stopped::TimedOut, ended, &bank);
            took >= short && took <= short + Duration::from_millis(100)
        });
        assert!(in_time, "{step:?}");
    }
}

#[test]
fn an_attempt_is_in_the_journal_before_the_first_byte_leaves() {
    let folder = tempfile::tempdir().unwrap();
    let (path, found) = (folder.path().to_owned(), Arc::new(Mutex::new(None)));
    let noted = Arc::clone(&found);
    let bank = Fake::plain(move |peer| {
        while let Some(request) = peer.request() {
            if request.starts_with("POST ") {
                let entries = FileJournal::open(&path).unwrap().entries().unwrap();
                let text: String =
                    std::fs::read_dir(&path).unwrap().map(|file| text(&file.unwrap().path())).collect();
                *noted.lock().unwrap() = Some((entries, text));
                return;
            }
            peer.send(&me());
        }
    });
    let journal: Arc<dyn Journal> = Arc::new(FileJournal::open(folder.path()).unwrap());
    let control = Control::new();
    let mut till = till(Hand::Quick, &bank, Arc::clone(&journal));
    let mut signed = None;
    let ended = till.pay(&fields().draft().unwrap(), None, &control, &mut |event| {
        keypad(&control, &event);
        match event {
            Event::Signed { id, .. } => signed = Some(id),
            Event::Retrying(_) => control.cancel(),
            _ => {}
        }
    });
    let Err(PaymentError::Unknown { attempt, .. }) = ended else { panic!("{ended:?}") };
    let (entries, text) = found.lock().unwrap().take().unwrap();
    assert!(matches!(entries.as_slice(), [Entry::Kept { conclusion: None, .. }]));
    assert_eq!((Some(entries[0].id()), attempt.id()), (signed, entries[0].id()));
    assert!(!text.contains("12345678"), "what was typed is not kept");
    assert!(journal.entries().unwrap()[0].is_unresolved());
}

fn text(file: &std::path::Path) -> String {
    std::fs::read_to_string(file).unwrap()
}

#[test]
fn an_unknown_payment_is_resolved_from_the_journal_once_the_server_is_back() {
    let journal = MemoryJournal::default();
    let (attempt, _) = crate::payment(Suite::default());
    journal.begin(&attempt).unwrap();
    let back = bank(true, Some(json(200, r#"{"outcome": "cancelled"}"#)));
    let entry = journal.entries().unwrap().remove(0);
    let first = resolve(&service(&back.url()), &journal, &entry, &soon(), &mut |_| ()).unwrap();
    let entry = journal.entries().unwrap().remove(0);
    assert!(!entry.is_unresolved());
    // Without asking anybody: there is no server any more.
    let again = resolve(&service("http://127.0.0.1:1"), &journal, &entry, &soon(), &mut |_| ()).unwrap();
    assert_eq!(first, again);
}

#[test]
fn nothing_is_sent_that_the_journal_could_not_write() {
    let bank = bank(true, Some(executed()));
    let folder = tempfile::tempdir().unwrap();
    let journal = FileJournal::open(folder.path().join("journal")).unwrap();
    // As when a disk or a share is gone; a disk that is full is in tests/journal.rs.
    drop(folder);
    let ended = pay(&mut till(Hand::Quick, &bank, Arc::new(journal)), &Control::new(), &mut Vec::new());
    let error = ended.unwrap_err();
    assert!(
        matches!(error, PaymentError::Journal(_)) && error.to_string().contains("nothing was sent"),
        "{error}"
    );
    assert!(bank.seen().requests.iter().all(|request| !request.starts_with("POST ")));
}

#[test]
fn a_password_that_nobody_waits_for_is_not_taken() {
    let control = Control::new();
    assert!(!control.type_in(typed()));
}

/// An executor of one thread, made by hand.
struct Bell {
    rung: Mutex<bool>,
    changed: Condvar,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        *self.rung.lock().unwrap() = true;
        self.changed.notify_one();
    }
}

fn next(payment: &mut Payment) -> Option<Happened> {
    let bell = Arc::new(Bell { rung: Mutex::new(false), changed: Condvar::new() });
    let waker = Waker::from(Arc::clone(&bell));
    loop {
        match Pin::new(&mut *payment).poll_next(&mut Context::from_waker(&waker)) {
            Poll::Ready(happened) => return happened,
            Poll::Pending => {
                let rung = bell.rung.lock().unwrap();
                let (mut rung, timeout) = bell.changed.wait_timeout_while(rung, LONG, |rung| !*rung).unwrap();
                assert!(!timeout.timed_out(), "a payment that moves wakes who polls it");
                *rung = false;
            }
        }
    }
}

#[test]
fn any_runtime_follows_a_payment_as_a_stream() {
    let bank = bank(true, Some(executed()));
    let till = Arc::new(Mutex::new(till(Hand::Quick, &bank, memory())));
    let mut payment = Payment::start(till, fields().draft().unwrap(), None).unwrap();
    let (mut names, mut answer) = (Vec::new(), None);
    while let Some(happened) = next(&mut payment) {
        match happened {
            Happened::Event(event) => {
                keypad(payment.control(), &event);
                names.push(name(&event));
            }
            Happened::Ended(ended) => answer = Some(ended.unwrap()),
        }
    }
    assert_eq!(names, ["Check", "Tap", "found in formal", "signed", "Removal", "Holder", "Sending"]);
    assert!(matches!(answer, Some(Answer::Executed { .. })));
    assert!(next(&mut payment).is_none(), "nothing follows the end");
}

#[test]
fn dropping_a_payment_cancels_it_and_frees_the_till() {
    let bank = bank(true, Some(executed()));
    let till = Arc::new(Mutex::new(till(Hand::NoCard, &bank, memory())));
    let mut payment = Payment::start(Arc::clone(&till), fields().draft().unwrap(), None).unwrap();
    while !matches!(payment.next(), Some(Happened::Event(Event::Began { step: Step::Tap, .. }))) {}
    drop(payment);
    let mut second = Payment::start(till, fields().draft().unwrap(), None).unwrap();
    assert!(matches!(Iterator::next(&mut second), Some(Happened::Event(_))), "the till is free again");
}
