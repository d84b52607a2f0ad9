//! Anything can be sent: each request gets a problem that says why, and the card goes on.

use std::io::Write as _;

use proptest::prelude::*;
use serde_json::json;

use crate::bench::{Bench, SMALL};

const BODIES: [&str; 9] = [
    "",
    "{",
    "null",
    "[]",
    "{}",
    r#"{"unknown": 1}"#,
    r#"{"keys": "next", "on": "yes", "apdu": 5, "rules": {}, "set_ms": -1}"#,
    "\u{0}\u{1}\u{2}",
    r#"{"keys": [["next"]], "rules": [{"screen": 1}]}"#,
];

const TAKE_JSON: [(&str, &str); 5] = [
    ("POST", "/v1/keys"),
    ("POST", "/v1/field"),
    ("POST", "/v1/apdu"),
    ("PUT", "/v1/automation"),
    ("POST", "/v1/clock"),
];

#[test]
fn bodies_that_make_no_sense_are_refused() {
    let bench = Bench::new();
    for (method, path) in TAKE_JSON {
        for body in BODIES {
            let answer = bench.send(method, path, "application/json", body.as_bytes());
            assert_eq!(answer.refusal(400), "bad-request", "{method} {path} {body}");
        }
        for media_type in ["text/plain", "application/x-www-form-urlencoded", ""] {
            let answer = bench.send(method, path, media_type, b"{}");
            assert_eq!(answer.refusal(415), "content-type", "{method} {path} {media_type}");
        }
        let invalid_utf8 = bench.send(method, path, "application/json; charset=utf-8", b"{\"\xFF\": 1}");
        assert_eq!(invalid_utf8.refusal(400), "bad-request");
        let deep = "[".repeat(100_000);
        assert_eq!(bench.send(method, path, "application/json", deep.as_bytes()).refusal(400), "bad-request");
    }
}

#[test]
fn values_out_of_range_are_refused() {
    let bench = Bench::new();
    for (path, body) in [
        ("/v1/keys", json!({ "keys": [] })),
        ("/v1/keys", json!({ "keys": vec!["next"; 65] })),
        ("/v1/keys", json!({ "keys": ["1234"] })),
        ("/v1/keys", json!({ "keys": ["next"], "patience_ms": -1 })),
        ("/v1/apdu", json!({ "apdu": "0" })),
        ("/v1/apdu", json!({ "apdu": "zz" })),
        ("/v1/clock", json!({ "set_ms": 1_u64 << 53 })),
        ("/v1/clock", json!({ "advance_ms": u64::MAX })),
        ("/v1/clock", json!({ "set_ms": 1, "advance_ms": 1 })),
    ] {
        assert_eq!(bench.ask("POST", path, &body).refusal(400), "bad-request", "{path} {body}");
    }
    for path in ["/v1/events?after=x", "/v1/screen?after=-1", "/v1/screen?timeout_ms=1e3", "/v1/screen?so=1"]
    {
        assert_eq!(bench.get(path).refusal(400), "bad-request", "{path}");
    }
    let pin = bench.ask("POST", "/v1/keys", &json!({ "keys": ["2468"] }));
    assert!(!String::from_utf8(pin.body).unwrap().contains("2468"), "a PIN in one piece is not repeated");
}

#[test]
fn what_comes_at_the_wrong_time_is_refused() {
    let bench = Bench::new();
    let apdu = json!({ "apdu": "00A40400" });
    assert_eq!(bench.ask("POST", "/v1/apdu", &apdu).refusal(409), "no-field");
    bench.post("/v1/field", &json!({ "on": true }));
    bench.post("/v1/field", &json!({ "on": true }));
    bench.post("/v1/apdu", &apdu);
    assert_eq!(bench.ask("POST", "/v1/keys", &json!({ "keys": ["next"] })).refusal(409), "key-refused");
    let real = Bench::with(|config| (config.clock, config.machine) = (None, None));
    assert_eq!(real.ask("POST", "/v1/clock", &json!({ "set_ms": 1 })).refusal(404), "not-here");
    assert_eq!(real.get_json("/v1/clock")["virtual"], false);
}

#[test]
fn requests_too_large_or_not_http_at_all_are_refused() {
    let bench = Bench::new();
    let large = vec![b' '; 200 * 1024];
    for (method, path) in TAKE_JSON {
        let answer = bench.send(method, path, "application/json", &large);
        assert_eq!(answer.refusal(413), "body-too-large");
    }
    let endless = format!(
        "{}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
        bench.head("POST", "/v1/keys")
    );
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    assert_eq!(bench.raw(format!("{endless}{}", chunk.repeat(4)).as_bytes()).refusal(413), "body-too-large");
    for junk in ["GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}\r\n\r\n"] {
        assert_eq!(bench.raw(junk.as_bytes()).status, 400, "{junk:?}");
    }
    let header = format!("{}X: {}\r\n\r\n", bench.head("GET", "/v1/card"), "x".repeat(64 * 1024));
    assert_eq!(bench.raw(header.as_bytes()).status, 431);
}

#[test]
fn paths_and_methods_that_are_not_there_are_refused() {
    let bench = Bench::new();
    for path in ["/v1", "/v1/", "/v2/card", "/v1/screen/../card", "/%2e%2e/etc/passwd", "/index.html", "//"] {
        assert_eq!(bench.get(path).refusal(404), "no-such-path", "{path}");
    }
    for (method, path) in [("DELETE", "/v1/keys"), ("POST", "/v1/screen"), ("PUT", "/"), ("BREW", "/v1/card")]
    {
        assert_eq!(bench.ask(method, path, &json!({})).refusal(405), "method", "{method} {path}");
    }
}

/// The card is in the middle of a transaction while all this comes in, and is there afterwards.
#[test]
fn the_card_goes_on_whatever_was_sent() {
    let bench = Bench::new();
    bench.tap(SMALL);
    for (method, path) in TAKE_JSON {
        let mut broken_off = bench.connect();
        let head = bench.head(method, path);
        write!(broken_off, "{head}Content-Type: application/json\r\nContent-Length: 50\r\n\r\n{{").unwrap();
    }
    assert_eq!(bench.screen()["lines"][1], SMALL);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn any_apdu_gets_a_status_word(apdus in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..4)) {
        let bench = Bench::new();
        bench.post("/v1/field", &json!({ "on": true }));
        for apdu in apdus {
            let answer = bench.post("/v1/apdu", &json!({ "apdu": hex::encode(apdu) }));
            prop_assert!(answer["apdu"].as_str().unwrap().len() >= 4);
        }
        prop_assert!(bench.get("/v1/log").status == 200);
    }
}
