//! Who may come in: tokens, roles, rate limits.

use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use onetap_server_verifier::http::{Rate, openapi};
use onetap_server_verifier::{Act, Environment, Verifier};
use serde_json::{Value, json};

use crate::scene::{SYMMETRIC, Scene, authorisation, token};
use crate::support::World;
use crate::wire::{Answer, Conn, Request};

/// Which roles may use a route: terminal, operator, auditor, admin.
const ROLES: [(&str, &str, [bool; 4]); 53] = [
    ("POST", "/v1/authorisations", [true, false, false, false]),
    ("POST", "/v1/cancellations", [true, false, false, false]),
    ("GET", "/v1/transactions", [false, true, true, true]),
    ("GET", "/v1/transactions/{id}", [true, true, true, true]),
    ("GET", "/v1/accounts", [false, true, true, true]),
    ("POST", "/v1/accounts", [false, true, false, true]),
    ("GET", "/v1/accounts/{number}", [false, true, true, true]),
    ("GET", "/v1/accounts/{number}/statement", [false, true, true, true]),
    ("PUT", "/v1/accounts/{number}/link", [false, false, false, true]),
    ("POST", "/v1/accounts/{number}/close", [false, true, false, false]),
    ("GET", "/v1/accounts/{number}/lock", [false, true, true, true]),
    ("POST", "/v1/accounts/{number}/unlock", [false, true, false, false]),
    ("POST", "/v1/cards", [false, true, false, false]),
    ("POST", "/v1/cards/activate", [false, true, false, false]),
    ("GET", "/v1/cards/{card}", [false, true, true, true]),
    ("POST", "/v1/cards/{card}/block", [false, true, false, false]),
    ("POST", "/v1/cards/{card}/replace", [false, true, false, false]),
    ("POST", "/v1/cards/{card}/rotate", [false, true, false, false]),
    ("GET", "/v1/terminals", [false, true, true, true]),
    ("POST", "/v1/terminals", [false, false, false, true]),
    ("POST", "/v1/terminals/{terminal}/withdraw", [false, false, false, true]),
    ("GET", "/v1/policy", [false, true, true, true]),
    ("POST", "/v1/policy", [false, false, false, true]),
    ("GET", "/v1/clients", [false, true, true, true]),
    ("POST", "/v1/clients", [false, false, false, true]),
    ("POST", "/v1/clients/{client}/withdraw", [false, false, false, true]),
    ("POST", "/v1/clients/{client}/tokens", [false, false, false, true]),
    ("DELETE", "/v1/clients/{client}/tokens/{token}", [false, false, false, true]),
    ("PUT", "/v1/clients/{client}/terminals/{terminal}", [false, false, false, true]),
    ("DELETE", "/v1/clients/{client}/terminals/{terminal}", [false, false, false, true]),
    ("GET", "/v1/audit", [false, true, true, true]),
    ("POST", "/v1/audit/verify", [false, true, true, true]),
    ("GET", "/v1/audit/state", [false, true, true, true]),
    ("GET", "/v1/checkpoints", [false, true, true, true]),
    ("POST", "/v1/checkpoints", [false, false, false, true]),
    ("GET", "/v1/ledger/check", [false, true, true, true]),
    ("GET", "/v1/accounts/{number}/holds", [false, true, true, true]),
    ("POST", "/v1/accounts/{number}/holds", [false, false, false, true]),
    ("POST", "/v1/holds/{hold}/release", [false, false, false, true]),
    ("POST", "/v1/holds/{hold}/capture", [false, false, false, true]),
    ("POST", "/v1/transactions/{id}/reverse", [false, false, false, true]),
    ("GET", "/v1/transactions/{id}/settlement", [false, true, true, true]),
    ("POST", "/v1/transactions/{id}/settle", [false, false, false, true]),
    ("GET", "/v1/proposals", [false, true, true, true]),
    ("POST", "/v1/proposals", [false, false, false, true]),
    ("POST", "/v1/proposals/{proposal}/approve", [false, false, false, true]),
    ("POST", "/v1/proposals/{proposal}/reject", [false, false, false, true]),
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
    let path = path
        .replace("{token}", "1")
        .replace("{proposal}", "99")
        .replace("{terminal}", "NOSUCH01")
        .replace("{hold}", "1-99")
        .replace("{message}", "1-99");
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

/// `SELECT name, secret_hash` must not show a token, and SHA-256 of its secret's characters must be there (checked with
/// another library).
#[test]
fn a_token_is_stored_as_the_sha_256_of_its_secret() {
    let folder = tempfile::tempdir().unwrap();
    let scene = Scene::around(World::on_disk(folder.path()), |_| ());
    let database = rusqlite::Connection::open(folder.path().join("verifier.db")).unwrap();
    let sql = "SELECT secret_hash FROM tokens WHERE client_id = 'op'";
    let kept: String = database.query_row(sql, [], |row| row.get(0)).unwrap();
    let token = token("op").0;
    let secret = token.split_once('.').unwrap().1;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, secret.as_bytes());
    assert_eq!(kept, hex::encode(digest));
    assert_eq!(scene.get("op", "/v1/accounts").status, 200);
}

#[test]
fn a_token_that_an_earlier_version_made_is_refused_and_the_list_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let scene = Scene::around(World::on_disk(folder.path()), |_| ());
    let database = rusqlite::Connection::open(folder.path().join("verifier.db")).unwrap();
    let argon2 =
        "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    database.execute("UPDATE tokens SET secret_hash = ?1 WHERE client_id = 'op'", [argon2]).unwrap();
    assert_eq!(scene.get("op", "/v1/accounts").problem(), "not-authenticated");
    let clients = scene.get("aud", "/v1/clients").json();
    let outdated =
        clients["items"].as_array().unwrap().iter().filter(|client| client["needs_new_token"] == true);
    assert_eq!(outdated.map(|client| client["client"].as_str().unwrap()).collect::<Vec<_>>(), ["op"]);
}

#[test]
fn adding_and_withdrawing_a_client_is_on_record_and_tells_all_of_its_row() {
    let scene = Scene::new();
    let certificate = "ab".repeat(32);
    let new = json!({"client": "till", "role": "terminal", "terminals": ["TERM0001"], "certificate": certificate,
        "token": true, "reason": "a new till"});
    let added = scene.post("adm", "/v1/clients", &new).json();
    scene.post("adm", "/v1/clients/till/withdraw", &json!({ "reason": "left" }));
    let secret = added["token"].as_str().unwrap().split_once('.').unwrap().1;
    let secret = hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, secret.as_bytes()));
    let log = scene.get("aud", "/v1/audit?last=true&limit=2").json();
    let fields =
        |entry: &Value, names: &[&str]| names.iter().map(|name| entry[name].clone()).collect::<Vec<_>>();
    assert_eq!(
        fields(&log["items"][0], &["event", "client", "role", "terminals", "secret", "certificate"]),
        [
            json!("client-added"),
            json!("till"),
            json!("terminal"),
            json!(["TERM0001"]),
            json!(secret),
            json!(certificate)
        ]
    );
    assert_eq!(
        fields(&log["items"][1], &["event", "client", "by", "reason"]),
        [json!("client-withdrawn"), json!("till"), json!("admin adm"), json!("left")]
    );
    scene.world.verifier.audit_verify().unwrap();
}

/// A second server on the same database, as another process has it.
fn elsewhere(folder: &Path) -> Verifier {
    Verifier::open(folder, Environment::system()).unwrap()
}

fn act() -> Act {
    Act::of_program("elsewhere", "a test")
}

#[test]
fn a_client_withdrawn_elsewhere_is_shut_out_within_five_seconds() {
    let folder = tempfile::tempdir().unwrap();
    let scene = Scene::around(World::on_disk(folder.path()), |_| ());
    let ask = Request::new("GET", "/v1/accounts").token(&token("op").0);
    let mut kept = scene.conn();
    assert_eq!(kept.exchange(&ask).status, 200);
    elsewhere(folder.path()).desk(act()).withdraw_client(&"op".parse().unwrap()).unwrap();
    let withdrawn = Instant::now();
    let mut begun = Duration::ZERO;
    while kept.exchange(&ask).status != 401 {
        assert!(begun < Duration::from_secs(5), "let in {begun:?} after it was withdrawn");
        begun = withdrawn.elapsed();
    }
}

#[test]
fn a_terminal_withdrawn_elsewhere_takes_its_clients_along() {
    let folder = tempfile::tempdir().unwrap();
    let scene = Scene::around(World::on_disk(folder.path()), |_| ());
    elsewhere(folder.path()).desk(act()).withdraw_terminal(&"TERM0001".parse().unwrap()).unwrap();
    assert_eq!(scene.get("pos", "/v1/me").status, 401, "not in memory yet");
}

#[test]
fn a_client_withdrawn_here_is_out_at_its_next_request_on_a_kept_connection() {
    let scene = Scene::new();
    let ask = Request::new("GET", "/v1/accounts").token(&token("op").0);
    let mut kept = scene.conn();
    assert_eq!(kept.exchange(&ask).status, 200);
    assert_eq!(scene.post("adm", "/v1/clients/op/withdraw", &json!({ "reason": "left" })).status, 200);
    assert_eq!(kept.exchange(&ask).status, 401);
    let terminal = Request::new("GET", "/v1/me").token(&token("pos").0);
    assert_eq!(kept.exchange(&terminal).status, 200);
    assert_eq!(
        scene.post("adm", "/v1/terminals/TERM0001/withdraw", &json!({ "reason": "left" })).status,
        200
    );
    assert_eq!(kept.exchange(&terminal).status, 401);
}

/// Does `work` while the books are verified, again and again.
fn while_verified(verifier: &Verifier, work: impl FnOnce()) {
    let (begun, over) = (Barrier::new(2), AtomicBool::new(false));
    let verifications = std::thread::scope(|scope| {
        let verifying = scope.spawn(|| {
            begun.wait();
            let mut done = 0;
            while !over.load(Ordering::SeqCst) {
                verifier.audit_verify().unwrap();
                done += 1;
            }
            done
        });
        begun.wait();
        let worked = catch_unwind(AssertUnwindSafe(work));
        over.store(true, Ordering::SeqCst);
        let done = verifying.join().unwrap();
        worked.map_or_else(|panic| resume_unwind(panic), |()| done)
    });
    assert!(verifications > 0);
}

#[test]
fn a_client_is_shut_out_in_time_while_the_books_are_verified() {
    let folder = tempfile::tempdir().unwrap();
    let scene = Scene::around(World::on_disk(folder.path()), |_| ());
    let asks = |who| Request::new("GET", "/v1/accounts").token(&token(who).0);
    let mut kept = scene.conn();
    assert_eq!([kept.exchange(&asks("op")).status, kept.exchange(&asks("aud")).status], [200; 2]);
    while_verified(&scene.world.verifier, || {
        let withdrawal = scene.post("adm", "/v1/clients/op/withdraw", &json!({ "reason": "left" }));
        assert_eq!(withdrawal.status, 200);
        assert_eq!(kept.exchange(&asks("op")).status, 401, "withdrawn here: at once");
        elsewhere(folder.path()).desk(act()).withdraw_client(&"aud".parse().unwrap()).unwrap();
        let withdrawn = Instant::now();
        while kept.exchange(&asks("aud")).status != 401 {
            assert!(withdrawn.elapsed() <= Duration::from_secs(5), "withdrawn elsewhere: still in");
        }
    });
}

fn wrong(name: &str) -> Request {
    Request::new("GET", "/v1/accounts").token(&format!("{name}.{}", "A".repeat(43)))
}

#[test]
fn wrong_tokens_are_told_to_wait_and_right_ones_from_the_same_address_never_are() {
    let scene = Scene::new();
    let thief = || Conn::open_from([127, 0, 0, 2], scene.addr);
    for name in ["op", "nobody"].into_iter().cycle().take(10) {
        assert_eq!(thief().exchange(&wrong(name)).status, 401);
    }
    for name in ["op", "nobody"].into_iter().cycle().take(10) {
        let told = thief().exchange(&wrong(name));
        assert_eq!((told.status, told.problem().as_str()), (429, "too-many-requests"));
        assert!((1..=6).contains(&told.header("retry-after").unwrap().parse::<u64>().unwrap()));
        assert_eq!(told.header("connection"), Some("close"));
    }
    let other = Conn::open_from([127, 0, 0, 3], scene.addr).exchange(&wrong("op"));
    assert_eq!(other.status, 401, "another source has a share of its own");
    // None of these tokens was seen before.
    for (name, path) in [("op", "/v1/accounts"), ("aud", "/v1/accounts"), ("pos", "/v1/me")] {
        let right = thief().exchange(&Request::new("GET", path).token(&token(name).0));
        assert_eq!(right.status, 200, "{name} from the address of the wrong ones");
    }
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
