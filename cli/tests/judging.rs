//! `onetap conform` on a card in a real reader, lent what its verifier knows, and interrupted.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests")]

mod support;

use std::path::Path;

use serde_json::Value;
use support::*;

/// The card of that image in the virtual reader, and the address of its panel.
fn in_the_reader(at: &Path) -> (Running, String) {
    let run = ["--json", "card", "run", "--image", "ada.img", "--panel", "--vpcd", "127.0.0.1:35963"];
    let card = Running::start(at, &run);
    let panel = until("the panel's address", || card.json()["panel"].as_str().map(str::to_owned));
    (card, panel)
}

/// A run on it whose keys are the verifier's.
fn judge(id: &str) -> Vec<&str> {
    let target = ["--json", "conform", "run", "--target", "pcsc:Virtual PCD 00 00"];
    [&target[..], &["--verifier", "bank", "--card", id, "--pin", "2580", "--signatures", "1000"]].concat()
}

fn enrolled(at: &Path) -> String {
    bank(at);
    card(at, &account(at, "Ada Lovelace"), "ada")
}

/// Without the card's own key a signature cannot be verified, without the server's E cannot be opened: both are lent.
#[test]
fn a_verifiers_folder_lends_the_keys_of_its_card() {
    let Some(_reader) = reader() else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let id = enrolled(at);
    let (_card, panel) = in_the_reader(at);
    let run = [&judge(&id)[..], &["signature/", "confirm/key-up-to-t1"]].concat();
    let output = onetap(at, &run).env("ONETAP_HOLDER", &panel).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    let result: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(result["result"], "selected", "{result}");
    // The signature of the card's own suite, and a payment that is confirmed.
    assert_eq!(result["summary"]["passed"], 2, "{result}");

    let (code, message) = fails(at, &judge("00000000c0ffee01"));
    assert!(code == 7 && message.contains("card"), "{code}: {message}");
}

/// What a card shows without being asked to sign: the rest of its claims is for people.
#[test]
fn a_probe_sees_what_the_card_shows() {
    let Some(_reader) = reader() else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let id = enrolled(at);
    let _card = in_the_reader(at);
    let claims = ok_json(at, &["conform", "probe", "--target", "pcsc:Virtual PCD 00 00"]);
    assert_eq!(claims["issuer-domain"], "default", "{id}: {claims}");
    assert_eq!(claims["extended-length"], true, "{claims}");
    assert_eq!(claims["shows-tries"], false, "nobody looked at its display: {claims}");
}

/// The case that runs comes to its end, and nothing waits on the card when its holder has it back.
#[test]
fn an_interrupted_run_gives_the_card_back_and_writes_its_reports() {
    let Some(_reader) = reader() else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let id = enrolled(at);
    let (mut card, panel) = in_the_reader(at);
    let arguments = [&judge(&id)[..], &["--junit", "run.xml", "display/", "signature/"]].concat();
    let mut run = Running::of(onetap(at, &arguments).env("ONETAP_HOLDER", &panel));
    until("a case that was performed", || (run.json()["verdict"] == "passed").then_some(()));
    run.signal("INT");
    assert_eq!(run.end().code(), Some(130));
    let junit = std::fs::read_to_string(at.join("run.xml")).unwrap();
    assert!(junit.contains("the run was interrupted") && junit.contains("<skipped"), "{junit}");
    card.signal("TERM");
    assert_eq!(card.end().code(), Some(0));
    let left = ok_json(at, &["card", "tear", "--image", "ada.img", "--at", "0", "--", "clear"]);
    assert_eq!((&left["state"], &left["unconfirmed"]), (&"idle".into(), &0.into()), "{left}");
}
