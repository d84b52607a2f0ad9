//! SQLite's files: damaged, foreign, newer, readable by others, copied at any moment.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::support::*;
use onetap_server_verifier::*;
use rusqlite::Connection;

const SUITE: &str = "a3+sha256+aes-cbc-cmac";

fn raw(directory: &Path) -> Connection {
    Connection::open(directory.join("verifier.db")).unwrap()
}

fn open(directory: &Path, clock: &TestClock) -> Result<Verifier, ServiceError> {
    Verifier::open(directory, environment(clock))
}

#[test]
fn everything_is_still_there_after_each_step() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::on_disk(directory.path());
    let mut card = world.card(SUITE);
    let tap = card.tap(world.payment(100));
    let first = world.send(&tap.request);
    let wrong = card.tap(world.payment(100));
    world.send(&wrong.typed("wrongpass"));
    // The process is gone without closing anything: a copy of the files is what the next one finds.
    let copy = tempfile::tempdir().unwrap();
    for file in ["keys.json", "verifier.db", "verifier.db-wal"] {
        fs::copy(directory.path().join(file), copy.path().join(file)).unwrap();
    }
    let next = open(copy.path(), &world.clock).unwrap();
    let account = next.account(&world.ada).unwrap();
    assert_eq!((account.balance, account.wrong_in_a_row), (99_900, 1));
    let again = next.authorise(&world.client, "key-0", &tap.request).unwrap();
    assert_eq!(again, first, "the stored answer");
    assert!(matches!(next.authorise(&world.client, "new", &wrong.request).unwrap(), Outcome::Executed(_)));
    next.ledger_check().unwrap();
    next.audit_verify().unwrap();
}

#[test]
fn init_twice_and_open_before_init_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let clock = TestClock::new();
    assert!(matches!(open(directory.path(), &clock), Err(ServiceError::NotInitialised(_))));
    let init = || Verifier::init(directory.path(), options(|_| ()), environment(&clock));
    init().unwrap();
    let keys = fs::read(directory.path().join("keys.json")).unwrap();
    assert!(matches!(init(), Err(ServiceError::AlreadyInitialised(_))));
    assert_eq!(fs::read(directory.path().join("keys.json")).unwrap(), keys);
}

/// The issuer master key is in there: without it every card that was made is lost.
#[test]
fn keys_survive_a_database_that_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let clock = TestClock::new();
    let init = || Verifier::init(directory.path(), options(|_| ()), environment(&clock));
    drop(init().unwrap());
    let keys = fs::read(directory.path().join("keys.json")).unwrap();
    for file in ["verifier.db", "verifier.db-wal", "verifier.db-shm"] {
        let _ = fs::remove_file(directory.path().join(file));
    }
    drop(init().unwrap());
    assert_eq!(fs::read(directory.path().join("keys.json")).unwrap(), keys);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2, "keys and database, nothing else");
}

#[test]
fn the_database_is_for_its_owner_only() {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let _world = World::on_disk(directory.path());
    for file in ["keys.json", "verifier.db", "verifier.db-wal", "verifier.db-shm"] {
        let mode = fs::metadata(directory.path().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{file}");
    }
}

#[test]
fn foreign_newer_and_damaged_files_give_one_clear_error() {
    let clock = TestClock::new();
    type Damage = fn(&Path);
    let cases: [(Damage, &str); 5] = [
        (
            |d| fs::write(d.join("verifier.db"), b"not a database, but long enough to be one").unwrap(),
            "not a OneTap",
        ),
        (|d| raw(d).pragma_update(None, "application_id", 1).unwrap(), "not a OneTap"),
        (|d| raw(d).pragma_update(None, "user_version", 99).unwrap(), "install a newer program"),
        (|d| raw(d).pragma_update(None, "user_version", 1).unwrap(), "make a new one"),
        (|d| fs::write(d.join("keys.json"), b"{}").unwrap(), "is damaged"),
    ];
    for (damage, message) in cases {
        let directory = tempfile::tempdir().unwrap();
        drop(World::on_disk(directory.path()));
        damage(directory.path());
        let error = open(directory.path(), &clock).expect_err(message).to_string();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn damaged_pages_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::on_disk(directory.path());
    let clock = world.clock.clone();
    drop(world);
    let path = directory.path().join("verifier.db");
    let mut bytes = fs::read(&path).unwrap();
    for byte in bytes.iter_mut().skip(4_096) {
        *byte = 0xA5;
    }
    fs::write(&path, bytes).unwrap();
    let error = open(directory.path(), &clock).unwrap_err();
    assert!(matches!(error, ServiceError::Store(StoreError::Damaged)), "{error}");
}

/// SQLite goes on writing into a file that has no name any more: that must not count as written.
#[test]
fn nothing_is_said_to_be_written_into_files_that_were_taken_away() {
    for file in ["verifier.db", "verifier.db-wal", "verifier.db-shm"] {
        let directory = tempfile::tempdir().unwrap();
        let world = World::on_disk(directory.path());
        let mut card = world.card(SUITE);
        world.send(&card.tap(world.payment(100)).request);
        let tap = card.tap(world.payment(100));
        let pay = || world.verifier.authorise(&world.client, "k", &tap.request);
        let (here, away) = (directory.path().join(file), directory.path().join("away"));
        fs::rename(&here, &away).unwrap();
        let moved = |ended: Result<(), ServiceError>| {
            assert!(matches!(ended, Err(ServiceError::Store(StoreError::Moved))), "{file}: {ended:?}");
        };
        moved(pay().map(drop));
        fs::copy(&away, &here).unwrap();
        moved(pay().map(drop));
        let act = Act::of_program("Grace", "another file of that name");
        moved(world.verifier.desk(act).register_terminal("TERM0002".parse().unwrap()).map(drop));
        fs::rename(&away, &here).unwrap();
        assert!(matches!(pay().unwrap(), Outcome::Executed(_)), "{file}: it is back");
        assert_eq!(world.balances().1, 200);
        world.check_books();
    }
}

/// Beside a server that runs, and after one that was killed.
#[test]
fn a_database_opened_for_reading_shows_everything_and_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::on_disk(directory.path());
    let mut card = world.card(SUITE);
    world.send(&card.tap(world.payment(100)).request);
    let copy = tempfile::tempdir().unwrap();
    for file in ["keys.json", "verifier.db", "verifier.db-wal"] {
        fs::copy(directory.path().join(file), copy.path().join(file)).unwrap();
    }
    for place in [directory.path(), copy.path()] {
        let reader = Verifier::open_read_only(place, environment(&world.clock)).unwrap();
        reader.audit_verify().unwrap();
        reader.ledger_check().unwrap();
        assert_eq!(reader.log(None).unwrap(), world.verifier.log(None).unwrap());
        let refused = reader.authorise(&world.client, "k", &card.tap(world.payment(100)).request).map(drop);
        let act = reader.desk(Act::of_program("Grace", "no right")).unlock(&world.ada);
        for refused in [refused, act] {
            assert!(matches!(refused, Err(ServiceError::Store(StoreError::ReadOnly))), "{refused:?}");
        }
    }
    assert_eq!(world.balances(), (99_900, 100));
}

#[test]
fn keys_that_others_may_read_or_of_another_server_are_refused() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let world = World::on_disk(one.path());
    drop(World::on_disk(two.path()));
    let keys = one.path().join("keys.json");
    assert_eq!(fs::metadata(&keys).unwrap().permissions().mode() & 0o777, 0o600);
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o644)).unwrap();
    let error = open(one.path(), &world.clock).unwrap_err();
    assert!(matches!(error, ServiceError::Keys(KeyFileError::Exposed { .. })));
    fs::copy(two.path().join("keys.json"), &keys).unwrap();
    let error = open(one.path(), &world.clock).unwrap_err();
    assert!(matches!(error, ServiceError::Keys(KeyFileError::OtherServer { .. })));
}
