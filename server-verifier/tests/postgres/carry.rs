//! A bank that moves from SQLite to PostgreSQL and back.

use std::fs;
use std::path::Path;

use onetap_server_verifier::*;
use rusqlite::types::Value;

use crate::home::cluster;
use crate::support::*;

const SUITE: &str = "a3+sha256+aes-cbc-cmac";

/// All rows of a database in a file, by table.
fn rows(directory: &Path) -> Vec<(String, Vec<Vec<Value>>)> {
    let db = rusqlite::Connection::open(directory.join("verifier.db")).unwrap();
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name";
    let tables: Vec<String> =
        db.prepare(sql).unwrap().query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let all = |table: String| {
        let mut statement = db.prepare(&format!("SELECT * FROM {table} ORDER BY 1, 2")).unwrap();
        let columns = statement.column_count();
        let rows =
            statement.query_map([], |row| (0..columns).map(|column| row.get(column)).collect()).unwrap();
        let rows = rows.map(Result::unwrap).collect();
        (table, rows)
    };
    tables.into_iter().map(all).collect()
}

fn bank(directory: &Path) -> (World, Card) {
    let world = World::on_disk(directory);
    let mut card = world.card(SUITE);
    let operator = || world.verifier.desk(Act::of_program("test", "set-up"));
    operator().announce(true).unwrap();
    for amount in [100, 250] {
        world.send(&card.tap(world.payment(amount)).request);
    }
    operator().place_hold(&world.ada, 70).unwrap();
    let bob = account(&world.verifier, "Bob", AccountKind::Current, 500);
    let mut other = world.card_of(&bob, SUITE.parse().unwrap());
    let tap = other.tap(world.payment(1));
    for _ in 0..3 {
        world.send(&tap.typed("abcdefgh"));
    }
    (world, card)
}

#[test]
fn a_bank_is_the_same_in_postgresql_and_back() {
    let folders = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let [first, there, back] = folders.each_ref().map(tempfile::TempDir::path);
    let (world, mut card) = bank(first);
    let (database, clock) = (cluster().database(None).unwrap(), world.clock.clone());
    let url = cluster().url(&database);
    let copied = world.verifier.copy_to_postgres(there, &url).unwrap();
    assert_eq!(copied, rows(first).iter().map(|(_, rows)| rows.len() as u64).sum::<u64>());
    let remote = Verifier::open(there, environment(&clock)).unwrap();
    assert_eq!(remote.audit_verify().unwrap(), world.verifier.audit_verify().unwrap());
    remote.ledger_check().unwrap();
    assert_eq!(remote.copy_to_sqlite(back).unwrap(), copied);
    assert_eq!(rows(first), rows(back));
    Verifier::open(back, environment(&clock)).unwrap().audit_verify().unwrap();

    // It goes on there.
    let client = remote.client("TERM0001".parse().unwrap()).unwrap();
    let tap = card.tap(world.payment(5));
    assert!(matches!(remote.authorise(&client, "there", &tap.request).unwrap(), Outcome::Executed(_)));
    account(&remote, "Carol", AccountKind::Current, 5);
    remote.audit_verify().unwrap();
    remote.ledger_check().unwrap();
}

#[test]
fn no_bank_is_copied_over_another() {
    let folders = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let [first, there, elsewhere] = folders.each_ref().map(tempfile::TempDir::path);
    let (world, _) = bank(first);
    let copied = world.verifier.copy_to_sqlite(first);
    assert!(matches!(copied, Err(ServiceError::AlreadyInitialised(_))), "{copied:?}");
    let database = cluster().database(None).unwrap();
    let url = cluster().url(&database);
    let other = Verifier::init_postgres(there, &url, options(|_| ()), environment(&world.clock)).unwrap();
    let copied = world.verifier.copy_to_postgres(elsewhere, &url);
    assert!(matches!(copied, Err(ServiceError::AlreadyInitialised(_))), "{copied:?}");
    assert_eq!(fs::read_dir(elsewhere).unwrap().count(), 0, "nothing is left");
    other.audit_verify().unwrap();
}

/// The target fails at the last table: it has no row afterwards, and the copy can be repeated.
#[test]
fn a_copy_that_fails_leaves_nothing() {
    let folders = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let [first, made, there] = folders.each_ref().map(tempfile::TempDir::path);
    let (world, _) = bank(first);
    let database = cluster().database(None).unwrap();
    let url = cluster().url(&database);
    drop(Verifier::init_postgres(made, &url, options(|_| ()), environment(&world.clock)).unwrap());
    let sql = |sql: &str| cluster().sql(&database, sql).unwrap();
    sql("TRUNCATE server, accounts, audit CASCADE;
        CREATE FUNCTION fails() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'injected'; END $$;
        CREATE TRIGGER fails BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION fails()");
    world.verifier.copy_to_postgres(there, &url).unwrap_err();
    assert_eq!(fs::read_dir(there).unwrap().count(), 0, "nothing is left");
    assert_eq!(sql("SELECT (SELECT count(*) FROM accounts) + (SELECT count(*) FROM server)"), "0");
    sql("DROP TRIGGER fails ON audit; DROP FUNCTION fails");
    world.verifier.copy_to_postgres(there, &url).unwrap();
    Verifier::open(there, environment(&world.clock)).unwrap().audit_verify().unwrap();
}
