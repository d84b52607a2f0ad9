//! Traces recorded from a card in this process, played as a card, replayed as a host, and what is told about differences.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use onetap_apdu_spec::sw::StatusWord;
use onetap_pcsc_host::trace::{
    Divergence, Event, Header, HostError, Identity, Order, Recognised, Recorder, Trace, TraceCard,
    TraceReader, replay_in_reader,
};
use onetap_pcsc_host::{
    Atr, Deadline, Disposition, Fields, InProcessReader, Reader, ReaderError, Terminal, Transport,
};

const ATR: &[u8] = b"\x3B\x00";
const OK: &[u8] = b"\x90\x00";

/// Answers SELECT with a name, VERIFY, and GET CHALLENGE with a number that is another one each time. Its name is asked for
/// too when it is asked who it is.
fn card(name: &'static [u8]) -> InProcessReader<impl FnMut(&[u8]) -> Vec<u8> + Send> {
    let mut challenge = 0u8;
    InProcessReader::new("a reader", Atr::new(ATR), move |command: &[u8]| match command {
        [0, 0xA4, ..] => [name, OK].concat(),
        [0, 0x20, ..] => OK.to_vec(),
        [0, 0x84, _, _, length] => {
            challenge += 1;
            [&vec![challenge; usize::from(*length)][..], OK].concat()
        }
        [0x80, 0xCA, 0, 0x45, _] => [name, OK].concat(),
        _ => b"\x6A\x88".to_vec(),
    })
}

const SELECT: &[u8] = b"\x00\xA4\x04\x00\x00";
const VERIFY: &[u8] = b"\x00\x20\x00\x01\x041234";
const CHALLENGE: &[u8] = b"\x00\x84\x00\x00\x08";

/// SELECT, VERIFY and GET CHALLENGE, recorded.
fn recorded(header: &Header, keeping: bool) -> Trace {
    let mut reader = card(b"\x6F\x06\x84\x04CARD");
    let recorder = Recorder::new(Vec::new(), header);
    let recorder = if keeping { recorder.timed().keeping() } else { recorder };
    recorder.field_in(&Atr::new(ATR));
    {
        let mut over = recorder.over(&mut reader);
        let mut contact = over.connect(&soon()).unwrap();
        for command in [SELECT, VERIFY, CHALLENGE] {
            contact.transmit(command).unwrap();
        }
        contact.release(Disposition::Leave).unwrap();
    }
    recorder.field_out();
    Trace::parse(&String::from_utf8(recorder.finish().unwrap()).unwrap()).unwrap()
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(10))
}

/// A reader with the trace in it, and the differences.
fn played(trace: Trace, order: Order) -> (TraceReader, Arc<Mutex<Vec<Divergence>>>) {
    let differences = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&differences);
    let card = TraceCard::new(trace, order, move |difference| told.lock().unwrap().push(difference));
    (TraceReader::new("a trace", card), differences)
}

fn strict(trace: &Trace) -> (TraceReader, Arc<Mutex<Vec<Divergence>>>) {
    played(trace.clone(), Order::Strict)
}

#[test]
fn a_played_trace_answers_what_was_recorded() {
    let trace = recorded(&Header::new("three commands"), true);
    let (mut reader, differences) = strict(&trace);
    // After the end a contact begins anew.
    for _ in 0..3 {
        let mut contact = reader.connect(&soon()).unwrap();
        assert_eq!(contact.atr().bytes(), ATR);
        assert_eq!(contact.transmit(SELECT).unwrap(), [b"\x6F\x06\x84\x04CARD", OK].concat());
        // The PIN is not known to a trace.
        assert_eq!(contact.transmit(b"\x00\x20\x00\x01\x049999").unwrap(), OK);
        assert_eq!(contact.transmit(CHALLENGE).unwrap(), [&[1; 8], OK].concat(), "the one recorded");
        contact.release(Disposition::Unpower).unwrap();
    }
    assert_eq!(*differences.lock().unwrap(), []);
}

#[test]
fn what_was_not_kept_is_made_up_and_said_so() {
    let trace = recorded(&Header::new("three commands"), false);
    assert_eq!(trace.made_up(), [5, 8], "the PIN, the challenge");
    assert_eq!(recorded(&Header::new(""), true).made_up(), [5]);
    let (mut reader, _) = strict(&trace);
    let mut contact = reader.connect(&soon()).unwrap();
    contact.transmit(SELECT).unwrap();
    contact.transmit(VERIFY).unwrap();
    assert_eq!(contact.transmit(CHALLENGE).unwrap(), [&[0; 8], OK].concat());
}

#[test]
fn no_pin_and_no_time_but_microseconds_are_recorded() {
    let text = recorded(&Header::new("three commands"), true).to_text().unwrap();
    assert!(text.contains(r#"{"command":"0020000104????????","at-us":"#), "{text}");
    assert!(!text.contains("31323334"), "{text}");
    let recorded = r#""data":"????????????????","recorded":"0101010101010101"}"#;
    assert!(text.contains(recorded), "{text}");
    assert_eq!(text.matches("\"at-us\":").count(), 8, "{text}");
    let trace = Trace::parse(&text).unwrap();
    let times: Vec<_> = (0..8).map(|event| trace.time(event).unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
}

/// The status word that stands for what the trace does not have.
fn refused() -> Vec<u8> {
    StatusWord::INTERNAL.to_bytes().to_vec()
}

#[test]
fn in_strict_order_what_does_not_come_next_is_a_difference_and_waited_for() {
    let (mut reader, differences) = strict(&recorded(&Header::new(""), true));
    let mut contact = reader.connect(&soon()).unwrap();
    contact.transmit(SELECT).unwrap();
    assert_eq!(contact.transmit(CHALLENGE).unwrap(), refused());
    assert_eq!(contact.transmit(b"\x00\x20\x00\x02\x041234").unwrap(), refused());
    assert_eq!(contact.transmit(VERIFY).unwrap(), OK);
    contact.transmit(CHALLENGE).unwrap();
    assert_eq!(contact.transmit(CHALLENGE).unwrap(), refused());
    assert!(contact.transmit(SELECT).unwrap().ends_with(OK), "it begins anew");
    let told = differences.lock().unwrap().iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[0].contains("line 5") && told[0].contains("before    line 2"), "{}", told[0]);
    assert!(told[1].contains("at byte 3") && told[1].contains("00 20 00 [01] 04 ??"), "{}", told[1]);
    assert!(told[1].contains("got       00 20 00 [02] 04 ??"), "{}", told[1]);
    assert!(!told[1].contains("31"), "the PIN is told: {}", told[1]);
    assert!(told[2].contains("the trace is over"), "{}", told[2]);
}

#[test]
fn in_lenient_order_each_command_is_found_wherever_it_is() {
    let (mut reader, differences) = played(recorded(&Header::new(""), true), Order::Lenient);
    let mut contact = reader.connect(&soon()).unwrap();
    for command in [CHALLENGE, CHALLENGE, SELECT, VERIFY, SELECT] {
        assert!(contact.transmit(command).unwrap().ends_with(OK), "{command:02X?}");
    }
    assert_eq!(*differences.lock().unwrap(), []);
    assert_eq!(contact.transmit(b"\x00\xEE\x00\x00").unwrap(), refused());
    assert_eq!(differences.lock().unwrap().len(), 1);
}

#[test]
fn a_reset_that_the_trace_does_not_have_is_a_difference_and_begins_it_anew() {
    let (mut reader, differences) = strict(&recorded(&Header::new(""), true));
    let mut contact = reader.connect(&soon()).unwrap();
    contact.transmit(SELECT).unwrap();
    contact.release(Disposition::Unpower).unwrap();
    let mut contact = reader.connect(&soon()).unwrap();
    assert!(contact.transmit(SELECT).unwrap().ends_with(OK));
    let told = differences.lock().unwrap().iter().map(ToString::to_string).collect::<String>();
    assert!(told.contains("expected  no reset here"), "{told}");
    // A contact that leaves the card as it is, is none.
    contact.release(Disposition::Leave).unwrap();
    assert!(reader.connect(&soon()).unwrap().transmit(VERIFY).unwrap().ends_with(OK));
    assert_eq!(differences.lock().unwrap().len(), 1);
}

#[test]
fn a_card_that_left_in_the_middle_leaves_again() {
    let text = "{\"onetap-trace\":1,\"description\":\"\"}\n{\"field-in\":{}}\n{\"command\":\"00A4040000\"}\n\
        {\"no-response\":{}}\n{\"field-out\":{}}\n{\"field-in\":{\"atr\":\"3B00\"}}\n{\"command\":\"00A4040000\"}\n\
        {\"response\":{\"sw\":[\"61xx\",\"9000\"]}}\n";
    let (mut reader, differences) = strict(&Trace::parse(text).unwrap());
    let mut contact = reader.connect(&soon()).unwrap();
    assert_eq!(contact.transmit(SELECT), Err(ReaderError::CardRemoved));
    let mut contact = reader.connect(&soon()).unwrap();
    assert_eq!(contact.transmit(SELECT).unwrap(), b"\x61\x00");
    assert_eq!(*differences.lock().unwrap(), []);
}

/// A terminal of today taps a payment that was recorded long ago: with what the card answered, or with what has its form.
#[test]
fn a_terminal_taps_a_played_payment() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/traces");
    let mut payments = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if !path.file_name().unwrap().to_str().unwrap().starts_with("payment-") {
            continue;
        }
        let trace = Trace::parse(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let suite = trace.header.suite.unwrap();
        let put = trace.events.iter().find_map(|event| match event {
            Event::PutTxn(put) => Some(put.clone()),
            _ => None,
        });
        let draft = put.unwrap().fields.draft().unwrap();
        let (mut reader, differences) = played(trace, Order::Lenient);
        let mut terminal = Terminal::new("ANOTHER1".parse().unwrap());
        for _ in 0..2 {
            let tapped = terminal
                .tap(&mut reader, &draft, &soon())
                .unwrap_or_else(|why| panic!("{}: {why}", path.display()));
            assert_eq!(tapped.header().binding.suite, suite);
        }
        assert_eq!(*differences.lock().unwrap(), [], "{}", path.display());
        payments += 1;
    }
    assert!(payments > 20);
}

/// In strict order a terminal of today differs by what it makes anew, and is told by which fields.
#[test]
fn another_transaction_is_told_by_its_fields() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/traces/payment-danger-a1+pkcs1.jsonl");
    let text = std::fs::read_to_string(file).unwrap();
    let (mut reader, differences) = strict(&Trace::parse(&text).unwrap());
    let draft = Fields {
        kind: onetap_apdu_spec::txn::TransactionType::Payment,
        payee_account: "DE89370400440532013000".into(),
        payee_name: "Coffee Shop".into(),
        amount: "12.35".into(),
        currency: "EUR".into(),
        reference: "Order 17".into(),
        details: None,
    };
    let mut terminal = Terminal::new("TERM0001".parse().unwrap());
    assert!(terminal.tap(&mut reader, &draft.draft().unwrap(), &soon()).is_err());
    let told = differences.lock().unwrap()[0].clone();
    assert!(told.expected.starts_with("PUT TXN with amount \"12.34\", at \"2026"), "{told}");
    assert!(told.got.starts_with("PUT TXN with amount \"12.35\", at \""), "{told}");
    assert!(told.got.contains("unpredictable-number") && !told.got.contains("Coffee"), "{told}");
}

/// A header with what the card says of itself.
fn introduced() -> Header {
    let mut reader = card(b"\x6F\x06\x84\x04CARD");
    let mut contact = reader.connect(&soon()).unwrap();
    Header { card: Some(Identity::ask(&mut *contact).unwrap()), ..Header::new("introduced") }
}

fn without_pin(trace: &Trace) -> Trace {
    let text = trace.to_text().unwrap();
    let lines: Vec<_> = text.lines().collect();
    let verify = lines.iter().position(|line| line.contains("0020000104")).unwrap();
    let kept = lines.iter().enumerate().filter(|(n, _)| *n != verify && *n != verify + 1);
    Trace::parse(&kept.map(|(_, line)| format!("{line}\n")).collect::<String>()).unwrap()
}

#[test]
fn a_trace_is_replayed_against_its_own_card_and_no_other() {
    let trace = without_pin(&recorded(&introduced(), true));
    let mut differences = Vec::new();
    let mut replay = |trace: &Trace, name, whoever| {
        replay_in_reader(trace, Box::new(card(name)), whoever, &mut |difference| {
            differences.push(difference);
            ControlFlow::Continue(())
        })
    };
    let same = replay(&trace, b"\x6F\x06\x84\x04CARD", false).unwrap();
    assert_eq!(same.card, Recognised::Same);
    let other = replay(&trace, b"\x6F\x06\x84\x04KARD", false).unwrap_err();
    assert!(matches!(&other, HostError::OtherCard(why) if why.contains("00A4040000")), "{other}");
    let unchecked = replay(&trace, b"\x6F\x06\x84\x04KARD", true).unwrap();
    assert_eq!(unchecked.card, Recognised::Unchecked);
    // A trace of a log has an answer to reset at the most.
    let anonymous = without_pin(&recorded(&Header::new(""), true));
    assert_eq!(replay(&anonymous, b"\x6F\x06\x84\x04KARD", false).unwrap().card, Recognised::SameKind);
    let nameless = Trace::parse(&anonymous.to_text().unwrap().replace("3B00", "..")).unwrap();
    assert_eq!(replay(&nameless, b"\x6F\x06\x84\x04CARD", false), Err(HostError::UnknownCard));
    let elsewhere = Trace::parse(&anonymous.to_text().unwrap().replace("3B00", "3B01")).unwrap();
    assert!(matches!(replay(&elsewhere, b"\x6F\x06\x84\x04CARD", false), Err(HostError::OtherCard(_))));

    let told: Vec<_> = differences.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("at byte 4, in 6F/84: application identifier (AID)"), "{}", told[0]);
    assert!(told[0].contains("6F 06 84 04 [43] 41 52 44") && told[0].contains("[4B]"), "{}", told[0]);
}

#[test]
fn a_difference_is_json_for_programs() {
    let trace = without_pin(&recorded(&Header::new(""), true));
    let mut differences = Vec::new();
    replay_in_reader(&trace, Box::new(card(b"\x6F\x06\x84\x04KARD")), false, &mut |difference| {
        differences.push(difference);
        ControlFlow::Break(())
    })
    .unwrap();
    let value = serde_json::to_value(&differences[0]).unwrap();
    assert_eq!(value["line"], 4);
    assert_eq!(value["spot"]["offset"], 4);
    assert_eq!(value["spot"]["object"], "6F/84");
    assert_eq!(value["command"], "SELECT application ");
    assert_eq!(value["before"].as_array().unwrap().len(), 2);
}
