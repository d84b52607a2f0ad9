//! `POST /v1/cancellations`: an attempt whose outcome nobody knows gets an end.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use onetap_apdu_spec::header::CardId;
use onetap_apdu_spec::service::Cancellation;
use onetap_server_verifier::http::Rate;
use serde_json::{Value, json};

use crate::authorising::uniform;
use crate::scene::{SYMMETRIC, Scene, authorisation, token};
use crate::support::{Card, Tap, World};
use crate::wire::{Answer, Request};

fn cancellation(tap: &Tap) -> Cancellation {
    tap.request.cancellation()
}

impl Scene {
    fn cancel(&self, cancellation: &Cancellation) -> Answer {
        self.post("pos", "/v1/cancellations", &json!(cancellation))
    }
}

/// Sent without an idempotency key, and answered the same each time.
#[test]
fn what_was_cancelled_is_told_so_for_good_and_no_copy_of_the_request_executes() {
    let scene = Scene::new();
    let mut card = scene.card(SYMMETRIC);
    let tap = card.tap(scene.world.payment(5_00));
    for _ in 0..2 {
        let answer = scene.cancel(&cancellation(&tap));
        assert_eq!((answer.status, answer.text().as_str()), (200, r#"{"outcome":"cancelled"}"#));
    }
    assert_eq!(scene.authorise(&tap.request).text(), r#"{"outcome":"refused"}"#);
    assert_eq!(scene.authorise(&card.tap(scene.world.payment(5_00)).request).json()["outcome"], "executed");
    assert_eq!(scene.world.balances().1, 5_00);
    let metrics = scene.get("op", "/metrics").text();
    assert!(metrics.contains(r#"onetap_cancellations_total{outcome="cancelled"} 2"#), "{metrics}");
    scene.world.check_books();
}

/// The answer to the request was lost; the cancellation has it to the byte.
#[test]
fn what_was_executed_is_told_with_the_receipt_of_the_answer_that_was_lost() {
    let scene = Scene::new();
    let tap = scene.card(SYMMETRIC).tap(scene.world.payment(5_00));
    let lost = scene.authorise(&tap.request);
    let found = scene.cancel(&cancellation(&tap));
    assert_eq!((found.status, &found.body), (200, &lost.body));
    let id = found.json()["receipt"]["transaction"].as_str().unwrap().to_owned();
    let shown = scene.get("pos", &format!("/v1/transactions/{id}")).json();
    assert_eq!(shown["receipt"], found.json()["receipt"]);
}

#[test]
fn every_refusal_of_a_cancellation_is_one_and_the_same_answer_padded() {
    let scene = Scene::new();
    let mut card = scene.card(SYMMETRIC);
    let tap = card.tap(scene.world.payment(1_00));
    let refused = scene.authorise(&tap.typed("WRONG234"));
    let mut forged = cancellation(&tap);
    *forged.signature_message.last_mut().unwrap() ^= 1;
    let mut stranger = Card::make(card.order.clone());
    stranger.order.binding.card = CardId([7; 8]);
    let mut elsewhere = scene.world.payment(1_00);
    elsewhere.terminal = "TERM0002".parse().unwrap();
    let other_bytes = card.sign_at(1, card.order.binding.suite, scene.world.payment(7_00));
    let cases = [
        ("bad signature", forged),
        ("unknown card", cancellation(&stranger.tap(scene.world.payment(1_00)))),
        ("other bytes", cancellation(&other_bytes)),
        ("other terminal", cancellation(&card.tap(elsewhere))),
    ];
    for (why, case) in cases {
        let asked = Instant::now();
        let answer = scene.cancel(&case);
        assert!(asked.elapsed() >= Duration::from_millis(2), "{why}");
        assert_eq!(uniform(&answer), uniform(&refused), "{why}: as a request's refusal");
    }
    assert_eq!(scene.authorise(&tap.request).json()["outcome"], "executed", "none of that stopped it");
}

#[test]
fn a_cancellation_has_no_password_and_only_known_fields() {
    let scene = Scene::new();
    let tap = scene.card(SYMMETRIC).tap(scene.world.payment(1_00));
    let good = json!(cancellation(&tap));
    let change = |field: &str, value: Value| {
        let mut changed = good.clone();
        changed[field] = value;
        changed
    };
    for (what, body) in [
        ("password", change("verification_password", json!("ABCD2345"))),
        ("not T", change("transaction", json!("AAAA"))),
        ("not a signature message", change("signature_message", json!("AAAA"))),
        ("object missing", change("password_object", Value::Null)),
        ("not base64", change("transaction", json!("-"))),
    ] {
        let answer = scene.post("pos", "/v1/cancellations", &body);
        assert_eq!((answer.status, answer.problem().as_str()), (400, "malformed"), "{what}");
    }
    assert_eq!(scene.authorise(&tap.request).json()["outcome"], "executed");
}

#[test]
fn a_profile_whose_signature_takes_the_password_has_no_cancellation() {
    let scene = Scene::around(World::with(|policy| policy.danger_allow_weak_suites = true), |_| ());
    let tap = scene.card("danger-a1").tap(scene.world.payment(1_00));
    let answer = scene.cancel(&cancellation(&tap));
    assert_eq!((answer.status, answer.problem().as_str()), (422, "unprocessable"));
    // What ends the attempt there: the date, and the transaction's id.
    let id = format!("/v1/transactions/{}00000001", card_id(&tap));
    assert_eq!(scene.get("pos", &id).status, 404);
    assert_eq!(scene.authorise(&tap.request).json()["outcome"], "executed");
    assert_eq!(scene.get("pos", &id).status, 200);
}

fn card_id(tap: &Tap) -> String {
    tap.header.binding.card.to_string()
}

/// Requests and cancellations of a card count together.
#[test]
fn a_card_that_is_cancelled_too_often_must_wait() {
    let rate = Rate::new(NonZeroU32::MIN, NonZeroU32::MIN.saturating_add(1));
    let scene = Scene::with(|config| config.card_rate = Some(rate));
    let tap = scene.card(SYMMETRIC).tap(scene.world.payment(1_00));
    let request =
        Request::new("POST", "/v1/cancellations").token(&token("pos").0).json(&json!(cancellation(&tap)));
    let mut conn = scene.conn();
    conn.exchange(&authorisation("key", &tap.request));
    assert_eq!(conn.exchange(&request).json()["outcome"], "executed");
    let answer = conn.exchange(&request);
    assert_eq!((answer.status, answer.problem().as_str()), (429, "too-many-requests"));
    assert!(answer.header("retry-after").is_some());
}
