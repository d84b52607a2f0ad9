//! The issuer's commands over GlobalPlatform: a card's life from blank to locked, in its file and in a real
//! reader.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests")]

mod support;

use std::path::Path;

use serde_json::Value;
use support::*;

/// More page writes than any command takes: nothing is cut, and the card says how it is.
const NEVER: &str = "1000000";

/// What a holder does with the card in its file, and how the card is after it.
fn held(folder: &Path, steps: &[&str]) -> Value {
    ok_json(folder, &[&["card", "tear", "--image", "ada.img", "--at", NEVER, "--"], steps].concat())
}

/// An amount that takes the PIN, read to the end.
const TAP: [&str; 2] = ["tap=60.00", "read"];

/// A tap that only the PIN confirms, and the PIN is the new one.
fn pays_with_new_pin(folder: &Path) {
    assert_eq!(held(folder, &["tap=60.00"])["unconfirmed"], 1);
    assert_eq!(held(folder, &["read", "9876", "confirm"])["unconfirmed"], 0);
}

/// How a card is reached: by --image or --reader.
fn command<'a>(command: &'a str, place: &[&'a str], id: &'a str) -> Vec<&'a str> {
    [&["card", command], place, &["--db", "bank", "--card", id]].concat()
}

/// The whole of a card's life at its issuer, wherever it is reached.
fn manage(at: &Path, place: &[&str]) {
    bank(at);
    let id = order(at, &account(at, "Ada Lovelace"), "ada");
    let status = ok_json(at, &[&["card", "status"], place].concat());
    assert_eq!((&status["blank"], &status["state"]), (&true.into(), &"op-ready".into()));
    assert_eq!(status["applications"], Value::Array(Vec::new()));

    let issue = ["card", "issue", "--order", "ada.order", "--pin", "2580", "--statement", "ada.statement"];
    assert_eq!(ok_json(at, &[&issue[..], place].concat())["card"], id.as_str());
    ok(at, &["verifier", "enroll", "--db", "bank", "--statement", "ada.statement"]);

    let status = ok_json(at, &command("status", place, &id));
    assert_eq!(status["blank"], false);
    assert_eq!(status["applications"][0]["state"], "personalized");
    let keys: Vec<_> = status["keys"].as_array().unwrap().iter().map(|key| key["version"].clone()).collect();
    assert_eq!(keys, [0x30, 0x30, 0x30], "the well-known keys are gone");
    assert_eq!(status["keys"][0]["bits"], 256);

    let application = |name| [&command(name, place, &id)[..], &["--application"]].concat();
    assert_eq!(ok_json(at, &application("lock"))["locked"], "application");
    let status = ok_json(at, &command("status", place, &id));
    assert_eq!((&status["applications"][0]["locked"], &status["state"]), (&true.into(), &"op-ready".into()));
    assert_eq!(ok_json(at, &application("unlock"))["unlocked"], "application");
    assert_eq!(ok_json(at, &command("lock", place, &id))["locked"], "all");
    assert_eq!(ok_json(at, &command("status", place, &id))["state"], "locked");
    ok(at, &command("unlock", place, &id));
    let status = ok_json(at, &command("status", place, &id));
    assert_eq!((&status["applications"][0]["locked"], &status["state"]), (&false.into(), &"secured".into()));
    let unblock = [&command("unblock", place, &id)[..], &["--pin", "9876"]].concat();
    assert_eq!(ok_json(at, &unblock)["unblocked"], id.as_str());
}

#[test]
fn a_card_in_its_file_is_issued_managed_and_pays() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let made = ok_json(at, &["card", "blank", "--image", "ada.img"]);
    assert_eq!((&made["image"], &made["blank"]), (&"ada.img".into(), &true.into()));
    manage(at, &["--image", "ada.img"]);
    pays_with_new_pin(at);
}

#[test]
fn a_blocked_pin_is_unblocked_with_all_its_tries() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    bank(at);
    let id = card(at, &account(at, "Ada Lovelace"), "ada");
    // The transaction of the first try waits on the display for the others.
    for steps in [&TAP[..], &["read"], &["read"]] {
        let run = ["card", "tear", "--image", "ada.img", "--at", NEVER, "--"];
        let (code, message) = fails(at, &[&run[..], steps, &["1111", "confirm"]].concat());
        assert_eq!(code, 8, "{message}");
    }
    assert_eq!(held(at, &["cancel"])["pin_blocked"], true);
    ok(at, &[&command("unblock", &["--image", "ada.img"], &id)[..], &["--pin", "9876"]].concat());
    assert_eq!(held(at, &["cancel"])["pin_blocked"], false);
    pays_with_new_pin(at);
}

#[test]
fn a_locked_card_does_not_pay_an_unlocked_one_does() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    bank(at);
    let id = card(at, &account(at, "Ada Lovelace"), "ada");
    let tap = ["card", "tear", "--image", "ada.img", "--at", NEVER, "--", "tap"];
    for what in [&["--application"][..], &[]] {
        let named = |name| [&command(name, &["--image", "ada.img"], &id)[..], what].concat();
        ok(at, &named("lock"));
        let (code, message) = fails(at, &tap);
        assert_eq!(code, 5, "{message}");
        ok(at, &named("unlock"));
        assert_eq!(held(at, &["tap"])["state"], "showing");
        held(at, &["cancel"]);
    }
}

#[test]
fn what_the_issuer_gets_wrong_costs_no_try_and_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    bank(at);
    let ada = account(at, "Ada Lovelace");
    let id = card(at, &ada, "ada");
    let second = order(at, &ada, "second");
    ok(at, &["card", "blank", "--image", "blank.img"]);
    std::fs::write(at.join("broken.json"), "{}").unwrap();
    let mut held = Running::start(at, &["card", "run", "--image", "held.img", "--listen", "127.0.0.1:0"]);
    assert_eq!(held.end().code(), Some(8), "there is no such card");
    let issue = ["card", "issue", "--pin", "2580", "--order"];
    let new_pin = ["card", "unblock", "--image", "ada.img", "--db", "bank", "--pin", "9876", "--card"];
    let status = ["card", "status", "--image"];
    let cases: &[(&[&str], i32, &str)] = &[
        (&["card", "blank", "--image", "ada.img"], 8, "never overwritten"),
        (&[&issue[..], &["second.order", "--image", "ada.img"]].concat(), 2, "issuer's keys already"),
        (&[&issue[..], &["broken.json", "--image", "blank.img"]].concat(), 9, "card order"),
        (&[&issue[..], &["second.order"]].concat(), 2, "--reader"),
        (
            &[&issue[..], &["second.order", "--image", "a", "--reader", "b"]].concat(),
            2,
            "cannot be used with",
        ),
        (&[&status[..], &["ada.img"]].concat(), 2, "--db"),
        (&[&status[..], &["ada.img", "--db", "bank"]].concat(), 2, "--card"),
        (&[&status[..], &["blank.img", "--db", "bank", "--card", &id]].concat(), 2, "card issue"),
        (&[&status[..], &["missing.img"]].concat(), 8, "missing.img"),
        (&[&new_pin[..], &["0123456789abcdef"]].concat(), 7, "verifier account"),
        (&[&new_pin[..], &["nonsense"]].concat(), 2, "16 hexadecimal digits"),
        (&[&new_pin[..], &[&second]].concat(), 5, "key set"),
        (&["card", "unblock", "--image", "ada.img", "--db", "bank", "--card", &id, "--pin", "1"], 2, "PIN"),
        (&["card", "lock", "--image", "ada.img", "--db", "nowhere", "--card", &id], 7, "verifier init"),
        (&command("unlock", &["--image", "ada.img"], &id), 5, "GET STATUS"),
    ];
    for (arguments, code, word) in cases {
        let (got, message) = fails(at, arguments);
        assert_eq!(got, *code, "{arguments:?}: {message}");
        assert!(message.contains(word), "{arguments:?}: {message}");
    }
    // None of it did anything.
    ok(at, &command("status", &["--image", "ada.img"], &id));
    assert_eq!(ok_json(at, &["card", "status", "--image", "blank.img"])["blank"], true);
}

/// A card of another variant is made, issued and managed at a level that it has, and at no other.
#[test]
fn a_card_without_protection_of_responses_takes_a_lesser_level_that_the_issuer_names() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    bank(at);
    let id = order(at, &account(at, "Ada Lovelace"), "ada");
    ok(at, &["card", "blank", "--image", "ada.img", "--scp03", "01"]);
    let issue = ["card", "issue", "--image", "ada.img", "--order", "ada.order", "--pin", "2580"];
    for (arguments, code, words) in [
        (issue.to_vec(), 5, "i = 01"),
        ([&issue[..], &["--security-level", "32"]].concat(), 2, "01, 03, 11, 13 or 33"),
        (vec!["card", "blank", "--image", "b.img", "--scp03", "40"], 2, "00, 01, 10, 11, 20, 21"),
    ] {
        let (got, message) = fails(at, &arguments);
        assert_eq!(got, code, "{arguments:?}: {message}");
        assert!(message.contains(words), "{arguments:?}: {message}");
    }
    ok(at, &[&issue[..], &["--security-level", "03"]].concat());
    let status = [&command("status", &["--image", "ada.img"], &id)[..], &["--security-level", "01"]].concat();
    assert_eq!(ok_json(at, &status)["blank"], false);
    order(at, &account(at, "Grace Hopper"), "grace");
    let new =
        ["card", "new", "--order", "grace.order", "--pin", "2580", "--image", "grace.img", "--scp03", "21"];
    ok(at, &new);
}

/// A card that runs is its own process's; the issuer meets it in its reader.
#[test]
fn a_card_that_is_in_use_is_to_be_reached_by_its_reader() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    ok(at, &["card", "blank", "--image", "a.img"]);
    let card = Running::start(at, &["card", "run", "--image", "a.img", "--listen", "127.0.0.1:0"]);
    card.line();
    let (code, message) = fails(at, &["card", "status", "--image", "a.img"]);
    assert_eq!(code, 8, "{message}");
    assert!(message.contains("in use") && message.contains("--reader"), "{message}");
}

#[test]
fn a_card_in_a_real_reader_is_issued_and_managed() {
    if !pcscd() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    ok(at, &["card", "blank", "--image", "ada.img"]);
    let mut card = Running::start(at, &["card", "run", "--image", "ada.img", "--vpcd", "127.0.0.1:35964"]);
    card.line();
    manage(at, &["--reader", "Virtual PCD 00 01"]);
    card.signal("TERM");
    assert_eq!(card.end().code(), Some(0));
    pays_with_new_pin(at);
}
