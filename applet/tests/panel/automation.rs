//! Rules that press keys, on a card that goes on by itself.

use onetap_applet::DEAD_TIME_MS;
use serde_json::{Value, json};

use crate::bench::{Bench, SMALL};

fn rules(bench: &Bench, rules: &Value) {
    let answer = bench.ask("PUT", "/v1/automation", &json!({ "rules": rules }));
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// Waits for the next word of the automation.
fn outcome(bench: &Bench, mut after: u64) -> Value {
    loop {
        let batch = bench.get_json(&format!("/v1/events?after={after}&timeout_ms=30000"));
        let events = batch["events"].as_array().unwrap();
        if let Some(event) = events.iter().find(|event| event["kind"] == "automation") {
            return event.clone();
        }
        assert!(!events.is_empty(), "the automation says nothing");
        after = batch["seq"].as_u64().unwrap();
    }
}

#[test]
fn rules_read_and_confirm_what_is_as_expected() {
    let bench = Bench::new();
    rules(
        &bench,
        &json!([
            { "amount": SMALL },
            { "screen": "^Press the key$", "keys": ["confirm"] },
            { "screen": "▸ Payment", "keys": ["read"] }
        ]),
    );
    bench.tap(SMALL);
    assert_eq!(outcome(&bench, 0)["rule"], 2);
    // The confirm key waits out its dead time, on the card's clock.
    let read = bench.screen();
    assert_eq!((&read["page"], read["state"].as_str()), (&read["pages"], Some("showing")));
    bench.pass(DEAD_TIME_MS);
    let screen = bench.get_json(&format!("/v1/screen?after={}&timeout_ms=30000", read["screen_seq"]));
    assert_eq!(screen["state"], "revealed");
}

#[test]
fn another_amount_is_cancelled_whatever_the_other_rules_say() {
    let bench = Bench::new();
    rules(&bench, &json!([{ "screen": "", "keys": ["read", "confirm"] }, { "amount": "12.35 EUR" }]));
    bench.tap(SMALL);
    let told = outcome(&bench, 0);
    assert_eq!((told["rule"].as_u64(), bench.screen()["state"].as_str()), (Some(1), Some("idle")));
    assert!(told["outcome"].as_str().unwrap().contains("differs"), "{told}");
}

#[test]
fn new_rules_see_the_screen_that_is_there_and_no_rules_see_none() {
    let bench = Bench::new();
    bench.tap(SMALL);
    let before = bench.screen()["seq"].as_u64().unwrap();
    rules(&bench, &json!([{ "screen": "Payment", "keys": ["next"] }]));
    assert_eq!(outcome(&bench, before)["outcome"], "pressed");
    assert_eq!(bench.screen()["page"], 2);
    assert_eq!(bench.get_json("/v1/automation")["rules"][0]["screen"], "Payment");

    let cleared = bench.send("DELETE", "/v1/automation", "application/json", b"");
    assert_eq!(cleared.json(), json!({ "rules": [] }));
    bench.post("/v1/keys", &json!({ "keys": ["previous"] }));
    assert_eq!(bench.screen()["page"], 1);
}

#[test]
fn a_rule_whose_key_is_refused_says_so() {
    let bench = Bench::new();
    rules(&bench, &json!([{ "screen": "Payment", "keys": ["1"] }]));
    bench.tap(SMALL);
    let told = outcome(&bench, 0);
    assert!(told["outcome"].as_str().unwrap().contains("read all pages"), "{told}");
    assert_eq!(
        bench.get_json("/v1/automation")["rules"][0]["keys"],
        json!(["digit"]),
        "a PIN is not given back"
    );
}
