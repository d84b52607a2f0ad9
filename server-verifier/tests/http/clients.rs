//! Clients as businesses have them: hosts with many terminals, tokens that expire and follow one another.

use serde_json::{Value, json};

use crate::scene::{SYMMETRIC, Scene, body, token};
use crate::support::START;
use crate::wire::{Answer, Request};

/// What a client is answered with this token.
fn me(scene: &Scene, token: &str) -> Answer {
    scene.ask(&Request::new("GET", "/v1/me").token(token))
}

fn send(scene: &Scene, method: &str, path: &str, body: Option<&Value>) -> Value {
    let request = Request::new(method, path).token(&token("adm").0);
    let answer = scene.ask(&body.map_or(request.clone(), |body| request.json(body)));
    assert!((200..300).contains(&answer.status), "{method} {path}: {}", answer.text());
    answer.json()
}

/// An acquirer's host for three terminals; its token.
fn host(scene: &Scene) -> String {
    for terminal in ["TERM0002", "TERM0003"] {
        send(scene, "POST", "/v1/terminals", Some(&json!({"terminal": terminal, "reason": "test"})));
    }
    let terminals = json!(["TERM0001", "TERM0002", "TERM0003"]);
    let new = json!({"client": "host", "role": "terminal", "terminals": terminals, "reason": "contract"});
    send(scene, "POST", "/v1/clients", Some(&new))["token"].as_str().unwrap().to_owned()
}

/// What a host is told for a payment at this terminal.
fn pay(scene: &Scene, host: &str, terminal: &str) -> Value {
    let mut card = scene.card(SYMMETRIC);
    let transaction = onetap_apdu_spec::txn::Transaction {
        terminal: terminal.parse().unwrap(),
        ..scene.world.payment(100)
    };
    let request = body(&card.tap(transaction).request);
    let request = Request::new("POST", "/v1/authorisations")
        .token(host)
        .header("idempotency-key", &scene.key())
        .json(&request);
    scene.ask(&request).json()
}

#[test]
fn a_host_pays_for_each_of_its_terminals_and_for_no_other() {
    let scene = Scene::new();
    let host = host(&scene);
    for terminal in ["TERM0001", "TERM0002", "TERM0003"] {
        let paid = pay(&scene, &host, terminal);
        assert_eq!(paid["outcome"], "executed", "{terminal}");
        let id = paid["receipt"]["transaction"].as_str().unwrap();
        let shown = scene.ask(&Request::new("GET", &format!("/v1/transactions/{id}")).token(&host)).json();
        assert_eq!(shown["terminal"], terminal);
    }
    send(&scene, "POST", "/v1/terminals", Some(&json!({"terminal": "TERM0004", "reason": "test"})));
    assert_eq!(pay(&scene, &host, "TERM0004")["outcome"], "refused");
    let standing = me(&scene, &host).json();
    assert_eq!(standing["terminals"], json!(["TERM0001", "TERM0002", "TERM0003"]));
    assert_eq!(standing.get("terminal"), None);
    scene.world.check_books();
}

#[test]
fn a_hosts_terminals_come_and_go_at_once_and_on_record() {
    let scene = Scene::new();
    let host = host(&scene);
    let place = |terminal: &str| format!("/v1/clients/host/terminals/{terminal}");
    send(&scene, "POST", "/v1/terminals", Some(&json!({"terminal": "TERM0004", "reason": "test"})));
    send(&scene, "PUT", &place("TERM0004"), Some(&json!({"reason": "a new shop"})));
    let twice = send(&scene, "PUT", &place("TERM0004"), Some(&json!({"reason": "a new shop"})));
    assert_eq!(twice["terminals"].as_array().unwrap().len(), 4);
    assert_eq!(pay(&scene, &host, "TERM0004")["outcome"], "executed");
    send(&scene, "DELETE", &(place("TERM0004") + "?reason=closed"), None);
    assert_eq!(pay(&scene, &host, "TERM0004")["outcome"], "refused");
    let log = scene.get("aud", "/v1/audit?terminal=TERM0004").json();
    let told: Vec<_> = log["items"].as_array().unwrap().iter().map(|entry| entry["event"].clone()).collect();
    assert_eq!(told, ["terminal-registered", "client-linked", "client-unlinked"]);
    send(&scene, "POST", "/v1/terminals/TERM0002/withdraw", Some(&json!({"reason": "sold"})));
    assert_eq!(me(&scene, &host).json()["terminals"], json!(["TERM0001", "TERM0003"]));
    send(&scene, "DELETE", &(place("TERM0001") + "?reason=closed"), None);
    let refused = |request: Request| scene.ask(&request.token(&token("adm").0)).problem();
    assert_eq!(refused(Request::new("DELETE", &(place("TERM0009") + "?reason=x"))), "not-found");
    assert_eq!(refused(Request::new("DELETE", &place("TERM0003"))), "malformed", "a reason is needed");
    let reason = json!({"reason": "x"});
    assert_eq!(refused(Request::new("PUT", "/v1/clients/op/terminals/TERM0001").json(&reason)), "conflict");
    assert_eq!(refused(Request::new("PUT", &place("NOSUCH01")).json(&reason)), "not-found");
    let last = scene
        .ask(&Request::new("DELETE", "/v1/clients/pos/terminals/TERM0001?reason=x").token(&token("adm").0));
    assert_eq!(last.problem(), "conflict", "the last one stays");
    scene.world.check_books();
}

#[test]
fn a_token_is_good_until_it_expires_and_no_longer() {
    let scene = Scene::new();
    let end = onetap_server_verifier::Timestamp(START + 3600);
    let new =
        json!({"client": "temp", "role": "auditor", "expires_at": end, "reason": "the audit of the year"});
    let added = send(&scene, "POST", "/v1/clients", Some(&new));
    let token = added["token"].as_str().unwrap();
    assert_eq!(added["tokens"][0]["expires_at"], json!(end));
    scene.world.clock.advance(3599);
    assert_eq!(me(&scene, token).status, 200);
    scene.world.clock.advance(1);
    assert_eq!(me(&scene, token).problem(), "not-authenticated");
    scene.world.check_books();
}

#[test]
fn a_token_follows_another_with_an_overlap_and_each_can_be_ended() {
    let scene = Scene::new();
    let old = token("op").0;
    let new = json!({"overlap": 600, "reason": "yearly rotation"});
    let made = send(&scene, "POST", "/v1/clients/op/tokens", Some(&new));
    let young = made["token"].as_str().unwrap().to_owned();
    assert_eq!([me(&scene, &old).status, me(&scene, &young).status], [200; 2]);
    scene.world.clock.advance(600);
    assert_eq!([me(&scene, &old).status, me(&scene, &young).status], [401, 200]);
    let third = send(&scene, "POST", "/v1/clients/op/tokens", Some(&json!({"reason": "a second machine"})));
    let third = third["token"].as_str().unwrap().to_owned();
    assert_eq!(
        [me(&scene, &young).status, me(&scene, &third).status],
        [200; 2],
        "without an overlap both stay"
    );
    let ended = send(&scene, "DELETE", "/v1/clients/op/tokens/2?reason=lost", None);
    assert_eq!(ended["tokens"].as_array().unwrap().len(), 3);
    assert_eq!([me(&scene, &young).status, me(&scene, &third).status], [401, 200]);
    for gone in ["2", "9"] {
        let request = Request::new("DELETE", &format!("/v1/clients/op/tokens/{gone}?reason=lost"));
        assert_eq!(scene.ask(&request.token(&token("adm").0)).problem(), "not-found", "{gone}");
    }
    scene.world.check_books();
}

#[test]
fn eight_tokens_of_a_client_are_good_at_a_time() {
    let scene = Scene::new();
    let new = json!({"reason": "one more"});
    for _ in 0..7 {
        send(&scene, "POST", "/v1/clients/op/tokens", Some(&new));
    }
    assert_eq!(scene.post("adm", "/v1/clients/op/tokens", &new).problem(), "conflict");
    send(&scene, "DELETE", "/v1/clients/op/tokens/3?reason=lost", None);
    send(&scene, "POST", "/v1/clients/op/tokens", Some(&new));
    scene.world.check_books();
}

#[test]
fn a_token_that_was_ended_elsewhere_is_out_within_five_seconds_and_one_made_elsewhere_in() {
    let scene = Scene::new();
    assert_eq!(me(&scene, &token("op").0).status, 200);
    let act = || onetap_server_verifier::Act::of_program("elsewhere", "a test");
    let made = scene.world.verifier.desk(act()).add_token(&"op".parse().unwrap(), None, Some(0)).unwrap();
    let begun = std::time::Instant::now();
    while me(&scene, &token("op").0).status != 401 || me(&scene, made.expose()).status != 200 {
        assert!(begun.elapsed() <= std::time::Duration::from_secs(6), "still in, or not yet");
    }
}
