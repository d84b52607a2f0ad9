//! What HTTP itself asks of every request and answer.

use std::io::Write as _;

use serde_json::json;

use crate::scene::{Scene, token};
use crate::wire::{Answer, Conn, Request};

/// The answer to a request as it is written here, which has no body.
fn raw(scene: &Scene, head: &str) -> Answer {
    let mut conn = scene.conn();
    conn.send(head.as_bytes());
    conn.receive().unwrap()
}

#[test]
fn a_request_that_names_no_host_or_several_is_malformed() {
    let scene = Scene::new();
    for head in [
        "GET /healthz HTTP/1.1\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        "GET /healthz HTTP/1.0\r\nhost: a\r\nhost: a\r\n\r\n",
    ] {
        assert_eq!(raw(&scene, head).problem(), "malformed", "{head}");
    }
    assert_eq!(raw(&scene, "GET /healthz HTTP/1.0\r\n\r\n").status, 200, "HTTP/1.0 needs none");
    assert_eq!(raw(&scene, "GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n").status, 200);
}

#[test]
fn a_nul_in_an_address_is_malformed() {
    let scene = Scene::new();
    for path in [
        "/v1/accounts/%00",
        "/v1/cards/000000000000000%00",
        "/v1/clients/a%00/withdraw",
        "/v1/accounts?holder=%00",
        "/v1/accounts/1000000000009/statement?after=0.0.%00",
    ] {
        assert_eq!(scene.get("adm", path).problem(), "malformed", "{path}");
    }
}

#[test]
fn a_nul_in_a_reason_is_refused() {
    let scene = Scene::new();
    let body = json!({"terminal": "TERM0002", "reason": "a\u{0}b"});
    assert_eq!(scene.post("adm", "/v1/terminals", &body).problem(), "unprocessable");
}

#[test]
fn no_cache_keeps_any_answer() {
    let scene = Scene::new();
    for (who, path) in [
        ("adm", "/metrics"),
        ("adm", "/v1/me"),
        ("adm", "/healthz"),
        ("adm", "/console"),
        ("pos", "/metrics"),
        ("adm", "/x"),
    ] {
        assert_eq!(scene.get(who, path).header("cache-control"), Some("no-store"), "{path}");
    }
}

#[test]
fn a_method_that_is_not_there_is_answered_with_those_that_are() {
    let scene = Scene::new();
    let answer = scene.ask(&Request::new("DELETE", "/v1/accounts"));
    assert_eq!(answer.problem(), "method-not-allowed");
    assert_eq!(answer.header("allow"), Some("GET,HEAD,POST"));
}

#[test]
fn a_connection_goes_on_after_an_error_before_a_body_that_has_come() {
    let scene = Scene::new();
    let mut conn = scene.conn();
    let body = json!({"terminal": "TERM0002", "reason": "test"});
    for _ in 0..3 {
        let answer = conn.exchange(&Request::new("POST", "/v1/terminals").json(&body));
        assert_eq!(answer.problem(), "not-authenticated");
        assert_eq!(answer.header("connection"), None);
    }
    assert_eq!(conn.exchange(&Request::new("GET", "/healthz")).status, 200);
}

/// A request whose body does not come with its head.
fn without_body(scene: &Scene, fields: &str) -> (Conn, Answer) {
    let mut conn = scene.conn();
    let head = format!("POST /v1/terminals HTTP/1.1\r\nhost: a\r\n{fields}\r\n");
    conn.send(head.as_bytes());
    let answer = conn.receive().unwrap();
    (conn, answer)
}

#[test]
fn an_error_before_a_body_that_has_not_come_ends_the_connection_and_says_so() {
    let scene = Scene::new();
    for fields in [
        "content-length: 10\r\n",
        "content-length: 1000000\r\n",
        "transfer-encoding: chunked\r\n",
        "content-length: 10\r\nexpect: 100-continue\r\n",
    ] {
        let (mut conn, answer) = without_body(&scene, fields);
        assert_eq!(answer.problem(), "not-authenticated", "{fields}");
        assert_eq!(answer.header("connection"), Some("close"), "{fields}");
        let _gone = conn.stream.write_all(b"0123456789");
        assert!(conn.receive().is_none(), "{fields}");
    }
}

#[test]
fn a_body_that_is_too_large_ends_the_connection_and_says_so() {
    let scene = Scene::new();
    let mut conn = scene.conn();
    let head = format!(
        "POST /v1/terminals HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
         content-length: 1000000\r\n\r\n",
        token("adm").0
    );
    conn.send(head.as_bytes());
    let answer = conn.receive().unwrap();
    assert_eq!(answer.problem(), "too-large");
    assert_eq!(answer.header("connection"), Some("close"));
}
