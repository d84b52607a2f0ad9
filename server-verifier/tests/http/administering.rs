//! What operators, auditors and admins do.

use onetap_server_verifier::domain::client::Role;
use onetap_server_verifier::{Act, Timestamp, Verifier};
use serde_json::{Value, json};

use crate::scene::{SYMMETRIC, Scene, token};
use crate::support::{Card, START, TestClock, World, environment, stored};
use crate::wire::Request;

fn open(scene: &Scene, body: &Value) -> Value {
    let answer = scene.post("op", "/v1/accounts", body);
    assert_eq!(answer.status, 201, "{answer:?}");
    let body = answer.json();
    assert_eq!(
        answer.header("location").unwrap(),
        format!("/v1/accounts/{}", body["number"].as_str().unwrap())
    );
    body
}

#[test]
fn an_account_is_opened_shown_listed_and_closed() {
    let scene = Scene::new();
    let opened = open(&scene, &json!({"holder": "Grace Hopper", "currency": "EUR", "kind": "current"}));
    let number = opened["number"].as_str().unwrap();
    assert_eq!((&opened["balance"], &opened["open"]), (&json!(0), &json!(true)));
    assert_eq!(opened["lock"]["locked"], false);
    assert_eq!(scene.get("aud", &format!("/v1/accounts/{number}")).json(), opened);
    let listed = scene.get("aud", "/v1/accounts").json();
    assert!(listed["items"].as_array().unwrap().contains(&opened));

    let closed = scene.post("op", &format!("/v1/accounts/{number}/close"), &json!({}));
    assert_eq!((closed.status, &closed.json()["open"]), (200, &json!(false)));
    let full = scene.post("op", &format!("/v1/accounts/{}/close", scene.world.ada), &json!({}));
    assert_eq!((full.status, full.problem().as_str()), (409, "conflict"));
}

#[test]
fn what_no_account_can_be_is_refused() {
    let scene = Scene::new();
    let good = json!({"holder": "Grace Hopper", "currency": "EUR", "kind": "current"});
    for (field, value, status) in [
        ("holder", json!("evil\r\nX-Injected: yes"), 400),
        ("currency", json!("EURO"), 400),
        ("kind", json!("equity"), 400),
        ("opening_balance", json!(-1), 400),
        ("opening_balance", json!(1), 403),
        ("number", json!("1' OR '1'='1"), 400),
        ("number", json!(scene.world.ada.as_str()), 409),
        ("admin", json!(true), 400),
    ] {
        let mut body = good.clone();
        body[field] = value;
        let answer = scene.post("op", "/v1/accounts", &body);
        assert_eq!(answer.status, status, "{field}: {answer:?}");
        let _ = answer.problem();
        assert_eq!(answer.header("x-injected"), None);
    }
    // An opening balance is an admin's act, and needs a reason.
    for (balance, reason, status) in
        [(1, "", 422), (1_000_000_000_000_u64, "a gift", 422), (5_00, "a gift", 201)]
    {
        let mut body = good.clone();
        (body["opening_balance"], body["reason"]) = (json!(balance), json!(reason));
        assert_eq!(scene.post("adm", "/v1/accounts", &body).status, status, "{balance} {reason}");
    }
    for path in
        ["/v1/accounts/1%27%20OR%20%271%27=%271", "/v1/accounts/%00", "/v1/accounts/..%2f..%2fkeys.json"]
    {
        assert_eq!(scene.get("op", path).problem(), "malformed", "{path}");
    }
    assert_eq!(scene.get("op", "/v1/accounts/1000000000009").status, 404);
    scene.world.check_books();
}

#[test]
fn a_card_is_ordered_activated_used_and_blocked() {
    let scene = Scene::new();
    let ada = scene.world.ada.as_str();
    let order = scene.post("op", "/v1/cards", &json!({"account": ada, "suite": SYMMETRIC}));
    assert_eq!(order.status, 201, "{order:?}");
    assert_eq!(order.header("cache-control"), Some("no-store"), "it holds keys");
    let order: onetap_apdu_spec::personal::CardOrder = serde_json::from_slice(&order.body).unwrap();
    let mut card = Card::make(order.personalisation);
    let id = card.order.binding.card.to_string();

    let mut statement = serde_json::to_value(card.statement()).unwrap();
    let before = scene.authorise(&card.tap(scene.world.payment(1_00)).request);
    assert_eq!(before.json()["outcome"], "refused");
    let good = statement["signature"].clone();
    statement["signature"] = json!("00".repeat(256));
    assert_eq!(scene.post("op", "/v1/cards/activate", &statement).status, 422);
    statement["signature"] = good;
    let active = scene.post("op", "/v1/cards/activate", &statement);
    assert_eq!(active.json(), json!({"card": id, "state": "active"}));
    assert_eq!(scene.post("op", "/v1/cards/activate", &statement).status, 409, "once");

    assert_eq!(scene.authorise(&card.tap(scene.world.payment(1_00)).request).json()["outcome"], "executed");
    let block = format!("/v1/cards/{id}/block");
    assert_eq!(scene.post("op", &block, &json!({"reason": " "})).status, 422, "a reason is needed");
    assert_eq!(scene.post("op", &block, &json!({"reason": "x".repeat(501)})).status, 422);
    let blocked = scene.post("op", &block, &json!({"reason": "reported stolen"}));
    assert_eq!(blocked.json(), json!({"card": id, "state": "blocked"}));
    assert_eq!(scene.authorise(&card.tap(scene.world.payment(1_00)).request).json()["outcome"], "refused");
    let log = scene.get("aud", &format!("/v1/audit?account={ada}")).json();
    let entry =
        log["items"].as_array().unwrap().iter().find(|entry| entry["event"] == "card-blocked").unwrap();
    assert_eq!((&entry["by"], &entry["reason"]), (&json!("operator op"), &json!("reported stolen")));
}

#[test]
fn an_account_is_unlocked_in_the_name_of_the_client_that_asks() {
    let scene = Scene::new();
    let mut card = scene.card(SYMMETRIC);
    let lock = format!("/v1/accounts/{}/lock", scene.world.ada);
    let unlock = format!("/v1/accounts/{}/unlock", scene.world.ada);
    let reason = json!({"reason": "holder came to the counter"});
    assert_eq!(scene.post("op", &unlock, &reason).status, 409, "not locked");
    for tries in 1..=3 {
        scene.authorise(&card.tap(scene.world.payment(1_00)).typed("WRONG234"));
        assert_eq!(scene.get("op", &lock).json()["wrong_in_a_row"], tries);
    }
    let state = scene.get("op", &lock).json();
    assert_eq!((&state["locked"], &state["cause"]), (&json!(true), &json!("wrong-in-a-row")));
    let locked = scene.get("aud", "/v1/accounts?locked=true").json();
    assert_eq!(locked["items"].as_array().unwrap().len(), 1);
    let metrics = scene.get("aud", "/metrics").text();
    assert!(metrics.contains("onetap_locked_accounts 1"), "{metrics}");

    let forged = json!({"reason": "x", "operator": "somebody else"});
    assert_eq!(scene.post("op", &unlock, &forged).problem(), "malformed");
    assert_eq!(scene.post("op", &unlock, &reason).json()["locked"], false);
    assert_eq!(scene.authorise(&card.tap(scene.world.payment(1_00)).request).json()["outcome"], "executed");
    let log = scene.get("aud", &format!("/v1/audit?account={}", scene.world.ada)).json();
    let entry = log["items"].as_array().unwrap().iter().find(|entry| entry["event"] == "unlocked").unwrap();
    assert_eq!(entry["by"], "operator op");
}

#[test]
fn the_books_are_checked() {
    let scene = Scene::new();
    let answer = scene.ask(&Request::new("POST", "/v1/audit/verify").token(&token("aud").0));
    assert_eq!(answer.json(), json!({"audit": true, "ledger": true, "taken_over": 0}));
    assert_eq!(scene.get("aud", "/v1/audit?accounts=1").problem(), "malformed");
}

#[test]
fn the_check_tells_what_was_taken_over_from_an_older_version() {
    let (directory, clock) = (stored("v2"), TestClock::new());
    let verifier = Verifier::open(directory.path(), environment(&clock)).unwrap();
    let scene = Scene::around(World::around(verifier, clock), |_| ());
    let check = Request::new("POST", "/v1/audit/verify").token(&token("aud").0);
    let found = scene.ask(&check).json();
    assert_eq!(found["taken_over"], scene.world.verifier.audit_verify().unwrap().taken_over);
    assert_ne!(found["taken_over"], 0);
    assert_eq!(found["taken_over_at"], Timestamp(START).to_string());
    let last = &scene.get("aud", "/v1/audit/state").json()["last"];
    assert_eq!(
        (&last["taken_over"], &last["taken_over_at"]),
        (&found["taken_over"], &found["taken_over_at"])
    );
}

/// All items of a listing, read in pages of two.
fn pages(scene: &Scene, path: &str) -> Vec<Value> {
    let mut all = Vec::new();
    let mut next = None;
    loop {
        let join = if path.contains('?') { '&' } else { '?' };
        let after = next.map(|next: String| format!("&after={next}")).unwrap_or_default();
        let page = scene.get("aud", &format!("{path}{join}limit=2{after}"));
        assert_eq!(page.status, 200, "{page:?}");
        let page = page.json();
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= 2);
        all.extend(items.iter().cloned());
        match page["next"].as_str() {
            Some(more) => next = Some(more.to_owned()),
            None => return all,
        }
    }
}

#[test]
fn listings_come_in_pages_that_leave_nothing_out() {
    let scene = Scene::new();
    let mut card = scene.card(SYMMETRIC);
    for amount in 1..=5 {
        scene.authorise(&card.tap(scene.world.payment(amount)).request);
    }
    let ada = scene.world.ada.as_str();
    let lines = pages(&scene, &format!("/v1/accounts/{}/statement", scene.world.shop));
    let amounts: Vec<_> = lines.iter().map(|line| line["amount"].as_i64().unwrap()).collect();
    assert_eq!(amounts, [1, 2, 3, 4, 5]);
    let entries = pages(&scene, &format!("/v1/audit?account={ada}"));
    let sequence: Vec<_> = entries.iter().map(|entry| entry["sequence"].as_i64().unwrap()).collect();
    assert_eq!(sequence, (1..=i64::try_from(entries.len()).unwrap()).collect::<Vec<_>>());
    assert_eq!(entries.iter().filter(|entry| entry["event"] == "executed").count(), 5);
    assert_eq!(pages(&scene, "/v1/accounts").len(), 2);
    for path in [
        "/v1/accounts?limit=0",
        "/v1/accounts?limit=1001",
        "/v1/audit?limit=x",
        "/v1/accounts?locked=true&after=0",
    ] {
        assert_eq!(scene.get("aud", path).problem(), "malformed", "{path}");
    }
}

#[test]
fn a_transaction_is_shown_to_its_terminal_and_to_operators_only() {
    let scene = Scene::new();
    scene
        .world
        .verifier
        .desk(Act::of_program("test", "set-up"))
        .register_terminal("TERM0002".parse().unwrap())
        .unwrap();
    crate::scene::add(&scene.world.verifier, "pos-2", Role::terminal("TERM0002".parse().unwrap()));
    let executed = scene.authorise(&scene.card(SYMMETRIC).tap(scene.world.payment(7_00)).request).json();
    let path = format!("/v1/transactions/{}", executed["receipt"]["transaction"].as_str().unwrap());
    let own = scene.get("pos", &path).json();
    assert_eq!(own, json!({"receipt": executed["receipt"], "terminal": "TERM0001"}));
    let operators = scene.get("op", &path).json();
    assert_eq!(operators["payer"], scene.world.ada.as_str());
    let (other, none) =
        (scene.get("pos-2", &path), scene.get("pos", "/v1/transactions/0000000000000007ffffffff"));
    assert_eq!((other.status, none.status), (404, 404));
    assert_eq!(other.json()["detail"], none.json()["detail"]);
    for id in ["x", "%27%20OR%201=1", "00", "%00"] {
        assert_eq!(scene.get("op", &format!("/v1/transactions/{id}")).problem(), "malformed", "{id}");
    }
    // An executed transaction's id in other letters is no id, rather than none that was executed.
    assert_eq!(
        scene.get("pos", &path.to_uppercase().replace("/V1/TRANSACTIONS/", "/v1/transactions/")).status,
        400
    );
}

#[test]
fn a_card_is_replaced_and_another_gets_new_keys() {
    let scene = Scene::new();
    let card = scene.card(SYMMETRIC);
    let id = card.order.binding.card.to_string();
    let rotated = scene.post("op", &format!("/v1/cards/{id}/rotate"), &json!({"suite": SYMMETRIC}));
    assert_eq!(rotated.status, 201, "{rotated:?}");
    assert_eq!(
        (&rotated.json()["binding"]["card"], &rotated.json()["binding"]["signing_key"]),
        (&json!(id), &json!(2))
    );
    let shown = scene.get("aud", &format!("/v1/cards/{id}")).json();
    assert_eq!((&shown["account"], &shown["state"]), (&json!(scene.world.ada.as_str()), &json!("active")));

    let replaced = scene.post("op", &format!("/v1/cards/{id}/replace"), &json!({"reason": "worn out"}));
    assert_eq!(replaced.status, 201, "{replaced:?}");
    let new = replaced.json()["binding"]["card"].as_str().unwrap().to_owned();
    assert_ne!(new, id);
    assert_eq!(scene.get("aud", &format!("/v1/cards/{id}")).json()["state"], "blocked");
    assert_eq!(scene.get("aud", &format!("/v1/cards/{new}")).json()["state"], "ordered");
    assert_eq!(scene.post("op", &format!("/v1/cards/{id}/rotate"), &json!({})).status, 409, "it is blocked");
}

#[test]
fn a_withdrawn_terminal_takes_its_clients_along() {
    let scene = Scene::new();
    let mut card = scene.card(SYMMETRIC);
    assert_eq!(scene.authorise(&card.tap(scene.world.payment(1)).request).status, 200);
    let withdrawn =
        scene.post("adm", "/v1/terminals/TERM0001/withdraw", &json!({ "reason": "the shop closed" }));
    assert_eq!(withdrawn.json(), json!({"terminal": "TERM0001"}));
    assert_eq!(scene.authorise(&card.tap(scene.world.payment(1)).request).problem(), "not-authenticated");
    assert_eq!(
        scene.post("adm", "/v1/terminals/TERM0001/withdraw", &json!({ "reason": "the shop closed" })).status,
        404
    );
}

#[test]
fn a_client_is_added_used_and_withdrawn_at_once() {
    let scene = Scene::new();
    assert_eq!(
        scene.post("adm", "/v1/terminals", &json!({"terminal": "TERM0002", "reason": "a new till"})).status,
        201
    );
    let new =
        json!({"client": "pos-2", "role": "terminal", "terminals": ["TERM0002"], "reason": "a new till"});
    let added = scene.post("adm", "/v1/clients", &new);
    assert_eq!(added.status, 201, "{added:?}");
    let token = added.json()["token"].as_str().unwrap().to_owned();
    assert_eq!(scene.post("adm", "/v1/clients", &new).status, 409, "a name is used once");

    let mut card = scene.card(SYMMETRIC);
    let mut payment = scene.world.payment(1_00);
    payment.terminal = "TERM0002".parse().unwrap();
    let send = |request: &onetap_apdu_spec::service::AuthorisationRequest| {
        let mut http = crate::scene::authorisation(&scene.key(), request);
        http.headers.retain(|(name, _)| name != "authorization");
        scene.ask(&http.token(&token))
    };
    assert_eq!(send(&card.tap(payment.clone()).request).json()["outcome"], "executed");

    let listed = scene.get("aud", "/v1/clients");
    assert!(!listed.text().contains(token.split('.').nth(1).unwrap()));
    scene.world.verifier.audit_verify().unwrap();
    let withdrawn = scene.post("adm", "/v1/clients/pos-2/withdraw", &json!({"reason": "left"}));
    assert!(withdrawn.json()["withdrawn_at"].is_string());
    assert_eq!(send(&card.tap(payment).request).problem(), "not-authenticated");
    assert_eq!(scene.post("adm", "/v1/clients/pos-2/withdraw", &json!({"reason": "left"})).status, 404);
    assert_eq!(scene.post("adm", "/v1/clients", &new).status, 409, "nor ever again");
}

#[test]
fn what_no_client_can_be_is_refused() {
    let scene = Scene::new();
    for (body, status) in [
        (json!({"client": "a.b", "role": "admin"}), 400),
        (json!({"client": "", "role": "admin"}), 400),
        (json!({"client": "x", "role": "root"}), 400),
        (json!({"client": "x", "role": "terminal"}), 400),
        (json!({"client": "x", "role": "admin", "terminals": ["TERM0001"]}), 400),
        (json!({"client": "x", "role": "terminal", "terminals": ["NOSUCH01"]}), 404),
        (json!({"client": "x", "role": "admin", "certificate": "00"}), 400),
        (json!({"client": "adm", "role": "admin", "certificate": "00".repeat(32)}), 409),
        (json!({"client": "x", "role": "admin", "reason": " "}), 422),
    ] {
        let mut body = body;
        if body.get("reason").is_none() {
            body["reason"] = json!("a test");
        }
        let answer = scene.post("adm", "/v1/clients", &body);
        assert_eq!(answer.status, status, "{body}: {answer:?}");
        let _ = answer.problem();
    }
}

#[test]
fn rules_are_changed_with_a_reason_and_hold_from_the_answer_on() {
    let scene = Scene::new();
    let asked = |body: &Value| scene.post("adm", "/v1/policy", body);
    assert_eq!(asked(&json!({"transaction_limit": 99})).status, 400);
    assert_eq!(asked(&json!({"transaction_limit": 99, "reason": " "})).problem(), "unprocessable");
    assert_eq!(asked(&json!({"transaction_limit": 0, "reason": "r"})).problem(), "unprocessable");
    assert_eq!(asked(&json!({"limit": 5, "reason": "r"})).status, 400);
    assert_eq!(asked(&json!({"transaction_limit": 99, "reason": "fraud"})).status, 200);
    assert_eq!(scene.get("aud", "/v1/policy").json()["transaction_limit"], 99);
    let mut card = scene.card(SYMMETRIC);
    let answer = scene.authorise(&card.tap(scene.world.payment(100)).request);
    assert_eq!(answer.json()["outcome"], "limit-exceeded");
}
