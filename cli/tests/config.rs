//! How the service is configured: a file, variables, options, and what is wrong in each.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rcgen::{CertificateParams, KeyPair};
use serde_json::Value;
use support::{Running, bank, fails, ok_json, onetap};

const CHECK: [&str; 5] = ["verifier", "config", "check", "--config", "onetap.toml"];

/// Each setting with its value and where it comes from, as it is shown.
fn shown(folder: &Path, variables: &[(&str, &str)], options: &[&str]) -> BTreeMap<String, (Value, String)> {
    let show = [&["--json", "verifier", "config", "show"], options].concat();
    let output = onetap(folder, &show).envs(variables.iter().copied()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    let settings = lines.lines().map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| line[name].as_str().unwrap().to_owned();
        (text("setting"), (line["value"].clone(), text("source")))
    });
    settings.collect()
}

fn write(folder: &Path, text: &str) {
    fs::write(folder.join("onetap.toml"), text).unwrap();
}

#[test]
fn an_option_outranks_a_variable_and_a_variable_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder, "db = \"bank\"\nclient-rate = 1\ncard-rate = 2\nlog = \"warn\"\n");
    let variables = [("ONETAP_CARD_RATE", "3"), ("ONETAP_LOG", "debug")];
    let all = shown(folder, &variables, &["--config", "onetap.toml", "--log", "error"]);
    let found = |name: &str| (all[name].0.to_string(), all[name].1.as_str());
    assert_eq!(found("client-rate"), ("1".to_owned(), "file"));
    assert_eq!(found("card-rate"), ("3".to_owned(), "variable"));
    assert_eq!(found("log"), ("\"error\"".to_owned(), "option"));
    assert_eq!(found("threads"), ("null".to_owned(), "default"));
    let named_by_a_variable = shown(folder, &[("ONETAP_CONFIG", "onetap.toml")], &[]);
    assert_eq!(named_by_a_variable["client-rate"].1, "file");
}

#[test]
fn each_mistake_in_a_file_is_named_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    bank(folder);
    for (text, told) in [
        ("db = \"bank\"\nlisten = 8443\n", "line 2"),
        ("db = \"bank\"\n\nlisten = \"here\"\n", "line 3"),
        ("listen = \"127.0.0.1:0\"\nport = 1\n", "line 2: unknown field `port`"),
        ("db = \"bank\"\nclient-rate = -1\n", "line 2"),
        ("db = \"bank\"\nwrong-credentials = 0\n", "line 2"),
        ("db = \"bank\"\nrequire-client-cert = \"yes\"\n", "line 2"),
        ("db = \"bank\"\nlog = \"loud\"\n", "line 2: unknown variant `loud`"),
        ("db = \"bank\"\ndb = \"bank\"\n", "line 2: duplicate key"),
        ("db = \"bank\n", "line 1"),
        ("[service]\ndb = \"bank\"\n", "line 1"),
    ] {
        write(folder, text);
        let (code, message) = fails(folder, &CHECK);
        assert_eq!(code, 2, "{text}: {message}");
        assert!(message.contains("onetap.toml, line") && message.contains(told), "{text}: {message}");
        assert!(message.contains("config show"), "{text}: {message}");
        assert_eq!(message.trim_end().lines().count(), 1, "{text}: {message}");
    }
}

#[test]
fn settings_that_do_not_fit_each_other_are_named_wherever_they_come_from() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    bank(folder);
    for (text, option, told) in [
        ("", None, "`db`"),
        ("db = \"bank\"\ntls-cert = \"server.pem\"\n", None, "`tls-cert` needs `tls-key`"),
        (
            "db = \"bank\"\ntls-cert = \"server.pem\"\n",
            Some("--client-ca=ca.pem"),
            "`tls-cert` needs `tls-key`",
        ),
        ("db = \"bank\"\n", Some("--client-ca=ca.pem"), "`client-ca` needs `tls-cert`"),
        ("db = \"bank\"\nrequire-client-cert = true\n", None, "`require-client-cert` needs `client-ca`"),
        ("db = \"bank\"\n", Some("--webhook-ca=ca.pem"), "`webhook-ca` needs `webhook`"),
        (
            "db = \"bank\"\ntls-cert = \"c\"\ntls-key = \"k\"\n",
            Some("--insecure-plain-http"),
            "exclude each other",
        ),
    ] {
        write(folder, text);
        let given: Vec<_> = CHECK.into_iter().chain(option).collect();
        let (code, message) = fails(folder, &given);
        assert!(code == 2 && message.contains(told), "{text}: {message}");
    }
    let output = onetap(folder, &CHECK).env("ONETAP_THREADS", "many").output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("ONETAP_") && message.contains("'many'"), "{message}");
}

#[test]
fn a_check_reads_every_file_that_the_service_would() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    bank(folder);
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    fs::write(folder.join("server.pem"), certificate.pem()).unwrap();
    fs::write(folder.join("server.key"), key.serialize_pem()).unwrap();
    for (name, text) in [("passphrase", "correct horse battery staple"), ("other", "incorrect")] {
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    ok_json(folder, &["verifier", "keys", "seal", "--db", "bank", "--new-passphrase-file", "passphrase"]);
    let tls = "db = \"bank\"\ntls-cert = \"server.pem\"\ntls-key = \"server.key\"\npassphrase-file = \"passphrase\"\n";
    write(folder, tls);
    assert_eq!(ok_json(folder, &CHECK)["result"], "usable");
    for (file, told) in [("none", "none"), ("other", "passphrase")] {
        let (_, message) = fails(folder, &[&CHECK[..], &["--passphrase-file", file]].concat());
        assert!(message.contains(told), "{message}");
    }
    for (more, told) in [
        ("client-ca = \"server.key\"\n", "server.key"),
        ("client-ca = \"none.pem\"\n", "none.pem"),
        ("webhook = \"http://bank.example/\"\n", "https"),
        ("webhook = \"https://bank.example/\"\nwebhook-ca = \"none.pem\"\n", "none.pem"),
        ("listen = \"0.0.0.0:0\"\n", ""),
    ] {
        write(folder, &format!("{tls}{more}"));
        let checked = onetap(folder, &CHECK).output().unwrap();
        let message = String::from_utf8(checked.stderr).unwrap();
        assert_eq!(checked.status.success(), told.is_empty(), "{more}: {message}");
        assert!(message.contains(told), "{more}: {message}");
    }
    write(folder, "db = \"bank\"\nlisten = \"0.0.0.0:0\"\npassphrase-file = \"passphrase\"\n");
    let (_, message) = fails(folder, &CHECK);
    assert!(message.contains("give a certificate and key"), "{message}");
}

#[test]
fn the_service_runs_as_its_file_says() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    bank(folder);
    write(folder, "db = \"bank\"\nlisten = \"127.0.0.1:0\"\nshutdown-time = 1\nlog = \"error\"\n");
    let mut running = Running::start(folder, &["--json", "verifier", "serve", "--config", "onetap.toml"]);
    assert!(running.json()["url"].as_str().unwrap().starts_with("http://127.0.0.1:"));
    running.signal("TERM");
    assert!(running.end().success());
}
