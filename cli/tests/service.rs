//! `onetap verifier serve` and `verifier client`, as processes.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests")]

mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use serde_json::Value;
use support::{LONG, Running, account, bank, fails, ok, ok_json, onetap, until};

/// Status and body of a request to the service.
fn ask(addr: &str, method: &str, path: &str, token: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {token}\r\n"
    );
    let kind = "content-type: application/json\r\n";
    write!(stream, "{head}{kind}content-length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

fn client(folder: &Path, name: &str, more: &[&str]) -> String {
    let add = ["verifier", "client", "add", "--db", "bank", name, "--role"];
    ok_json(folder, &[&add[..], more].concat())["token"].as_str().unwrap().to_owned()
}

fn serve(folder: &Path) -> (Running, String) {
    let running = Running::start(folder, &["--json", "verifier", "serve", "--db", "bank"]);
    let addr = running.json()["listening"].as_str().unwrap().to_owned();
    (running, addr)
}

#[test]
fn a_served_bank_knows_its_clients_and_ends_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    bank(folder);
    let ada = account(folder, "Ada Lovelace");
    let (operator, terminal) = (
        client(folder, "desk-1", &["operator"]),
        client(folder, "pos-1", &["terminal", "--terminal", "POS00001"]),
    );
    let (mut running, addr) = serve(folder);

    let (status, body) = ask(&addr, "GET", "/v1/accounts", &operator, "");
    let listed: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, listed["items"][0]["number"].as_str()), (200, Some(ada.as_str())));
    assert_eq!(ask(&addr, "GET", "/v1/accounts", &terminal, "").0, 403);
    assert_eq!(ask(&addr, "GET", "/readyz", "", "").0, 200);
    let open = r#"{"holder": "Grace Hopper", "currency": "EUR", "kind": "current"}"#;
    assert_eq!(ask(&addr, "POST", "/v1/accounts", &operator, open).0, 201);
    assert!(
        ok(folder, &["verifier", "account", "--db", "bank"]).contains("Grace Hopper"),
        "another process sees it"
    );

    ok(folder, &["verifier", "client", "withdraw", "--db", "bank", "desk-1"]);
    until("the end of desk-1", || (ask(&addr, "GET", "/v1/accounts", &operator, "").0 == 401).then_some(()));
    running.signal("TERM");
    assert!(running.end().success());
    assert!(TcpStream::connect(&addr).is_err());
}

#[test]
fn clients_are_added_once_listed_without_secrets_and_withdrawn_once() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    bank(folder);
    let token = client(folder, "audit", &["auditor"]);
    let add = ["verifier", "client", "add", "--db", "bank"];
    let (code, message) = fails(folder, &[&add[..], &["audit", "--role", "admin"]].concat());
    assert!(code == 2 && message.contains("used before"), "{message}");
    let (code, _) = fails(folder, &[&add[..], &["pos", "--role", "terminal"]].concat());
    assert_eq!(code, 2, "a terminal has an id");
    let (code, message) =
        fails(folder, &[&add[..], &["pos", "--role", "terminal", "--terminal", "NOSUCH01"]].concat());
    assert!(code == 7 && message.contains("--terminal"), "{message}");
    assert_eq!(fails(folder, &[&add[..], &["a b", "--role", "admin"]].concat()).0, 2);

    let list = ok(folder, &["--json", "verifier", "client", "list", "--db", "bank"]);
    assert_eq!(list.lines().count(), 1);
    assert!(list.contains("\"auditor\"") && !list.contains(token.split('.').nth(1).unwrap()), "{list}");
    assert!(!list.contains("argon2"), "{list}");
    let withdraw = ["verifier", "client", "withdraw", "--db", "bank", "audit"];
    ok(folder, &withdraw);
    assert_eq!(fails(folder, &withdraw).0, 2);
}

/// Serves with its log going to `errors`: an act is answered and done once, and SIGTERM ends the service with 0.
fn serves_without_a_log(errors: impl Into<Stdio>, before_the_end: impl FnOnce(&str, &str)) {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    bank(folder);
    let (operator, auditor) =
        (client(folder, "desk-1", &["operator"]), client(folder, "audit", &["auditor"]));
    let serve = ["--json", "verifier", "serve", "--db", "bank", "--log", "debug"];
    let mut running = Running::with_errors(&mut onetap(folder, &serve), errors);
    let addr = running.json()["listening"].as_str().unwrap().to_owned();
    let open = r#"{"holder": "Grace Hopper", "currency": "EUR", "kind": "current"}"#;
    assert_eq!(ask(&addr, "POST", "/v1/accounts", &operator, open).0, 201);
    assert_eq!(ok(folder, &["verifier", "account", "--db", "bank"]).lines().count(), 1);
    before_the_end(&addr, &auditor);
    running.signal("TERM");
    assert!(running.end().success());
}

fn lost_lines(addr: &str, auditor: &str) -> u64 {
    let metrics = ask(addr, "GET", "/metrics", auditor, "").1;
    let lost = metrics.lines().find_map(|line| line.strip_prefix("onetap_log_lines_lost_total "));
    lost.unwrap().parse().unwrap()
}

#[test]
fn a_log_whose_reader_is_gone_is_lost_and_counted_and_nothing_else_is() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    serves_without_a_log(writer, |addr, auditor| {
        until("a lost line", || (lost_lines(addr, auditor) > 0).then_some(()));
    });
}

#[test]
fn a_log_on_a_full_disk_is_lost_and_counted_and_nothing_else_is() {
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    serves_without_a_log(full, |addr, auditor| {
        until("a lost line", || (lost_lines(addr, auditor) > 0).then_some(()));
    });
}

/// Asks so often over one connection, and counts the answers a second. Each must come.
fn answers_a_second(addr: &str, asked: usize) -> usize {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    let mut sender = stream.try_clone().unwrap();
    let start = Instant::now();
    let sending = std::thread::spawn(move || {
        let request = "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
        sender.write_all(request.repeat(asked - 1).as_bytes()).unwrap();
        sender.write_all(request.replace("x\r\n", "x\r\nconnection: close\r\n").as_bytes()).unwrap();
    });
    let mut answers = String::new();
    stream.read_to_string(&mut answers).unwrap();
    let took = start.elapsed().as_secs_f64();
    sending.join().unwrap();
    assert_eq!(answers.matches("HTTP/1.1 200").count(), asked);
    (asked as f64 / took) as usize
}

/// Every request is a line of this log. What somebody reads and what nobody does is measured by turns, and the best of each
/// told, for `make soak` to compare.
#[test]
fn a_log_that_nobody_reads_holds_no_answer_up() {
    const MORE_THAN_WAIT: usize = 20_000;
    let (unread, writer) = std::io::pipe().unwrap();
    let mut filler = writer.try_clone().unwrap();
    // Fills the pipe and whatever room comes free in it, until nobody can read it any more.
    std::thread::spawn(move || while filler.write_all(&[b' '; 4_096]).is_ok() {});
    let (mut read, readable) = std::io::pipe().unwrap();
    std::thread::spawn(move || std::io::copy(&mut read, &mut std::io::sink()));
    let mut best = 0;
    serves_without_a_log(readable, |readable, _| {
        serves_without_a_log(writer, |blocked, auditor| {
            let mut fastest = [0, 0];
            for _ in 0..4 {
                for (best, addr) in fastest.iter_mut().zip([readable, blocked]) {
                    *best = answers_a_second(addr, MORE_THAN_WAIT).max(*best);
                }
            }
            assert!(lost_lines(blocked, auditor) > 0);
            println!("blocked log: read={} blocked={}", fastest[0], fastest[1]);
            best = fastest[1];
        });
    });
    assert!(best > 0);
    drop(unread);
}

#[test]
fn a_service_that_would_send_secrets_in_the_clear_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    bank(folder);
    let serve = ["verifier", "serve", "--db", "bank", "--listen"];
    let (code, message) = fails(folder, &[&serve[..], &["0.0.0.0:0"]].concat());
    assert!(code == 2 && message.contains("--insecure-plain-http"), "{message}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let (code, message) = fails(folder, &[&serve[..], &[&addr]].concat());
    assert!(code == 9 && message.contains("port 0"), "{message}");
    let (code, message) = fails(
        folder,
        &[&serve[..], &["127.0.0.1:0", "--tls-cert", "no.pem", "--tls-key", "no.key"]].concat(),
    );
    assert!(code == 9 && message.contains("no.pem"), "{message}");
}

/// The answer to a request, its id, and the first line of the log that has this id.
fn told(running: &Running, addr: &str, request: &str) -> (String, Value) {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let id = answer.lines().find_map(|line| line.strip_prefix("x-request-id: ")).unwrap();
    let line = until("its line in the log", || Some(running.error_line()).filter(|line| line.contains(id)));
    (answer.clone(), serde_json::from_str(&line).unwrap())
}

fn request(method: &str, path: &str, token: &str, more: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {token}\r\n{more}\r\n"
    )
}

#[test]
fn who_is_turned_away_is_in_the_log_with_address_client_route_and_reason() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    bank(folder);
    let operator = client(folder, "desk-1", &["operator"]);
    let terminal = client(folder, "pos-1", &["terminal", "--terminal", "POS00001"]);
    let limits = ["--client-rate", "1", "--wrong-credentials", "2", "--log", "debug"];
    let serve = ["--json", "verifier", "serve", "--db", "bank"];
    let running = Running::start(folder, &[&serve[..], &limits].concat());
    let addr = running.json()["listening"].as_str().unwrap().to_owned();
    let accounts = |token: &str| request("GET", "/v1/accounts", token, "");
    let body = |length: &str| {
        let kind = format!("content-type: application/json\r\ncontent-length: {length}\r\n");
        request("POST", "/v1/accounts", &operator, &kind)
    };
    let wrong = format!("desk-1.{}", "A".repeat(43));
    for (asked, status, client, reason) in [
        (accounts(&operator), 200, "desk-1", None),
        (accounts("nobody.secret"), 401, "-", Some("form")),
        (accounts(&wrong), 401, "-", Some("not what client desk-1 shows")),
        (accounts(&wrong.replace("desk-1", "desk-2")), 429, "-", Some("no client desk-2")),
        (accounts(&terminal), 403, "pos-1", Some("role terminal")),
        (body("1000000"), 413, "desk-1", Some("at most")),
        (accounts(&operator), 429, "desk-1", Some("too often")),
    ] {
        let (answer, line) = told(&running, &addr, &asked);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{asked} {answer}");
        let level = if status == 200 { "DEBUG" } else { "WARN" };
        assert_eq!(
            (&line["status"], &line["level"], &line["client"], &line["address"], &line["route"]),
            (&status.into(), &level.into(), &client.into(), &"127.0.0.1".into(), &"/v1/accounts".into()),
            "{line}"
        );
        assert!(reason.is_none_or(|reason| line["reason"].as_str().unwrap().contains(reason)), "{line}");
        let id = line["request"].as_str().unwrap();
        assert!(id.len() == 24 && id.chars().all(|c| c.is_ascii_hexdigit()), "{id}");
    }
}

#[test]
fn a_body_that_does_not_come_is_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    bank(folder);
    let operator = client(folder, "desk-1", &["operator"]);
    let running = Running::start(folder, &["--json", "verifier", "serve", "--db", "bank"]);
    let addr = running.json()["listening"].as_str().unwrap().to_owned();
    let kind = "content-type: application/json\r\ncontent-length: 2\r\n";
    let (answer, line) = told(&running, &addr, &request("POST", "/v1/accounts", &operator, kind));
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert_eq!((&line["outcome"], &line["client"]), (&"too-slow".into(), &"desk-1".into()));
}

#[test]
fn what_failed_inside_is_in_the_log_with_its_cause_under_the_id_of_the_answer() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    bank(folder);
    let operator = client(folder, "desk-1", &["operator"]);
    let (running, addr) = serve(folder);
    std::fs::rename(folder.join("bank/verifier.db"), folder.join("elsewhere")).unwrap();
    let open = r#"{"holder": "Grace Hopper", "currency": "EUR", "kind": "current"}"#;
    let kind = format!("content-type: application/json\r\ncontent-length: {}\r\n", open.len());
    let asked = request("POST", "/v1/accounts", &operator, &kind) + open;
    let (answer, line) = told(&running, &addr, &asked);
    assert!(answer.starts_with("HTTP/1.1 503 ") && !answer.contains("moved"), "{answer}");
    assert_eq!((&line["level"], &line["client"]), (&"ERROR".into(), &"desk-1".into()), "{line}");
    assert!(line["reason"].as_str().unwrap().contains("moved, removed or replaced"), "{line}");
}

#[test]
fn who_speaks_no_http_is_in_the_log_with_address_and_reason() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    bank(folder);
    let (running, addr) = serve(folder);
    for head in
        ["GET / HTP/9\r\n\r\n".to_owned(), format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "a".repeat(20_000))]
    {
        let mut stream = TcpStream::connect(&addr).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        let line = until("its line in the log", || {
            Some(running.error_line()).filter(|line| line.contains("no-http"))
        });
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&line["address"], &line["level"]), (&"127.0.0.1".into(), &"WARN".into()));
        assert!(!line["reason"].as_str().unwrap().is_empty(), "{line}");
    }
}

#[test]
fn who_speaks_no_tls_is_in_the_log_with_address_and_reason() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    bank(folder);
    let (running, url) = support::served(folder);
    let mut stream = TcpStream::connect(url.strip_prefix("https://").unwrap()).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let line = until("its line in the log", || {
        Some(running.error_line()).filter(|line| line.contains("no-handshake"))
    });
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["address"], "127.0.0.1");
    assert!(!line["reason"].as_str().unwrap().is_empty(), "{line}");
}

#[test]
fn an_act_whose_reason_is_left_out_says_so_in_the_log_and_over_http_it_is_demanded() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    bank(folder);
    let reason = |name: &str, given: &[&str], variable: Option<&str>| {
        let add = ["verifier", "client", "add", "--db", "bank", name, "--role", "admin"];
        let mut command = onetap(folder, &[&add[..], given].concat());
        command.env_remove("ONETAP_REASON");
        if let Some(variable) = variable {
            command.env("ONETAP_REASON", variable);
        }
        assert!(command.output().unwrap().status.success());
        let log = ok(folder, &["verifier", "audit", "export", "--db", "bank"]);
        let entry = log.lines().rfind(|line| line.contains(name)).unwrap();
        let entry: Value = serde_json::from_str(entry).unwrap();
        entry["entry"]["reason"].as_str().or(entry["reason"].as_str()).unwrap().to_owned()
    };
    assert_eq!(reason("zz-first", &[], None), "none given on the command line");
    assert_eq!(reason("zz-second", &[], Some(" ")), "none given on the command line");
    assert_eq!(reason("zz-third", &[], Some("from the variable")), "from the variable");
    assert_eq!(
        reason("zz-fourth", &["--reason", "from the option"], Some("from the variable")),
        "from the option"
    );
    let admin = client(folder, "chief", &["admin"]);
    let (_running, addr) = serve(folder);
    let register = r#"{"terminal": "POS00002", "reason": ""}"#;
    assert!([400, 422].contains(&ask(&addr, "POST", "/v1/terminals", &admin, register).0));
}
