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
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/with-pcscd");
    let inside = Command::new(script)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "inside", "--nocapture"])
        .env("ONETAP_READERS", "4")
        .env("ONETAP_TRACING", folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&inside.stdout);
    assert!(inside.status.success(), "{said}{}", String::from_utf8_lossy(&inside.stderr));
    assert!(said.contains("tracing: recorded, replayed, played"), "{said}");
}

#[test]
fn inside() {
    let Some(folder) = std::env::var_os("ONETAP_TRACING").map(PathBuf::from) else { return };
    std::fs::write(folder.join("send.py"), PYSCARD).unwrap();
    let _card = card(&folder, &[], "card.img", "127.0.0.1:35963", CARD);
    let real = recorded(&folder);
    replayed(&folder);
    played(&folder, &real);
    println!("tracing: recorded, replayed, played");
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
