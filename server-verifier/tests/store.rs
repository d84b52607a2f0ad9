//! The store: files that are damaged, foreign, newer, full, locked; books that someone changed.

#![allow(clippy::unwrap_used, reason = "test code")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use onetap_server_verifier::*;
use rusqlite::Connection;
use support::*;

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
    let cases: [(Damage, &str); 4] = [
        (
            |d| fs::write(d.join("verifier.db"), b"not a database, but long enough to be one").unwrap(),
            "not a OneTap",
        ),
        (|d| raw(d).pragma_update(None, "application_id", 1).unwrap(), "not a OneTap"),
        (|d| raw(d).pragma_update(None, "user_version", 99).unwrap(), "install a newer program"),
        (|d| fs::write(d.join("keys.json"), b"{}").unwrap(), "is damaged"),
    ];
    for (damage, message) in cases {
        let directory = tempfile::tempdir().unwrap();
        drop(World::on_disk(directory.path()));
        damage(directory.path());
        let error = open(directory.path(), &clock).unwrap_err().to_string();
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

#[test]
fn a_locked_database_answers_busy_and_decides_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::on_disk(directory.path());
    let mut card = world.card(SUITE);
    let tap = card.tap(world.payment(100));
    let mut other = raw(directory.path());
    let lock = other.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).unwrap();
    assert_eq!(world.send(&tap.request), Outcome::Busy);
    drop(lock);
    assert!(matches!(world.send(&tap.request), Outcome::Executed(_)));
    assert_eq!(world.balances(), (99_900, 100));
}

/// Each statement of a decision that fails, fails all of it: no half of a transaction is ever seen.
#[test]
fn a_write_that_fails_in_the_middle_leaves_nothing() {
    for table in ["entries", "transactions", "audit", "requests"] {
        let directory = tempfile::tempdir().unwrap();
        let world = World::on_disk(directory.path());
        let mut card = world.card(SUITE);
        let tap = card.tap(world.payment(100));
        let trigger = format!(
            "CREATE TRIGGER fails BEFORE INSERT ON {table} BEGIN SELECT raise(ABORT, 'injected'); END"
        );
        raw(directory.path()).execute_batch(&trigger).unwrap();
        assert!(world.verifier.authorise(&world.client, "k", &tap.request).is_err(), "{table}");
        raw(directory.path()).execute_batch("DROP TRIGGER fails").unwrap();
        assert_eq!(world.balances(), (100_000, 0), "{table}");
        world.check_books();
        assert!(matches!(
            world.verifier.authorise(&world.client, "k", &tap.request).unwrap(),
            Outcome::Executed(_)
        ));
    }
}

#[test]
fn a_changed_removed_or_moved_audit_entry_shows() {
    for change in [
        "UPDATE audit SET event = replace(event, '100', '900') WHERE sequence = 4 AND account_id = 1",
        "UPDATE audit SET at = at + 1 WHERE sequence = 2",
        "DELETE FROM audit WHERE sequence = 2 AND account_id = 1",
        "DELETE FROM audit WHERE sequence = 4 AND account_id = 1",
        "UPDATE audit SET sequence = -2 WHERE sequence = 2; UPDATE audit SET sequence = 2 WHERE sequence = 3;
         UPDATE audit SET sequence = 3 WHERE sequence = -2",
        "UPDATE accounts SET audit_sequence = 3, audit_seal = (SELECT seal FROM audit WHERE account_id = 1
         AND sequence = 3) WHERE account_id = 1",
    ] {
        let directory = tempfile::tempdir().unwrap();
        let world = World::on_disk(directory.path());
        let mut card = world.card(SUITE);
        world.send(&card.tap(world.payment(100)).request);
        world.verifier.audit_verify().unwrap();
        assert_eq!(world.verifier.log(Some(&world.ada)).unwrap().len(), 4);
        raw(directory.path()).execute_batch(change).unwrap();
        let verified = world.verifier.audit_verify();
        assert!(matches!(verified, Err(ServiceError::AuditBroken { .. })), "{change}: {verified:?}");
    }
}

/// Whoever writes to the database cuts the chain short, or empties it, and moves its end with it.
#[test]
fn attack_cut_the_end_of_an_audit_chain() {
    for keep in [0, 3] {
        let directory = tempfile::tempdir().unwrap();
        let world = World::on_disk(directory.path());
        let mut card = world.card(SUITE);
        world.send(&card.tap(world.payment(100)).request);
        let cut = format!(
            "DELETE FROM audit WHERE account_id = 1 AND sequence > {keep};
             UPDATE accounts SET audit_sequence = {keep}, audit_seal = coalesce((SELECT seal FROM audit
             WHERE account_id = 1 AND sequence = {keep}), zeroblob(16)) WHERE account_id = 1"
        );
        raw(directory.path()).execute_batch(&cut).unwrap();
        let verified = world.verifier.audit_verify();
        assert!(matches!(verified, Err(ServiceError::AuditBroken { .. })), "{keep}: {verified:?}");
        let next = card.tap(world.payment(100));
        let decided = world.verifier.authorise(&world.client, "next", &next.request);
        assert!(decided.is_err(), "the next entry must not make the chain whole again");
    }
}

#[test]
fn a_ledger_that_does_not_balance_shows() {
    for change in [
        "UPDATE accounts SET balance = balance + 1 WHERE account_id = 1",
        "UPDATE entries SET amount = amount + 1 WHERE account_id = 1",
        "DELETE FROM entries WHERE account_id = 1",
    ] {
        let directory = tempfile::tempdir().unwrap();
        let world = World::on_disk(directory.path());
        world.verifier.ledger_check().unwrap();
        raw(directory.path()).execute_batch(change).unwrap();
        assert!(matches!(world.verifier.ledger_check(), Err(ServiceError::LedgerBroken { .. })), "{change}");
    }
}

/// P-27, and the rule that no password reaches log or database.
#[test]
fn no_password_is_written_anywhere() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::on_disk(directory.path());
    let mut card = world.card(SUITE);
    let tap = card.tap(world.payment(100));
    world.send(&tap.typed("wrongpass"));
    world.send(&tap.request);
    let log = serde_json::to_string(&world.verifier.log(None).unwrap()).unwrap();
    for secret in ["wrongpass", tap.password.expose()] {
        assert!(!log.contains(secret));
        for file in ["verifier.db", "verifier.db-wal"] {
            let bytes = fs::read(directory.path().join(file)).unwrap();
            assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "{file}");
        }
    }
}
