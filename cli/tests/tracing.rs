//! Traces of cards in readers: recorded for real programs, replayed against the card, played in its place.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests")]

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use onetap_pcsc_host::Deadline;
use onetap_pcsc_host::pcsc::{Wanted, wait_for_card, wait_for_removal};
use serde_json::Value;
use support::*;

/// Where the card is, with another card beside it, and where programs use what stands for it: two readers of each of two drivers.
const CARD: &str = "Virtual PCD 00 00";
const OTHER: &str = "Virtual PCD 00 01";
const STANDIN: &str = "Virtual PCD 02 00 00";
const STANDIN_AT: &str = "127.0.0.1:35965";
/// Sends what it is given and prints what comes.
const PYSCARD: &str = r#"
import sys
from smartcard.System import readers
connection = [r for r in readers() if str(r) == sys.argv[1]][0].createConnection()
connection.connect()
for apdu in ("00A4040000", "80CA006600", "0020000104 31323334", "8050000008 0102030405060708 00", "00EE0000"):
    data, sw1, sw2 = connection.transmit(list(bytes.fromhex(apdu)))
    print(bytes(data).hex(), "%02x%02x" % (sw1, sw2))
connection.disconnect()
"#;

/// In a daemon's world of its own, with readers of two drivers: one driver does one thing at a time.
#[test]
fn cards_in_readers_are_recorded_replayed_and_played() {
    if !pcscd() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let said = inside_a_world(&[("ONETAP_READERS", Path::new("4")), ("ONETAP_TRACING", folder.path())]);
    assert!(said.contains("tracing: recorded, replayed, played"), "{said}");
}

#[test]
fn inside() {
    let Some(folder) = std::env::var_os("ONETAP_TRACING").map(PathBuf::from) else { return };
    std::fs::write(folder.join("send.py"), PYSCARD).unwrap();
    let mut card = card(&folder, &[], "card.img", "127.0.0.1:35963", CARD);
    let real = recorded(&folder);
    replayed(&folder);
    let _card = taken_out_and_put_back(&folder, &mut card);
    played(&folder, &real);
    println!("tracing: recorded, replayed, played");
}

/// The same without any daemon: vpcd's side is played by the test, the card comes to the recorder as it would to vpcd.
#[test]
fn a_virtual_card_that_comes_to_the_recorder_is_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    ok(folder, &["card", "blank", "--image", "card.img"]);
    let ports = [free_port(), free_port()];
    let [card_at, listen] = ports.map(|port| format!("127.0.0.1:{port}"));
    let record =
        ["--json", "trace", "record", "--card-at", &card_at, "--listen", &listen, "--out", "t.jsonl"];
    let mut record = Running::start(folder, &record);
    let mut card =
        Running::start(folder, &["--json", "card", "run", "--image", "card.img", "--vpcd", &card_at]);
    assert_eq!(record.json()["listen"], listen.as_str());
    let mut reader = Vpcd::come(&listen);
    assert_eq!(reader.atr(), onetap_apdu_spec::atr::ATR);
    let selected = reader.exchange(b"\x00\xA4\x04\x00\x00").unwrap();
    assert!(selected.ends_with(b"\x90\x00"), "{selected:02X?}");
    assert!(reader.exchange(b"\x00\x20\x00\x01\x041234").unwrap().len() == 2);
    // The card goes: what stands for it leaves, too.
    card.signal("INT");
    assert!(card.end().success());
    assert!(reader.exchange(b"\x00\xA4\x04\x00\x00").is_err());
    record.signal("INT");
    assert!(record.end().success());
    let text = std::fs::read_to_string(folder.join("t.jsonl")).unwrap();
    let events: Vec<_> = text.lines().skip(1).map(|line| line.split(",\"at-us\"").next().unwrap()).collect();
    let atr = hex::encode_upper(onetap_apdu_spec::atr::ATR);
    let wanted = [
        format!("{{\"field-in\":{{\"atr\":\"{atr}\"}}"),
        "{\"command\":\"00A4040000\"".to_owned(),
        format!(
            "{{\"response\":{{\"sw\":\"9000\",\"data\":\"{}\"}}",
            hex::encode_upper(&selected[..selected.len() - 2])
        ),
        "{\"command\":\"0020000104????????\"".to_owned(),
        "{\"response\":{\"sw\":\"6E00\"}".to_owned(),
        "{\"command\":\"00A4040000\"".to_owned(),
        "{\"no-response\":{}".to_owned(),
        "{\"field-out\":{}".to_owned(),
    ];
    assert_eq!(events, wanted);
    // It was asked who it is before anybody used it.
    assert!(text.lines().next().unwrap().contains("\"command\":\"80CA9F7F00\""));
}

#[test]
fn a_replay_tells_the_first_difference_or_all_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    ok(folder, &["trace", "record", "--out", "t.jsonl"]);
    let text = std::fs::read_to_string(folder.join("t.jsonl")).unwrap();
    // An editor was at it: a mark, comments, blank lines, the line ends of Windows.
    let commented =
        format!("\u{FEFF}# mine\n\n{}\n\n# the end\n\n", text.replace("\n{\"key\"", "\n# a key\n\n{\"key\""));
    std::fs::write(folder.join("commented.jsonl"), commented.replace('\n', "\r\n")).unwrap();
    assert_eq!(ok_json(folder, &["trace", "replay", "commented.jsonl"])["result"], "same");

    let other = commented.replace("DF22\":\"4F6E65", "DF22\":\"4F6E66").replacen("12.34 EUR", "12.35 EUR", 1);
    std::fs::write(folder.join("other.jsonl"), other).unwrap();
    let (code, message) = fails(folder, &["trace", "replay", "other.jsonl"]);
    assert_eq!(code, 1);
    assert!(message.contains("other.jsonl: line 12: ←"), "{message}");
    assert!(
        message.contains("at byte 2, in E2/DF22: header H, domain tag\n    expected  4F 6E [66] 54"),
        "{message}"
    );
    assert!(
        message.contains("line 9: → PUT TXN") && message.contains("command   GET SIGNATURE"),
        "{message}"
    );
    let (_, message) = fails(folder, &["trace", "replay", "--keep-going", "other.jsonl"]);
    assert!(
        message.contains("2 differences\nline 12: ") && message.contains("in line 2 of the display"),
        "{message}"
    );

    let output =
        onetap(folder, &["--json", "trace", "replay", "--keep-going", "other.jsonl"]).output().unwrap();
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&result["result"], output.status.code()), (&"different".into(), Some(1)), "{result}");
    let differences = result["differences"].as_array().unwrap();
    assert_eq!(differences.len(), 2, "{result}");
    assert_eq!(
        (&differences[0]["line"], &differences[0]["spot"]["object"]),
        (&12.into(), &"E2/DF22".into()),
        "{result}"
    );
}

/// A port that nobody listens at now.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// What is recorded is in the file at once, so that a recorder that is killed leaves a trace.
#[test]
fn a_recorder_that_is_killed_leaves_what_it_has_seen() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    ok(folder, &["card", "blank", "--image", "card.img"]);
    let [card_at, listen] = [free_port(), free_port()].map(|port| format!("127.0.0.1:{port}"));
    let record =
        ["--json", "trace", "record", "--card-at", &card_at, "--listen", &listen, "--out", "t.jsonl"];
    let mut record = Running::start(folder, &record);
    let _card = Running::start(folder, &["--json", "card", "run", "--image", "card.img", "--vpcd", &card_at]);
    record.json();
    let mut reader = Vpcd::come(&listen);
    for _ in 0..3 {
        reader.exchange(b"\x00\xA4\x04\x00\x00").unwrap();
    }
    record.child.kill().unwrap();
    record.child.wait().unwrap();
    let shown = ok(folder, &["trace", "show", "t.jsonl"]);
    assert_eq!(shown.matches("SELECT").count(), 3, "{shown}");
}

/// A blank card in that reader.
fn card(folder: &Path, kind: &[&str], image: &str, addr: &str, reader: &str) -> Running {
    ok(folder, &[&["card", "blank", "--image", image], kind].concat());
    let run = Running::start(folder, &["--json", "card", "run", "--image", image, "--vpcd", addr]);
    is_there(reader);
    run
}

fn is_there(reader: &str) {
    drop(wait_for_card(&Wanted::in_reader(reader), &Deadline::after(LONG)).unwrap());
}

fn python() -> String {
    std::env::var("PYTHON").unwrap_or_else(|_| "/usr/bin/python3".to_owned())
}

/// What pyscard and opensc-tool see of the stand-in.
fn programs(folder: &Path) -> [String; 2] {
    let pyscard = said(folder, Command::new(python()).args(["send.py", STANDIN]));
    let opensc = said(folder, Command::new("opensc-tool").args(["-r", STANDIN, "-s", "00:A4:04:00:00"]));
    [pyscard, opensc]
}

fn said(folder: &Path, command: &mut Command) -> String {
    let output = command.current_dir(folder).stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// Records two programs; what they saw.
fn recorded(folder: &Path) -> [String; 2] {
    let record = ["--json", "trace", "record", "--reader", CARD, "--vpcd", STANDIN_AT, "--out", "t.jsonl"];
    let mut record = Running::start(folder, &record);
    assert_eq!(record.json()["vpcd"], STANDIN_AT);
    is_there(STANDIN);
    let seen = programs(folder);
    record.signal("INT");
    let result = record.json();
    assert!(record.end().success());
    wait_for_removal(STANDIN, &Deadline::after(LONG)).unwrap();
    let text = std::fs::read_to_string(folder.join("t.jsonl")).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let commands: Vec<_> = lines.iter().filter_map(|line| line["command"].as_str()).collect();
    assert_eq!(result["exchanges"], commands.len());
    assert_eq!(
        commands[..5],
        ["00A4040000", "80CA006600", "0020000104????????", "8050000008010203040506070800", "00EE0000"]
    );
    assert!(commands.len() > 20, "opensc-tool asks more: {commands:?}");
    assert!(!text.contains("31323334"), "no PIN");
    let answers = lines[0]["card"]["answers"].as_array().unwrap();
    assert_eq!(answers[0]["command"], "00A4040000");
    assert!(answers[3]["response"].as_str().unwrap().ends_with("9000"), "its keys: {answers:?}");
    // INITIALIZE UPDATE has a challenge of the card and a cryptogram: they are another time others.
    let update = lines.iter().position(|line| line["command"] == "8050000008010203040506070800").unwrap();
    let response = &lines[update + 1]["response"];
    assert!(response["data"].as_str().unwrap().ends_with("????????????????"), "{response}");
    assert_eq!(response["data"].as_str().unwrap().len(), response["recorded"].as_str().unwrap().len());
    let times: Vec<_> = lines[1..].iter().map(|line| line["at-us"].as_u64().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
    seen
}

/// Against the card that it was recorded with, without the PIN that no trace has; and against another one.
fn replayed(folder: &Path) {
    let text = std::fs::read_to_string(folder.join("t.jsonl")).unwrap();
    let mut lines: Vec<_> = text.lines().collect();
    let verify = lines.iter().position(|line| line.contains("0020000104")).unwrap();
    lines.drain(verify..verify + 2);
    std::fs::write(folder.join("without.jsonl"), lines.join("\n")).unwrap();
    let result = ok_json(folder, &["trace", "replay", "without.jsonl", "--reader", CARD]);
    assert_eq!(result["result"], "same", "{result}");
    // It tells nothing that is its own: a holder is not to be followed.
    assert_eq!(result["card"], "same-kind", "{result}");

    // As a script it is the same commands, run by a program of others.
    ok(folder, &["trace", "export", "--to", "scriptor", "without.jsonl", "--out", "script.txt"]);
    let log = said(folder, Command::new("scriptor").args(["-r", CARD, "script.txt"]));
    std::fs::write(folder.join("scriptor.log"), log).unwrap();
    ok(folder, &["trace", "import", "--from", "scriptor", "scriptor.log", "--out", "again.jsonl"]);
    assert_eq!(commands(folder, "again.jsonl"), commands(folder, "without.jsonl"));

    let _other = card(folder, &["--scp03", "60"], "other.img", "127.0.0.1:35964", OTHER);
    let (code, message) = fails(folder, &["trace", "replay", "without.jsonl", "--reader", OTHER]);
    assert_eq!(code, 1);
    assert!(message.contains("not the one that the trace was recorded with"), "{message}");
    assert!(message.contains("--any-card"), "{message}");
    let all = ["--json", "trace", "replay", "without.jsonl", "--reader", OTHER, "--any-card", "--keep-going"];
    let output = onetap(folder, &all).output().unwrap();
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&result["card"], &result["result"]), (&"unchecked".into(), &"different".into()), "{result}");
    let differences = result["differences"].as_array().unwrap();
    assert!(differences.len() > 1, "it goes on after the first: {result}");
    assert_eq!(differences[0]["command"], "unknown command 80CA006600", "{result}");
    assert!(differences[0]["spot"]["object"].as_str().unwrap().starts_with("66/"), "{result}");
}

fn commands(folder: &Path, trace: &str) -> Vec<String> {
    let text = std::fs::read_to_string(folder.join(trace)).unwrap();
    let events = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    events.filter_map(|event| event["command"].as_str().map(str::to_owned)).collect()
}

/// What stands for the card goes and comes with it.
fn taken_out_and_put_back(folder: &Path, card: &mut Running) -> Running {
    let record =
        ["--json", "trace", "record", "--reader", CARD, "--vpcd", STANDIN_AT, "--out", "twice.jsonl"];
    let mut record = Running::start(folder, &record);
    record.json();
    is_there(STANDIN);
    card.signal("INT");
    assert!(card.end().success());
    wait_for_removal(STANDIN, &Deadline::after(LONG)).unwrap();
    let card = Running::start(
        folder,
        &["--json", "card", "run", "--image", "card.img", "--vpcd", "127.0.0.1:35963"],
    );
    is_there(STANDIN);
    let [pyscard, _] = programs(folder);
    assert!(pyscard.starts_with("6f10"), "{pyscard}");
    record.signal("INT");
    assert!(record.end().success());
    wait_for_removal(STANDIN, &Deadline::after(LONG)).unwrap();
    let text = std::fs::read_to_string(folder.join("twice.jsonl")).unwrap();
    assert!(text.matches("\"field-in\"").count() >= 2, "{text}");
    assert_eq!(text.matches("\"field-in\"").count(), text.matches("\"field-out\"").count(), "{text}");
    card
}

/// In the card's place, for the same programs, and for a replay.
fn played(folder: &Path, real: &[String; 2]) {
    let mut play = playing(folder, &["t.jsonl"]);
    // After the end it begins anew.
    for _ in 0..2 {
        assert_eq!(programs(folder), *real, "programs do not see that it is a trace");
    }
    taken_out(&mut play, 0);

    let mut play = playing(folder, &["without.jsonl"]);
    let result = ok_json(folder, &["trace", "replay", "without.jsonl", "--reader", STANDIN]);
    assert_eq!(result["card"], "same-kind", "{result}");
    taken_out(&mut play, 0);

    // The first program sends a PIN, which this trace does not have.
    let mut play = playing(folder, &["without.jsonl", "--lenient"]);
    let [pyscard, _] = programs(folder);
    assert_eq!(pyscard.lines().nth(2), Some(" 6f00"), "{pyscard}");
    let difference = play.json();
    assert_eq!(difference["expected"], "a command that the trace has");
    assert_eq!(difference["got"], "0020000104????????: a command with a secret");
    taken_out(&mut play, 1);
}

fn playing(folder: &Path, arguments: &[&str]) -> Running {
    let play = ["--json", "trace", "play", "--vpcd", STANDIN_AT];
    let play = Running::start(folder, &[&play, arguments].concat());
    assert_eq!(play.json()["vpcd"], STANDIN_AT);
    is_there(STANDIN);
    play
}

fn taken_out(play: &mut Running, code: i32) {
    play.signal("INT");
    assert_eq!(play.end().code(), Some(code));
    wait_for_removal(STANDIN, &Deadline::after(LONG)).unwrap();
}
