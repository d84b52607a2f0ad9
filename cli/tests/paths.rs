//! Files and folders whose names are no text, as on old disks: Linux takes any bytes but `/` and zero.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests")]

mod support;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use support::{Running, ok, onetap};

/// `before`, `é` in Latin-1, `after`.
fn name(before: &str, after: &str) -> OsString {
    OsString::from_vec([before.as_bytes(), b"\xe9", after.as_bytes()].concat())
}

/// The command with the words given, and a name in the place of each `%`: the word without it, in Latin-1.
fn command(folder: &Path, words: &str) -> Command {
    let mut command = onetap(folder, &["--json"]);
    command.args(words.split(' ').map(|word| match word.strip_prefix('%') {
        Some(word) => name(word, ""),
        None => OsStr::from_bytes(word.as_bytes()).to_owned(),
    }));
    command
}

/// The last line of what a command prints that must succeed.
fn done(folder: &Path, words: &str) -> Value {
    let output = command(folder, words).output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{words}: {:?} {errors}", output.status.code());
    let text = String::from_utf8(output.stdout).unwrap();
    serde_json::from_str(text.lines().last().unwrap()).unwrap_or(Value::Null)
}

#[test]
fn every_command_takes_names_that_are_no_text_and_tells_them_as_well_as_it_can() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let told = |of: &str| format!("{of}\u{fffd}");
    assert_eq!(done(folder, "verifier init --db %bank")["db"], told("bank"));
    let account = done(folder, "verifier account --db %bank --open Ada")["account"].clone();
    let account = account.as_str().unwrap();
    done(folder, "verifier account --db %bank --terminal POS00001");
    let order = done(folder, &format!("verifier enroll --db %bank --account {account} --order %order"));
    assert_eq!(order["order"], told("order"));
    let new = done(folder, "card new --image %card --order %order --statement %statement --pin 2468");
    assert_eq!((&new["image"], &new["statement"]), (&told("card").into(), &told("statement").into()));
    done(folder, "verifier enroll --db %bank --statement %statement");
    assert_eq!(done(folder, "card blank --image %blank")["image"], told("blank"));
    done(folder, "card status --image %blank");
    done(folder, "card show --image %card");
    done(folder, "verifier audit checkpoint --db %bank --out %checkpoint");
    done(folder, "verifier audit verify --db %bank --checkpoint %checkpoint");
    done(folder, "verifier audit export --db %bank --out %log");
    assert_eq!(done(folder, "verifier backup --db %bank --to %copy")["backup"], told("copy"));
    assert_eq!(done(folder, "verifier restore --from %copy --db %restored")["restored"], told("restored"));
    assert_eq!(done(folder, "verifier copy --db %bank --into %other")["into"], told("other"));
    let keys = |to: &str| {
        std::fs::copy(
            folder.join(name("bank", "")).join("keys.json"),
            folder.join(name(to, "")).join("keys.json"),
        )
    };
    keys("restored").unwrap();
    done(folder, "verifier audit verify --db %restored");
    std::fs::create_dir(folder.join(name("anew", ""))).unwrap();
    keys("anew").unwrap();
    done(folder, "verifier rebuild --from %log --db %anew");
    std::fs::write(folder.join(name("passphrase", "")), "open sesame").unwrap();
    std::fs::write(folder.join(name("secret", "")), [7; 32]).unwrap();
    for file in ["passphrase", "secret"] {
        let status = Command::new("chmod").arg("600").arg(folder.join(name(file, ""))).status();
        assert!(status.unwrap().success());
    }
    done(folder, "verifier keys seal --db %bank --new-passphrase-file %passphrase");
    done(folder, "verifier keys seal --db %bank --passphrase-file %passphrase --new-key-file %secret");
    done(folder, "verifier keys show --db %bank --key-file %secret");
    assert_eq!(done(folder, "trace record --out %trace")["trace"], told("trace"));
    assert_eq!(done(folder, "trace replay %trace")["trace"], told("trace"));
}

#[test]
fn a_card_runs_from_a_file_whose_name_is_no_text_and_can_be_asked() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    ok(folder, &["verifier", "init", "--db", "bank"]);
    done(folder, "card blank --image %card");
    let mut running = Running::of(&mut command(folder, "card run --image %card --no-vpcd --panel"));
    assert_eq!(running.json()["image"], "card\u{fffd}");
    done(folder, "card show --image %card");
    running.signal("TERM");
    assert!(running.end().success());
}

#[test]
fn a_name_that_the_key_file_could_not_hold_is_refused_before_anything_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let init =
        command(folder, "verifier init --db bank --pkcs11-module %module --pkcs11-token bank").output();
    let output = init.unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("UTF-8"));
    assert!(!folder.join("bank").exists());
}

/// The socket of a card that runs has a name that can be guessed: whatever else has it is left alone, but for the socket of a
/// card that was killed.
#[test]
fn what_stands_where_a_card_would_listen_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    ok(folder, &["card", "blank", "--image", "card"]);
    let socket = folder.join("card.keys");
    let run = ["card", "run", "--image", "card", "--no-vpcd", "--panel"];
    std::fs::write(&socket, "precious").unwrap();
    let refused = || {
        let mut running = Running::start(folder, &run);
        let status = running.end();
        (status.code(), running.error_line() + &running.error_line())
    };
    let (code, message) = refused();
    assert!(code == Some(9) && message.contains("move that file away"), "{code:?} {message}");
    assert_eq!(std::fs::read_to_string(&socket).unwrap(), "precious");
    std::fs::rename(&socket, folder.join("precious")).unwrap();
    std::os::unix::fs::symlink("precious", &socket).unwrap();
    assert_eq!(refused().0, Some(9));
    assert_eq!(std::fs::read_to_string(&socket).unwrap(), "precious", "the link too");
    std::fs::remove_file(&socket).unwrap();
    for ends in ["KILL", "TERM"] {
        let mut running = Running::start(folder, &run);
        assert!(running.line().contains("panel"));
        ok(folder, &["card", "show", "--image", "card"]);
        let mode = std::fs::symlink_metadata(&socket).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "for its owner only");
        running.signal(ends);
        running.end();
        assert_eq!(socket.exists(), ends == "KILL");
    }
}
