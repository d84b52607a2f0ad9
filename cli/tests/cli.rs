//! The program as a person or a script types it: each command, its JSON, its exit codes.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests")]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn onetap(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_onetap"));
    command.current_dir(folder).args(arguments).env_remove("ONETAP_PIN").env("ONETAP_REASON", "a test");
    command
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    onetap(folder, arguments).stdin(Stdio::null()).output().unwrap()
}

/// Standard output of a command that must succeed.
fn ok(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn ok_json(folder: &Path, arguments: &[&str]) -> Value {
    let output = ok(folder, &[&["--json"], arguments].concat());
    serde_json::from_str(output.lines().last().unwrap()).unwrap()
}

/// The code and the message of a command that must fail.
fn fails(folder: &Path, arguments: &[&str]) -> (i32, String) {
    let output = run(folder, arguments);
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(!message.contains("panicked"), "{message}");
    (output.status.code().unwrap(), message)
}

/// A server with two accounts and a terminal, and a card order for the first: payer, payee.
fn bank(folder: &Path) -> (String, String) {
    ok(folder, &["verifier", "init", "--db", "bank"]);
    let open = ["verifier", "account", "--db", "bank", "--open"];
    let payer = ok(folder, &[&open[..], &["Ada Lovelace", "--balance", "500.00"]].concat()).trim().to_owned();
    let payee = ok(folder, &[&open[..], &["Coffee Shop"]].concat()).trim().to_owned();
    ok(folder, &["verifier", "account", "--db", "bank", "--terminal", "POS00001"]);
    (payer, payee)
}

fn card(folder: &Path, payer: &str) {
    ok(folder, &["verifier", "enroll", "--db", "bank", "--account", payer, "--order", "order.json"]);
    let new = ["card", "new", "--image", "ada.img", "--order", "order.json", "--statement", "statement.json"];
    ok(folder, &[&new[..], &["--pin", "2580"]].concat());
    ok(folder, &["verifier", "enroll", "--db", "bank", "--statement", "statement.json"]);
}

#[test]
fn the_demo_tells_the_whole_story_and_ends_with_its_result() {
    let folder = tempfile::tempdir().unwrap();
    let story = ok(folder.path(), &["demo"]);
    for word in ["PUT TXN", "▸ To", "EXECUTED", "REFUSED", "LOCKED", "unlocks"] {
        assert!(story.contains(word), "{word}");
    }
    let result = ok_json(folder.path(), &["demo"]);
    assert_eq!(result["result"], "executed");
    let entry = &result["profiles"][0];
    assert_eq!(entry["profile"], "a3+sha256+rsa-oaep+pkcs1");
    assert_eq!(entry["tampered"], "refused");
    assert_eq!(entry["wrong_passwords"], serde_json::json!(["refused", "refused", "refused"]));
    assert_eq!((&entry["locked"], &entry["while_locked"]), (&Value::Bool(true), &"refused".into()));
    assert_eq!(entry["after_unlock"], "executed");
}

#[test]
fn the_demo_runs_every_profile() {
    let folder = tempfile::tempdir().unwrap();
    let result = ok_json(folder.path(), &["demo", "--all-profiles"]);
    let profiles = result["profiles"].as_array().unwrap();
    assert_eq!(profiles.len(), onetap_apdu_spec::suite::Suite::all().count());
    assert!(profiles.iter().all(|entry| entry["result"] == "executed"));
}

#[test]
fn the_person_can_play_the_holder() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = onetap(folder.path(), &["demo", "--interactive"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // Cancel the first transaction on the card: nothing is sent, the program says so.
    writeln!(child.stdin.take().unwrap(), "nnn\nx").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(!String::from_utf8(output.stdout).unwrap().contains("EXECUTED"));
}

#[test]
fn accounts_cards_and_the_log_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let (payer, _) = bank(folder.path());
    card(folder.path(), &payer);
    let accounts = ok(folder.path(), &["--json", "verifier", "account", "--db", "bank"]);
    let ada: Value = serde_json::from_str(accounts.lines().next().unwrap()).unwrap();
    assert_eq!((&ada["balance"], &ada["cards"][0]["state"]), (&50_000.into(), &"active".into()));
    let log = ok(folder.path(), &["verifier", "log", "--db", "bank"]);
    assert!(log.contains("card-activated") && log.ends_with("the audit chains and the ledger hold\n"));
    let log = ok_json(folder.path(), &["verifier", "log", "--db", "bank"]);
    assert_eq!(log["result"], "holds", "the last line is the result");
    // The order holds the card key: for its owner only.
    use std::os::unix::fs::PermissionsExt as _;
    for secret in ["order.json", "ada.img"] {
        let mode = std::fs::metadata(folder.path().join(secret)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{secret}");
    }
}

#[test]
fn what_goes_wrong_has_one_code_and_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let (payer, _) = bank(at);
    card(at, &payer);
    std::fs::write(at.join("broken.img"), vec![0; 100]).unwrap();
    std::fs::write(at.join("broken.json"), "{").unwrap();
    let pay = ["pay", "--server", "https://localhost:1", "--name", "Coffee Shop"];
    let cases: &[(&[&str], i32, &str)] = &[
        (&["nonsense"], 2, "unrecognized"),
        (&["demo", "--profile", "a1+sha256"], 2, "digest method is none"),
        (&["demo", "--profile", "a4+sha256+rsa-oaep"], 2, "symmetric"),
        (&["verifier", "init", "--db", "bank"], 7, "initialised already"),
        (&["verifier", "log", "--db", "nowhere"], 7, "verifier init"),
        (
            &["verifier", "unlock", "--db", "bank", "--account", &payer, "--operator", "o", "--reason", "r"],
            7,
            "not locked",
        ),
        (
            &["verifier", "enroll", "--db", "bank", "--account", &payer, "--profile", "danger-a1"],
            7,
            "guessed",
        ),
        (&["verifier", "enroll", "--db", "bank", "--account", "12345678"], 2, "Luhn"),
        (&["verifier", "enroll", "--db", "bank", "--statement", "broken.json"], 9, "enrolment statement"),
        (&["verifier", "enroll", "--db", "bank", "--statement", "statement.json"], 7, "not waiting"),
        (&["verifier", "account", "--db", "bank", "--open", "Eve\u{202E}", "--balance", "1"], 2, "U+202E"),
        (&["verifier", "account", "--db", "bank", "--open", "Eve", "--balance", "1.234"], 2, "12.34"),
        (
            &["card", "new", "--image", "ada.img", "--order", "order.json", "--pin", "2580"],
            8,
            "never overwritten",
        ),
        (&["card", "new", "--image", "b.img", "--order", "order.json", "--pin", "12"], 2, "PIN"),
        (&["card", "new", "--image", "b.img", "--order", "missing.json", "--pin", "2580"], 9, "missing.json"),
        (&["card", "show", "--image", "missing.img"], 8, "missing.img"),
        (&["card", "show", "--image", "broken.img"], 8, "not a card image"),
        (&["card", "press", "--image", "ada.img", "hello"], 2, "a key is"),
        (&["card", "run", "--image", "ada.img", "--vpcd", "nonsense"], 2, "address"),
        (&[&pay[..], &["--to", &payer, "--amount", "0"]].concat(), 2, "zero"),
        (&[&pay[..], &["--to", "123", "--amount", "1"]].concat(), 2, "account"),
        (&[&pay[..], &["--amount", "1", "--from", "broken.json"]].concat(), 2, "cannot be used with"),
        (
            &["pay", "--server", "https://localhost:1", "--terminal", "POS2", "--from", "x"],
            2,
            "8 letters or digits",
        ),
        (&["verifier", "account", "--db", "bank", "--balance", "5"], 2, "--open"),
        (&["verifier", "account", "--db", "bank", "--open", "Eve", "--balance", "-5"], 2, "balance"),
        (&["conform", "run", "no-such-case"], 2, "no-such-case"),
        (&["trace", "show", "broken.json"], 1, "broken.json: not a trace: line 1"),
        (&["trace", "show", "ada.img"], 9, "no text file"),
    ];
    for (arguments, code, word) in cases {
        let (got, message) = fails(at, arguments);
        assert_eq!(got, *code, "{arguments:?}: {message}");
        assert!(message.contains(word), "{arguments:?}: {message}");
    }
    assert!(!at.join("b.img").exists(), "no image is left of a card that was not made");
}

/// Errors in JSON are objects too.
#[test]
fn errors_are_json_where_json_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let (code, message) = fails(folder.path(), &["--json", "verifier", "log", "--db", "nowhere"]);
    let error: Value = serde_json::from_str(&message).unwrap();
    assert_eq!((code, &error["code"]), (7, &7.into()));
    let (code, message) = fails(folder.path(), &["--json", "demo", "--profile", "nonsense"]);
    let error: Value = serde_json::from_str(&message).unwrap();
    assert_eq!((code, &error["code"]), (2, &2.into()));
    let (code, message) = fails(folder.path(), &["card", "run", "--json"]);
    let error: Value = serde_json::from_str(&message).unwrap();
    assert_eq!((code, error["error"].as_str().unwrap().contains("--image")), (2, true));
}

/// What could not be written down is not done, and nothing half-made is left.
#[test]
fn a_file_that_is_in_the_way_stops_the_command_before_anything_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let (payer, payee) = bank(at);
    card(at, &payer);
    let enroll = ["verifier", "enroll", "--db", "bank", "--account", &payee, "--order", "statement.json"];
    assert_eq!(fails(at, &enroll).0, 9);
    assert!(!ok(at, &["verifier", "account", "--db", "bank"]).contains("ordered"));
    let new = ["card", "new", "--order", "order.json", "--pin", "2580", "--image"];
    assert_eq!(fails(at, &[&new[..], &["b.img", "--statement", "statement.json"]].concat()).0, 9);
    assert!(!at.join("b.img").exists());
    assert_eq!(fails(at, &[&new[..], &["ada.img", "--statement", "new.json"]].concat()).0, 8);
    assert!(at.join("ada.img").exists() && !at.join("new.json").exists());
}

/// A question whose answer does not come ends its line, and the error is one of its own.
#[test]
fn without_a_keyboard_the_error_stands_on_a_line_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let (payer, _) = bank(at);
    ok(at, &["verifier", "enroll", "--db", "bank", "--account", &payer, "--order", "order.json"]);
    let (code, message) = fails(at, &["card", "new", "--image", "ada.img", "--order", "order.json"]);
    assert_eq!(code, 9);
    assert!(message.lines().any(|line| line.starts_with("onetap: nothing can be read")), "{message}");
    assert!(message.contains("--help"), "{message}");
}

/// A full disk behind standard output is an error, not a panic.
#[test]
fn output_that_cannot_be_written_has_a_code() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [&["completions", "zsh"][..], &["conform", "list"], &["demo", "--list-profiles"]] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let output = onetap(folder.path(), arguments).stdout(full).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(9), "{arguments:?}: {message}");
        assert!(!message.contains("panicked"), "{message}");
    }
}

/// No virtual reader: the card says so instead of waiting for ever.
#[test]
fn a_card_without_a_reader_gives_up() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let (payer, _) = bank(at);
    card(at, &payer);
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let (code, message) = fails(at, &["card", "run", "--image", "ada.img", "--vpcd", &unused]);
    assert_eq!(code, 4, "{message}");
    assert!(message.contains("no virtual reader"), "{message}");
    assert!(!at.join("ada.img.keys").exists());
}

#[test]
fn traces_are_recorded_shown_and_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    for scenario in ["payment", "lockout", "tamper", "wrong-order"] {
        let file = format!("{scenario}.jsonl");
        ok(at, &["trace", "record", "--scenario", scenario, "--out", &file]);
        assert_eq!(ok_json(at, &["trace", "replay", &file])["result"], "same");
        assert!(ok(at, &["trace", "show", &file]).contains("PUT TXN"));
    }
    // A card that answers otherwise than the trace says is found out.
    let text = std::fs::read_to_string(at.join("payment.jsonl")).unwrap();
    std::fs::write(at.join("other.jsonl"), text.replacen("9000", "6985", 1)).unwrap();
    let (code, message) = fails(at, &["trace", "replay", "other.jsonl"]);
    assert_eq!(code, 1, "{message}");
    assert!(message.contains("6985") && message.contains("9000"), "{message}");
}

#[test]
fn the_suite_passes_against_our_own_card() {
    let folder = tempfile::tempdir().unwrap();
    let result = ok_json(folder.path(), &["conform", "run", "select", "put-txn"]);
    assert_eq!((&result["result"], &result["summary"]["failed"]), (&"selected".into(), &0.into()));
    assert!(ok(folder.path(), &["conform", "list"]).lines().count() > 100);
}

/// Both reports hold each case once; a known failure that passes is told.
#[test]
fn a_run_is_reported_to_programs_and_people() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    std::fs::write(at.join("known.json"), r#"[{"case": "select/answer", "reason": "told for the test"}]"#)
        .unwrap();
    let run = [
        "conform",
        "run",
        "select",
        "--seed",
        "7",
        "--junit",
        "run.xml",
        "--html",
        "run.html",
        "--known",
        "known.json",
    ];
    let said = ok(at, &run);
    assert!(said.contains("passes now     select/answer"), "{said}");
    let count = ok(at, &["conform", "list", "select"]).lines().count();
    let junit = std::fs::read_to_string(at.join("run.xml")).unwrap();
    assert!(junit.contains(&format!("tests=\"{count}\"")) && junit.contains("select/partial-aid"), "{junit}");
    let page = std::fs::read_to_string(at.join("run.html")).unwrap();
    assert!(
        page.contains("REQ-C-3") && page.contains("<th>in-process") && !page.contains("<script"),
        "{page}"
    );
    let order = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let again = ok(at, &["conform", "run", "select", "--seed", "7"]);
    let other = ok(at, &["conform", "run", "select", "--seed", "8"]);
    assert_eq!(
        order(&said)
            .iter()
            .filter(|line| ["passed ", "not applicable "].iter().any(|word| line.starts_with(word)))
            .count(),
        count
    );
    assert_ne!(again, other, "another seed, another order");
    assert_eq!(again, ok(at, &["conform", "run", "select", "--seed", "7"]), "the same seed, the same report");
    let (code, message) = fails(at, &["conform", "run", "--clause", "REQ-K-1800"]);
    assert!(code == 2 && message.contains("REQ-K-1800"), "{message}");
}

/// As man(1) finds it, which complains about nothing in it.
#[test]
fn the_manual_has_a_page_for_each_command() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man1");
    std::fs::create_dir(&pages).unwrap();
    ok(folder.path(), &["manual", "--into", "man1"]);
    for (page, word) in
        [("onetap", "verifier"), ("onetap-verifier-serve", "listen"), ("onetap-pay", "amount")]
    {
        let text = std::fs::read_to_string(pages.join(format!("{page}.1"))).unwrap();
        assert!(text.starts_with(".ie") && text.contains(".TH") && text.contains(word), "{page}");
    }
    let (code, message) = fails(folder.path(), &["manual", "--into", "none"]);
    assert!(code == 9 && message.contains("none"), "{message}");
}

#[test]
fn completions_exist_for_the_common_shells() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        assert!(ok(folder.path(), &["completions", shell]).contains("onetap"), "{shell}");
    }
}
