//! Money moved by hand by two people.

use onetap_server_verifier::domain::client::Role;
use serde_json::{Value, json};

use crate::scene::{Scene, add, token};
use crate::wire::Request;

/// A scene with two admins, under a policy that wants two for money by hand.
fn two() -> Scene {
    let scene = Scene::new();
    let rule = json!({"by_hand_takes_two": true, "reason": "the auditor's advice"});
    assert_eq!(scene.post("adm", "/v1/policy", &rule).status, 200);
    add(&scene.world.verifier, "adm-2", Role::Admin);
    scene
}

fn propose(scene: &Scene, who: &str, asks: &Value) -> String {
    let made = scene.post(who, "/v1/proposals", &json!({"asks": asks, "reason": "ticket 4711"}));
    assert_eq!(made.status, 201, "{}", made.text());
    format!("/v1/proposals/{}", made.json()["proposal"])
}

fn decide(scene: &Scene, who: &str, proposal: &str, how: &str) -> crate::wire::Answer {
    scene.post(who, &format!("{proposal}/{how}"), &json!({"reason": "looked at"}))
}

#[test]
fn money_moves_by_hand_once_another_admin_has_approved_and_both_are_on_record() {
    let scene = two();
    let ada = &scene.world.ada;
    let hold = propose(&scene, "adm", &json!({"act": "place-hold", "account": ada, "amount": 2500}));
    assert_eq!(scene.get("op", &format!("/v1/accounts/{ada}")).json()["held"], 0, "asked for only");
    let own = decide(&scene, "adm", &hold, "approve");
    assert_eq!(own.problem(), "conflict", "not by whoever asked");
    let approved = decide(&scene, "adm-2", &hold, "approve").json();
    assert_eq!((&approved["state"], &approved["by"]), (&json!("approved"), &json!("admin adm")));
    assert_eq!(scene.get("op", &format!("/v1/accounts/{ada}")).json()["held"], 2500);
    assert_eq!(decide(&scene, "adm-2", &hold, "approve").problem(), "not-found", "once");
    let log = scene.get("aud", "/v1/audit?last=true&limit=2").json();
    let told = |place: usize, field: &str| log["items"][place][field].clone();
    assert_eq!([told(0, "event"), told(0, "by")], ["proposed", "admin adm"]);
    assert_eq!([told(1, "event"), told(1, "by")], ["proposal-approved", "admin adm-2"]);
    let placed = scene.get("aud", &format!("/v1/audit?account={ada}&event=hold-placed")).json();
    assert_eq!(placed["items"][0]["by"], "admin adm-2");
    scene.world.check_books();
}

#[test]
fn every_act_by_hand_can_be_proposed_and_none_is_done_alone() {
    let scene = two();
    let (ada, shop) = (&scene.world.ada, &scene.world.shop);
    let held = |amount: u64| {
        let hold = propose(&scene, "adm", &json!({"act": "place-hold", "account": ada, "amount": amount}));
        assert_eq!(decide(&scene, "adm-2", &hold, "approve").status, 200);
        let holds = scene.get("aud", &format!("/v1/accounts/{ada}/holds")).json();
        holds["items"].as_array().unwrap().last().unwrap()["hold"].as_str().unwrap().to_owned()
    };
    let (first, second) = (held(2500), held(100));
    let acts = [
        json!({"act": "capture-hold", "hold": first, "payee": shop, "amount": 2000}),
        json!({"act": "reverse", "transaction": format!("capture-{first}")}),
        json!({"act": "release-hold", "hold": second}),
    ];
    let opened = json!({"act": "open-account", "holder": "Grace Hopper", "currency": "EUR", "kind": "current", "opening_balance": 7});
    for asks in acts.into_iter().chain([opened]) {
        let proposal = propose(&scene, "adm-2", &asks);
        assert_eq!(decide(&scene, "adm", &proposal, "approve").status, 200, "{asks}");
    }
    assert_eq!(scene.world.balances(), (100_000, 0));
    assert_eq!(scene.get("aud", "/v1/accounts?holder=grace").json()["items"][0]["balance"], 7);
    let nobody = json!({"asks": {"act": "open-account", "holder": "", "currency": "EUR", "kind": "current", "opening_balance": 7}, "reason": "x"});
    assert_eq!(scene.post("adm", "/v1/proposals", &nobody).problem(), "unprocessable");
    let reason = json!({"reason": "alone"});
    let purse = json!({"holder": "Purse", "currency": "EUR", "kind": "stored-value"});
    let purse = scene.post("adm", "/v1/accounts", &purse).json()["number"].as_str().unwrap().to_owned();
    let transaction = "434152443030303100000001";
    let settled = format!("/v1/transactions/{transaction}/settle");
    for (path, body) in [
        (settled.clone(), json!({"state": "settled", "reason": "alone"})),
        (settled, json!({"state": "failed", "reason": "alone"})),
        (format!("/v1/accounts/{ada}/holds"), json!({"amount": 1, "reason": "alone"})),
        (format!("/v1/holds/{second}/release"), reason.clone()),
        (format!("/v1/holds/{second}/capture"), json!({"payee": shop, "amount": 1, "reason": "alone"})),
        (format!("/v1/transactions/capture-{first}/reverse"), reason.clone()),
        (
            "/v1/accounts".to_owned(),
            json!({"holder": "B", "currency": "EUR", "kind": "current", "opening_balance": 1, "reason": "alone"}),
        ),
    ] {
        let answer = scene.post("adm", &path, &body);
        assert_eq!(answer.problem(), "conflict", "{path}");
        assert!(answer.text().contains("two people"), "{}", answer.text());
    }
    let put =
        |path: &str, body: &Value| scene.ask(&Request::new("PUT", path).token(&token("adm").0).json(body));
    let link = json!({"system": "transit", "reason": "alone"});
    assert_eq!(put(&format!("/v1/accounts/{purse}/link"), &link).problem(), "conflict");
    let linked =
        propose(&scene, "adm", &json!({"act": "link-account", "account": purse, "system": "transit"}));
    assert_eq!(decide(&scene, "adm-2", &linked, "approve").status, 200);
    assert_eq!(scene.get("aud", &format!("/v1/accounts/{purse}")).json()["system"], "transit");
    for asks in [
        json!({"act": "settle", "transaction": transaction}),
        json!({"act": "fail", "transaction": transaction, "said": "no"}),
    ] {
        let unknown = propose(&scene, "adm", &asks);
        assert_eq!(decide(&scene, "adm-2", &unknown, "approve").problem(), "not-found", "{asks}");
    }
    scene.world.check_books();
}

#[test]
fn what_cannot_be_done_leaves_the_proposal_open_until_it_is_rejected() {
    let scene = two();
    let asks = json!({"act": "place-hold", "account": scene.world.ada, "amount": 100_001});
    let proposal = propose(&scene, "adm", &asks);
    assert_eq!(decide(&scene, "adm-2", &proposal, "approve").problem(), "conflict");
    let open = scene.get("aud", "/v1/proposals?open=true").json();
    assert_eq!((&open["items"][0]["state"], &open["items"][0]["asks"]), (&json!("open"), &asks));
    assert_eq!(decide(&scene, "adm", &proposal, "reject").json()["state"], "rejected");
    assert_eq!(decide(&scene, "adm-2", &proposal, "approve").problem(), "not-found");
    assert_eq!(scene.get("aud", "/v1/proposals?open=true").json()["items"], json!([]));
    assert_eq!(scene.get("aud", "/v1/proposals").json()["items"].as_array().unwrap().len(), 1);
    scene.world.check_books();
}
