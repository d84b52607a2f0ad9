//! What is found by holder, terminal, moment and event.

use serde_json::{Value, json};

use crate::scene::{SYMMETRIC, Scene};

/// The items at this address, a page of one after another.
fn all(scene: &Scene, path: &str) -> Vec<Value> {
    let (mut found, mut after) = (Vec::new(), String::new());
    loop {
        let page = scene.get("aud", &format!("{path}&limit=1{after}"));
        assert_eq!(page.status, 200, "{}", page.text());
        let page = page.json();
        found.extend(page["items"].as_array().unwrap().clone());
        let Some(next) = page["next"].as_str() else { return found };
        after = format!("&after={next}");
    }
}

/// Payments of Ada's and of another payer's, a minute apart, in turn; their ids.
fn payments(scene: &Scene) -> (String, Vec<Value>) {
    let body = json!({"holder": "Grace Hopper", "currency": "EUR", "kind": "current", "opening_balance": 9000, "reason": "test"});
    let grace = scene.post("adm", "/v1/accounts", &body).json()["number"].as_str().unwrap().to_owned();
    let mut cards =
        [scene.card(SYMMETRIC), scene.world.card_of(&grace.parse().unwrap(), SYMMETRIC.parse().unwrap())];
    let mut paid = Vec::new();
    for round in 0..4 {
        scene.world.clock.advance(60);
        let request = cards[round % 2].tap(scene.world.payment(100)).request;
        paid.push(scene.authorise(&request).json()["receipt"].clone());
    }
    (grace, paid)
}

#[test]
fn transactions_are_found_by_payer_terminal_and_time_in_the_order_of_time() {
    let scene = Scene::new();
    let (grace, paid) = payments(&scene);
    let ids =
        |found: Vec<Value>| -> Vec<Value> { found.into_iter().map(|it| it["receipt"].clone()).collect() };
    assert_eq!(ids(all(&scene, "/v1/transactions?terminal=TERM0001")), paid);
    assert_eq!(all(&scene, "/v1/transactions?terminal=TERM0002"), Vec::<Value>::new());
    let of_grace = [paid[1].clone(), paid[3].clone()];
    assert_eq!(ids(all(&scene, &format!("/v1/transactions?payer={grace}"))), of_grace);
    let [from, to] = [&paid[1], &paid[2]].map(|receipt| receipt["executed_at"].as_str().unwrap().to_owned());
    assert_eq!(ids(all(&scene, &format!("/v1/transactions?from={from}&to={to}"))), paid[1..3]);
    assert_eq!(scene.get("aud", "/v1/transactions?payer=2000000000008").problem(), "not-found");
    for query in ["after=1", "from=yesterday", "limit=0", "limit=1001", "terminal=x", "payer=1", "who=ada"] {
        assert_eq!(scene.get("aud", &format!("/v1/transactions?{query}")).problem(), "malformed", "{query}");
    }
}

#[test]
fn a_transaction_names_its_reversal_once_it_is_reversed() {
    let scene = Scene::new();
    let (_, paid) = payments(&scene);
    let id = paid[0]["transaction"].as_str().unwrap();
    let shown = |who: &str| scene.get(who, &format!("/v1/transactions/{id}")).json();
    assert_eq!(shown("op").get("reversal"), None);
    scene.post("adm", &format!("/v1/transactions/{id}/reverse"), &json!({"reason": "complaint"}));
    let reversal = json!(format!("reversal-{id}"));
    assert_eq!(shown("op")["reversal"], reversal);
    assert_eq!(shown("pos")["reversal"], reversal);
    assert_eq!(all(&scene, "/v1/transactions?terminal=TERM0001")[0]["reversal"], reversal);
    assert_eq!(all(&scene, "/v1/transactions?terminal=TERM0001")[1].get("reversal"), None);
}

#[test]
fn the_log_is_searched_by_event_terminal_and_time() {
    let scene = Scene::new();
    let (grace, paid) = payments(&scene);
    let events = |path: &str| -> Vec<String> {
        all(&scene, path).into_iter().map(|entry| entry["event"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(events("/v1/audit?all=true&event=executed"), ["executed"; 4]);
    assert_eq!(events(&format!("/v1/audit?account={grace}&event=executed")), ["executed"; 2]);
    assert_eq!(events("/v1/audit?terminal=TERM0001"), ["terminal-registered", "client-added"]);
    assert_eq!(events("/v1/audit?all=true&event=execute"), Vec::<String>::new(), "whole names only");
    let from = paid[2]["executed_at"].as_str().unwrap();
    assert_eq!(events(&format!("/v1/audit?all=true&from={from}")), ["executed"; 2]);
    let every = all(&scene, "/v1/audit?all=true");
    let times: Vec<_> = every.iter().map(|entry| entry["at"].as_str().unwrap()).collect();
    assert!(times.is_sorted() && times.len() > 10, "{times:?}");
    for query in [
        "all=true&account=1000000000009",
        "last=true&event=executed",
        "event=Executed",
        "event=%25",
        "after=9",
    ] {
        assert_eq!(scene.get("aud", &format!("/v1/audit?{query}")).problem(), "malformed", "{query}");
    }
}

#[test]
fn accounts_are_found_by_a_part_of_their_holders_name() {
    let scene = Scene::new();
    let names = |holder: &str| -> Vec<String> {
        let found = all(&scene, &format!("/v1/accounts?holder={holder}"));
        found.into_iter().map(|account| account["holder"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("love"), ["Ada Lovelace"]);
    assert_eq!(names("E"), ["Ada Lovelace", "Coffee Shop"]);
    for nobody in ["%25", "_", "!", "Ada%20%25"] {
        assert_eq!(names(nobody), Vec::<String>::new(), "{nobody}");
    }
}

#[test]
fn terminals_are_listed_with_those_that_are_withdrawn() {
    let scene = Scene::new();
    scene.post("adm", "/v1/terminals", &json!({"terminal": "TERM0002", "reason": "test"}));
    scene.post("adm", "/v1/terminals/TERM0001/withdraw", &json!({"reason": "test"}));
    let found = all(&scene, "/v1/terminals?");
    assert_eq!(found[0]["terminal"], "TERM0001");
    assert!(found[0]["withdrawn_at"].is_string());
    assert_eq!((&found[1]["terminal"], &found[1]["withdrawn_at"]), (&json!("TERM0002"), &Value::Null));
    assert_eq!(found.len(), 2);
}
