//! `onetap verifier audit export`, `rebuild` and `copy`: from one database to another, whole or not at all.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests")]

mod support;

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use support::*;

/// A bank, its log in `log`, and a folder `new` with its keys.
fn exported(folder: &Path) {
    bank(folder);
    for holder in ["Ada Lovelace", "Coffee Shop"] {
        account(folder, holder);
    }
    ok(folder, &["verifier", "client", "add", "ada", "--role", "operator", "--db", "bank"]);
    ok(folder, &["verifier", "audit", "export", "--db", "bank", "--out", "log"]);
    fs::create_dir(folder.join("new")).unwrap();
    fs::copy(folder.join("bank/keys.json"), folder.join("new/keys.json")).unwrap();
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_bank_is_made_anew_and_copied() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    exported(folder);
    let made = ok_json(folder, &["verifier", "rebuild", "--from", "log", "--db", "new"]);
    let lines = fs::read_to_string(folder.join("log")).unwrap().lines().count() as u64;
    let (chains, entries) = (made["chains"].as_u64().unwrap(), made["entries"].as_u64().unwrap());
    assert_eq!(1 + entries + chains + 1, lines);
    let copied = ok_json(folder, &["verifier", "copy", "--db", "new", "--into", "copy"]);
    assert!(copied["rows"].as_u64().unwrap() > entries);
    let log = ok(folder, &["verifier", "audit", "export", "--db", "bank"]);
    for db in ["new", "copy"] {
        assert_eq!(ok(folder, &["verifier", "audit", "export", "--db", db]), log);
        assert_eq!(ok_json(folder, &["verifier", "audit", "verify", "--db", db])["result"], "holds");
    }
    for again in [["rebuild", "--from", "log", "--db", "new"], ["copy", "--db", "bank", "--into", "new"]] {
        let (code, message) = fails(folder, &[&["verifier"], &again[..]].concat());
        assert!(code == 7 && message.contains("is initialised already"), "{code} {message}");
    }
}

/// Killed half way, there is no database; the next try does not mind what is left.
#[test]
fn a_rebuild_that_is_killed_leaves_no_database() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    exported(folder);
    let log = fs::read(folder.join("log")).unwrap();
    let mut child = onetap(folder, &["verifier", "rebuild", "--from", "-", "--db", "new"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.as_mut().unwrap().write_all(&log[..log.len() / 2]).unwrap();
    let begun = || names(&folder.join("new")).into_iter().find(|name| name.ends_with(".part"));
    let part = until("the database is begun", begun);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(names(&folder.join("new")), ["keys.json", &part]);
    let (code, _) = fails(folder, &["verifier", "audit", "verify", "--db", "new"]);
    assert_eq!(code, 7, "it is no server's folder yet");
    ok(folder, &["verifier", "rebuild", "--from", "log", "--db", "new"]);
    let mut expected = ["keys.json", &part, "verifier.db"];
    expected.sort_unstable();
    assert_eq!(names(&folder.join("new")), expected);
}

/// The limit that a shell sets, whose signal the program does not get, is to a program what a full disk is.
#[test]
fn on_a_full_disk_nothing_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    exported(folder);
    for arguments in ["rebuild --from log --db new", "copy --db bank --into copy"] {
        let script = format!("trap '' XFSZ; ulimit -f 80; exec \"$0\" verifier {arguments}");
        let output = Command::new("sh")
            .args(["-c", &script, env!("CARGO_BIN_EXE_onetap")])
            .current_dir(folder)
            .output()
            .unwrap();
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(7), "{arguments}: {message}");
        assert!(message.contains("disk") && message.trim().lines().count() == 1, "{message}");
    }
    assert_eq!(names(&folder.join("new")), ["keys.json"]);
    assert_eq!(names(&folder.join("copy")), [""; 0]);
}

#[test]
fn a_copy_that_is_put_back_without_keys_says_so_and_is_opened_with_them() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    bank(folder);
    ok(folder, &["verifier", "backup", "--db", "bank", "--to", "copy"]);
    let restored = ok(folder, &["verifier", "restore", "--from", "copy", "--db", "back"]);
    assert!(restored.contains("no keys"), "{restored}");
    let (code, message) = fails(folder, &["verifier", "account", "--db", "back"]);
    assert!(code == 7 && message.contains("there is no key file back/keys.json"), "{code} {message}");
    fs::copy(folder.join("bank/keys.json"), folder.join("back/keys.json")).unwrap();
    ok(folder, &["verifier", "audit", "verify", "--db", "back"]);
    fs::create_dir(folder.join("again")).unwrap();
    fs::copy(folder.join("bank/keys.json"), folder.join("again/keys.json")).unwrap();
    assert_eq!(ok_json(folder, &["verifier", "restore", "--from", "copy", "--db", "again"])["keys"], true);
}
