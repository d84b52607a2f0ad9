//! What the display shows, in three forms, and keys that change it.

use onetap_applet::DEAD_TIME_MS;
use serde_json::json;

use crate::bench::{Answer, Bench, LARGE, PIN, SMALL};

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

/// The three forms of the screen, whose answers nobody may store.
fn forms(bench: &Bench) -> [Answer; 3] {
    [("png", "image/png"), ("svg", "image/svg+xml"), ("", "application/json")].map(|(ending, media_type)| {
        let path = if ending.is_empty() { "/v1/screen".to_owned() } else { format!("/v1/screen.{ending}") };
        let answer = bench.get(&path);
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(media_type)));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        answer
    })
}

#[test]
fn pictures_show_the_screen_and_nothing_is_kept_by_anyone() {
    let bench = Bench::new();
    let blank = forms(&bench);
    bench.tap(SMALL);
    let payment = forms(&bench);
    assert!(payment[0].body.starts_with(b"\x89PNG") && payment[1].body.starts_with(b"<svg"));
    assert_eq!(bench.get("/v1/screen.svg").body, payment[1].body, "the same dots each time");
    assert!(bench.get("/v1/screen.png?scale=8").body.len() > payment[0].body.len());
    for bad in ["0", "9", "-1", "x", ""] {
        assert_eq!(bench.get(&format!("/v1/screen.png?scale={bad}")).refusal(400), "bad-request");
    }

    bench.post("/v1/keys", &json!({ "keys": ["read"] }));
    bench.pass(DEAD_TIME_MS);
    bench.post("/v1/keys", &json!({ "keys": ["confirm"] }));
    let password = forms(&bench);
    assert_eq!(password[2].json()["state"], "revealed");
    bench.post("/v1/keys", &json!({ "keys": ["cancel"] }));
    let after = forms(&bench);
    for form in 0..2 {
        let bodies = [&blank, &payment, &password].map(|forms| &forms[form].body);
        assert!(bodies[0] != bodies[1] && bodies[1] != bodies[2] && bodies[2] != bodies[0]);
        assert_eq!(after[form].body, blank[form].body, "the password is not in the picture any more");
    }
    assert_eq!(after[2].json()["blank"], true);
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
