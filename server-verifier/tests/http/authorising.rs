//! `POST /v1/authorisations`: decided once, told plainly, asked for again with the same key.

use std::time::{Duration, Instant};

use onetap_apdu_spec::header::CardId;
use onetap_apdu_spec::txn::PayeeName;
use serde_json::{Value, json};

use crate::scene::{RSA, SYMMETRIC, Scene, authorisation, body};
use crate::support::{Card, OPENING};
use crate::wire::{Answer, Request};

#[test]
fn a_signed_and_confirmed_payment_is_executed_with_either_kind_of_cryptography() {
    let scene = Scene::new();
    let mut spent = 0;
    for suite in [SYMMETRIC, RSA] {
        let tap = scene.card(suite).tap(scene.world.payment(12_34));
        let answer = scene.authorise(&tap.request);
        assert_eq!(answer.status, 200, "{answer:?}");
        let body = answer.json();
        assert_eq!(body["outcome"], "executed");
        assert_eq!(body["receipt"]["amount"], 12_34);
        assert_eq!(body["receipt"]["payee"], scene.world.shop.as_str());
        spent += 12_34;
        assert_eq!(scene.world.balances(), (i64::try_from(OPENING).unwrap() - spent, spent));
    }
    scene.world.check_books();
}

#[test]
fn an_answer_that_was_lost_is_given_again() {
    let scene = Scene::new();
    let tap = scene.card(SYMMETRIC).tap(scene.world.payment(5_00));
    let request = authorisation("lost", &tap.request);
    let mut conn = scene.conn();
    conn.send(&request.bytes());
    drop(conn);
    let (first, second) = (scene.ask(&request), scene.ask(&request));
    assert_eq!(first.json()["outcome"], "executed");
    assert_eq!(first.body, second.body);
    assert_eq!(scene.world.balances().1, 5_00);

    let other = authorisation("lost", &tap.typed("WRONG234"));
    let answer = scene.ask(&other);
    assert_eq!((answer.status, answer.problem().as_str()), (409, "conflict"));
}

#[test]
fn every_refusal_is_one_and_the_same_answer() {
    let scene = Scene::new();
    let mut card = scene.card(SYMMETRIC);
    let tap = card.tap(scene.world.payment(1_00));
    let mut answers = vec![("wrong password", scene.authorise(&tap.typed("WRONG234")))];
    let mut forged = tap.request.clone();
    *forged.signature_message.last_mut().unwrap() ^= 1;
    answers.push(("bad signature", scene.authorise(&forged)));
    let mut stranger = Card::make(card.order.clone());
    stranger.order.binding.card = CardId([7; 8]);
    answers.push(("unknown card", scene.authorise(&stranger.tap(scene.world.payment(1_00)).request)));
    let mut wrong_payee = scene.world.payment(1_00);
    wrong_payee.payee_name = PayeeName::new("Another Shop").unwrap();
    answers.push(("wrong payee", scene.authorise(&card.tap(wrong_payee).request)));
    let mut other_terminal = scene.world.payment(1_00);
    other_terminal.terminal = "TERM0002".parse().unwrap();
    answers.push(("other terminal", scene.authorise(&card.tap(other_terminal).request)));
    answers.push(("stale counter", scene.authorise(&tap.request)));
    for _ in 0..3 {
        let tap = card.tap(scene.world.payment(1_00));
        answers.push(("wrong again", scene.authorise(&tap.typed("WRONG234"))));
    }
    answers.push(("locked", scene.authorise(&card.tap(scene.world.payment(1_00)).request)));
    assert!(scene.world.locked());
    for (why, answer) in &answers {
        assert_eq!(uniform(answer), uniform(&answers[0].1), "{why}");
    }
    assert_eq!(answers[0].1.text(), r#"{"outcome":"refused"}"#);
    assert_eq!(scene.world.balances().1, 0);
}

/// What is refused at once, and what is refused after a commit. Without padding the first takes far less than 2 ms; the
/// fastest of many tells that, whatever else the machine does.
#[test]
fn refusals_are_padded_so_that_latency_does_not_reveal_the_reason() {
    let scene = Scene::new();
    let mut card = scene.card(SYMMETRIC);
    let mut forged = card.tap(scene.world.payment(1_00)).request;
    *forged.signature_message.last_mut().unwrap() ^= 1;
    let mut conn = scene.conn();
    let mut fastest = Duration::MAX;
    for round in 0..50 {
        let request = authorisation(&format!("forged-{round}"), &forged);
        let asked = Instant::now();
        assert_eq!(conn.exchange(&request).json()["outcome"], "refused");
        fastest = fastest.min(asked.elapsed());
    }
    assert!(fastest >= Duration::from_millis(2), "{fastest:?}");
    let wrong = card.tap(scene.world.payment(1_00)).typed("WRONG234");
    let asked = Instant::now();
    assert_eq!(scene.authorise(&wrong).json()["outcome"], "refused");
    assert!(asked.elapsed() >= Duration::from_millis(2));
}

/// An answer without what differs between any two: the request's id and the time; but with their lengths.
pub fn uniform(answer: &Answer) -> (u16, Vec<(String, String)>, Vec<u8>) {
    let blank = |(name, value): (String, String)| {
        let value = if name == "date" || name == "x-request-id" { "*".repeat(value.len()) } else { value };
        (name, value)
    };
    (answer.status, answer.headers.iter().cloned().map(blank).collect(), answer.body.clone())
}

#[test]
fn a_right_password_learns_of_missing_funds_and_limits() {
    let scene = Scene::new();
    let mut card = scene.card(SYMMETRIC);
    let poor = scene.authorise(&card.tap(scene.world.payment(OPENING + 1)).request);
    assert_eq!((poor.status, poor.text().as_str()), (200, r#"{"outcome":"insufficient-funds"}"#));
    let limit = scene.world.verifier.policy().transaction_limit;
    let large = scene.authorise(&card.tap(scene.world.payment(limit + 1)).request);
    assert_eq!((large.status, large.text().as_str()), (200, r#"{"outcome":"limit-exceeded"}"#));
}

#[test]
fn what_is_not_well_formed_is_told_without_repeating_it() {
    let scene = Scene::new();
    let tap = scene.card(SYMMETRIC).tap(scene.world.payment(1_00));
    let good = body(&tap.request);
    let change = |field: &str, value: Value| {
        let mut changed = good.clone();
        changed[field] = value;
        changed
    };
    let mut incomplete = good.clone();
    incomplete.as_object_mut().unwrap().remove("transaction");
    let password = "verification_password";
    for (what, body) in [
        ("unknown field", change("card_image", json!("AA=="))),
        ("missing field", incomplete),
        ("not base64", change("transaction", json!("sEcReT-not base64"))),
        ("not T", change("transaction", json!("AAAA"))),
        ("not a signature message", change("signature_message", json!("AAAA"))),
        ("password too short", change(password, json!("sEcRe"))),
        ("password with blanks", change(password, json!("sEcReT x"))),
        ("password a number", change(password, json!(5_327_345))),
        ("password a list", change(password, json!(["sEcReT"]))),
        ("unknown kind", change("password_object", json!({"kind": "sEcReT", "bytes": ""}))),
        ("object missing", change("password_object", Value::Null)),
        ("SQL", change(password, json!("';DROP--sEcReT TABLE"))),
    ] {
        let request = authorisation(&scene.key(), &tap.request);
        let answer = scene.ask(&Request { body: body.to_string().into_bytes(), ..request });
        assert_eq!((answer.status, answer.problem().as_str()), (400, "malformed"), "{what}");
        let text = answer.text();
        assert!(!text.contains("sEcRe") && !text.contains("5327345"), "{what}: {text}");
    }
    for raw in ["", "{", "[]", "null", "{\"transaction\":1,\"transaction\":2}", "\u{0}", "{} {}"] {
        let request = authorisation(&scene.key(), &tap.request);
        let answer = scene.ask(&Request { body: raw.as_bytes().to_vec(), ..request });
        assert_eq!(answer.problem(), "malformed", "{raw:?}");
    }
    assert_eq!(scene.authorise(&tap.request).json()["outcome"], "executed", "none of that did anything");
}

#[test]
fn the_idempotency_key_is_needed_once_and_short() {
    let scene = Scene::new();
    let tap = scene.card(SYMMETRIC).tap(scene.world.payment(1_00));
    let with = |keys: &[&str]| {
        let mut request = authorisation("x", &tap.request);
        request.headers.retain(|(name, _)| name != "idempotency-key");
        for key in keys {
            request = request.header("idempotency-key", key);
        }
        scene.ask(&request)
    };
    let long = "k".repeat(65);
    for keys in [&[][..], &["a", "b"], &[""], &["with blank"], &["umläut"], &[&long]] {
        let answer = with(keys);
        assert_eq!((answer.status, answer.problem().as_str()), (400, "malformed"), "{keys:?}");
    }
    assert_eq!(with(&["';--\"$(x)"]).json()["outcome"], "executed");
}

#[test]
fn many_guesses_over_many_connections_are_three() {
    let scene = Scene::new();
    let mut card = scene.card(SYMMETRIC);
    let taps: Vec<_> = (0..8).map(|_| card.tap(scene.world.payment(1_00))).collect();
    let last = taps.last().unwrap();
    std::thread::scope(|threads| {
        for connection in 0..8 {
            let scene = &scene;
            threads.spawn(move || {
                let mut conn = scene.conn();
                for guess in 0..25 {
                    let typed = last.typed(&format!("GUESS{connection}{guess:02}"));
                    let answer = conn.exchange(&authorisation(&scene.key(), &typed));
                    assert_eq!(answer.text(), r#"{"outcome":"refused"}"#);
                }
            });
        }
    });
    assert_eq!(scene.world.wrong_passwords(), 3);
    assert!(scene.world.locked());
    scene.world.check_books();
}

/// PostgreSQL refuses to be asked by a thread of the runtime: what judging reads of the store is read elsewhere.
#[cfg(feature = "postgres")]
#[test]
fn rules_that_are_due_on_postgresql_are_read_while_payments_go_on() {
    use onetap_server_verifier::{Act, PolicyChange, Verifier};

    use crate::support::{TestClock, World, environment, options};

    let (folder, clock) = (tempfile::tempdir().unwrap(), TestClock::new());
    let cluster = onetap_postgres_rig::Cluster::shared().unwrap();
    let url = cluster.url(&cluster.database(None).unwrap());
    let weak = options(|policy| policy.danger_allow_weak_suites = true);
    let books = Verifier::init_postgres(folder.path(), &url, weak, environment(&clock)).unwrap();
    let scene = Scene::around(World::around(books, clock.clone()), |_| ());
    let (mut card, mut weak) = (scene.card(SYMMETRIC), scene.card("danger-a3+cmac+aes-cbc-cmac+pkcs1"));
    let pay = |card: &mut Card| scene.authorise(&card.tap(scene.world.payment(100)).request);
    for _ in 0..3 {
        for card in [&mut card, &mut weak] {
            let answer = pay(card);
            assert_eq!((answer.status, answer.json()["outcome"].as_str()), (200, Some("executed")));
        }
        clock.advance(5);
    }
    // Another process changes them.
    let other = Verifier::open(folder.path(), environment(&clock)).unwrap();
    let change = PolicyChange {
        transaction_limit: Some(99),
        danger_allow_weak_suites: Some(false),
        ..PolicyChange::default()
    };
    other.desk(Act::of_program("op", "fraud")).change_policy(&change).unwrap();
    clock.advance(5);
    // The suite is judged before the store decides, which reads the rules again by itself.
    assert_eq!(pay(&mut weak).json()["outcome"], "refused");
    assert_eq!(pay(&mut card).json()["outcome"], "limit-exceeded");
}
