//! Idempotency keys of acts: what is asked for again is done once.

use onetap_apdu_spec::service::IDEMPOTENCY_KEY;
use serde_json::{Value, json};

use crate::scene::{SYMMETRIC, Scene, token};
use crate::wire::{Answer, Request};

/// An act under a key.
fn act(scene: &Scene, (who, path): (&str, &str), key: &str, body: &Value) -> Answer {
    scene.ask(&Request::new("POST", path).token(&token(who).0).header(IDEMPOTENCY_KEY, key).json(body))
}

/// The same act twice under one key: both answers, which must have one status.
fn twice(scene: &Scene, to: (&str, &str), body: &Value) -> [Value; 2] {
    let key = scene.key();
    let [first, again] = [act(scene, to, &key, body), act(scene, to, &key, body)];
    assert!((200..300).contains(&first.status), "{}", first.text());
    assert_eq!(first.status, again.status, "{}", again.text());
    [first.json(), again.json()]
}

#[test]
fn an_account_is_opened_once_under_one_key() {
    let scene = Scene::new();
    let body = json!({"holder": "Grace Hopper", "currency": "EUR", "kind": "current", "opening_balance": 5000, "reason": "test"});
    let [first, again] = twice(&scene, ("adm", "/v1/accounts"), &body);
    assert_eq!(first["number"], again["number"]);
    let found = scene.get("op", "/v1/accounts?holder=grace").json();
    assert_eq!(found["items"].as_array().unwrap().len(), 1);
    scene.world.check_books();
}

#[test]
fn a_key_is_for_one_act_of_one_client() {
    let scene = Scene::new();
    let body = |holder: &str| json!({"holder": holder, "currency": "EUR", "kind": "current"});
    let first = act(&scene, ("op", "/v1/accounts"), "k", &body("A")).json();
    let spaced = r#"{ "kind": "current",  "currency": "EUR", "holder": "A" }"#;
    let request = Request::new("POST", "/v1/accounts").token(&token("op").0).header(IDEMPOTENCY_KEY, "k");
    assert_eq!(scene.ask(&request.raw(spaced.into())).json()["number"], first["number"], "the same values");
    assert_eq!(act(&scene, ("op", "/v1/accounts"), "k", &body("B")).problem(), "conflict", "another body");
    let card = json!({"account": first["number"]});
    assert_eq!(act(&scene, ("op", "/v1/cards"), "k", &card).problem(), "conflict", "another address");
    let other = act(&scene, ("adm", "/v1/accounts"), "k", &body("A")).json();
    assert_ne!(other["number"], first["number"], "another client");
    let mut bad = Request::new("POST", "/v1/accounts").token(&token("op").0).json(&body("A"));
    bad = bad.header(IDEMPOTENCY_KEY, "a b");
    assert_eq!(scene.ask(&bad).problem(), "malformed");
    scene.world.check_books();
}

#[test]
fn every_act_on_a_card_is_done_once_under_one_key() {
    let scene = Scene::new();
    let [first, again] =
        twice(&scene, ("op", "/v1/cards"), &json!({"account": scene.world.ada, "suite": SYMMETRIC}));
    assert_eq!(first, again, "the same keys");
    let card = scene.card(SYMMETRIC).order.binding.card;
    let [first, again] =
        twice(&scene, ("op", &format!("/v1/cards/{card}/rotate")), &json!({"suite": SYMMETRIC}));
    assert_eq!(first, again);
    let body = json!({"suite": SYMMETRIC, "reason": "lost"});
    let [first, again] = twice(&scene, ("op", &format!("/v1/cards/{card}/replace")), &body);
    assert_eq!(first, again);
    let card = scene.card(SYMMETRIC).order.binding.card;
    twice(&scene, ("op", &format!("/v1/cards/{card}/block")), &json!({"reason": "lost"}));
    scene.world.check_books();
}

#[test]
fn money_is_moved_by_hand_once_under_one_key() {
    let scene = Scene::new();
    let holds = format!("/v1/accounts/{}/holds", scene.world.ada);
    let body = json!({"amount": 2500, "reason": "deposit"});
    let [first, again] = twice(&scene, ("adm", &holds), &body);
    assert_eq!(first["hold"], again["hold"]);
    let capture = format!("/v1/holds/{}/capture", first["hold"].as_str().unwrap());
    let [captured, again] = twice(
        &scene,
        ("adm", &capture),
        &json!({"payee": scene.world.shop, "amount": 2000, "reason": "bill"}),
    );
    assert_eq!(captured, again);
    let reverse = format!("/v1/transactions/{}/reverse", captured["transaction"].as_str().unwrap());
    let [reversed, again] = twice(&scene, ("adm", &reverse), &json!({"reason": "complaint"}));
    assert_eq!(reversed, again);
    let other = act(&scene, ("adm", &holds), "other", &body).json();
    twice(
        &scene,
        ("adm", &format!("/v1/holds/{}/release", other["hold"].as_str().unwrap())),
        &json!({"reason": "left"}),
    );
    assert_eq!(scene.world.balances(), (100_000, 0));
    scene.world.check_books();
}

#[test]
fn a_client_is_added_once_under_one_key_and_its_token_shown_once() {
    let scene = Scene::new();
    let body = json!({"client": "new", "role": "auditor", "reason": "test"});
    let [first, again] = twice(&scene, ("adm", "/v1/clients"), &body);
    assert!(first["token"].is_string() && again.get("token").is_none(), "{again}");
    twice(&scene, ("adm", "/v1/clients/new/withdraw"), &json!({"reason": "test"}));
    twice(&scene, ("adm", "/v1/terminals"), &json!({"terminal": "TERM0009", "reason": "test"}));
    twice(&scene, ("adm", "/v1/terminals/TERM0009/withdraw"), &json!({"reason": "test"}));
    let limited = json!({"transaction_limit": 99, "reason": "test"});
    let [changed, again] = twice(&scene, ("adm", "/v1/policy"), &limited);
    assert_eq!(
        (&changed["transaction_limit"], &changed["max_age"], changed == again),
        (&json!(99), &json!(600), true)
    );
    scene.world.check_books();
}
