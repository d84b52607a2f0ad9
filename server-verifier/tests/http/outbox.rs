//! What others were not told yet.

use std::sync::Arc;

use onetap_server_verifier::outbox::{Deliverer, DeliveryRules, Reply, Transport, Undelivered};
use onetap_server_verifier::{Message, Timestamp};
use serde_json::{Value, json};

use crate::scene::{SYMMETRIC, Scene};

/// A receiver that takes nothing.
struct Deaf;

impl Transport for Deaf {
    fn send(&self, _message: &Message, _now: Timestamp) -> Result<Reply, Undelivered> {
        Err(Undelivered("the receiver answers 500".into()))
    }
}

/// Ada's account is locked, which nobody takes; the message's id.
fn dead_letter(scene: &Scene) -> String {
    let mut card = scene.card(SYMMETRIC);
    for _ in 0..3 {
        scene.authorise(&card.tap(scene.world.payment(1)).typed("WRONG234"));
    }
    let waiting = scene.get("aud", "/v1/outbox").json();
    let first = &waiting["items"][0];
    assert_eq!((&first["state"], &first["attempts"]), (&json!("waiting"), &json!(0)));
    let rules = DeliveryRules { attempts: 1, ..DeliveryRules::default() };
    let deliverer = Deliverer::new(Arc::clone(&scene.world.verifier), Deaf, rules);
    assert_eq!(deliverer.round().unwrap().failed, 1);
    first["message"].as_str().unwrap().to_owned()
}

fn outbox(scene: &Scene, query: &str) -> Value {
    let answer = scene.get("aud", &format!("/v1/outbox{query}"));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

#[test]
fn an_empty_outbox_is_empty() {
    let scene = Scene::new();
    assert_eq!(outbox(&scene, ""), json!({ "waiting": 0, "dead": 0, "items": [], "next": null }));
}

#[test]
fn a_dead_letter_is_listed_and_sent_again() {
    let scene = Scene::new();
    let message = dead_letter(&scene);
    let listed = outbox(&scene, "");
    assert_eq!((&listed["waiting"], &listed["dead"]), (&json!(1), &json!(1)));
    let letter = &listed["items"][0];
    let expected = json!({
        "message": message, "topic": "account-locked", "account": scene.world.ada.as_str(), "state": "dead",
        "attempts": 1, "failure": "the receiver answers 500", "due_at": null, "dead_at": letter["dead_at"],
    });
    assert_eq!(*letter, expected);
    assert!(letter["dead_at"].is_string());
    assert_eq!(outbox(&scene, "?dead=true")["items"], listed["items"]);
    assert_eq!(outbox(&scene, "?limit=1")["next"], json!(message));
    assert_eq!(outbox(&scene, &format!("?after={message}"))["items"], json!([]));
    for bad in ["?dead=true&after=1-1", "?after=x", "?limit=0"] {
        assert_eq!(scene.get("aud", &format!("/v1/outbox{bad}")).problem(), "malformed", "{bad}");
    }

    let requeue = format!("/v1/outbox/{message}/requeue");
    assert_eq!(scene.post("op", &requeue, &json!({ "reason": "" })).problem(), "unprocessable");
    let requeued = scene.post("op", &requeue, &json!({ "reason": "it is up again" }));
    assert_eq!(requeued.json(), json!({ "message": message, "state": "requeued" }));
    assert_eq!(scene.post("op", &requeue, &json!({ "reason": "twice" })).problem(), "not-found");
    let waiting = outbox(&scene, "");
    assert_eq!((&waiting["waiting"], &waiting["dead"]), (&json!(1), &json!(0)));
    assert_eq!(waiting["items"][0]["state"], "waiting");
    let log = scene.get("aud", "/v1/audit?last=true&limit=1").json();
    let entry = &log["items"][0];
    assert_eq!((&entry["event"], &entry["by"]), (&json!("message-requeued"), &json!("operator op")));
}

#[test]
fn a_dead_letter_is_given_up_once() {
    let scene = Scene::new();
    let discard = format!("/v1/outbox/{}/discard", dead_letter(&scene));
    let reason = json!({ "reason": "told by telephone" });
    assert_eq!(scene.post("op", &discard, &reason).json()["state"], "discarded");
    assert_eq!(outbox(&scene, "")["waiting"], 0);
    assert_eq!(scene.post("op", &discard, &reason).problem(), "not-found");
    let log = scene.get("aud", "/v1/audit?last=true&limit=1").json();
    assert_eq!(log["items"][0]["event"], "message-discarded");
}
