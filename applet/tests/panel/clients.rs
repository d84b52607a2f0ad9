//! Clients that are many, slow, silent, or gone.

use std::io::{Read as _, Write as _};
use std::time::Instant;

use serde_json::json;

use crate::bench::{Bench, PATIENCE, SMALL};

/// As many streams as there are places.
const STREAMS: usize = 16;

fn stream(bench: &Bench) -> std::net::TcpStream {
    let mut stream = bench.connect();
    write!(stream, "{}Accept: text/event-stream\r\n\r\n", bench.head("GET", "/v1/events")).unwrap();
    let mut start = [0; 15];
    stream.read_exact(&mut start).unwrap();
    assert_eq!(&start, b"HTTP/1.1 200 OK");
    stream
}

#[test]
fn streams_have_so_many_places_and_a_place_becomes_free() {
    let bench = Bench::new();
    let mut open: Vec<_> = (0..STREAMS).map(|_| stream(&bench)).collect();
    let one_more =
        format!("{}Accept: text/event-stream\r\nConnection: close\r\n\r\n", bench.head("GET", "/v1/events"));
    assert_eq!(bench.raw(one_more.as_bytes()).refusal(503), "too-many-streams");
    bench.get_json("/v1/events");

    drop(open.pop());
    let deadline = Instant::now() + PATIENCE;
    loop {
        // The server notices when it reads or writes next.
        bench.post("/v1/field", &json!({ "on": true }));
        bench.post("/v1/field", &json!({ "on": false }));
        let mut again = bench.connect();
        again.write_all(one_more.as_bytes()).unwrap();
        let mut status = [0; 12];
        again.read_exact(&mut status).unwrap();
        if status.ends_with(b"200") {
            break;
        }
        assert!(Instant::now() < deadline, "no place became free");
    }
}

#[test]
fn those_who_read_nothing_hold_up_nobody() {
    let bench = Bench::new();
    let _deaf: Vec<_> = (0..STREAMS).map(|_| stream(&bench)).collect();
    for _ in 0..300 {
        bench.post("/v1/field", &json!({ "on": true }));
        bench.post("/v1/apdu", &json!({ "apdu": "00".repeat(4096) }));
        bench.post("/v1/field", &json!({ "on": false }));
    }
    bench.tap(SMALL);
    assert_eq!(bench.screen()["lines"][1], SMALL);
}

/// More connections than there are places, none of which says anything: they are closed in time, and whoever
/// comes after them is served.
#[test]
fn silent_and_half_open_connections_are_closed() {
    let bench = Bench::new();
    let mut silent: Vec<_> = (0..80).map(|_| bench.connect()).collect();
    for (at, stream) in silent.iter_mut().enumerate() {
        match at % 4 {
            0 => write!(stream, "GET /v1/").unwrap(),
            1 => write!(stream, "{}", bench.head("GET", "/v1/card")).unwrap(),
            2 => {
                let head = bench.head("POST", "/v1/keys");
                write!(stream, "{head}Content-Type: application/json\r\nContent-Length: 9\r\n\r\n").unwrap();
            }
            _ => {}
        }
    }
    assert_eq!(bench.screen()["blank"], true);
    let slow = &mut silent[2];
    let mut said = String::new();
    slow.read_to_string(&mut said).unwrap();
    assert!(said.starts_with("HTTP/1.1 408") && said.contains("body-too-slow"), "{said}");
}

#[test]
fn many_clients_press_and_read_at_once_and_numbers_stay_whole() {
    let bench = Bench::new();
    bench.tap(SMALL);
    std::thread::scope(|scope| {
        for client in 0..16 {
            let bench = &bench;
            scope.spawn(move || {
                for _ in 0..20 {
                    let key = if client % 2 == 0 { "next" } else { "previous" };
                    bench.post("/v1/keys", &json!({ "keys": [key] }));
                    bench.screen();
                }
            });
        }
    });
    let events = bench.get_json("/v1/events");
    let numbers: Vec<u64> =
        events["events"].as_array().unwrap().iter().map(|it| it["seq"].as_u64().unwrap()).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1));
    assert!(numbers.len() >= 320, "{}", numbers.len());
}

#[test]
fn a_panel_that_is_dropped_is_gone_while_clients_wait() {
    let bench = Bench::new();
    let mut waiting = bench.connect();
    write!(waiting, "{}\r\n", bench.head("GET", "/v1/screen?after=99&timeout_ms=60000")).unwrap();
    let mut listening = stream(&bench);
    let (addr, Bench { panel, .. }) = (bench.addr(), bench);
    let start = Instant::now();
    drop(panel);
    assert!(start.elapsed() < PATIENCE / 2);
    let mut rest = Vec::new();
    let _ = listening.read_to_end(&mut rest);
    assert!(std::net::TcpStream::connect(addr).is_err());
}
