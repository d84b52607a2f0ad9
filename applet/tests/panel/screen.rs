//! What the display shows, in three forms, and keys that change it.

use onetap_applet::DEAD_TIME_MS;
use serde_json::json;

use crate::bench::{Bench, LARGE, PIN, SMALL};

#[test]
fn a_payment_is_read_and_confirmed_over_the_panel_alone() {
    let bench = Bench::new();
    assert_eq!(bench.screen()["blank"], true);
    bench.tap(SMALL);
    let first = bench.screen();
    assert_eq!(first["state"], "showing");
    assert_eq!(first["lines"][0], "▸ Payment");
    assert_eq!(first["lines"][1], SMALL);
    assert_eq!((&first["page"], &first["columns"], &first["rows"]), (&json!(1), &json!(20), &json!(6)));

    bench.post("/v1/keys", &json!({ "keys": ["read"] }));
    let last = bench.screen();
    assert_eq!(last["page"], last["pages"]);
    bench.pass(DEAD_TIME_MS);
    bench.post("/v1/keys", &json!({ "keys": ["confirm"] }));
    let password = bench.screen();
    assert_eq!(
        (password["state"].as_str(), password["lines"][0].as_str()),
        (Some("revealed"), Some("▸ Password"))
    );
    assert_eq!(password["lines"][1].as_str().unwrap().replace(' ', "").len(), 8);
    bench.post("/v1/keys", &json!({ "keys": ["cancel"] }));
    assert_eq!(bench.screen()["blank"], true);
}

#[test]
fn a_pin_is_typed_and_a_refused_key_says_why_and_how_far_it_came() {
    let bench = Bench::new();
    bench.tap(LARGE);
    bench.post("/v1/keys", &json!({ "keys": ["read"] }));
    bench.pass(DEAD_TIME_MS);
    let refused = bench.ask("POST", "/v1/keys", &json!({ "keys": ["1", "2", "confirm", "next"] }));
    assert_eq!(refused.refusal(409), "key-refused");
    assert_eq!(refused.json()["pressed"], 2);
    assert!(refused.json()["detail"].as_str().unwrap().contains("PIN"), "{refused:?}");

    let mut keys: Vec<String> = PIN.chars().map(String::from).collect();
    keys.push("confirm".to_owned());
    bench.post("/v1/keys", &json!({ "keys": keys }));
    assert_eq!(bench.screen()["state"], "revealed");
}

#[test]
fn pictures_show_the_screen_and_nothing_is_kept_by_anyone() {
    let bench = Bench::new();
    let blank = (bench.get("/v1/screen.png"), bench.get("/v1/screen.svg"));
    bench.tap(SMALL);
    let shown = (bench.get("/v1/screen.png"), bench.get("/v1/screen.svg"));
    for (answer, media_type) in [(&shown.0, "image/png"), (&shown.1, "image/svg+xml")] {
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(media_type)));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    assert!(shown.0.body.starts_with(b"\x89PNG") && shown.1.body.starts_with(b"<svg"));
    assert_ne!(blank.0.body, shown.0.body);
    assert_ne!(blank.1.body, shown.1.body);
    assert_eq!(bench.get("/v1/screen.svg").body, shown.1.body, "the same dots each time");
    assert!(bench.get("/v1/screen.png?scale=8").body.len() > shown.0.body.len());
    for bad in ["0", "9", "-1", "x", ""] {
        assert_eq!(bench.get(&format!("/v1/screen.png?scale={bad}")).refusal(400), "bad-request");
    }
}

/// The server waits out the debounce and the dead time; here both pass on the card's own clock, from
/// another connection.
#[test]
fn patient_keys_wait_until_the_card_takes_them() {
    let bench = Bench::new();
    bench.deliver(SMALL);
    bench.post("/v1/field", &json!({ "on": false }));
    let asleep = bench.ask("POST", "/v1/keys", &json!({ "keys": ["read"] }));
    assert!(asleep.json()["detail"].as_str().unwrap().contains("awake"), "{asleep:?}");

    let patient = json!({ "keys": ["read", "confirm"], "patience_ms": 30_000 });
    std::thread::scope(|scope| {
        let pressing = scope.spawn(|| bench.ask("POST", "/v1/keys", &patient));
        while !pressing.is_finished() {
            bench.pass(50);
        }
        let answer = pressing.join().unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
    });
    assert_eq!(bench.screen()["state"], "revealed");
}
