//! Who may come in: tokens, roles, rate limits.

use std::num::NonZeroU32;
use std::time::Instant;

use onetap_server_verifier::Timestamp;
use onetap_server_verifier::http::clients::Clients as _;
use onetap_server_verifier::http::{RECHECK, Rate, openapi};
use serde_json::Value;

use crate::scene::{SYMMETRIC, Scene, authorisation, token};
use crate::wire::{Answer, LONG, Request};

/// Which roles may use a route: terminal, operator, auditor, admin.
const ROLES: [(&str, &str, [bool; 4]); 39] = [
    ("POST", "/v1/authorisations", [true, false, false, false]),
    ("POST", "/v1/cancellations", [true, false, false, false]),
    ("GET", "/v1/transactions/{id}", [true, true, true, true]),
    ("GET", "/v1/accounts", [false, true, true, true]),
    ("POST", "/v1/accounts", [false, true, false, true]),
    ("GET", "/v1/accounts/{number}", [false, true, true, true]),
    ("GET", "/v1/accounts/{number}/statement", [false, true, true, true]),
    ("POST", "/v1/accounts/{number}/close", [false, true, false, false]),
    ("GET", "/v1/accounts/{number}/lock", [false, true, true, true]),
    ("POST", "/v1/accounts/{number}/unlock", [false, true, false, false]),
    ("POST", "/v1/cards", [false, true, false, false]),
    ("POST", "/v1/cards/activate", [false, true, false, false]),
    ("GET", "/v1/cards/{card}", [false, true, true, true]),
    ("POST", "/v1/cards/{card}/block", [false, true, false, false]),
    ("POST", "/v1/cards/{card}/replace", [false, true, false, false]),
    ("POST", "/v1/cards/{card}/rotate", [false, true, false, false]),
    ("POST", "/v1/terminals", [false, false, false, true]),
    ("POST", "/v1/terminals/{terminal}/withdraw", [false, false, false, true]),
    ("GET", "/v1/clients", [false, true, true, true]),
    ("POST", "/v1/clients", [false, false, false, true]),
    ("POST", "/v1/clients/{client}/withdraw", [false, false, false, true]),
    ("GET", "/v1/audit", [false, true, true, true]),
    ("POST", "/v1/audit/verify", [false, true, true, true]),
    ("GET", "/v1/audit/state", [false, true, true, true]),
    ("GET", "/v1/checkpoints", [false, true, true, true]),
    ("POST", "/v1/checkpoints", [false, false, false, true]),
    ("GET", "/v1/ledger/check", [false, true, true, true]),
    ("GET", "/v1/accounts/{number}/holds", [false, true, true, true]),
    ("POST", "/v1/holds/{hold}/release", [false, false, false, true]),
    ("POST", "/v1/holds/{hold}/capture", [false, false, false, true]),
    ("POST", "/v1/transactions/{id}/reverse", [false, false, false, true]),
    ("GET", "/v1/transactions/{id}/settlement", [false, true, true, true]),
    ("POST", "/v1/transactions/{id}/settle", [false, false, false, true]),
    ("GET", "/v1/outbox", [false, true, true, true]),
    ("POST", "/v1/outbox/{message}/requeue", [false, true, false, false]),
    ("POST", "/v1/outbox/{message}/discard", [false, true, false, false]),
    ("GET", "/v1/statistics", [false, true, true, true]),
    ("GET", "/v1/me", [true, true, true, true]),
    ("GET", "/metrics", [false, true, true, true]),
];
const OPEN_TO_ALL: [&str; 3] = ["/v1/openapi.json", "/healthz", "/readyz"];

fn path(template: &str) -> String {
    let path = template.replace("{number}", "1000000000009").replace("{card}", "0000000000000007");
    let path = path.replace("{terminal}", "NOSUCH01").replace("{hold}", "1-99").replace("{message}", "1-99");
    path.replace("{client}", "nobody").replace("{id}", "000000000000000000000001")
}

/// Methods and paths of the document.
fn documented() -> Vec<(String, String)> {
    let document: Value = serde_json::from_str(&openapi().to_json().unwrap()).unwrap();
    let paths = document["paths"].as_object().unwrap().clone();
    let methods = |(path, item): (String, Value)| -> Vec<(String, String)> {
        let methods = item.as_object().unwrap().keys();
        methods.map(|method| (method.to_uppercase(), path.clone())).collect()
    };
    paths.into_iter().flat_map(methods).collect()
}

#[test]
fn each_route_is_documented_and_has_its_roles() {
    let scene = Scene::new();
    let documented = documented();
    let known = |method: &str, path: &str| {
        OPEN_TO_ALL.contains(&path) || ROLES.iter().any(|row| (row.0, row.1) == (method, path))
    };
    for (method, path) in &documented {
        assert!(known(method, path), "{method} {path} has no row here");
    }
    assert_eq!(documented.len(), ROLES.len() + OPEN_TO_ALL.len(), "each row is documented");
    for (method, template, allowed) in ROLES {
        let path = path(template);
        assert_eq!(scene.ask(&Request::new(method, &path)).problem(), "not-authenticated", "{method} {path}");
        for (who, allowed) in ["pos", "op", "aud", "adm"].into_iter().zip(allowed) {
            let answer = scene.ask(&Request::new(method, &path).token(&token(who).0));
            assert_eq!(answer.status == 403, !allowed, "{who} {method} {path}: {answer:?}");
            assert!(answer.status < 500 && answer.status != 405 && answer.status != 401, "{answer:?}");
        }
    }
    for path in OPEN_TO_ALL {
        assert_eq!(scene.ask(&Request::new("GET", path)).status, 200, "{path}");
    }
}

#[test]
fn the_served_document_is_openapi_3_1() {
    let scene = Scene::new();
    let served = scene.ask(&Request::new("GET", "/v1/openapi.json")).json();
    assert!(served["openapi"].as_str().unwrap().starts_with("3.1"));
    let schemas = served["components"]["schemas"].as_object().unwrap();
    for (name, reference) in references(&served, "") {
        let target = reference.rsplit('/').next().unwrap();
        assert!(schemas.contains_key(target), "{name} refers to {reference}");
    }
    let fields = schemas["Authorisation"]["properties"].as_object().unwrap();
    let mut fields: Vec<_> = fields.keys().map(String::as_str).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["password_object", "signature_message", "transaction", "verification_password"]);
}

fn references(value: &Value, at: &str) -> Vec<(String, String)> {
    match value {
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(name, value)| match value {
                Value::String(target) if name == "$ref" => vec![(at.to_owned(), target.clone())],
                other => references(other, &format!("{at}/{name}")),
            })
            .collect(),
        Value::Array(items) => items.iter().flat_map(|item| references(item, at)).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn an_address_that_is_not_there_and_a_method_that_is_not_are_told_apart() {
    let scene = Scene::new();
    assert_eq!(scene.get("op", "/v2/accounts").problem(), "not-found");
    let answer = scene.ask(&Request::new("DELETE", "/v1/accounts"));
    assert_eq!((answer.status, answer.problem().as_str()), (405, "method-not-allowed"));
}

fn with_authorization(scene: &Scene, values: &[&str]) -> Answer {
    let start = Request::new("GET", "/v1/accounts");
    scene.ask(&values.iter().fold(start, |request, value| request.header("authorization", value)))
}

#[test]
fn only_the_whole_token_is_a_token() {
    let scene = Scene::new();
    let token = token("op").0;
    let secret = token.split_once('.').unwrap().1;
    assert_eq!(with_authorization(&scene, &[&format!("bearer {token}")]).status, 200);
    let good = format!("Bearer {token}");
    for values in [
        vec![format!("Basic {token}")],
        vec![token.clone()],
        vec![format!("Bearer {}", &token[..token.len() - 1])],
        vec![format!("Bearer {token}A")],
        vec![format!("Bearer adm.{secret}")],
        vec![format!("Bearer nobody.{secret}")],
        vec!["Bearer ".to_owned()],
        vec!["Bearer .".to_owned()],
        vec![good.clone(), good],
    ] {
        let values: Vec<_> = values.iter().map(String::as_str).collect();
        let answer = with_authorization(&scene, &values);
        assert_eq!((answer.status, answer.problem().as_str()), (401, "not-authenticated"), "{values:?}");
        assert!(answer.header("www-authenticate").unwrap().starts_with("Bearer"));
    }
}

#[test]
fn a_token_is_hashed_once_and_then_remembered() {
    let scene = Scene::new();
    for _ in 0..20 {
        assert_eq!(scene.get("op", "/v1/accounts").status, 200);
    }
    assert!(scene.get("op", "/metrics").text().contains("onetap_tokens_hashed_total 1\n"));
}

#[test]
fn a_client_withdrawn_elsewhere_is_shut_out_within_seconds() {
    let scene = Scene::new();
    assert_eq!(scene.get("op", "/v1/accounts").status, 200);
    assert!(scene.clients.withdraw(&"op".parse().unwrap(), Timestamp(1)).unwrap());
    let start = Instant::now();
    while scene.get("op", "/v1/accounts").status != 401 {
        assert!(start.elapsed() < LONG, "still in");
        std::thread::yield_now();
    }
    assert!(start.elapsed() <= RECHECK * 2);
}

#[test]
fn whoever_tries_tokens_must_wait_and_others_need_not() {
    let scene = Scene::new();
    assert_eq!(scene.get("op", "/v1/accounts").status, 200);
    let wrong = format!("Bearer aud.{}", "A".repeat(43));
    let barred = (0..30).map(|_| with_authorization(&scene, &[&wrong])).find(|answer| answer.status != 401);
    let barred = barred.expect("never told to wait");
    assert_eq!((barred.status, barred.problem().as_str()), (429, "too-many-requests"));
    assert!((1..=6).contains(&barred.header("retry-after").unwrap().parse::<u64>().unwrap()));
    assert_eq!(scene.get("op", "/v1/accounts").status, 200, "who is known is not touched");
}

fn rate(per_second: u32, burst: u32) -> Option<Rate> {
    Some(Rate::new(NonZeroU32::new(per_second).unwrap(), NonZeroU32::new(burst).unwrap()))
}

#[test]
fn a_client_that_asks_too_often_is_told_to_wait() {
    let scene = Scene::with(|config| config.client_rate = rate(1, 5));
    let mut conn = scene.conn();
    let ask = Request::new("GET", "/v1/accounts").token(&token("op").0);
    let answers: Vec<_> = (0..10).map(|_| conn.exchange(&ask)).collect();
    assert!(answers[..5].iter().all(|answer| answer.status == 200));
    let limited = answers.iter().find(|answer| answer.status == 429).expect("never limited");
    assert_eq!(limited.problem(), "too-many-requests");
    assert_eq!(limited.header("retry-after"), Some("1"));
    assert_eq!(scene.get("aud", "/v1/accounts").status, 200, "another client is not touched");
}

#[test]
fn a_card_that_is_used_too_often_is_stopped_before_cryptography() {
    let scene = Scene::with(|config| config.card_rate = rate(1, 3));
    let (mut card, mut other) = (scene.card(SYMMETRIC), scene.card(SYMMETRIC));
    let tap = card.tap(scene.world.payment(1_00));
    let guesses: Vec<_> = (0..6).map(|_| scene.authorise(&tap.typed("WRONG234"))).collect();
    assert!(guesses[..3].iter().all(|answer| answer.status == 200));
    assert!(guesses.iter().any(|answer| answer.status == 429));
    let answer = scene.ask(&authorisation("other", &other.tap(scene.world.payment(1_00)).request));
    assert_eq!(answer.status, 200, "another card is not touched");
}
