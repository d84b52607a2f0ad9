//! A database made anew from its exported log.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "test code")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use onetap_apdu_spec::txn::{PayeeName, Transaction};
use onetap_server_verifier::domain::client::{NewClient, Role};
use onetap_server_verifier::*;
use rusqlite::types::Value;
use support::*;
use tempfile::TempDir;

const SUITE: &str = "a3+sha256+aes-cbc-cmac";

fn raw(directory: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open(directory.join("verifier.db")).unwrap()
}

/// Payments, one of them of received money, a client, an act by two people, wrong passwords, a lock, holds of all ends, a card made anew, one blocked, a closed account: something in every table
/// that the log tells.
fn history(directory: &Path) -> World {
    let world = World::on_disk(directory);
    let desk = || world.verifier.desk(Act::of_program("test", "set-up"));
    let mut card = world.card(SUITE);
    for amount in [100, 250, 1] {
        world.send(&card.tap(world.payment(amount)).request);
    }
    world.send(&card.tap(world.payment(1)).typed("abcdefgh"));
    let mut options = CardOptions::new(eur());
    options.suite = SUITE.parse().unwrap();
    let again = desk().rotate_card_key(card.order.binding.card, &options).unwrap();
    desk().activate_card(&Card::make(again.personalisation).statement()).unwrap();
    let to_ada = Transaction {
        payee_account: world.ada.clone(),
        payee_name: PayeeName::new("Ada Lovelace").unwrap(),
        ..world.payment(40)
    };
    let mut shops = world.card_of(&world.shop, SUITE.parse().unwrap());
    assert!(matches!(world.send(&shops.tap(to_ada).request), Outcome::Executed(_)), "of what it was paid");
    let bob = account(&world.verifier, "Bob", AccountKind::Current, 500);
    let mut other = world.card_of(&bob, SUITE.parse().unwrap());
    let tap = other.tap(world.payment(1));
    for _ in 0..3 {
        world.send(&tap.typed("abcdefgh"));
    }
    let holds: Vec<_> = (0..3).map(|_| desk().place_hold(&world.ada, 70).unwrap()).collect();
    desk().release_hold(holds[0]).unwrap();
    let captured = desk().capture_hold(holds[1], &world.shop, 30).unwrap();
    desk().reverse(&captured).unwrap();
    let till = NewClient {
        id: "till".parse().unwrap(),
        role: Role::terminal("TERM0001".parse().unwrap()),
        certificate: Some([1; 32]),
        token: true,
        expires_at: None,
    };
    desk().add_client(&till.make(world.verifier.now()).0).unwrap();
    desk().add_token(&"till".parse().unwrap(), None, Some(60)).unwrap();
    let asked = desk().propose(&ByHand::PlaceHold { account: world.ada.clone(), amount: 1 }).unwrap();
    world.verifier.desk(Act::of_program("another", "looked at")).approve(asked).unwrap();
    let nobody = account(&world.verifier, "Nobody", AccountKind::Current, 0);
    desk().close_account(&nobody).unwrap();
    world.clock.advance(60);
    world.check_books();
    world
}

fn exported(verifier: &Verifier) -> String {
    let mut log = Vec::new();
    verifier.export_log(&mut log).unwrap();
    String::from_utf8(log).unwrap()
}

/// A folder with the keys of another one, and nothing else.
fn with_keys_of(directory: &Path) -> TempDir {
    let new = tempfile::tempdir().unwrap();
    fs::copy(directory.join("keys.json"), new.path().join("keys.json")).unwrap();
    new
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(directory).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// All rows of all tables, but for what the log does not tell: credits count as gathered, and no message waits.
fn tables(directory: &Path) -> BTreeMap<String, Vec<Vec<Value>>> {
    let db = raw(directory);
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name";
    let list: Vec<String> =
        db.prepare(sql).unwrap().query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert_eq!(list.len(), 18, "{list:?}");
    let rows = |sql: &str| {
        let mut statement = db.prepare(sql).unwrap();
        let columns = statement.column_count();
        let rows = statement
            .query_map([], |row| (0..columns).map(|column| row.get::<_, Value>(column)).collect())
            .unwrap();
        rows.map(Result::unwrap).collect::<Vec<Vec<Value>>>()
    };
    list.into_iter()
        .filter(|table| table != "credits" && table != "outbox")
        .map(|table| {
            let sql = match table.as_str() {
                "accounts" => "SELECT account_id, number, holder, currency, kind, system, is_open, locked_at, lock_cause,
                    wrong_in_a_row, held, audit_sequence, audit_seal, audit_head, balance + coalesce((SELECT sum(amount)
                    FROM credits c WHERE c.account_id = a.account_id), 0) FROM accounts a ORDER BY 1"
                    .to_owned(),
                table => format!("SELECT * FROM {table} ORDER BY 1, 2"),
            };
            let found = rows(&sql);
            (table, found)
        })
        .collect()
}

#[test]
fn a_database_made_anew_from_its_log_is_the_same_table_for_table() {
    let original = tempfile::tempdir().unwrap();
    let world = history(original.path());
    let log = exported(&world.verifier);
    let anew = with_keys_of(original.path());
    let made = rebuild(&mut log.as_bytes(), anew.path(), &environment(&world.clock)).unwrap();
    assert_eq!(names(anew.path()), ["keys.json", "verifier.db"]);
    let mode = fs::metadata(anew.path().join("verifier.db")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let (before, after) = (tables(original.path()), tables(anew.path()));
    for (name, rows) in &before {
        assert!(!rows.is_empty(), "{name}");
        assert_eq!(rows, &after[name], "{name}");
    }
    let schema = "SELECT type, name, sql FROM sqlite_schema ORDER BY name";
    let objects = |directory: &Path| -> Vec<[Option<String>; 3]> {
        let db = raw(directory);
        let mut statement = db.prepare(schema).unwrap();
        let rows = statement.query_map([], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?])).unwrap();
        rows.map(Result::unwrap).collect()
    };
    assert_eq!(objects(original.path()), objects(anew.path()));
    let verifier = Verifier::open(anew.path(), environment(&world.clock)).unwrap();
    let audited = verifier.audit_verify().unwrap();
    assert_eq!((audited.chains, audited.entries), (made.chains, made.entries));
    verifier.ledger_check().unwrap();
    assert_eq!(exported(&verifier), log);
}

/// The new database decides as the old one would: it knows keys, marks and answers, and opens accounts.
#[test]
fn a_database_made_anew_goes_on_where_the_log_ends() {
    let original = tempfile::tempdir().unwrap();
    let world = World::on_disk(original.path());
    let mut card = world.card(SUITE);
    let (first, second) = (card.tap(world.payment(100)), card.tap(world.payment(250)));
    let Outcome::Executed(receipt) =
        world.verifier.authorise(&world.client, "till-1", &first.request).unwrap()
    else {
        panic!("the first payment")
    };
    let anew = with_keys_of(original.path());
    rebuild(&mut exported(&world.verifier).as_bytes(), anew.path(), &environment(&world.clock)).unwrap();
    let verifier = Verifier::open(anew.path(), environment(&world.clock)).unwrap();
    let client = verifier.client("TERM0001".parse().unwrap()).unwrap();
    let ask = |key: &str, request| verifier.authorise(&client, key, request).unwrap();
    assert_eq!(ask("till-1", &first.request), Outcome::Executed(receipt), "the answer is known");
    assert!(matches!(ask("till-2", &second.request), Outcome::Executed(_)));
    assert_eq!(verifier.account(&world.ada).unwrap().balance, i64::try_from(OPENING).unwrap() - 350);
    account(&verifier, "Carol", AccountKind::Current, 5);
    verifier.audit_verify().unwrap();
    verifier.ledger_check().unwrap();

    world.clock.advance(KEEP_ANSWERS + 1);
    let later = with_keys_of(original.path());
    rebuild(&mut exported(&world.verifier).as_bytes(), later.path(), &environment(&world.clock)).unwrap();
    let kept: i64 =
        raw(later.path()).query_row("SELECT count(*) FROM requests", [], |row| row.get(0)).unwrap();
    assert_eq!(kept, 0, "answers are kept for a day");
}

/// The line that each kind of damage is found in, and what is said of it.
#[test]
fn a_log_that_does_not_fit_makes_nothing() {
    let original = tempfile::tempdir().unwrap();
    let world = history(original.path());
    let log = exported(&world.verifier);
    let lines: Vec<&str> = log.split_inclusive('\n').collect();
    let edited = |change: &dyn Fn(&mut Vec<String>)| {
        let mut lines: Vec<String> = lines.iter().map(|&line| line.to_owned()).collect();
        change(&mut lines);
        lines.concat()
    };
    let of_ada = lines.iter().position(|line| line.contains("\"account\":2,")).unwrap();
    let last = lines.len() as u64;
    let at = of_ada as u64 + 1;
    let ended =
        |from: usize| from + lines[from..].iter().position(|line| line.starts_with("{\"chain\"")).unwrap();
    let cases = [
        ("a gap", edited(&|l| drop(l.remove(of_ada + 1))), at + 1),
        ("an entry twice", edited(&|l| l.insert(of_ada, l[of_ada].clone())), at + 1),
        ("two entries swapped", edited(&|l| l.swap(of_ada, of_ada + 1)), at),
        (
            "a chain twice",
            edited(&|l| {
                let chain = l[of_ada..=ended(of_ada)].to_vec();
                l.splice(of_ada..of_ada, chain);
            }),
            ended(of_ada) as u64 + 2,
        ),
        (
            "a chain less",
            edited(&|l| drop(l.drain(of_ada..=ended(of_ada)))),
            last - (ended(of_ada) - of_ada + 1) as u64,
        ),
        ("a chain cut short", edited(&|l| drop(l.remove(ended(of_ada) - 1))), ended(of_ada) as u64),
        ("a changed event", edited(&|l| l[of_ada] = l[of_ada].replace("Ada", "Eve")), at),
        (
            "a changed seal",
            edited(&|l| {
                let seal = l[of_ada].find("\"seal\":\"").unwrap() + 8;
                let other = if l[of_ada][seal..].starts_with('0') { "1" } else { "0" };
                l[of_ada].replace_range(seal..=seal, other);
            }),
            at,
        ),
        ("a torn line", log[..log.len() - lines[lines.len() - 1].len() - 9].to_owned(), last - 1),
        ("no last line", lines[..lines.len() - 1].concat(), last),
        ("a last line without its end", log[..log.len() - 1].to_owned(), last),
        ("two logs", log.repeat(2), last + 1),
        ("a line of a newer version", edited(&|l| l.insert(of_ada, "{\"later\":1}\n".to_owned())), at),
        ("a newer form", log.replacen("\"format\":1", "\"format\":2", 1), 1),
        ("no first line", lines[1..].concat(), 1),
        ("an empty file", String::new(), 1),
    ];
    for (what, damaged, line) in cases {
        let anew = with_keys_of(original.path());
        let made = rebuild(&mut damaged.as_bytes(), anew.path(), &environment(&world.clock));
        let Err(ServiceError::BadLog { line: found, .. }) = made else { panic!("{what}: {made:?}") };
        assert_eq!(found, line, "{what}: {made:?}");
        assert_eq!(names(anew.path()), ["keys.json"], "{what}");
    }
}

#[test]
fn a_log_of_another_server_makes_nothing() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (world, other) = (World::on_disk(one.path()), World::on_disk(two.path()));
    let anew = with_keys_of(two.path());
    let log = exported(&world.verifier);
    let made = rebuild(&mut log.as_bytes(), anew.path(), &environment(&world.clock));
    assert!(matches!(made, Err(ServiceError::Keys(KeyFileError::OtherServer { .. }))), "{made:?}");
    // Nor does it under the other's name: its seals are of another key.
    let renamed =
        log.replace(&world.verifier.server_id().to_string(), &other.verifier.server_id().to_string());
    let made = rebuild(&mut renamed.as_bytes(), anew.path(), &environment(&world.clock));
    assert!(matches!(made, Err(ServiceError::BadLog { line: 2, .. })), "{made:?}");
    assert_eq!(names(anew.path()), ["keys.json"]);
}

#[test]
fn no_database_is_made_anew_over_another() {
    let original = tempfile::tempdir().unwrap();
    let world = World::on_disk(original.path());
    let log = exported(&world.verifier);
    let made = rebuild(&mut log.as_bytes(), original.path(), &environment(&world.clock));
    assert!(matches!(made, Err(ServiceError::AlreadyInitialised(_))), "{made:?}");
    world.check_books();
}

#[test]
fn a_link_beside_the_database_that_is_made_is_left_alone() {
    let original = tempfile::tempdir().unwrap();
    let world = World::on_disk(original.path());
    let log = exported(&world.verifier);
    let anew = with_keys_of(original.path());
    let precious = original.path().join("precious");
    fs::write(&precious, "precious").unwrap();
    std::os::unix::fs::symlink(&precious, anew.path().join("verifier.part")).unwrap();
    rebuild(&mut log.as_bytes(), anew.path(), &environment(&world.clock)).unwrap();
    assert_eq!(fs::read(&precious).unwrap(), b"precious");
    assert_eq!(names(anew.path()), ["keys.json", "verifier.db", "verifier.part"]);
    assert!(fs::symlink_metadata(anew.path().join("verifier.db")).unwrap().is_file());
}

/// A log whose reading breaks off, as from a disk that fails.
#[test]
fn a_log_that_cannot_be_read_makes_nothing() {
    struct Fails;
    impl std::io::Read for Fails {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("injected"))
        }
    }
    let original = tempfile::tempdir().unwrap();
    let world = World::on_disk(original.path());
    let log = exported(&world.verifier);
    let anew = with_keys_of(original.path());
    let mut log = std::io::BufReader::new(log.as_bytes()[..log.len() / 2].chain(Fails));
    let made = rebuild(&mut log, anew.path(), &environment(&world.clock));
    assert!(matches!(made, Err(ServiceError::File(_))), "{made:?}");
    assert_eq!(names(anew.path()), ["keys.json"]);
}

/// An account that has left with its money, what it was paid afterwards and comes after it, and one that came back.
#[test]
fn shards_between_which_accounts_moved_are_made_anew_too() {
    let original = tempfile::tempdir().unwrap();
    let first = history(original.path());
    let other = with_keys_of(original.path());
    let options = InitOptions { shard: 1.try_into().unwrap(), ..options(|_| ()) };
    let second = Verifier::init(other.path(), options, environment(&first.clock)).unwrap();
    let second = World::around(second, first.clock.clone());
    let carry = |from: &World, to: &World, account| {
        let desk = from.verifier.desk(Act::of_program("test", "load"));
        desk.move_account(account, &to.verifier).unwrap().amount
    };
    let carol = account(&first.verifier, "Carol", AccountKind::Current, 900);
    let mut card = first.card_of(&carol, SUITE.parse().unwrap());
    assert!(carry(&first, &second, &first.ada) > 0);
    let to_ada = Transaction {
        payee_account: first.ada.clone(),
        payee_name: PayeeName::new("Ada Lovelace").unwrap(),
        ..first.payment(11)
    };
    assert!(matches!(first.send(&card.tap(to_ada).request), Outcome::Executed(_)));
    assert_eq!(carry(&first, &second, &first.ada), 11);
    assert_eq!(carry(&first, &second, &carol), 889);
    let paid = second.verifier.authorise(&second.client, "carol", &card.tap(second.payment(89)).request);
    assert!(matches!(paid, Ok(Outcome::Executed(_))), "{paid:?}");
    assert_eq!(carry(&second, &first, &carol), 800);
    for (folder, world) in [(&original, &first), (&other, &second)] {
        world.check_books();
        let anew = with_keys_of(folder.path());
        rebuild(&mut exported(&world.verifier).as_bytes(), anew.path(), &environment(&world.clock)).unwrap();
        assert_eq!(tables(folder.path()), tables(anew.path()));
        let verifier = Verifier::open(anew.path(), environment(&world.clock)).unwrap();
        verifier.audit_verify().unwrap();
        verifier.ledger_check().unwrap();
    }
}

/// While one is made, nobody makes another in the same folder.
#[test]
fn only_one_database_is_made_in_a_folder_at_once() {
    let original = tempfile::tempdir().unwrap();
    let world = World::on_disk(original.path());
    let log = exported(&world.verifier);
    let anew = with_keys_of(original.path());
    let folder = fs::File::open(anew.path()).unwrap();
    folder.lock().unwrap();
    let made = rebuild(&mut log.as_bytes(), anew.path(), &environment(&world.clock));
    assert!(matches!(made, Err(ServiceError::File(_))), "{made:?}");
    drop(folder);
    rebuild(&mut log.as_bytes(), anew.path(), &environment(&world.clock)).unwrap();
}

/// A database of an older version, opened once.
fn taken_over(version: &str, clock: &TestClock) -> TempDir {
    let directory = stored(version);
    drop(Verifier::open(directory.path(), environment(clock)).unwrap());
    directory
}

/// REQ-I-15: an older version has enrolled it, and has the log say so.
#[test]
fn a_stored_key_that_no_card_may_have_is_named_with_its_card() {
    let vectors = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/vectors/public-keys.json");
    let vectors: serde_json::Value = serde_json::from_slice(&fs::read(vectors).unwrap()).unwrap();
    let vectors = vectors["vectors"].as_array().unwrap();
    let weak = vectors.iter().find(|vector| vector["id"] == "public-key-exponent-3").unwrap();
    let weak = hex::decode(weak["public_key"].as_str().unwrap()).unwrap();
    let (directory, clock) = (stored("v3"), TestClock::new());
    let db = raw(directory.path());
    let paid = "SELECT card_id FROM transactions ORDER BY account_id LIMIT 1";
    let card: String = db.query_row(paid, [], |row| row.get(0)).unwrap();
    db.execute("UPDATE card_keys SET public_key = ?1 WHERE card_id = ?2", (weak, &card)).unwrap();
    drop(db);
    let verified = Verifier::open(directory.path(), environment(&clock)).unwrap().audit_verify().unwrap();
    let named: Vec<_> = verified.unusable_keys.iter().map(ToString::to_string).collect();
    assert_eq!(named, [card]);
}

/// What was taken over is in the log from then on.
#[test]
fn an_older_database_that_was_taken_over_is_made_anew_too() {
    let clock = TestClock::new();
    for version in ["v2", "v3", "v4"] {
        let directory = taken_over(version, &clock);
        let verifier = Verifier::open(directory.path(), environment(&clock)).unwrap();
        assert!(verifier.audit_verify().unwrap().taken_over > 0);
        let anew = with_keys_of(directory.path());
        rebuild(&mut exported(&verifier).as_bytes(), anew.path(), &environment(&clock)).unwrap();
        assert_eq!(tables(directory.path()), tables(anew.path()), "{version}");
        let again = Verifier::open(anew.path(), environment(&clock)).unwrap();
        assert_eq!(again.audit_verify().unwrap(), verifier.audit_verify().unwrap());
        again.ledger_check().unwrap();
    }
}

/// The statements that change one value each, of the first and the last row of every table that the log tells.
fn changes(db: &rusqlite::Connection) -> Vec<String> {
    let told = "'server', 'terminals', 'accounts', 'cards', 'card_keys', 'wrong_passwords', 'holds', 'transactions', 'entries', 'audit'";
    let sql = format!(
        "SELECT t.name, c.name, c.type, (SELECT group_concat(k.name) FROM pragma_table_info(t.name) k WHERE k.pk > 0)
         FROM sqlite_schema t JOIN pragma_table_info(t.name) c WHERE t.type = 'table' AND t.name IN ({told})
         AND (t.name, c.name) <> ('accounts', 'balance')"
    );
    let mut statement = db.prepare(&sql).unwrap();
    let columns =
        statement.query_map([], |row| Ok([row.get::<_, String>(0)?, row.get(1)?, row.get(2)?, row.get(3)?]));
    let mut changes = Vec::new();
    for [table, column, kind, key] in columns.unwrap().map(Result::unwrap) {
        let (other, nothing) = match kind.as_str() {
            "INTEGER" => (format!("{column} + 1"), "1"),
            "TEXT" => (format!("{column} || 'x'"), "'x'"),
            _ => (format!("zeroblob(length({column}))"), "x'00'"),
        };
        for order in ["", " ORDER BY 1 DESC"] {
            let row = format!("({key}) = (SELECT {key} FROM {table}{order} LIMIT 1)");
            changes.push(format!("UPDATE {table} SET {column} = coalesce({other}, {nothing}) WHERE {row}"));
        }
    }
    changes
}

/// Rows that were taken over, and the evidence in entries of the older version, whose seals do not cover it.
#[test]
fn attack_a_change_to_what_was_taken_over_shows() {
    let clock = TestClock::new();
    for version in ["v2", "v3"] {
        let directory = taken_over(version, &clock);
        let mut changed = 0;
        for change in changes(&raw(directory.path())) {
            let copy = with_keys_of(directory.path());
            fs::copy(directory.path().join("verifier.db"), copy.path().join("verifier.db")).unwrap();
            let db = raw(copy.path());
            db.execute_batch("PRAGMA ignore_check_constraints = ON; PRAGMA foreign_keys = OFF").unwrap();
            match db.execute(&change, []) {
                Ok(0) | Err(_) => continue,
                Ok(_) => changed += 1,
            }
            drop(db);
            let verified = Verifier::open(copy.path(), environment(&clock)).map(|it| it.audit_verify());
            assert!(!matches!(verified, Ok(Ok(_))), "{version}: {change}");
        }
        assert!(changed > 80, "{changed}");
    }
}
