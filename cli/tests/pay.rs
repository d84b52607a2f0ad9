//! `onetap pay` against a service with TLS: what is said before a tap, a payment, and one that got lost.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests")]

mod support;

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use support::*;

/// `onetap pay` as the README has it, in JSON, for 4.20 to the shop.
fn pay(folder: &Path, url: &str, shop: &str) -> Command {
    let to = ["--json", "pay", "--server", url, "--ca", "ca.pem", "--token-file", "till.token", "--to", shop];
    let what = ["--name", "Coffee Shop", "--amount", "4.20", "--reader", "Virtual PCD 00 00"];
    let mut command = onetap(folder, &[&to[..], &what].concat());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn resolve(folder: &Path, url: &str) -> Output {
    let to = ["--json", "pay", "--resolve", "--server", url, "--ca", "ca.pem", "--token-file", "till.token"];
    onetap(folder, &to).output().unwrap()
}

fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Ada's card lies in a virtual reader and leaves once it has signed; the account of the shop.
fn tapped(folder: &Path) -> (Running, String) {
    let ada = account(folder, "Ada Lovelace");
    card(folder, &ada, "ada");
    let card = Running::start(folder, &["--json", "card", "run", "--image", "ada.img", "--tap"]);
    (card, account(folder, "Coffee Shop"))
}

#[test]
fn what_stands_in_the_way_is_said_before_anybody_taps() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    bank(at);
    let (mut service, url) = served(at);
    let operator = ["verifier", "client", "add", "--db", "bank", "desk", "--role", "operator"];
    let operator = ok_json(at, &operator)["token"].as_str().unwrap().to_owned();
    std::fs::write(at.join("desk.token"), operator).unwrap();
    std::fs::write(at.join("empty"), "").unwrap();
    let what = ["--to", "79927398713", "--name", "Shop", "--amount", "1"];
    let (token, ca) = ("--token-file till.token", "--ca ca.pem");
    let cases = [
        (format!("--server nonsense {token}"), 2, "https://"),
        (format!("--server http://192.0.2.1 {token}"), 2, "needs https"),
        (format!("--server {url} {ca}"), 2, "--token-file"),
        (format!("--server {url} {ca} --cert ca.pem"), 2, "--key"),
        (format!("--server {url} {ca} --token-file empty"), 9, "empty"),
        (format!("--server {url} --ca empty {token}"), 9, "empty"),
        (format!("--server {url} --ca missing {token}"), 9, "missing"),
        (format!("--server {url} {token}"), 7, "not trusted"),
        (format!("--server {url} {ca} --token-file desk.token"), 7, "not as a terminal"),
        (format!("--server {url} {ca} {token} --resolve"), 2, "cannot be used with"),
        (format!("--server https://127.0.0.1:1 {token}"), 7, "cannot be reached"),
    ];
    for (options, code, word) in cases {
        let options: Vec<&str> = options.split(' ').collect();
        let (got, message) = fails(at, &[&["pay"][..], &options, &what].concat());
        assert_eq!(got, code, "{options:?}: {message}");
        assert!(message.contains(word), "{options:?}: {message}");
        assert!(message.contains("what to do") || code != 7, "{message}");
    }
    assert!(!at.join("state/onetap/POS00001").exists(), "nothing was begun");
    service.signal("TERM");
    assert!(service.end().success());
}

/// The README's own sequence, word for word: card, terminal and server as three processes.
#[test]
fn p_16_p_21_the_readmes_payment_by_hand_goes_through() {
    let Some(_reader) = reader() else { return };
    let folder = tempfile::tempdir().unwrap();
    let readme = include_str!("../../README.md").split_once("In that shell").unwrap().1;
    let blocks: Vec<&str> =
        readme.split("```sh\n").skip(1).map(|rest| rest.split_once("```").unwrap().0).collect();
    let ours = Path::new(env!("CARGO_BIN_EXE_onetap")).parent().unwrap().to_str().unwrap();
    let path = format!("{ours}:{}", std::env::var("PATH").unwrap());
    let script = format!("set -eu\ntrap 'kill $(jobs -p) || true' EXIT\n{}{}", blocks[0], blocks[1]);
    let mut shell = Command::new("bash");
    shell.arg("-c").arg(script).env("PATH", path).env("TMPDIR", folder.path()).env("ONETAP_PIN", "2580");
    shell.env("XDG_STATE_HOME", folder.path()).env_remove("ONETAP_TOKEN");
    let mut shell =
        shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let at = until("the folder of the sequence", || {
        let inside = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
        inside.into_iter().find(|path| path.join("display.txt").exists())
    });
    let password = read_off_the_display(&at, "ada.img");
    writeln!(shell.stdin.take().unwrap(), "{password}").unwrap();
    let output = shell.wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("executed: 4.20 EUR to Coffee Shop"), "{said}");
}

/// A slip of the finger, from a pipe.
#[test]
fn req_h_5_what_cannot_be_a_password_is_asked_for_again() {
    let Some(_reader) = reader() else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    bank(at);
    let (_service, url) = served(at);
    let (_card, shop) = tapped(at);
    let mut terminal = pay(at, &url, &shop).spawn().unwrap();
    let password = read_off_the_display(at, "ada.img");
    let mut keyboard = terminal.stdin.take().unwrap();
    writeln!(keyboard, "1234\n{password}").unwrap();
    let output = terminal.wait_with_output().unwrap();
    let result = lines(&output).pop().unwrap();
    assert_eq!(result["result"], "executed", "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(result["receipt"]["amount"], 420);
    let resolved = resolve(at, &url);
    assert_eq!(lines(&resolved), [serde_json::json!({"result": "resolved", "resolved": 0, "unresolved": 0})]);
}

#[test]
fn a_card_of_another_operator_is_told_by_its_own_code() {
    let Some(_reader) = reader() else { return };
    let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    bank(ours.path());
    let (_service, url) = served(ours.path());
    let shop = account(ours.path(), "Coffee Shop");
    bank(theirs.path());
    let (_card, _) = tapped(theirs.path());
    let output = pay(ours.path(), &url, &shop).output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(5), "{message}");
    assert!(message.contains("another operator"), "{message}");
}

#[test]
fn ctrl_c_ends_a_payment_that_waits_for_a_card() {
    let Some(_reader) = reader() else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    bank(at);
    let (_service, url) = served(at);
    let to = ["pay", "--server", &url, "--ca", "ca.pem", "--token-file", "till.token", "--amount", "1"];
    let mut terminal = Running::start(at, &[&to[..], &["--to", "79927398713", "--name", "Shop"]].concat());
    until("the wait for a card", || terminal.line().starts_with("put the card").then_some(()));
    terminal.signal("INT");
    assert_eq!(terminal.end().code(), Some(130));
    assert!(terminal.error_line().contains("nothing was sent"));
}

#[test]
fn a_payment_whose_answer_is_lost_is_unknown_until_it_is_resolved() {
    let Some(_reader) = reader() else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    bank(at);
    let (_service, url) = served(at);
    let (_card, shop) = tapped(at);
    let way = Way::to(&url);
    let mut terminal = pay(at, &way.url(), &shop);
    let mut terminal = terminal.args(["--patience", "3"]).spawn().unwrap();
    let password = read_off_the_display(at, "ada.img");
    way.swallow();
    writeln!(terminal.stdin.take().unwrap(), "{password}").unwrap();
    let output = terminal.wait_with_output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(10), "{message}");
    let unknown = lines(&output).pop().unwrap();
    assert_eq!(unknown["result"], "unknown");
    assert!(message.contains("onetap pay --resolve"), "{message}");

    // Whoever pays next is reminded, and what was sent holds no password.
    let to =
        ["--json", "pay", "--server", &url, "--ca", "ca.pem", "--token-file", "till.token", "--wait", "0"];
    let next = onetap(at, &[&to[..], &["--to", &shop, "--name", "Shop", "--amount", "1"]].concat()).output();
    assert_eq!(lines(&next.unwrap())[0]["unresolved"][0], unknown["transaction"]);
    let mut kept = std::fs::read_dir(at.join("state/onetap/POS00001")).unwrap();
    let kept = std::fs::read_to_string(kept.next().unwrap().unwrap().path()).unwrap();
    assert!(!kept.contains(password.replace(' ', "").as_str()), "{kept}");

    let resolved = resolve(at, &url);
    let told = lines(&resolved);
    assert_eq!(resolved.status.code(), Some(0), "{}", String::from_utf8_lossy(&resolved.stderr));
    assert_eq!((&told[0]["result"], &told[0]["transaction"]), (&"executed".into(), &unknown["transaction"]));
    assert_eq!(told[1]["resolved"], 1);
    assert_eq!(lines(&resolve(at, &url)).len(), 1, "what was told is forgotten");
}

#[test]
fn the_demonstration_over_the_network_ends_with_its_result_and_leaves_nothing() {
    let Some(_reader) = reader() else { return };
    let folder = tempfile::tempdir().unwrap();
    let demo = onetap(folder.path(), &["demo", "--network"]).env("TMPDIR", folder.path()).output().unwrap();
    let story = String::from_utf8(demo.stdout).unwrap();
    assert!(demo.status.success(), "{story}{}", String::from_utf8_lossy(&demo.stderr));
    for word in ["TLS 1.3", "take the card away", "Password", "executed: 4.20 EUR", "result: executed"] {
        assert!(story.contains(word), "{word}: {story}");
    }
    println!("{}", story.lines().last().unwrap());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "its folder is gone");
}
