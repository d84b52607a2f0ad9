//! Clients' certificates that `openssl` makes: those that a handshake takes are taken, the others are refused with the cure.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests")]

mod support;

use std::path::Path;
use std::process::Command;

use support::{Running, bank, fails, ok};

/// Runs a script in bash, in which `onetap` is this program; what it prints must say that it succeeded.
fn bash(folder: &Path, script: &str) -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_onetap")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let done =
        Command::new("bash").args(["-ec", script]).current_dir(folder).env("PATH", path).output().unwrap();
    let said = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
    assert!(done.status.success(), "{script}: {said}");
    said
}

/// The commands of the section of docs/operations.md.
fn page() -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operations.md");
    let page = std::fs::read_to_string(page).unwrap();
    let section = page.split("## Clients by certificate").nth(1).unwrap();
    section.split("```sh\n").nth(1).unwrap().split("```").next().unwrap().to_owned()
}

/// Issues `NAME.pem` for a new key, as `openssl x509 -req` does with these words more.
fn issue(folder: &Path, name: &str, words: &str) {
    bash(
        folder,
        &format!(
            "openssl req -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}
         openssl x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out {name}.pem {words}"
        ),
    );
}

fn serve(folder: &Path, ca: &str) -> (Running, String) {
    let words = "--json verifier serve --db bank --listen 127.0.0.1:0 --tls-cert server.pem --tls-key server.key --client-ca";
    let words: Vec<_> = words.split(' ').chain([ca]).collect();
    let running = Running::start(folder, &words);
    let addr = running.json()["listening"].as_str().unwrap().to_owned();
    (running, addr)
}

/// What the service answers to who shows `NAME.pem`, by OpenSSL's own client; nothing if there is no handshake.
fn ask(folder: &Path, addr: &str, name: &str) -> String {
    let script = format!(
        "printf 'GET /v1/accounts HTTP/1.1\\r\\nhost: x\\r\\nconnection: close\\r\\n\\r\\n' |
         openssl s_client -quiet -connect {addr} -CAfile ca.pem -verify_return_error -cert {name}.pem -key {name}.key || true"
    );
    let said = bash(folder, &script);
    said.lines().find(|line| line.starts_with("HTTP/1.1")).unwrap_or_default().trim_end().to_owned()
}

#[test]
fn the_page_leads_to_a_client_that_shows_its_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    bank(folder);
    bash(folder, &page());
    let (_running, addr) = serve(folder, "ca.pem");
    assert_eq!(ask(folder, &addr, "desk"), "HTTP/1.1 200 OK");
    issue(folder, "stranger", "-extfile <(echo extendedKeyUsage=clientAuth)");
    assert_eq!(ask(folder, &addr, "stranger"), "HTTP/1.1 401 Unauthorized");
}

/// Each cure that a message names is tried as it stands there.
#[test]
fn a_certificate_that_no_handshake_takes_is_refused_with_the_cure() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    bank(folder);
    bash(folder, &page());
    issue(folder, "first", "");
    issue(folder, "other", "-extfile <(echo extendedKeyUsage=serverAuth)");
    issue(folder, "authority", "-extfile <(echo basicConstraints=CA:TRUE)");
    let (running, addr) = serve(folder, "ca.pem");
    let add = ["verifier", "client", "add", "--db", "bank", "desk-2", "--role", "operator", "--cert"];
    for (name, flaw, told) in [
        ("first", "not of X.509 version 3", "UnsupportedCertVersion"),
        ("other", "not for clients", "extended key usage for client authentication"),
        ("authority", "an authority's", "CaUsedAsEndEntity"),
    ] {
        let (_, message) = fails(folder, &[&add[..], &[&format!("{name}.pem")]].concat());
        assert!(message.contains(flaw), "{message}");
        assert!(message.contains("-extfile <(echo extendedKeyUsage=clientAuth)"), "{message}");
        assert_eq!(ask(folder, &addr, name), "", "and no handshake takes {name}");
        let logged =
            std::iter::repeat_with(|| running.error_line()).find(|line| line.contains("no-handshake"));
        assert!(logged.as_ref().is_some_and(|line| line.contains(told)), "{logged:?}");
    }
    issue(folder, "plain", "-extfile <(echo keyUsage=digitalSignature)");
    let added = [&add[..], &["plain.pem"]].concat();
    ok(folder, &added);
    assert_eq!(ask(folder, &addr, "plain"), "HTTP/1.1 200 OK");
}

#[test]
fn a_server_does_not_start_with_a_certificate_of_version_1_but_with_an_authority_of_that_version() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    bank(folder);
    bash(
        folder,
        "openssl req -newkey rsa:2048 -nodes -keyout ca.key -out ca.csr -subj /CN=first
        openssl x509 -req -in ca.csr -signkey ca.key -out ca.pem",
    );
    let version = bash(folder, "openssl x509 -in ca.pem -noout -text");
    assert!(version.contains("Version: 1"), "{version}");
    issue(folder, "server", "");
    let serve_it =
        ["verifier", "serve", "--db", "bank", "--tls-cert", "server.pem", "--tls-key", "server.key"];
    let (_, message) = fails(folder, &serve_it);
    assert!(message.contains("-extfile <(echo subjectAltName=DNS:NAME)"), "{message}");
    issue(folder, "server", "-extfile <(echo subjectAltName=IP:127.0.0.1)");
    issue(folder, "desk", "-extfile <(echo extendedKeyUsage=clientAuth)");
    ok(
        folder,
        &["verifier", "client", "add", "--db", "bank", "desk-1", "--role", "operator", "--cert", "desk.pem"],
    );
    let (_running, addr) = serve(folder, "ca.pem");
    assert_eq!(ask(folder, &addr, "desk"), "HTTP/1.1 200 OK");
}
