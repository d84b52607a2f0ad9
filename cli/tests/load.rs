//! `onetap load`, at a service of its own and at one that serves others, too.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests")]

mod support;

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::Value;
use support::*;

/// Long enough for progress to show itself.
const FOUR_SECONDS: [&str; 7] = ["load", "--cards", "2", "--rate", "10", "--payments", "40"];

/// A served bank with an admin whose token is in `admin.token`, and its URL.
fn bank_with_admin(folder: &Path) -> (Running, String) {
    bank(folder);
    token(folder, "admin");
    served(folder)
}

/// Adds a client of this role, whose name it is; its token is in `ROLE.token`.
fn token(folder: &Path, role: &str) {
    let client = ok_json(folder, &["verifier", "client", "add", "--db", "bank", role, "--role", role]);
    fs::write(folder.join(format!("{role}.token")), client["token"].as_str().unwrap()).unwrap();
}

/// The arguments of a load at that server.
fn at<'a>(url: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let load =
        ["load", "--server", url, "--ca", "ca.pem", "--token-file", "admin.token", "--reason", "sizing"];
    [&load, more].concat()
}

/// The report of a load that has found something wrong, and what it says on standard error.
fn wrong(folder: &Path, arguments: &[&str]) -> (Value, String) {
    let output = onetap(folder, &[&["--json"], arguments].concat()).output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{message}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["result"], "wrong");
    (report, message)
}

#[test]
fn a_load_at_a_service_of_its_own_is_right_and_leaves_its_page_only() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let load = ["--json", "load", "--cards", "4", "--payments", "40", "--html", "load.html"];
    let output = onetap(folder, &load).env("TMPDIR", folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["result"], &report["executed"]), (&"right".into(), &40.into()), "{report}");
    let latency = |name: &str| report["milliseconds"][name].as_f64().unwrap();
    assert!(0.0 < latency("p50") && latency("p50") <= latency("p99.9") && latency("p99.9") <= latency("max"));
    let left: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["load.html"]);
    let page = fs::read_to_string(folder.join("load.html")).unwrap();
    assert_eq!(page.matches("<svg").count(), 3);
    for loads in ["src=", "href=", "url(", "@import", "<script"] {
        assert!(!page.contains(loads), "{loads}");
    }
}

#[test]
fn at_a_server_of_others_what_was_made_is_named_and_can_do_nothing_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (_running, url) = bank_with_admin(folder);
    let said = ok(folder, &at(&url, &["--cards", "3", "--payments", "20"]));
    assert!(
        said.contains("20 of 20 payments executed") && said.contains("left behind: 3 accounts"),
        "{said}"
    );
    let accounts = ok(folder, &["verifier", "account", "--db", "bank"]);
    assert_eq!(accounts.matches("  load-").count(), 3, "{accounts}");
    assert_eq!(accounts.matches("  blocked").count(), 3, "{accounts}");
    let clients = ok(folder, &["--json", "verifier", "client", "list", "--db", "bank"]);
    let made: Vec<Value> = clients
        .lines()
        .filter(|line| line.contains("load-"))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(made.len() == 2 && made.iter().all(|client| !client["withdrawn_at"].is_null()), "{clients}");
    assert!(ok(folder, &["--json", "verifier", "log", "--db", "bank"]).contains("\"sizing\""));
    ok(folder, &["verifier", "audit", "verify", "--db", "bank"]);
}

#[test]
fn money_that_somebody_else_moves_meanwhile_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (_running, url) = bank_with_admin(folder);
    let load = at(&url, &["--cards", "2", "--rate", "5", "--payments", "15"]);
    let mut running = Running::start(folder, &[&["--json"], &load[..]].concat());
    let executed = until("a payment of the load", || {
        let log = onetap(folder, &["--json", "verifier", "log", "--db", "bank"]).output().unwrap();
        let log = String::from_utf8(log.stdout).unwrap();
        let entries = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        entries.into_iter().find_map(|entry| Some(entry["receipt"]["transaction"].as_str()?.to_owned()))
    });
    ok(folder, &["verifier", "ledger", "reverse", "--db", "bank", &executed]);
    let report = running.json();
    assert_eq!(running.end().code(), Some(1));
    assert_eq!((&report["result"], &report["executed"]), (&"wrong".into(), &15.into()), "{report}");
    assert_eq!(report["wrong_balances"].as_array().unwrap().len(), 2, "{report}");
    assert!(running.error_line().contains("2 balances differ"));
}

/// A way to a service without TLS on which every receipt of 3 cents becomes one of 4.
fn tampering(service: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let server = TcpStream::connect(&service).unwrap();
            let (back, forth) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            thread::spawn(move || pass(forth, server, |bytes| bytes));
            thread::spawn(move || {
                pass(back, client, |bytes| {
                    String::from_utf8(bytes).unwrap().replace("\"amount\":3,", "\"amount\":4,").into_bytes()
                });
            });
        }
    });
    url
}

/// Passes on what comes, changed, until an end.
fn pass(mut from: TcpStream, mut to: TcpStream, change: impl Fn(Vec<u8>) -> Vec<u8>) {
    let mut buffer = [0; 16_384];
    while let Ok(len @ 1..) = from.read(&mut buffer) {
        if to.write_all(&change(buffer[..len].to_vec())).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

#[test]
fn an_answer_that_is_wrong_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    bank(folder);
    token(folder, "admin");
    let running = Running::start(folder, &["--json", "verifier", "serve", "--db", "bank"]);
    let url = tampering(running.json()["listening"].as_str().unwrap().to_owned());
    let load = ["load", "--server", &url, "--token-file", "admin.token", "--reason", "sizing"];
    let (report, message) = wrong(folder, &[&load[..], &["--cards", "2", "--payments", "18"]].concat());
    assert_eq!(report["complaints"]["executed, with the receipt of another payment"], 2, "{report}");
    assert_eq!((&report["executed"], &report["unknown"]), (&18.into(), &0.into()), "{report}");
    assert!(message.contains("2 answers are not as they should be"), "{message}");
}

#[test]
fn where_clients_show_certificates_a_load_shows_that_of_its_admin() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    bank(folder);
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    fs::write(folder.join("ca.pem"), authority.pem()).unwrap();
    for (name, usage) in
        [("server", ExtendedKeyUsagePurpose::ServerAuth), ("admin", ExtendedKeyUsagePurpose::ClientAuth)]
    {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        params.extended_key_usages = vec![usage];
        fs::write(folder.join(format!("{name}.pem")), params.signed_by(&key, &authority).unwrap().pem())
            .unwrap();
        fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
    ok(
        folder,
        &["verifier", "client", "add", "--db", "bank", "boss", "--role", "admin", "--cert", "admin.pem"],
    );
    let serve = [
        "--json",
        "verifier",
        "serve",
        "--db",
        "bank",
        "--tls-cert",
        "server.pem",
        "--tls-key",
        "server.key",
    ];
    let running =
        Running::start(folder, &[&serve[..], &["--client-ca", "ca.pem", "--require-client-cert"]].concat());
    let url = running.json()["url"].as_str().unwrap().to_owned();
    let load = ["load", "--server", &url, "--ca", "ca.pem", "--cert", "admin.pem", "--key", "admin.key"];
    let report =
        ok_json(folder, &[&load[..], &["--reason", "sizing", "--cards", "2", "--payments", "10"]].concat());
    assert_eq!((&report["result"], &report["executed"]), (&"right".into(), &10.into()), "{report}");
}

#[test]
fn a_limit_that_is_met_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (_running, url) = bank_with_admin(folder);
    let (report, message) = wrong(folder, &at(&url, &["--cards", "2", "--payments", "60"]));
    let complaints = report["complaints"].as_object().unwrap();
    assert!(
        complaints.keys().all(|complaint| complaint.starts_with("429") && complaint.contains("card-rate"))
    );
    let refused: u64 = complaints.values().map(|times| times.as_u64().unwrap()).sum();
    assert_eq!(report["executed"].as_u64().unwrap() + refused, 60, "{report}");
    assert!(report["wrong_balances"].as_array().unwrap().is_empty(), "{report}");
    assert!(message.contains("answers are not as they should be"), "{message}");
}

#[test]
fn who_may_not_and_what_is_not_there_is_told_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (mut running, url) = bank_with_admin(folder);
    token(folder, "operator");
    let told = |arguments: &[&str], expected: i32| {
        let (code, message) = fails(folder, &[&["--json"], arguments].concat());
        assert!(code == expected && message.lines().count() == 1, "{code} {message}");
        message
    };
    let no_reason = ["load", "--server", &url, "--ca", "ca.pem", "--token-file", "admin.token"];
    assert!(told(&no_reason, 2).contains("--reason"));
    let mut operator = at(&url, &[]);
    operator[6] = "operator.token";
    assert!(told(&operator, 2).contains("give an admin's token"));
    fs::write(folder.join("operator.token"), format!("operator.{}", "A".repeat(43))).unwrap();
    assert!(told(&operator, 7).contains("401"));
    running.signal("TERM");
    running.end();
    assert!(told(&at(&url, &[]), 7).contains("cannot be reached"));
    let accounts = ok(folder, &["verifier", "account", "--db", "bank"]);
    assert_eq!(accounts, "", "nothing was made");
}

#[test]
fn an_interrupted_load_tells_what_was_seen_so_far_and_cleans_up() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (_running, url) = bank_with_admin(folder);
    let load = at(&url, &["--cards", "2", "--rate", "2", "--payments", "1000"]);
    let mut running = Running::start(folder, &[&load[..], &["--html", "load.html"]].concat());
    assert!(running.line().contains("they are sent"));
    running.signal("INT");
    let counts: Vec<u64> = running.line().split(' ').filter_map(|word| word.parse().ok()).collect();
    assert!(counts[0] == counts[1] && counts[1] < 1000, "{counts:?}");
    assert!(running.end().success());
    assert!(fs::read_to_string(folder.join("load.html")).unwrap().contains("<svg"));
    assert_eq!(ok(folder, &["verifier", "account", "--db", "bank"]).matches("  blocked").count(), 2);
}

#[test]
fn long_work_shows_a_bar_at_a_terminal_and_leaves_a_clean_line() {
    let folder = tempfile::tempdir().unwrap();
    let controller: OwnedFd = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&controller).unwrap();
    unlockpt(&controller).unwrap();
    let name = ptsname(&controller, Vec::new()).unwrap().into_string().unwrap();
    let terminal = File::options().write(true).open(name).unwrap();
    let mut command: Command = onetap(folder.path(), &FOUR_SECONDS);
    command.env("TERM", "xterm").stdout(Stdio::null()).stderr(terminal);
    let mut program = command.spawn().unwrap();
    drop(command);
    let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
    // The terminal's end reads as an error, once nobody has it open any more.
    while let Ok(len @ 1..) = File::from(controller.try_clone().unwrap()).read(&mut buffer) {
        seen.extend_from_slice(&buffer[..len]);
    }
    assert!(program.wait().unwrap().success());
    let seen = String::from_utf8(seen).unwrap();
    assert!(seen.contains("paying [") && seen.contains("% "), "{seen}");
    let after = seen.rsplit_once("left").unwrap().1;
    assert!(after.contains("\x1b[2K"), "the line is wiped: {after:?}");
    assert!(!seen.contains("\x1b[3"), "no colours: {seen:?}");
}

#[test]
fn long_work_writes_a_line_into_a_log_and_nothing_into_a_pipe() {
    let folder = tempfile::tempdir().unwrap();
    let log = File::create_new(folder.path().join("log")).unwrap();
    let mut logged = onetap(folder.path(), &FOUR_SECONDS);
    let mut logged = logged.stdout(Stdio::null()).stderr(log).spawn().unwrap();
    let piped = onetap(folder.path(), &FOUR_SECONDS).output().unwrap();
    assert!(piped.status.success() && piped.stderr.is_empty());
    assert!(logged.wait().unwrap().success());
    let lines = fs::read_to_string(folder.path().join("log")).unwrap();
    let paying: Vec<_> = lines.lines().filter(|line| line.starts_with("paying: ")).collect();
    assert!(paying.len() == 1 && paying[0].contains(" %, about "), "{lines}");
}
