//! Clock, seed, snapshot and restore.

use onetap_applet::{DEAD_TIME_MS, PENDING_MS};
use serde_json::json;

use crate::bench::{Answer, Bench, SMALL, START};

fn restore(bench: &Bench, snapshot: &[u8]) -> Answer {
    bench.send("POST", "/v1/restore", "application/octet-stream", snapshot)
}

fn snapshot(bench: &Bench) -> Vec<u8> {
    let answer = bench.ask("POST", "/v1/snapshot", &json!({}));
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/octet-stream")));
    answer.body
}

#[test]
fn time_is_set_and_passes_only_then() {
    let bench = Bench::new();
    let now = || bench.get_json("/v1/clock")["now_ms"].as_u64().unwrap();
    assert_eq!((now(), bench.get_json("/v1/seed")), (START, json!({ "seed": 7 })));
    bench.tap(SMALL);
    let after = bench.post("/v1/clock", &json!({ "advance_ms": PENDING_MS }));
    assert_eq!(after["virtual"], true);
    assert_eq!(bench.screen()["blank"], true, "the transaction ran out of time at once");
    assert_eq!(bench.post("/v1/clock", &json!({ "set_ms": 5 }))["now_ms"], 5);
    assert_eq!(now(), 5);
}

#[test]
fn a_snapshot_brings_back_card_and_time() {
    let bench = Bench::new();
    bench.tap(SMALL);
    let kept = snapshot(&bench);
    let before = bench.screen();
    bench.post("/v1/keys", &json!({ "keys": ["cancel"] }));
    bench.pass(3 * PENDING_MS);
    assert_eq!(bench.screen()["state"], "idle");

    let answer = restore(&bench, &kept);
    assert_eq!(answer.status, 200, "{answer:?}");
    let after = bench.screen();
    assert_eq!((&after["state"], &after["lines"]), (&before["state"], &before["lines"]));
    let restored = answer.json()["seq"].as_u64().unwrap();
    assert!(restored > before["seq"].as_u64().unwrap(), "numbers go on");
    // The restored card is the one that all doors now lead to, and it is watched.
    bench.post("/v1/keys", &json!({ "keys": ["read"] }));
    bench.pass(DEAD_TIME_MS);
    bench.post("/v1/keys", &json!({ "keys": ["confirm"] }));
    assert_eq!(bench.screen()["state"], "revealed");
    let events = bench.get_json(&format!("/v1/events?after={restored}"));
    assert!(events["events"].as_array().unwrap().iter().any(|event| event["kind"] == "key"));
}

#[test]
fn a_restore_that_cannot_be_changes_nothing() {
    let bench = Bench::new();
    bench.tap(SMALL);
    let kept = snapshot(&bench);
    let before = bench.screen();
    let mut newer = kept.clone();
    newer[9] ^= 0x55;
    for bad in [&[][..], &[0; 7], &[0; 8], &[0xFF; 64], &kept[..kept.len() / 2], &newer] {
        assert_eq!(restore(&bench, bad).refusal(400), "bad-request", "{} bytes", bad.len());
    }
    let large = vec![0; 20 * 1024];
    assert_eq!(restore(&bench, &large).refusal(400), "bad-request");
    assert_eq!(bench.send("POST", "/v1/restore", "application/json", &kept).refusal(415), "content-type");
    assert_eq!(bench.screen()["lines"], before["lines"]);
    assert_eq!(bench.get_json("/v1/clock")["now_ms"], START + onetap_applet::DEBOUNCE_MS);

    bench.post("/v1/field", &json!({ "on": true }));
    assert_eq!(restore(&bench, &kept).refusal(409), "in-field");
    let without = Bench::with(|config| config.machine = None);
    assert_eq!(without.ask("POST", "/v1/snapshot", &json!({})).refusal(404), "not-here");
    assert_eq!(restore(&without, &kept).refusal(404), "not-here");
}
