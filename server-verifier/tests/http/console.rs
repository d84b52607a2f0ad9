//! The console's files, and what `/v1` has for it.

use onetap_server_verifier::Act;
use serde_json::{Value, json};

use crate::scene::{SYMMETRIC, Scene, token};
use crate::wire::Request;

const FILES: [(&str, &str); 11] = [
    ("/console", "text/html; charset=utf-8"),
    ("/console/console.css", "text/css; charset=utf-8"),
    ("/console/console.js", "text/javascript; charset=utf-8"),
    ("/console/accounts.js", "text/javascript; charset=utf-8"),
    ("/console/books.js", "text/javascript; charset=utf-8"),
    ("/console/client.js", "text/javascript; charset=utf-8"),
    ("/console/dom.js", "text/javascript; charset=utf-8"),
    ("/console/outbox.js", "text/javascript; charset=utf-8"),
    ("/console/rate.js", "text/javascript; charset=utf-8"),
    ("/console/talk.js", "text/javascript; charset=utf-8"),
    ("/console/icon.svg", "image/svg+xml"),
];

#[test]
fn the_consoles_files_need_no_token_and_forbid_everything_but_themselves() {
    let scene = Scene::new();
    for (path, media_type) in FILES {
        let answer = scene.ask(&Request::new("GET", path));
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(media_type)), "{path}");
        let policy = answer.header("content-security-policy").unwrap();
        let parts: Vec<&str> = policy.split("; ").collect();
        for wanted in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "connect-src 'self'",
            "img-src 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "require-trusted-types-for 'script'",
        ] {
            assert!(parts.contains(&wanted), "{path}: {wanted}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
        let headers = [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
        ];
        for (name, value) in headers {
            assert_eq!(answer.header(name), Some(value), "{path}: {name}");
        }
        assert!(answer.header("set-cookie").is_none());
    }
    assert_eq!(scene.ask(&Request::new("POST", "/console")).problem(), "method-not-allowed");
    assert_eq!(scene.ask(&Request::new("GET", "/console/nothing.js")).problem(), "not-found");
}

/// Every file that one of them names is among them, and none names another host.
#[test]
fn the_consoles_files_name_each_other_only() {
    let scene = Scene::new();
    let mut named = 0;
    for (path, _) in FILES {
        let text = scene.ask(&Request::new("GET", path)).text();
        assert!(!text.contains("innerHTML") && !text.contains("localStorage"), "{path}");
        for quoted in text.split('"').skip(1).step_by(2) {
            assert!(!quoted.contains("://") || quoted == "http://www.w3.org/2000/svg", "{path}: {quoted}");
            let file = quoted.strip_prefix("./").map(|file| format!("/console/{file}"));
            let file = file.or_else(|| quoted.starts_with("/console").then(|| quoted.to_owned()));
            if let Some(file) = file {
                assert!(FILES.iter().any(|(known, _)| *known == file), "{path}: {file}");
                named += 1;
            }
        }
    }
    assert!(named > 10, "{named}");
}

/// A browser shows its certificate, and sends what it is told to, for other sites too.
#[test]
fn a_request_that_another_site_makes_a_browser_send_is_refused() {
    let scene = Scene::new();
    for (site, allowed) in
        [("cross-site", false), ("same-site", false), ("same-origin", true), ("none", true)]
    {
        let request = Request::new("GET", "/v1/me").token(&token("op").0).header("sec-fetch-site", site);
        let answer = scene.ask(&request);
        assert_eq!(answer.status == 200, allowed, "{site}: {answer:?}");
        assert!(allowed || answer.problem() == "not-allowed");
    }
}

#[test]
fn a_client_is_told_who_it_is_and_what_a_terminal_must_know_before_a_tap() {
    let scene = Scene::new();
    let (server, now) = (scene.world.verifier.server_id(), scene.world.verifier.now());
    for (who, role) in [("pos", "terminal"), ("op", "operator"), ("aud", "auditor"), ("adm", "admin")] {
        // docs/spec/server.md: dated within -10 … +2 minutes of receipt.
        let mut me =
            json!({ "client": who, "role": role, "server": server, "max_age": 600, "max_ahead": 120 });
        me["time"] = json!(now);
        if role == "terminal" {
            me["terminal"] = json!("TERM0001");
        }
        assert_eq!(scene.get(who, "/v1/me").json(), me);
    }
}

#[test]
fn the_statistics_count_what_was_decided() {
    let scene = Scene::new();
    let mut card = scene.card(SYMMETRIC);
    let outcome = |name: &str| scene.get("aud", "/v1/statistics").json()["outcomes"][name].clone();
    assert_eq!((outcome("executed"), outcome("refused")), (json!(0), json!(0)));
    let tap = card.tap(scene.world.payment(100));
    assert_eq!(scene.authorise(&tap.typed("abcdefgh")).json()["outcome"], "refused");
    assert_eq!(scene.authorise(&tap.request).json()["outcome"], "executed");
    assert_eq!((outcome("executed"), outcome("refused")), (json!(1), json!(1)));
    scene.ask(&Request::new("GET", "/v1/me").token("nobody.token"));
    let statistics = scene.get("aud", "/v1/statistics").json();
    assert_eq!((&statistics["wrong_credentials"], &statistics["rate_limited"]), (&json!(1), &json!(0)));
    assert_eq!(statistics["private_key_queue"], 0);
    assert!(statistics["uptime_ms"].as_u64().unwrap() > 0);
}

#[test]
fn the_state_of_the_audit_has_the_last_verification_and_checkpoint() {
    let scene = Scene::new();
    let state = || scene.get("aud", "/v1/audit/state").json();
    assert_eq!(state(), json!({ "running_since": null, "last": null, "checkpoint": null }));
    let checkpoint =
        scene.world.verifier.desk(Act::of_program("test", "set-up")).checkpoint(&mut Vec::new()).unwrap();
    let verify = || scene.ask(&Request::new("POST", "/v1/audit/verify").token(&token("aud").0)).json();
    assert_eq!(verify(), json!({ "audit": true, "ledger": true, "taken_over": 0 }));
    let known = state();
    assert_eq!((&known["last"]["audit"], &known["last"]["by"]), (&json!(true), &json!("aud")));
    assert_eq!(
        (&known["running_since"], &known["checkpoint"]["chains"]),
        (&Value::Null, &json!(checkpoint.chains))
    );
}

#[test]
fn the_last_entries_of_a_chain_come_in_their_order() {
    let scene = Scene::new();
    let mut card = scene.card(SYMMETRIC);
    for _ in 0..3 {
        scene.authorise(&card.tap(scene.world.payment(1)).request);
    }
    let path = format!("/v1/audit?account={}&last=true&limit=2", scene.world.ada);
    let page = scene.get("aud", &path).json();
    let all = scene.world.verifier.log(Some(&scene.world.ada)).unwrap();
    let sequences: Vec<i64> =
        page["items"].as_array().unwrap().iter().map(|entry| entry["sequence"].as_i64().unwrap()).collect();
    assert_eq!(sequences, all[all.len() - 2..].iter().map(|entry| entry.sequence).collect::<Vec<_>>());
    assert_eq!(page["next"], Value::Null);
    assert_eq!(scene.get("aud", &format!("{path}&after=1")).problem(), "malformed");
}
