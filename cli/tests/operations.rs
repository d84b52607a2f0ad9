//! docs/operations.md, done as it is written.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests")]

mod support;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use support::{Running, fails, ok, ok_json, pcscd};

/// The commands of the page's second block of code, which are typed in a shell with a virtual reader.
fn first_payment() -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operations.md");
    let page = fs::read_to_string(page).unwrap();
    let blocks: Vec<_> =
        page.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    let commands = blocks[..2].iter().flat_map(|block| block.lines()).count();
    assert!(commands <= 10, "{commands} commands to the first payment");
    blocks[1].to_owned()
}

#[test]
fn the_page_leads_to_a_payment_over_tls() {
    if !pcscd() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_onetap")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    // What still runs in the background ends with the shell.
    let script = format!("trap 'kill $(jobs -p)' EXIT\n{}", first_payment());
    let mut shell = Command::new("bash")
        .args(["-ec", &script])
        .current_dir(folder.path())
        .env("PATH", path)
        .env("XDG_STATE_HOME", folder.path().join("state"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut keyboard = shell.stdin.take().unwrap();
    let mut said = String::new();
    for line in BufReader::new(shell.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if said.trim_end().ends_with("▸ Password           │") {
            let password: String = line.chars().filter(char::is_ascii_alphanumeric).collect();
            writeln!(keyboard, "{password}").unwrap();
        }
        said.push_str(&line);
        said.push('\n');
        if line.contains("executed") {
            break;
        }
    }
    shell.wait().unwrap();
    assert!(said.contains("executed"), "{said}");
    let log = ok(&folder.path().join("shop"), &["verifier", "log", "--db", "bank"]);
    assert!(log.contains(r#""event":"executed""#) && log.ends_with("the ledger hold"), "{log}");
}

#[test]
fn a_quickstart_makes_what_the_service_can_start_with_and_touches_nothing_that_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let made = ok_json(folder, &["verifier", "quickstart", "--into", "shop", "--host", "localhost"]);
    assert_eq!(made["url"], "https://127.0.0.1:8443");
    let checked = ok_json(&folder.join("shop"), &["verifier", "config", "check", "--config", "onetap.toml"]);
    assert_eq!(checked["result"], "usable");
    // Other programs than ours are content with the certificate, too, at their strictest.
    let openssl = Command::new("openssl")
        .args(["verify", "-x509_strict", "-purpose", "sslserver", "-verify_ip", "127.0.0.1"])
        .args(["-verify_hostname", "localhost", "-CAfile", "ca.pem", "server.pem"])
        .current_dir(folder.join("shop"))
        .output()
        .unwrap();
    assert!(openssl.status.success(), "{}", String::from_utf8_lossy(&openssl.stderr));
    let (code, message) = fails(folder, &["verifier", "quickstart", "--into", "shop"]);
    assert!(code == 2 && message.contains("there already"), "{message}");
    for nowhere in ["127.0.0.1:0", "0.0.0.0:8443"] {
        let (code, message) =
            fails(folder, &["verifier", "quickstart", "--into", "other", "--listen", nowhere]);
        assert!(code == 2 && message.contains("--listen"), "{message}");
        assert!(!folder.join("other").exists());
    }
}

/// What it keeps for itself, without the program's own pages, which the system has in its cache anyway: no buffers for clients that
/// may never come, and no OpenAPI document before somebody asks for it.
#[test]
fn a_service_that_nobody_asks_keeps_little() {
    let folder = tempfile::tempdir().unwrap();
    ok(folder.path(), &["verifier", "quickstart", "--into", "shop"]);
    let words = "--json verifier serve --config onetap.toml --listen 127.0.0.1:0 --threads 2";
    let words: Vec<_> = words.split(' ').collect();
    let running = Running::start(&folder.path().join("shop"), &words);
    running.json();
    let status = fs::read_to_string(format!("/proc/{}/status", running.child.id())).unwrap();
    let own = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    let own: u32 = own.trim().trim_end_matches(" kB").parse().unwrap();
    assert!((500..3_600).contains(&own), "{own} kB");
}
