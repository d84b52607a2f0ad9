//! Events: numbered, waited for, streamed, resumed, and silent about secrets.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;

use onetap_applet::{DEAD_TIME_MS, DEBOUNCE_MS, Key};
use serde_json::{Value, json};

use crate::bench::{Bench, LARGE, PIN, SMALL};

fn kinds(events: &Value) -> Vec<&str> {
    events["events"].as_array().unwrap().iter().map(|event| event["kind"].as_str().unwrap()).collect()
}

/// A stream of events, up to wherever it is read.
struct Stream(BufReader<TcpStream>);

impl Stream {
    fn open(bench: &Bench, path: &str, more: &str) -> Self {
        let mut stream = bench.connect();
        let head = bench.head("GET", path);
        write!(stream, "{head}Accept: text/event-stream\r\n{more}\r\n").unwrap();
        let mut stream = Self(BufReader::new(stream));
        assert!(stream.line().starts_with("HTTP/1.1 200"));
        stream
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.0.read_line(&mut line).unwrap() > 0, "the stream ended");
        line
    }

    /// The next value of a field.
    fn next(&mut self, field: &str) -> String {
        loop {
            if let Some(value) = self.line().strip_prefix(&format!("{field}: ")) {
                return value.trim().to_owned();
            }
        }
    }
}

#[test]
fn events_come_in_order_without_gaps() {
    let bench = Bench::new();
    bench.tap(SMALL);
    let seq = bench.post("/v1/keys", &json!({ "keys": ["next"] }))["seq"].as_u64().unwrap();
    let all = bench.get_json("/v1/events");
    let numbers: Vec<u64> =
        all["events"].as_array().unwrap().iter().map(|it| it["seq"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=seq).collect::<Vec<_>>());
    let told = kinds(&all);
    assert_eq!(told[..4], ["field", "power-on", "command", "response"]);
    assert_eq!(told[told.len() - 5..], ["power-off", "field", "screen", "key", "screen"]);
    let later = bench.get_json(&format!("/v1/events?after={}", seq - 2));
    assert_eq!((kinds(&later), &later["lost"]), (vec!["key", "screen"], &json!(false)));
}

#[test]
fn a_read_waits_for_what_has_not_happened_yet() {
    let bench = Bench::new();
    bench.deliver(SMALL);
    let seq = bench.post("/v1/field", &json!({ "on": false }))["seq"].as_u64().unwrap();
    let path = format!("/v1/screen?after={seq}&timeout_ms=60000");
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| bench.get_json(&path));
        bench.pass(DEBOUNCE_MS);
        let screen = waiting.join().unwrap();
        assert_eq!((screen["state"].as_str(), screen["blank"].as_bool()), (Some("showing"), Some(false)));
        assert!(screen["screen_seq"].as_u64().unwrap() > seq);
    });
    // What has happened already is not waited for; what does not happen is waited for so long only.
    bench.get_json("/v1/screen?after=0&timeout_ms=60000");
    let now = bench.screen()["seq"].as_u64().unwrap();
    let nothing = bench.get_json(&format!("/v1/events?after={now}&timeout_ms=1"));
    assert!(kinds(&nothing).is_empty());
}

#[test]
fn a_stream_goes_on_where_it_broke_off() {
    let bench = Bench::new();
    bench.post("/v1/field", &json!({ "on": true }));
    let mut first = Stream::open(&bench, "/v1/events", "");
    assert_eq!((first.next("id"), first.next("event")), ("1".to_owned(), "field".to_owned()));
    drop(first);
    bench.post("/v1/field", &json!({ "on": false }));

    let mut second = Stream::open(&bench, "/v1/events?after=77", "Last-Event-ID: 1\r\n");
    let seen: Vec<Value> = (0..3).map(|_| serde_json::from_str(&second.next("data")).unwrap()).collect();
    let told: Vec<(u64, &str)> =
        seen.iter().map(|event| (event["seq"].as_u64().unwrap(), event["kind"].as_str().unwrap())).collect();
    assert_eq!(told, [(2, "power-on"), (3, "power-off"), (4, "field")]);
    // And on into what has yet to happen.
    bench.card.lock().unwrap().press(Key::Next).unwrap_err();
    assert!(second.next("data").contains(r#""key":"next""#));
}

#[test]
fn whoever_was_away_too_long_is_told_so_once() {
    let bench = Bench::new();
    for _ in 0..600 {
        let mut card = bench.card.lock().unwrap();
        card.enter_field();
        card.leave_field();
    }
    assert_eq!(bench.get_json("/v1/events")["lost"], true);
    let mut stream = Stream::open(&bench, "/v1/events", "Last-Event-ID: 3\r\n");
    assert_eq!(stream.next("event"), "lost");
    assert_eq!((stream.next("id"), stream.next("event")), ("201".to_owned(), "field".to_owned()));
}

#[test]
fn neither_joint_password_nor_pin_is_in_history_or_log() {
    let bench = Bench::new();
    bench.deliver(LARGE);
    // A host that takes it for another card, and sends it a PIN: VERIFY.
    let verify = [b"\x00\x20\x00\x01\x04", PIN.as_bytes()].concat();
    bench.card.lock().unwrap().transmit(&verify);
    bench.post("/v1/field", &json!({ "on": false }));
    bench.pass(DEBOUNCE_MS);
    bench.post("/v1/keys", &json!({ "keys": ["read"] }));
    bench.pass(DEAD_TIME_MS);
    for digit in PIN.chars() {
        bench.post("/v1/keys", &json!({ "keys": [digit.to_string()] }));
    }
    bench.post("/v1/keys", &json!({ "keys": ["confirm"] }));
    let shown = bench.screen()["lines"][1].as_str().unwrap().to_owned();
    let password = shown.replace(' ', "");
    // Digits as text, as ASCII in hexadecimal, and one in a byte, as keypads and PIN blocks have them.
    let one_by_one = |digits: &str| digits.chars().map(|digit| format!("0{digit}")).collect::<String>();
    let secrets = [&password, PIN].map(|secret| [hex::encode(secret), one_by_one(secret)]).concat();
    for path in ["/v1/events", "/v1/log"] {
        let text = String::from_utf8(bench.get(path).body).unwrap();
        assert!(text.contains("Coffee Shop"), "what the reader sent is there");
        assert!(!text.contains(&shown) && !text.contains(&password), "{path}");
        let text = text.to_lowercase();
        assert!(text.contains(&hex::encode("Coffee Shop")), "and the bytes of it: {path}");
        assert!(secrets.iter().all(|secret| !text.contains(secret)), "{path}");
    }
    let events = bench.get_json("/v1/events");
    let keys: Vec<&Value> =
        events["events"].as_array().unwrap().iter().filter(|it| it["kind"] == "key").collect();
    assert_eq!(keys.iter().filter(|key| key["key"] == "digit").count(), PIN.len());
    assert!(keys.iter().all(|key| key.as_object().unwrap().len() == 3), "a key's name and nothing else");
}

#[test]
fn the_log_pairs_commands_with_responses_in_words() {
    let bench = Bench::new();
    bench.deliver(SMALL);
    let log = bench.get_json("/v1/log");
    let told: Vec<&str> =
        log.as_array().unwrap().iter().map(|it| it["command"]["text"].as_str().unwrap()).collect();
    assert_eq!(told.len(), 5);
    assert!(told[0].starts_with("SELECT") && told[2].contains(SMALL), "{told:?}");
    let response = log[1]["response"]["text"].as_str().unwrap();
    assert!(response.contains("payer alias"), "{response}");
}
