//! One tap from draft to request, and its trace, over a card in form.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail like tests")]

mod support;

use std::time::Duration;

use onetap_apdu_spec::command::fci;
use onetap_apdu_spec::header::ServerId;
use onetap_apdu_spec::money::{Amount, CurrencyCode};
use onetap_apdu_spec::rng::Rng;
use onetap_apdu_spec::suite::Suite;
use onetap_apdu_spec::txn::TransactionMessage;
use onetap_pcsc_host::source::Field;
use onetap_pcsc_host::trace::{
    Divergence, Evidence, Header, Key, Predicates, Recorder, Screen, Stage, StageError, Trace, replay,
};
use onetap_pcsc_host::{
    Atr, Deadline, Disposition, Draft, Error, Fields, InProcessReader, KeyboardError, LineKeyboard,
    ProtocolError, ReaderError, Tapped, Terminal, VerificationPassword,
};
use support::{
    ALIAS, Log, Scripted, ScriptedReader, Seen, fields, formal_card, ok, owed_object, signature_message,
};
use time::macros::datetime;

struct Fixed;

impl Rng for Fixed {
    fn fill(&mut self, out: &mut [u8]) {
        out.fill(6);
    }
}

fn terminal() -> Terminal {
    Terminal::with("TERM0001".parse().unwrap(), || datetime!(2026-07-01 12:00:00).into(), Fixed)
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(10))
}

fn formal_reader(suite: Suite) -> InProcessReader<impl FnMut(&[u8]) -> Vec<u8>> {
    InProcessReader::new("formal", Atr::new(hex::decode("3b05807300004000").unwrap()), formal_card(suite))
}

fn tap(suite: Suite) -> Result<Tapped, Error> {
    terminal().tap(&mut formal_reader(suite), &fields().draft().unwrap(), &soon())
}

fn type_in(line: &str) -> Result<VerificationPassword, KeyboardError> {
    VerificationPassword::type_in(&mut LineKeyboard(line.as_bytes()))
}

#[test]
fn p_17_the_request_holds_exactly_what_the_profile_owes() {
    for suite in Suite::all() {
        let request = tap(suite).unwrap().authorise(type_in("12345678\r\n").unwrap());
        let message = TransactionMessage::parse(&request.transaction).unwrap();
        assert_eq!(message.transaction().payer.as_str(), ALIAS);
        assert_eq!(message.transaction().unpredictable_number, [6; 4]);
        assert_eq!(request.signature_message, signature_message(suite, 1));
        assert_eq!(request.verification_password.expose(), "12345678");
        assert_eq!(request.password_object.map(|object| object.kind), suite.owed(), "{suite}");
    }
}

/// T has two digits of the year: a clock without a battery, in 1970, would write 2070.
#[test]
fn a_clock_whose_year_no_transaction_can_have_is_told_before_the_tap() {
    for at in [datetime!(1970-01-01 0:10), datetime!(1999-12-31 23:59:59), datetime!(2100-01-01 0:00)] {
        let mut terminal = Terminal::with("TERM0001".parse().unwrap(), move || at.into(), Fixed);
        let mut nobody = InProcessReader::new("nobody", Atr::new(Vec::new()), |_: &[u8]| -> Vec<u8> {
            unreachable!("a tap")
        });
        let error = terminal.tap(&mut nobody, &fields().draft().unwrap(), &soon()).err().unwrap();
        assert!(error.to_string().contains("2000 to 2099"), "{error}");
    }
    for at in [datetime!(2000-01-01 0:00), datetime!(2099-12-31 23:59:59)] {
        let mut terminal = Terminal::with("TERM0001".parse().unwrap(), move || at.into(), Fixed);
        let suite = Suite::default();
        let tapped = terminal.tap(&mut formal_reader(suite), &fields().draft().unwrap(), &soon()).unwrap();
        let request = tapped.authorise(type_in("12345678\n").unwrap());
        let written = TransactionMessage::parse(&request.transaction).unwrap();
        assert_eq!(written.transaction().at, at);
    }
}

/// REQ-E-1: a card would take both.
#[test]
fn an_account_or_currency_that_is_not_of_the_editions_is_refused_before_the_tap() {
    let draft = fields().draft().unwrap();
    let nowhere = Draft { payee_account: "QQ33370400440532013000".parse().unwrap(), ..draft.clone() };
    let withdrawn = CurrencyCode::new(975).unwrap();
    let withdrawn = Draft { amount: Amount::new(100, withdrawn).unwrap(), ..draft };
    for draft in [nowhere, withdrawn] {
        let card = Scripted::new(&[]);
        let log = card.log.clone();
        let error = terminal().tap(&mut ScriptedReader(Some(card)), &draft, &soon()).unwrap_err();
        assert!(matches!(error, Error::Edition(_)), "{error}");
        assert!(log.lock().unwrap().is_empty(), "the card is not touched");
    }
}

#[test]
fn p_02_payees_are_taken_as_they_are_called_and_a_form_marks_what_is_not_of_the_editions() {
    for name in [
        "Băcănia Ștefan",
        "L’Atelier – Dupont",
        "Gemeinschaftspraxis Dr. Muster und Dr. Beispiel Musterstadt",
        "Ταβέρνα Ο Γιώργος",
        "Ресторант „Чайка“",
    ] {
        let draft = Fields { payee_name: name.into(), ..fields() }.draft().unwrap();
        assert_eq!(draft.payee_name.as_str(), name);
    }
    let wrong = Fields {
        payee_name: "C\u{43E}ffee Shop".into(),
        payee_account: "QQ33 3704 0044 0532 0130 00".into(),
        currency: "BGN".into(),
        ..fields()
    };
    let named: Vec<_> = wrong.draft().unwrap_err().0.iter().map(|(field, _)| *field).collect();
    assert_eq!(named, [Field::PayeeAccount, Field::PayeeName, Field::Currency]);
}

fn scripted_tap(answers: &[Vec<u8>]) -> (Result<Tapped, Error>, Log) {
    let answers: Vec<_> = answers.iter().map(hex::encode).collect();
    let answers: Vec<_> = answers.iter().map(String::as_str).collect();
    let card = Scripted::new(&answers).extended();
    let log = card.log.clone();
    let result = terminal().tap(&mut ScriptedReader(Some(card)), &fields().draft().unwrap(), &soon());
    (result, log)
}

fn answers(suite: Suite, counter: u32) -> Vec<Vec<u8>> {
    let alias = onetap_apdu_spec::tlv::object(onetap_apdu_spec::objects::PAYER_ALIAS, ALIAS.as_bytes());
    let owed = owed_object(suite.owed().unwrap());
    vec![ok(fci()), ok(alias), ok(vec![]), ok(signature_message(suite, counter)), ok(owed)]
}

#[test]
fn p_04_one_contact_and_the_card_may_go() {
    let (result, log) = scripted_tap(&answers(Suite::default(), 1));
    result.unwrap();
    let log = log.lock().unwrap();
    assert_eq!(log.len(), 7, "connect, five commands, release");
    assert_eq!(log[0], Seen::Connect);
    assert_eq!(log[6], Seen::Release(Disposition::Leave));
}

#[test]
fn whatever_fails_the_card_is_released_without_power_and_nothing_more_is_sent() {
    for broken in 0..5 {
        for answer in [vec![0x6F, 0x00], vec![0x90], vec![], ok(vec![1, 2, 3])] {
            let mut answers = answers(Suite::default(), 1);
            if broken == 2 && answer.len() > 2 {
                // PUT TXN has no response data that could be wrong.
                continue;
            }
            answers[broken] = answer;
            let (result, log) = scripted_tap(&answers);
            let log = log.lock().unwrap();
            assert!(result.is_err(), "answer {broken}");
            assert_eq!(log.len(), broken + 3, "connect, the commands so far, release");
            assert_eq!(log.last(), Some(&Seen::Release(Disposition::Unpower)));
        }
    }
}

#[test]
fn errors_say_where_and_what_to_do() {
    let mut refused = answers(Suite::default(), 1);
    refused[2] = vec![0x69, 0x85];
    let (result, _) = scripted_tap(&refused);
    let error = result.unwrap_err();
    assert!(matches!(error, Error::Card(_)));
    assert!(
        error.to_string().starts_with("the card answered PUT TXN with 6985: not in this state"),
        "{error}"
    );
    assert!(error.advice().contains("confirm or cancel on the card"), "{}", error.advice());
    let nothing = terminal().tap(&mut ScriptedReader(None), &fields().draft().unwrap(), &soon()).unwrap_err();
    assert!(matches!(nothing, Error::Reader(ReaderError::NoCard)));
    assert!(nothing.advice().contains("put the card on the reader"));
}

/// The bytes are those of docs/spec/commands.md, REQ-C-3.
#[test]
fn req_h_12_what_select_answers_is_checked_before_anything_else_is_sent() {
    let answered = |fci: &str| {
        let mut answers = answers(Suite::default(), 1);
        answers[0] = ok(hex::decode(fci).unwrap());
        let (result, log) = scripted_tap(&answers);
        (result.err(), log.lock().unwrap().len())
    };
    let right = "6f118408f04f4e4554415001a5059f08020001";
    assert!(answered(right).0.is_none());
    let (error, seen) = answered(&right.replace("0001", "0002"));
    let error = error.unwrap();
    assert!(matches!(error, Error::Protocol(ProtocolError::OtherVersion([0, 2]))), "{error}");
    assert_eq!(error.to_string(), "the card has version 2 of the application; this terminal knows version 1");
    assert_eq!(seen, 3, "connect, SELECT, release");
    for other in ["", "0001", &right[..36], &right.replace("4554", "4555"), &format!("{right}9000")] {
        let error = answered(other).0.unwrap();
        assert!(matches!(error, Error::Protocol(ProtocolError::NotTheApplication)), "{other}: {error}");
    }
}

#[test]
fn an_implausible_signature_is_refused_at_once() {
    let (result, _) = scripted_tap(&answers(Suite::default(), 0));
    assert!(matches!(result.unwrap_err(), Error::Protocol(ProtocolError::CounterZero)));
    let mut other = answers(Suite::default(), 1);
    other[4] = ok(owed_object(onetap_apdu_spec::suite::Owed::PasswordDigest));
    let (result, _) = scripted_tap(&other);
    let error = result.unwrap_err();
    assert!(matches!(error, Error::Protocol(ProtocolError::NotTheObject { .. })), "{error}");
}

#[test]
fn p_26_a_card_of_another_operator_is_refused() {
    let draft = fields().draft().unwrap();
    let mut reader = formal_reader(Suite::default());
    let mut ours = terminal().for_operator(ServerId([1; 8]));
    assert!(ours.tap(&mut reader, &draft, &soon()).is_ok());
    let mut other = terminal().for_operator(ServerId([9; 8]));
    let error = other.tap(&mut reader, &draft, &soon()).unwrap_err();
    assert!(matches!(error, Error::Protocol(ProtocolError::WrongOperator)));
}

/// What is over the longest line must not be read as a line of its own, and sent.
#[test]
fn p_16_the_end_of_an_overlong_line_is_no_password() {
    let typed = format!("{}12345678\n87654321\n", "x".repeat(128));
    let mut keyboard = LineKeyboard(typed.as_bytes());
    let first = VerificationPassword::type_in(&mut keyboard);
    assert!(matches!(first.unwrap_err(), KeyboardError::NotAPassword(_)));
    assert_eq!(keyboard.0, b"87654321\n");
    VerificationPassword::type_in(&mut keyboard).unwrap();
}

#[test]
fn p_16_only_what_can_be_a_password_comes_from_the_keyboard() {
    assert!(matches!(type_in("").unwrap_err(), KeyboardError::Io(_)));
    for typed in ["\n", "123\n", "1234 ü678\n", &"1".repeat(5_000)] {
        let error = type_in(typed).unwrap_err();
        assert!(matches!(error, KeyboardError::NotAPassword(_)), "{typed}");
        assert!(error.advice().contains("nothing was sent"));
    }
    // The display shows groups; who types the gap means no other password.
    for typed in ["12345678\n", " 1234 5678 \r\n"] {
        assert!(!format!("{:?}", type_in(typed).unwrap()).contains("1234"));
    }
}

type Card = Box<dyn FnMut(&[u8]) -> Vec<u8>>;

/// A stage around the card in form; shows one screen after the contact.
struct FormalStage {
    card: Card,
    keys: Vec<Key>,
}

const ATR: &str = "3b05807300004000";

impl FormalStage {
    fn new(suite: Suite) -> Self {
        Self { card: Box::new(formal_card(suite)), keys: Vec::new() }
    }

    fn secret_screen() -> Screen {
        Screen::new(&["Password", "87654321"], Some("87654321".parse().unwrap()))
    }
}

impl Stage for FormalStage {
    fn field_in(&mut self) -> Result<Vec<u8>, StageError> {
        Ok(hex::decode(ATR).unwrap())
    }
    fn field_out(&mut self) -> Result<(), StageError> {
        Ok(())
    }
    fn reset(&mut self) -> Result<Vec<u8>, StageError> {
        self.field_in()
    }
    fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, ReaderError> {
        Ok((self.card)(command))
    }
    fn key(&mut self, key: Key) -> Result<(), StageError> {
        self.keys.push(key);
        Ok(())
    }
    fn tick(&mut self, time: Duration) -> Result<(), StageError> {
        if time.is_zero() { Err(StageError::Unsupported("let time pass")) } else { Ok(()) }
    }
    fn screen(&mut self) -> Result<Screen, StageError> {
        Ok(Self::secret_screen())
    }
}

#[derive(Default)]
struct Judge {
    asked: Vec<String>,
}

impl Predicates for Judge {
    fn check(&mut self, name: &str, evidence: &Evidence) -> Result<(), String> {
        self.asked.push(name.to_owned());
        let holds = match name {
            "alias" => evidence.alias.is_some(),
            "signature-valid" => evidence.transaction.is_some() && evidence.signature_message.is_some(),
            "password-object-valid" => evidence.password_object.is_some(),
            "joint-password-valid" => evidence.joint_password.is_some(),
            _ => return Err("no such predicate".into()),
        };
        if holds { Ok(()) } else { Err("nothing was seen".into()) }
    }
}

fn recorded(suite: Suite, extended: bool) -> String {
    let atr = Atr::new(hex::decode(if extended { ATR } else { "3b00" }).unwrap());
    let mut reader = InProcessReader::new("formal", atr.clone(), formal_card(suite));
    let recorder = Recorder::new(Vec::new(), &Header { suite: Some(suite), ..Header::new("one tap") });
    recorder.field_in(&Atr::new(hex::decode(ATR).unwrap()));
    terminal().tap(&mut recorder.over(&mut reader), &fields().draft().unwrap(), &soon()).unwrap();
    recorder.field_out();
    recorder.tick(Duration::from_millis(500));
    recorder.key(Key::Digit);
    recorder.key(Key::Confirm);
    recorder.screen(&FormalStage::secret_screen());
    recorder.check(&["joint-password-valid"]);
    String::from_utf8(recorder.finish().unwrap()).unwrap()
}

#[test]
fn what_was_recorded_replays_on_every_suite() {
    for suite in Suite::all() {
        for extended in [true, false] {
            let text = recorded(suite, extended);
            let trace = Trace::parse(&text).unwrap();
            assert_eq!(trace.to_text().unwrap(), text);
            let (mut stage, mut judge) = (FormalStage::new(suite), Judge::default());
            let evidence = replay(&trace, &mut stage, &mut judge).unwrap();
            assert_eq!(stage.keys, [Key::Digit, Key::Confirm]);
            assert_eq!(evidence.joint_password.unwrap().expose(), "87654321");
            assert_eq!(judge.asked.contains(&"password-object-valid".into()), suite.owed().is_some());
        }
    }
}

#[test]
fn a_trace_replays_on_another_card_with_another_counter() {
    let trace = Trace::parse(&recorded(Suite::default(), true)).unwrap();
    let mut stage = FormalStage::new(Suite::default());
    for _ in 0..3 {
        replay(&trace, &mut stage, &mut Judge::default()).unwrap();
    }
}

#[test]
fn secrets_are_left_out_of_the_recording() {
    let text = recorded(Suite::default(), true);
    assert!(!text.contains("87654321") && text.contains("${joint-password}"));
    assert!(!text.contains(&hex::encode_upper(ALIAS)), "the alias belongs to one card");
}

fn diverge(text: &str) -> Box<Divergence> {
    let trace = Trace::parse(text).unwrap();
    replay(&trace, &mut FormalStage::new(Suite::default()), &mut Judge::default()).unwrap_err()
}

#[test]
fn the_first_difference_is_told_with_its_line() {
    let text = recorded(Suite::default(), true);
    let line_of = |text: &str, what: &str| text.lines().position(|line| line.contains(what)).unwrap() + 1;
    for (from, to, expected) in [
        ("\"sw\":\"9000\"", "\"sw\":[\"6985\",\"6A80\"]", "status word 6985 or 6A80"),
        ("6F11", "6F12", "data 6F12"),
        ("E2/DF22\":\"4F6E", "E2/DF22\":\"4E6E", "E2/DF22 = 4E6E"),
        ("signature-valid", "never-valid", "never-valid holds"),
        ("{\"field-in\":{\"atr\":\"3B", "{\"field-in\":{\"atr\":\"3F", "answer to reset 3F"),
        ("\"Password\"", "\"Passwort\"", "\"Passwort\" in line 1 of the display"),
        ("{\"tick-ms\":500}", "{\"tick-ms\":0}", "that it can be done"),
        ("\"length\":35", "\"length\":36", "36 bytes of data"),
    ] {
        assert!(text.contains(from), "{from} in\n{text}");
        let changed = text.replacen(from, to, 1);
        let divergence = diverge(&changed);
        assert_eq!(divergence.line, line_of(&changed, to), "{divergence}");
        assert!(divergence.expected.starts_with(expected), "{divergence}");
        assert!(!divergence.to_string().contains("87654321"), "{divergence}");
    }
    let shown = diverge(&text.replacen("\"sw\":\"9000\"", "\"sw\":\"6985\"", 1)).to_string();
    let lines: Vec<_> = shown.lines().skip(1).collect();
    let [before, select, command, expected, got] = lines[..] else { panic!("{shown}") };
    assert!(before.starts_with("  before    line 2: field the card comes"), "{shown}");
    assert_eq!(select.trim(), "line 3: → SELECT application F04F4E4554415001");
    assert_eq!(command, "  command   SELECT application F04F4E4554415001");
    assert!(expected.starts_with("  expected  status word 6985"), "{shown}");
    assert!(got.starts_with("  got       status word 9000"), "{shown}");
}

#[test]
fn a_response_where_none_was_expected_differs() {
    let text =
        "{\"onetap-trace\":1,\"description\":\"x\"}\n{\"command\":\"00A40400\"}\n{\"no-response\":{}}\n";
    assert_eq!(diverge(text).expected, "no response");
}

#[test]
fn a_message_needs_an_alias_from_the_card() {
    let text = recorded(Suite::default(), true);
    let lines: Vec<_> = text.lines().collect();
    let put = lines.iter().position(|line| line.starts_with("{\"put-txn\"")).unwrap();
    let divergence = diverge(&[lines[0], lines[put], lines[put + 1], ""].join("\n"));
    assert_eq!((divergence.line, divergence.expected.as_str()), (2, "a payer alias, fetched before"));
}

#[test]
fn what_is_no_trace_is_refused_with_its_line() {
    let header = "{\"onetap-trace\":1,\"description\":\"x\"}";
    for (text, told) in [
        (String::new(), "the trace is empty"),
        ("{}".into(), "line 1: missing field"),
        ("{\"onetap-trace\":2,\"description\":\"x\"}".into(), "this is version 2"),
        (format!("{header}\n{{\"unknown\":1}}"), "line 2: unknown variant"),
        (format!("{header}\n{{\"field-out\":{{\"x\":1}}}}"), "line 2: unknown field"),
        (format!("{header}\n\n{{\"field-out\":"), "line 3: EOF"),
        (format!("{header}\n{{\"command\":\"0\"}}"), "line 2: not hex"),
        (format!("{header}\n{{\"command\":\"00\"}}"), "line 3: a response was expected"),
        (format!("{header}\n{{\"command\":\"00\"}}\n{{\"tick-ms\":1}}"), "line 3: the response"),
        (format!("{header}\n{{\"response\":{{\"sw\":\"9000\"}}}}"), "line 2: a command was expected"),
        (format!("{header}\n{{\"key\":\"7\"}}"), "line 2: unknown variant"),
    ] {
        let error = Trace::parse(&text).unwrap_err().to_string();
        // Where in the line it is stands in between.
        let (line, why) = told.split_once(": ").unwrap_or(("", told));
        assert!(error.starts_with(line) && error.contains(why), "{text}: {error}");
    }
}

#[test]
fn a_trace_can_be_read_by_people() {
    let shown = Trace::parse(&recorded(Suite::default(), true)).unwrap().show();
    for part in [
        "one tap\n",
        "   2  field   the card comes",
        "→    SELECT application F04F4E4554415001",
        "→    GET DATA payer alias",
        "→    PUT TXN 12.34 EUR to \"Coffee Shop\"",
        "→    GET SIGNATURE",
        "←    9000",
        "signature-valid",
        "screen  Password | ${joint-password}",
        "key     a digit of the PIN",
        "clock   500 ms pass",
    ] {
        assert!(shown.contains(part), "{part} in\n{shown}");
    }
}
