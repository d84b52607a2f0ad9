//! Too large, too slow, too many, and how a service ends.

use std::io::{Read as _, Write as _};
use std::thread;
use std::time::{Duration, Instant};

use onetap_server_verifier::http::{Config, ServeError, Server, Shutdown};

use crate::scene::{SYMMETRIC, Scene, authorisation, token};
use crate::support::World;
use crate::wire::{Conn, LONG, Request};

#[test]
fn a_body_that_is_too_large_is_refused_before_it_is_read() {
    let scene = Scene::new();
    let head = Request::new("POST", "/v1/authorisations")
        .token(&token("pos").0)
        .header("idempotency-key", "large")
        .header("content-type", "application/json");
    for framing in [("content-length", "1000000000"), ("transfer-encoding", "chunked")] {
        let mut conn = scene.conn();
        conn.send(&head.clone().header(framing.0, framing.1).bytes());
        if framing.0 == "transfer-encoding" {
            let chunk = [b"8000\r\n".as_slice(), &[b' '; 0x8000], b"\r\n"].concat();
            conn.send(&chunk);
        }
        let answer = conn.receive().expect("an answer");
        assert_eq!((answer.status, answer.problem().as_str()), (413, "too-large"), "{framing:?}");
    }
}

#[test]
fn a_body_that_comes_too_slowly_is_given_up() {
    let scene = Scene::with(|config| config.body_time = Duration::from_millis(100));
    let head = Request::new("POST", "/v1/authorisations")
        .token(&token("pos").0)
        .header("idempotency-key", "slow")
        .header("content-type", "application/json")
        .header("content-length", "100");
    let mut conn = scene.conn();
    conn.send(&head.bytes());
    conn.send(b"{");
    let answer = conn.receive().expect("an answer");
    assert_eq!((answer.status, answer.problem().as_str()), (408, "too-slow"));
}

#[test]
fn a_head_that_does_not_end_and_a_connection_that_says_nothing_are_closed() {
    let scene = Scene::with(|config| config.head_time = Duration::from_millis(100));
    for start in [&b""[..], b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-slow: "] {
        let mut conn = scene.conn();
        conn.send(start);
        let mut rest = Vec::new();
        let began = Instant::now();
        conn.stream.read_to_end(&mut rest).unwrap();
        assert!(began.elapsed() < LONG);
        let text = String::from_utf8_lossy(&rest);
        assert!(rest.is_empty() || text.starts_with("HTTP/1.1 408"), "{text}");
    }
    let mut conn = scene.conn();
    assert_eq!(conn.exchange(&Request::new("GET", "/healthz")).status, 200);
    assert_eq!(conn.receive(), None, "an idle connection ends, too");
}

#[test]
fn heads_that_are_no_http_get_no_further() {
    let scene = Scene::new();
    let long = format!("GET /healthz HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "a".repeat(64 * 1024));
    let many = format!("GET /healthz HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(100));
    for bytes in [
        long.as_str(),
        &many,
        "GET /healthz HTTP/1.1\r\nhost: x\r\nevil\u{0}: y\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nhost: x\r\n x: folded\r\n\r\n",
        "POST /healthz HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        "\u{16}\u{3}\u{1}not http",
    ] {
        let mut conn = scene.conn();
        // The server may have closed already while this is still being written.
        let _ = conn.stream.write_all(bytes.as_bytes());
        if let Some(answer) = conn.receive() {
            assert!(matches!(answer.status, 400 | 414 | 431), "{answer:?}");
        }
    }
    assert_eq!(scene.ask(&Request::new("GET", "/healthz")).status, 200, "and the service lives");
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let scene = Scene::new();
    let mut card = scene.card(SYMMETRIC);
    let mut conn = scene.conn();
    let amounts = [1_01, 1_02, 1_03, 1_04];
    let requests: Vec<u8> = amounts
        .iter()
        .flat_map(|amount| {
            authorisation(&scene.key(), &card.tap(scene.world.payment(*amount)).request).bytes()
        })
        .collect();
    conn.send(&requests);
    for amount in amounts {
        assert_eq!(conn.receive().unwrap().json()["receipt"]["amount"], amount);
    }
}

/// A trial commit syncs the disk, and strangers may ask: also ones who do not wait for the answer.
#[test]
fn however_often_strangers_ask_for_readiness_it_costs_one_commit_a_second() {
    let directory = tempfile::tempdir().unwrap();
    let scene = Scene::around(World::on_disk(directory.path()), |_| ());
    let other = rusqlite::Connection::open(directory.path().join("verifier.db")).unwrap();
    // SQLite changes this number with every commit of another connection.
    let version = || other.query_row("PRAGMA data_version", [], |row| row.get::<_, i64>(0)).unwrap();
    let ready = Request::new("GET", "/readyz");
    let (start, mut seen, mut commits) = (Instant::now(), version(), 0);
    for _ in 0..200 {
        scene.conn().send(&ready.bytes());
        assert_eq!(scene.ask(&ready).status, 200);
        let now = version();
        commits += u64::from(now != std::mem::replace(&mut seen, now));
    }
    assert!((1..=1 + start.elapsed().as_secs()).contains(&commits), "{commits} in {:?}", start.elapsed());
}

fn health(conn: &mut Conn) -> u16 {
    conn.exchange(&Request::new("GET", "/healthz")).status
}

#[test]
fn silent_connections_of_one_source_end_from_the_oldest_on_and_others_are_served() {
    let scene = Scene::with(|config| config.source_silent = 3);
    let from = |last| Conn::open_from([127, 0, 0, last], scene.addr);
    let mut spoke = from(2);
    assert_eq!(health(&mut spoke), 200);
    let mut silent: Vec<_> = (0..6).map(|_| from(2)).collect();
    assert_eq!(health(&mut from(3)), 200);
    for oldest in &mut silent[..3] {
        assert_eq!(oldest.receive(), None, "ended to make room");
    }
    for newest in &mut silent[3..] {
        assert_eq!(health(newest), 200);
    }
    assert_eq!(health(&mut spoke), 200, "who has spoken is not touched");
}

#[test]
fn a_source_that_has_its_share_is_turned_away_and_others_are_not() {
    let scene = Scene::with(|config| config.source_connections = 2);
    let from = |last| Conn::open_from([127, 0, 0, last], scene.addr);
    let mut share = [from(2), from(2)];
    assert!(share.iter_mut().all(|conn| health(conn) == 200));
    assert_eq!(from(2).receive(), None, "turned away at once");
    assert_eq!(health(&mut from(3)), 200);
    assert!(share.iter_mut().all(|conn| health(conn) == 200));
    let shed = "onetap_http_connections_shed_total 1\n";
    assert!(scene.get("aud", "/metrics").text().contains(shed));
}

#[test]
fn a_full_house_ends_silent_connections_but_none_that_has_spoken() {
    let scene = Scene::with(|config| config.max_connections = 2);
    let from = |last| Conn::open_from([127, 0, 0, last], scene.addr);
    let mut first = from(2);
    assert_eq!(health(&mut first), 200);
    let mut silent = from(3);
    let mut second = from(4);
    assert_eq!(health(&mut second), 200);
    assert_eq!(silent.receive(), None, "ended to make room");
    assert_eq!(from(5).receive(), None, "nobody is silent: turned away at once");
    assert_eq!([health(&mut first), health(&mut second)], [200, 200]);
}

#[test]
fn a_full_line_at_the_private_key_says_when_to_come_again() {
    let scene = Scene::with(|config| (config.private_key_parallel, config.private_key_queue) = (1, 0));
    let mut card = scene.card(crate::scene::RSA);
    let taps: Vec<_> = (0..8).map(|_| card.tap(scene.world.payment(1)).request).collect();
    let busy = || {
        thread::scope(|threads| {
            let ask = |tap| {
                let scene = &scene;
                move || scene.authorise(tap)
            };
            let asking: Vec<_> = taps.iter().map(|tap| threads.spawn(ask(tap))).collect();
            asking.into_iter().map(|thread| thread.join().unwrap()).find(|answer| answer.status == 503)
        })
    };
    let start = Instant::now();
    let answer = std::iter::repeat_with(busy).find_map(|busy| {
        busy.or_else(|| {
            assert!(start.elapsed() < LONG, "never full");
            None
        })
    });
    let answer = answer.unwrap();
    assert_eq!((answer.problem().as_str(), answer.header("retry-after")), ("busy", Some("1")));
}

#[test]
fn a_shutdown_answers_what_is_under_way_and_loses_nothing() {
    let mut scene = Scene::new();
    let (addr, server) = (scene.addr, scene.server.take().unwrap());
    let mut card = scene.card(SYMMETRIC);
    let taps: Vec<_> = (0..200).map(|_| card.tap(scene.world.payment(1)).request).collect();
    let executed: i64 = thread::scope(|threads| {
        let scene = &scene;
        let sending = threads.spawn(move || {
            let mut conn = Conn::open(addr);
            let mut executed = 0;
            for tap in &taps {
                if conn.stream.write_all(&authorisation(&scene.key(), tap).bytes()).is_err() {
                    break;
                }
                let Some(answer) = conn.receive() else { break };
                assert_eq!(answer.json()["outcome"], "executed");
                executed += 1;
            }
            executed
        });
        let start = Instant::now();
        while scene.world.balances().1 < 5 {
            assert!(start.elapsed() < LONG, "nothing is executed");
            thread::yield_now();
        }
        assert_eq!(server.shutdown(), Shutdown::Complete);
        sending.join().unwrap()
    });
    assert!((5..200).contains(&executed), "{executed} were executed before the end");
    assert_eq!(scene.world.balances().1, executed, "each that was executed was told");
    assert!(std::net::TcpStream::connect(addr).is_err(), "nobody listens");
}

#[test]
fn a_client_that_never_ends_its_request_does_not_hold_the_service() {
    let mut scene = Scene::with(|config| config.shutdown_time = Duration::from_millis(200));
    let mut conn = scene.conn();
    conn.send(b"POST /v1/authorisations HTTP/1.1\r\nhost: x\r\n");
    assert_eq!(scene.ask(&Request::new("GET", "/healthz")).status, 200);
    let start = Instant::now();
    let _ = scene.server.take().unwrap().shutdown();
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[test]
fn plain_http_stays_on_this_machine() {
    let scene = Scene::new();
    let config = Config { listen: "0.0.0.0:0".parse().unwrap(), ..Config::default() };
    let refused = Server::start(std::sync::Arc::clone(&scene.world.verifier), config);
    assert!(matches!(refused, Err(ServeError::Plain(_))));
}
