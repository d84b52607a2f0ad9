//! What an auditor does with a bank on media that cannot be written.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests")]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use support::{Running, bank, ok, onetap};

/// The same command, where the folder it runs in cannot be written: a mount of its own, for it alone.
fn unwritable(folder: &Path, arguments: &[&str]) -> Command {
    let inner = onetap(folder, arguments);
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount", "sh", "-c"]);
    command.arg("mount --bind . . && mount -o remount,bind,ro . && cd \"$PWD\" && exec \"$@\"").arg("sh");
    command.arg(inner.get_program()).args(inner.get_args()).current_dir(folder);
    command
}

/// Standard output and standard error.
fn run(mut command: Command) -> Result<String, String> {
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

const READING: [&[&str]; 6] = [
    &["verifier", "audit", "verify", "--db", "bank"],
    &["verifier", "ledger", "check", "--db", "bank"],
    &["verifier", "log", "--db", "bank"],
    &["verifier", "audit", "export", "--db", "bank"],
    &["verifier", "account", "--db", "bank"],
    &["verifier", "client", "list", "--db", "bank"],
];

#[test]
fn commands_that_only_read_do_so_where_nothing_can_be_written() {
    let origin = tempfile::tempdir().unwrap();
    bank(origin.path());
    let serving = Running::start(origin.path(), &["--json", "verifier", "serve", "--db", "bank"]);
    assert!(serving.json()["listening"].is_string());
    ok(origin.path(), &["verifier", "account", "--db", "bank", "--open", "Late Comer"]);
    let said = READING.map(|command| ok(origin.path(), command));
    assert!(said[4].contains("Late Comer"));
    // As a server leaves its files that was killed: the log beside the database, with its index or without.
    for left in
        [&["verifier.db", "verifier.db-wal", "verifier.db-shm"][..], &["verifier.db", "verifier.db-wal"]]
    {
        let media = tempfile::tempdir().unwrap();
        fs::create_dir(media.path().join("bank")).unwrap();
        for file in left.iter().chain(&["keys.json"]) {
            fs::copy(origin.path().join("bank").join(file), media.path().join("bank").join(file)).unwrap();
        }
        reads(media.path(), &said);
    }
}

#[test]
fn a_database_that_was_closed_is_read_where_nothing_can_be_written() {
    let media = tempfile::tempdir().unwrap();
    bank(media.path());
    assert!(!media.path().join("bank/verifier.db-wal").exists(), "closed by its last command");
    let said = READING.map(|command| ok(media.path(), command));
    reads(media.path(), &said);
}

/// Everything is read as where it can be written; an act is refused and says why.
fn reads(media: &Path, said: &[String]) {
    for (command, said) in READING.iter().zip(said) {
        assert_eq!(run(unwritable(media, command)).unwrap().trim(), said, "{command:?}");
    }
    let act = ["verifier", "account", "--db", "bank", "--open", "Nobody"];
    let refused = run(unwritable(media, &act)).unwrap_err();
    assert!(refused.contains("can only be read here"), "{refused}");
}
