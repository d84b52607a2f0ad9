//! `onetap verifier keys`: sealed with a file or a passphrase, rotated, retired, and in a token.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

const OPENERS: [&str; 3] = ["ONETAP_PASSPHRASE_FILE", "ONETAP_KEY_FILE", "ONETAP_PKCS11_PIN_FILE"];

fn onetap(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_onetap"));
    command.current_dir(folder).args(arguments).stdin(Stdio::null()).env("ONETAP_REASON", "a test");
    for name in OPENERS {
        command.env_remove(name);
    }
    command
}

fn ok(mut command: Command) -> Value {
    let output = command.arg("--json").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(String::from_utf8(output.stdout).unwrap().lines().last().unwrap_or("null")).unwrap()
}

fn fails(mut command: Command) -> (i32, String) {
    let output = command.output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

fn secret(folder: &Path, name: &str, bytes: &[u8]) {
    let path = folder.join(name);
    fs::write(&path, bytes).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn keys(folder: &Path, act: &str, more: &[&str]) -> Command {
    onetap(folder, &[&["verifier", "keys", act], more, &["--db", "bank"]].concat())
}

#[test]
fn sealed_from_the_start_and_opened_by_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    secret(folder, "pass", b"correct horse battery\n");
    secret(folder, "wrong", b"correct horse\n");
    ok(onetap(folder, &["verifier", "init", "--db", "bank", "--passphrase-file", "pass"]));
    let open = || onetap(folder, &["verifier", "account", "--db", "bank", "--open", "Ada Lovelace"]);
    let (code, message) = fails(open());
    assert!(code == 7 && message.contains("is sealed with a passphrase"), "{code} {message}");
    let mut with = open();
    with.env("ONETAP_PASSPHRASE_FILE", "wrong");
    let (code, message) = fails(with);
    assert!(code == 7 && message.contains("the passphrase is not the one"), "{code} {message}");
    let mut with = open();
    with.env("ONETAP_PASSPHRASE_FILE", "pass");
    assert!(ok(with)["account"].is_string());
}

#[test]
fn sealing_rotating_and_retiring() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    ok(onetap(folder, &["verifier", "init", "--db", "bank"]));
    let plain = ok(keys(folder, "show", &[]));
    assert_eq!(plain["sealed_by"], Value::Null);
    secret(folder, "key", &[7; 32]);
    assert_eq!(ok(keys(folder, "seal", &["--new-key-file", "key"])), json!({ "sealed_by": "key" }));
    let (code, message) = fails(keys(folder, "show", &[]));
    assert!(code == 7 && message.contains("--key-file"), "{code} {message}");
    let with = ["--key-file", "key"];
    for kind in ["server", "issuer"] {
        assert_eq!(ok(keys(folder, "rotate", &[&[kind], &with[..]].concat())), json!({ "version": 2 }));
    }
    let shown = ok(keys(folder, "show", &with));
    let versions =
        |which: &str| shown[which].as_array().unwrap().iter().map(|v| v["newest"].clone()).collect();
    let versions = ["server_keys", "issuer_keys"].map(versions).map(|v: Vec<Value>| v);
    assert_eq!(versions, [vec![json!(false), json!(true)], vec![json!(false), json!(true)]]);
    assert_eq!(shown["server_keys"][0]["fingerprint"], plain["server_keys"][0]["fingerprint"]);
    ok(keys(folder, "retire", &[&["server", "1"], &with[..]].concat()));
    let (code, message) = fails(keys(folder, "retire", &[&["server", "2"], &with[..]].concat()));
    assert!(code == 7 && message.contains("newest"), "{code} {message}");
    ok(keys(folder, "unseal", &with));
    assert_eq!(ok(keys(folder, "show", &[]))["sealed_by"], Value::Null);
}

#[test]
fn secrets_that_everybody_may_read_or_that_are_none_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    secret(folder, "open", &[7; 32]);
    fs::set_permissions(folder.join("open"), fs::Permissions::from_mode(0o644)).unwrap();
    secret(folder, "short", &[7; 31]);
    secret(folder, "empty", b"\n");
    for (option, file, says) in [
        ("--key-file", "open", "everybody may read open"),
        ("--key-file", "short", "exactly 32 bytes"),
        ("--passphrase-file", "empty", "does not hold a line of text"),
    ] {
        let (code, message) = fails(onetap(folder, &["verifier", "init", "--db", "bank", option, file]));
        assert!(code == 2 && message.contains(says), "{code} {message}");
        assert!(!folder.join("bank").exists());
    }
}

#[test]
fn keys_in_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::create_dir(folder.join("tokens")).unwrap();
    let conf = folder.join("softhsm2.conf");
    fs::write(&conf, format!("directories.tokendir = {}\n", folder.join("tokens").display())).unwrap();
    let made = Command::new("softhsm2-util")
        .args(["--init-token", "--free", "--label", "onetap", "--pin", "482915", "--so-pin", "99887766"])
        .env("SOFTHSM2_CONF", &conf)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    secret(folder, "pin", b"482915\n");
    secret(folder, "key", &[7; 32]);
    let module = "/usr/lib/softhsm/libsofthsm2.so";
    let token = ["--pkcs11-module", module, "--pkcs11-token", "onetap", "--pkcs11-pin-file", "pin"];
    let mut init = onetap(folder, &["verifier", "init", "--db", "bank", "--key-file", "key"]);
    init.args(token).env("SOFTHSM2_CONF", &conf);
    ok(init);
    let with = |act: &str, more: &[&str]| {
        let mut command = keys(folder, act, more);
        command.env("SOFTHSM2_CONF", &conf).env("ONETAP_KEY_FILE", "key");
        command
    };
    let (code, message) = fails(with("show", &[]));
    assert!(code == 7 && message.contains("--pkcs11-pin-file"), "{code} {message}");
    let shown = ok(with("show", &["--pkcs11-pin-file", "pin"]));
    assert_eq!(shown["token"], json!({ "module": module, "label": "onetap" }));
    assert_eq!(ok(with("rotate", &["server", "--pkcs11-pin-file", "pin"])), json!({ "version": 2 }));
    secret(folder, "pin", b"000000\n");
    let (code, message) = fails(with("show", &["--pkcs11-pin-file", "pin"]));
    assert!(code == 7 && message.contains("refuses the PIN"), "{code} {message}");
}
