//! `onetap verifier move`: an account goes from one shard to another while the bank is served, whatever stops the program.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests")]

mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use support::*;

/// A bank in `bank` with an account that has sixty holds, and an empty shard of it in `second`. The account's number.
fn shards(folder: &Path) -> String {
    bank(folder);
    fs::create_dir(folder.join("second")).unwrap();
    fs::copy(folder.join("bank/keys.json"), folder.join("second/keys.json")).unwrap();
    ok(folder, &["verifier", "init", "--db", "second", "--shard", "1"]);
    let ada = account(folder, "Ada Lovelace");
    for _ in 0..60 {
        ok(folder, &hold(&ada));
    }
    ada
}

fn hold(account: &str) -> [&str; 11] {
    [
        "verifier",
        "ledger",
        "hold",
        "--db",
        "bank",
        "--account",
        account,
        "--amount",
        "1.00",
        "--reason",
        "a test",
    ]
}

fn arguments<'a>(account: &'a str, from: &'a str, to: &'a str) -> [&'a str; 7] {
    ["verifier", "move", account, "--db", from, "--to", to]
}

/// What a shard has of an account: balance and held, and whether it is at home there. None if it does not know it.
fn found(folder: &Path, db: &str, number: &str) -> Option<(i64, i64, bool)> {
    let accounts = ok(folder, &["--json", "verifier", "account", "--db", db]);
    let accounts = accounts.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let account = accounts.into_iter().find(|account| account["number"] == number)?;
    let moved = account["locked"]["cause"] == "moved";
    Some((account["balance"].as_i64().unwrap(), account["held"].as_i64().unwrap(), !moved))
}

fn holds(folder: &Path) {
    for db in ["bank", "second"] {
        assert_eq!(ok_json(folder, &["verifier", "audit", "verify", "--db", db])["result"], "holds");
        ok(folder, &["verifier", "ledger", "check", "--db", db]);
    }
}

#[test]
fn an_account_moves_while_its_bank_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let ada = shards(folder);
    let (mut service, _) = served(folder);
    let moved = ok_json(folder, &arguments(&ada, "bank", "second"));
    assert_eq!((&moved["shard"], &moved["amount"]), (&1.into(), &50_000.into()));
    assert_eq!(found(folder, "bank", &ada), Some((0, 0, false)));
    assert_eq!(found(folder, "second", &ada), Some((50_000, 6_000, true)));
    let again = ok_json(folder, &arguments(&ada, "bank", "second"));
    assert_eq!((&again["entries"], &again["amount"]), (&0.into(), &0.into()));
    let (code, message) = fails(folder, &hold(&ada));
    assert!(code == 7 && message.contains("has moved to another shard"), "{code} {message}");
    let (_, message) = fails(folder, &arguments(&ada, "bank", "bank"));
    assert!(message.contains("are both shard-0"), "{message}");
    holds(folder);
    service.signal("TERM");
    assert!(service.end().success());
}

/// Killed after so many milliseconds, in whichever step that is, it goes on where it was: there and back.
#[test]
fn a_move_that_is_killed_is_finished_by_the_same_command() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let ada = shards(folder);
    let mut killed = 0;
    for round in 0..6 {
        let (from, to) = if round % 2 == 0 { ("bank", "second") } else { ("second", "bank") };
        for after in [0, 3, 6, 9, 12, 15, 18, 21, 25, 30, 40] {
            let mut child = onetap(folder, &arguments(&ada, from, to))
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            std::thread::sleep(Duration::from_millis(after));
            killed += i32::from(child.try_wait().unwrap().is_none());
            child.kill().unwrap();
            child.wait().unwrap();
            let homes = [from, to].map(|db| found(folder, db, &ada).is_some_and(|(.., here)| here));
            assert_ne!(homes, [true, true], "after {after} ms");
        }
        holds(folder);
        ok(folder, &arguments(&ada, from, to));
        assert_eq!(found(folder, from, &ada), Some((0, 0, false)));
        assert_eq!(found(folder, to, &ada), Some((50_000, 6_000, true)));
        holds(folder);
    }
    assert!(killed > 6, "{killed}");
}

/// The limit that a shell sets, whose signal the program does not get, is to a program what a full disk is.
#[test]
fn on_a_full_disk_a_move_waits_for_room() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let ada = shards(folder);
    for _ in 0..100 {
        ok(folder, &hold(&ada));
    }
    let script = "trap '' XFSZ; ulimit -f 80; exec \"$0\" \"$@\"";
    let output = Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_onetap")])
        .args(arguments(&ada, "bank", "second"))
        .env("ONETAP_REASON", "a test")
        .current_dir(folder)
        .output()
        .unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(7), "{message}");
    assert!(message.contains("disk") && message.trim().lines().count() == 1, "{message}");
    assert_eq!(found(folder, "second", &ada), None);
    holds(folder);
    ok(folder, &arguments(&ada, "bank", "second"));
    assert_eq!(found(folder, "second", &ada), Some((50_000, 16_000, true)));
    holds(folder);
}
