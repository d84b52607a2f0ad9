//! The numbers of a service as Prometheus reads them, and the alerts and the dashboard that are made of them.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests")]

mod support;

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use support::{LONG, Running, bank, ok, ok_json};

fn monitoring() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/monitoring")
}

/// What promtool says, which must be content.
fn promtool(arguments: &[&str], input: &str) -> String {
    let mut command = Command::new("promtool");
    command.args(arguments).current_dir(monitoring()).stdin(Stdio::piped());
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    // `scripts/setup test` installs it.
    let mut child = child.unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "promtool {arguments:?}: {said}");
    said
}

/// The numbers of a service that has a message to tell, a checkpoint and a certificate.
fn numbers(folder: &Path) -> String {
    bank(folder);
    std::fs::create_dir(folder.join("points")).unwrap();
    ok(folder, &["verifier", "audit", "checkpoint", "--db", "bank", "--out", "points/first"]);
    let add = ["verifier", "client", "add", "--db", "bank", "watch", "--role", "auditor"];
    let token = ok_json(folder, &add)["token"].as_str().unwrap().to_owned();
    let running = Running::start(folder, &["--json", "verifier", "serve", "--db", "bank"]);
    let addr = running.json()["listening"].as_str().unwrap().to_owned();
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    write!(
        stream,
        "GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

/// The names of metrics in an expression of PromQL.
fn names(expression: &str) -> BTreeSet<String> {
    let words = expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let ours = words.filter(|word| word.starts_with("onetap_") || word.starts_with("process_"));
    ours.map(|word| word.strip_suffix("_bucket").unwrap_or(word).to_owned()).collect()
}

fn expressions() -> Vec<String> {
    let text = std::fs::read_to_string(monitoring().join("dashboard.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn promtool_takes_the_numbers_and_alerts_and_dashboard_use_only_those_that_there_are() {
    let folder = tempfile::tempdir().unwrap();
    let numbers = numbers(folder.path());
    let said = promtool(&["check", "metrics"], &numbers);
    assert_eq!(said.trim(), "", "promtool finds nothing to say about them");
    let told: BTreeSet<_> =
        numbers.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let alerts = std::fs::read_to_string(monitoring().join("alerts.yml")).unwrap();
    let rules = alerts.lines().filter(|line| !line.trim_start().starts_with(['#', 'd']));
    let used = expressions().iter().map(String::as_str).chain(rules).flat_map(names).collect::<BTreeSet<_>>();
    // These are there once there is something to tell: a refusal, TLS.
    let later = ["onetap_refusals_total", "onetap_certificate_expiry_timestamp_seconds"];
    let missing: Vec<_> =
        used.iter().filter(|name| !told.contains(name.as_str()) && !later.contains(&name.as_str())).collect();
    assert_eq!(missing, [""; 0], "{numbers}");
    assert!(used.len() > 20, "{used:?}");
}

#[test]
fn promtool_takes_the_alerts_and_they_say_what_they_are_to_say() {
    promtool(&["check", "rules", "alerts.yml"], "");
    promtool(&["test", "rules", "alerts-test.yml"], "");
}

#[test]
fn promtool_takes_each_expression_of_the_dashboard() {
    let folder = tempfile::tempdir().unwrap();
    let rules = expressions().into_iter().enumerate().map(|(n, expr)| {
        let expr = expr.replace("$instance", ".*");
        serde_json::json!({ "record": format!("panel:{n}"), "expr": expr })
    });
    let groups =
        serde_json::json!({ "groups": [{ "name": "dashboard", "rules": rules.collect::<Vec<_>>() }] });
    let file = folder.path().join("dashboard.yml");
    // JSON is YAML.
    std::fs::write(&file, groups.to_string()).unwrap();
    promtool(&["check", "rules", file.to_str().unwrap()], "");
}
