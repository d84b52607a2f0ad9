//! Money that admins move by hand, the ledger's check, and checkpoints.

use onetap_apdu_spec::account::AccountNumber;
use onetap_apdu_spec::txn::{PayeeName, TransactionType};
use onetap_server_verifier::AccountKind;
use onetap_server_verifier::Act;
use serde_json::{Value, json};

use crate::scene::{SYMMETRIC, Scene, token};
use crate::support::{OPENING, World, account};
use crate::wire::{Answer, Request};

fn refused(answer: &Answer, status: u16, problem: &str) {
    assert_eq!((answer.status, answer.problem().as_str()), (status, problem), "{answer:?}");
}

fn hold(scene: &Scene, amount: u64) -> String {
    scene
        .world
        .verifier
        .desk(Act::of_program("op", "deposit"))
        .place_hold(&scene.world.ada, amount)
        .unwrap()
        .to_string()
}

#[test]
fn a_hold_is_shown_captured_once_and_released_once() {
    let scene = Scene::new();
    let (kept, freed) = (hold(&scene, 500), hold(&scene, 70));
    let path = format!("/v1/accounts/{}/holds", scene.world.ada);
    let shown = scene.get("aud", &path).json();
    assert_eq!(shown["items"].as_array().unwrap().len(), 2);
    let first = &shown["items"][0];
    assert_eq!(
        (&first["hold"], &first["amount"], &first["state"]),
        (&json!(kept), &json!(500), &json!("open"))
    );
    let page = scene.get("aud", &format!("{path}?limit=1&after={kept}")).json();
    assert_eq!(page, json!({ "items": [shown["items"][1]], "next": freed }));

    let capture = format!("/v1/holds/{kept}/capture");
    let shop = scene.world.shop.as_str();
    let body = |amount: u64| json!({ "payee": shop, "amount": amount, "reason": "stayed" });
    refused(&scene.post("adm", &capture, &body(501)), 422, "unprocessable");
    refused(&scene.post("adm", &capture, &body(0)), 422, "unprocessable");
    let own = json!({ "payee": scene.world.ada.as_str(), "amount": 1, "reason": "stayed" });
    refused(&scene.post("adm", &capture, &own), 422, "unprocessable");
    refused(&scene.post("adm", &capture, &json!({ "payee": shop, "amount": 1 })), 400, "malformed");
    let captured = scene.post("adm", &capture, &body(300));
    assert_eq!(captured.json(), json!({ "transaction": format!("capture-{kept}") }));
    refused(&scene.post("adm", &capture, &body(300)), 409, "conflict");

    let release = format!("/v1/holds/{freed}/release");
    let reason = json!({ "reason": "left" });
    refused(&scene.post("adm", &release, &json!({ "reason": " " })), 422, "unprocessable");
    assert_eq!(scene.post("adm", &release, &reason).json(), json!({ "hold": freed, "state": "released" }));
    refused(&scene.post("adm", &release, &reason), 409, "conflict");
    refused(&scene.post("adm", "/v1/holds/1-99/release", &reason), 404, "not-found");
    refused(&scene.post("adm", "/v1/holds/x/release", &reason), 400, "malformed");

    let shown = scene.get("aud", &path).json();
    let end = |at: usize| (shown["items"][at]["state"].clone(), shown["items"][at]["payee"].clone());
    assert_eq!((end(0), end(1)), ((json!("captured"), json!(shop)), (json!("released"), Value::Null)));
    assert_eq!(scene.world.balances(), (i64::try_from(OPENING).unwrap() - 300, 300));
    scene.world.check_books();
}

#[test]
fn a_transaction_is_reversed_once_in_the_name_of_the_client_that_asks() {
    let scene = Scene::new();
    let paid = scene.authorise(&scene.card(SYMMETRIC).tap(scene.world.payment(4_00)).request).json();
    let id = paid["receipt"]["transaction"].as_str().unwrap();
    let settlement = scene.get("aud", &format!("/v1/transactions/{id}/settlement")).json();
    assert_eq!(settlement, json!({ "state": "booked", "system": null, "at": null }));
    let path = format!("/v1/transactions/{id}/reverse");
    let reason = json!({ "reason": "wrong goods" });
    refused(
        &scene.post("adm", &path, &json!({ "reason": "x", "operator": "somebody else" })),
        400,
        "malformed",
    );
    let reversed = scene.post("adm", &path, &reason);
    assert_eq!(reversed.json(), json!({ "transaction": format!("reversal-{id}") }));
    refused(&scene.post("adm", &path, &reason), 409, "conflict");
    refused(
        &scene.post("adm", &format!("/v1/transactions/reversal-{id}/reverse"), &reason),
        422,
        "unprocessable",
    );
    let none = scene.post("adm", "/v1/transactions/000000000000000100000001/reverse", &reason);
    refused(&none, 404, "not-found");
    let log = scene.get("aud", &format!("/v1/audit?account={}&last=true&limit=1", scene.world.ada)).json();
    let entry = &log["items"][0];
    assert_eq!((&entry["event"], &entry["by"]), (&json!("reversed"), &json!("admin adm")));
    assert_eq!(scene.world.balances(), (i64::try_from(OPENING).unwrap(), 0));
    scene.world.check_books();
}

/// A top-up of a purse that another system keeps; the purse, and the transaction's id.
fn accepted(scene: &Scene) -> String {
    let world = &scene.world;
    let purse: AccountNumber = account(&world.verifier, "Ada's purse", AccountKind::StoredValue, 0);
    world
        .verifier
        .desk(Act::of_program("op", "contract 7"))
        .link_account(&purse, &"transit".parse().unwrap())
        .unwrap();
    let mut top_up = world.payment(7_00);
    top_up.kind = TransactionType::TopUp;
    (top_up.payee_account, top_up.payee_name) = (purse, PayeeName::new("Ada's purse").unwrap());
    let answer = scene.authorise(&scene.card(SYMMETRIC).tap(top_up).request).json();
    assert_eq!(answer["receipt"]["accepted_for"], "transit", "{answer}");
    answer["receipt"]["transaction"].as_str().unwrap().to_owned()
}

#[test]
fn another_systems_answer_is_recorded_once_and_not_contradicted() {
    for (said, state, refused_then) in [
        (
            json!({ "state": "settled", "reason": "booked there" }),
            "settled",
            json!({ "state": "failed", "reason": "late" }),
        ),
        (
            json!({ "state": "failed", "reason": "no such purse" }),
            "failed",
            json!({ "state": "settled", "reason": "after all" }),
        ),
    ] {
        let scene = Scene::new();
        let id = accepted(&scene);
        let (shown, path) =
            (format!("/v1/transactions/{id}/settlement"), format!("/v1/transactions/{id}/settle"));
        let before = scene.get("aud", &shown).json();
        assert_eq!(before, json!({ "state": "accepted", "system": "transit", "at": null }));
        let holds = scene.get("aud", &format!("/v1/accounts/{}/holds", scene.world.ada)).json();
        let hold = holds["items"][0]["hold"].as_str().unwrap();
        let reason = json!({ "reason": "impatient" });
        refused(&scene.post("adm", &format!("/v1/holds/{hold}/release"), &reason), 409, "conflict");
        for bad in [json!({ "state": "booked", "reason": "x" }), json!({ "state": "settled" }), json!({})] {
            refused(&scene.post("adm", &path, &bad), 400, "malformed");
        }
        for _ in 0..2 {
            let answer = scene.post("adm", &path, &said);
            assert_eq!(
                (&answer.json()["state"], &answer.json()["system"]),
                (&json!(state), &json!("transit"))
            );
            assert!(answer.json()["at"].is_string());
        }
        assert_eq!(scene.get("aud", &shown).json()["state"], state);
        refused(&scene.post("adm", &path, &refused_then), 409, "conflict");
        scene.world.check_books();
    }
}

#[test]
fn what_no_other_system_was_asked_to_book_has_no_answer() {
    let scene = Scene::new();
    let paid = scene.authorise(&scene.card(SYMMETRIC).tap(scene.world.payment(1)).request).json();
    let id = paid["receipt"]["transaction"].as_str().unwrap();
    let settled = json!({ "state": "settled", "reason": "booked there" });
    refused(&scene.post("adm", &format!("/v1/transactions/{id}/settle"), &settled), 404, "not-found");
}

#[test]
fn a_ledger_that_does_not_hold_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let scene = Scene::around(World::on_disk(directory.path()), |_| ());
    assert_eq!(scene.get("aud", "/v1/ledger/check").json(), json!({ "ledger": true }));
    let database = rusqlite::Connection::open(directory.path().join("verifier.db")).unwrap();
    database.execute("UPDATE accounts SET balance = balance + 1 WHERE account_id = 2", []).unwrap();
    let broken = scene.get("aud", "/v1/ledger/check").json();
    assert_eq!(broken["ledger"], false);
    assert!(broken["finding"].as_str().unwrap().contains("balance"), "{broken}");
    let state = scene.get("aud", "/v1/audit/state").json();
    assert_eq!(state["running_since"], Value::Null, "the check has ended");
}

#[test]
fn a_checkpoint_is_made_listed_and_verifies() {
    let scene = Scene::new();
    let make = || scene.ask(&Request::new("POST", "/v1/checkpoints").token(&token("adm").0));
    let files: Vec<_> = (0..3)
        .map(|_| {
            scene.world.clock.advance(60);
            make()
        })
        .collect();
    for file in &files {
        assert_eq!((file.status, file.header("content-type")), (201, Some("application/jsonl")));
        let checkpoint = scene.world.verifier.checkpoint_verify(&mut file.body.as_slice()).unwrap();
        assert_eq!(usize::try_from(checkpoint.chains).unwrap() + 1, file.text().lines().count());
    }
    let all = scene.get("aud", "/v1/checkpoints").json();
    let items = all["items"].as_array().unwrap();
    let moments: Vec<_> = items.iter().map(|one| one["at"].as_str().unwrap()).collect();
    assert!(moments.len() == 3 && moments.is_sorted_by(|newer, older| newer > older), "{moments:?}");
    let page = scene.get("aud", "/v1/checkpoints?limit=1").json();
    assert_eq!((&page["items"][0], &page["next"]), (&items[0], &json!(items[0]["entry"].to_string())));
    let next = scene.get("aud", &format!("/v1/checkpoints?limit=1&after={}", items[0]["entry"])).json();
    assert_eq!(next["items"][0], items[1]);
    assert_eq!(scene.get("aud", "/v1/audit/state").json()["checkpoint"], items[0]);
}
