//! `onetap card tear`: one cut of a real image file, and the sweep over copies of a card.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

const ORDER: &str = r#"{
    "binding": { "server": "6f6e65746170bab1", "card": "00000000c0ffee01",
                 "suite": "a3+sha256+aes-cbc-cmac+pkcs1", "signing_key": 1, "server_key": 0, "issuer_key": 1 },
    "rsa_bits": 2048,
    "card_key": "0707070707070707070707070707070707070707070707070707070707070707",
    "password": { "alphabet": { "digits": true, "letters": false, "symbols": false }, "length": 8 },
    "confirmation": { "currency": "EUR", "key_up_to": 5000, "pin_up_to": 100000,
                      "key_only_count": 5, "key_only_sum": 15000 } }"#;

fn onetap(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_onetap"));
    command.current_dir(folder).args(arguments).env_remove("ONETAP_PIN").stdin(Stdio::null());
    command.output().unwrap()
}

fn json(folder: &Path, arguments: &[&str]) -> Value {
    let output = onetap(folder, &[&["--json"], arguments].concat());
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn card(folder: &Path) {
    std::fs::write(folder.join("order.json"), ORDER).unwrap();
    let new = ["card", "new", "--image", "a.card", "--order", "order.json", "--statement", "statement.json"];
    let made = onetap(folder, &[&new[..], &["--pin", "2580"]].concat());
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

#[test]
fn a_card_that_is_torn_says_what_it_woke_up_as_and_pays_again() {
    let folder = tempfile::tempdir().unwrap();
    card(folder.path());
    let tear = |at: &str, how: &str, steps: &[&str]| {
        let options = ["card", "tear", "--image", "a.card", "--at", at, "--how", how, "--"];
        json(folder.path(), &[&options, steps].concat())
    };
    let nothing = tear("0", "before", &["tap"]);
    assert_eq!((&nothing["cut"], &nothing["writes"]), (&true.into(), &0.into()));
    assert_eq!((&nothing["state"], &nothing["unconfirmed"]), (&"idle".into(), &0.into()));
    // The record of the first commit is two pages; then C is taken, and nothing is delivered yet.
    let signed = tear("2", "before", &["tap"]);
    assert_eq!((&signed["state"], &signed["unconfirmed"]), (&"idle".into(), &1.into()));
    let whole = tear("1000", "after", &["tap=60.00", "read", "2580", "confirm", "cancel"]);
    assert_eq!((&whole["cut"], &whole["state"]), (&false.into(), &"idle".into()));
    // The last write of a tap: it waits on the display.
    let tap = tear("1000", "after", &["tap", "read", "cancel", "tap"]);
    assert_eq!((&tap["cut"], &tap["state"]), (&false.into(), &"showing".into()));
    assert_eq!(tap["screen"]["lines"][1], "12.34 EUR");
}

#[test]
fn wrong_usage_is_refused_and_tells_no_pin() {
    let folder = tempfile::tempdir().unwrap();
    card(folder.path());
    for arguments in [
        &["--at", "1", "--", "tap"][..],
        &["--image", "a.card", "--", "tap"],
        &["--image", "a.card", "--at", "1"],
        &["--sweep", "--at", "1"],
        &["--image", "a.card", "--at", "1", "--", "25x0"],
        &["--image", "a.card", "--at", "1", "--", "tap=much"],
    ] {
        let output = onetap(folder.path(), &[&["card", "tear"], arguments].concat());
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {message}");
        assert!(!message.contains("25x0"), "{message}");
    }
    // A key that the card refuses is no tear.
    let refused =
        onetap(folder.path(), &["card", "tear", "--image", "a.card", "--at", "99", "--", "tap", "confirm"]);
    assert_eq!(refused.status.code(), Some(8));
}

#[test]
fn a_sweep_cuts_copies_everywhere_and_leaves_the_image_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    card(folder.path());
    let image = || std::fs::read(folder.path().join("a.card")).unwrap();
    let before = image();
    let sweep = ["card", "tear", "--image", "a.card", "--sweep", "--"];
    let report = json(folder.path(), &[&sweep[..], &["tap=60.00", "read", "2580", "confirm"]].concat());
    assert_eq!(image(), before);
    let (writes, cuts) = (report["writes"].as_u64().unwrap(), report["cuts"].as_u64().unwrap());
    assert!(writes > 10);
    assert_eq!(cuts, 4 * writes);
    let woke = report["woke"].as_array().unwrap();
    assert_eq!(woke.iter().map(|row| row["cards"].as_u64().unwrap()).sum::<u64>(), cuts);
    // Power is lost with what was shown: before the contact, or after it with one payment that nobody confirmed, or did.
    let states: Vec<_> = woke.iter().map(|row| (&row["state"], &row["unconfirmed"])).collect();
    assert!(states.contains(&(&"idle".into(), &0.into())), "{states:?}");
    assert!(states.contains(&(&"idle".into(), &1.into())), "{states:?}");
}
