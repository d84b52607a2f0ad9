//! Making and opening a store: rights, versions, two at once.

use std::sync::Barrier;

use onetap_server_verifier::*;

use crate::home::*;
use crate::roles::{RIGHTS, rights};
use crate::support::*;

/// Whoever is first makes it; the other one learns that it is there.
#[test]
fn two_processes_make_one_store() {
    for _ in 0..3 {
        let database = cluster().database(None).unwrap();
        let (url, start, clock) = (cluster().url(&database), Barrier::new(2), TestClock::new());
        let made: Vec<Result<Verifier, ServiceError>> = std::thread::scope(|scope| {
            let make = || {
                let directory = tempfile::tempdir().unwrap();
                start.wait();
                Verifier::init_postgres(directory.path(), &url, options(|_| ()), environment(&clock))
            };
            let makers = [scope.spawn(make), scope.spawn(make)];
            makers.into_iter().map(|maker| maker.join().unwrap()).collect()
        });
        assert_eq!(made.iter().filter(|made| made.is_ok()).count(), 1, "{made:?}");
        let second = made.into_iter().find_map(Result::err).unwrap();
        assert!(matches!(second, ServiceError::AlreadyInitialised(_)), "{second}");
        assert_eq!(cluster().sql(&database, "SELECT count(*) FROM server").unwrap(), "1");
        assert_eq!(cluster().sql(&database, "SELECT count(*) FROM onetap_schema").unwrap(), "1");
    }
}

#[test]
fn foreign_newer_and_absent_databases_give_one_clear_error() {
    let home = Home::new();
    let empty = cluster().database(None).unwrap();
    let cases = [
        (cluster().url(&empty), "database is empty"),
        (cluster().url("nowhere"), "does not exist"),
        (url(&[home.directory.path()], "test"), "does not answer"),
        ("postgresql://:::".to_owned(), "URL is not valid"),
        (format!("{}?options=-c%20synchronous_commit%3Doff", cluster().url(&home.database)), "would lose"),
    ];
    for (url, message) in cases {
        let error = home.open_at(&url).expect_err(message).to_string();
        assert!(error.contains(message), "{error}");
    }
    home.behind("UPDATE onetap_schema SET version = 99");
    let error = home.open().unwrap_err().to_string();
    assert!(error.contains("install a newer program"), "{error}");
}

/// As version 3 left it: an answer for each account under one key, and entries of who paid, too. The first one stays.
#[test]
fn a_database_of_version_3_is_migrated_with_one_answer_for_each_key() {
    let home = Home::new();
    let mut card = home.card("a3+sha256+aes-cbc-cmac");
    let first = card.tap(home.payment(100));
    let receipt = home.verifier.authorise(&home.client, "till-7", &first.request).unwrap();
    home.behind(
        "ALTER TABLE requests DROP CONSTRAINT requests_of_clients_pkey;
         ALTER TABLE requests ADD PRIMARY KEY (account_id, terminal_id, idempotency_key);
         INSERT INTO requests SELECT terminal_id, idempotency_key, account_id + 1, body, sequence, at + 1 FROM requests;
         ALTER TABLE transactions ADD COLUMN message BYTEA, ADD COLUMN signature BYTEA, ADD COLUMN object BYTEA;
         UPDATE transactions t SET message = a.message, signature = a.signature, object = a.object FROM audit a
            WHERE a.account_id = t.account_id AND a.sequence = t.sequence;
         ALTER TABLE audit DROP COLUMN actor, DROP COLUMN reason, DROP COLUMN idempotency_key, DROP COLUMN body,
            DROP COLUMN message, DROP COLUMN signature, DROP COLUMN object;
         INSERT INTO entries SELECT 2, at, transaction_id, -amount FROM entries;
         DROP TABLE reversals, tokens, client_terminals, proposals;
         DROP INDEX audit_by_time;
         ALTER TABLE clients ADD COLUMN terminal_id TEXT, ADD COLUMN secret_hash TEXT;
         ALTER TABLE server DROP COLUMN webhook_key, DROP COLUMN webhook_until;
         UPDATE onetap_schema SET version = 3",
    );
    let folder = home.directory.path();
    for refused in
        [home.open(), Verifier::upgrade_postgres(folder, &home.url(), None, environment(&home.clock))]
    {
        let error = refused.unwrap_err().to_string();
        assert!(error.contains(OWNER) && error.contains("verifier upgrade"), "{error}");
    }
    let boss = home.url_of("postgres");
    drop(Verifier::upgrade_postgres(folder, &boss, None, environment(&home.clock)).unwrap());
    let migrated = home.open().unwrap();
    assert_eq!(home.behind("SELECT max(version) FROM onetap_schema").lines().last(), Some("5"));
    assert_eq!(home.behind("SELECT count(*) FROM requests").lines().last(), Some("1"));
    assert_eq!(migrated.authorise(&home.client, "till-7", &first.request).unwrap(), receipt);
    migrated.ledger_check().unwrap();
    let tap = card.tap(home.payment(100));
    assert!(matches!(
        migrated.authorise(&home.client, "till-8", &tap.request).unwrap(),
        Outcome::Executed(_)
    ));
    assert_eq!(rights(&home), RIGHTS.map(String::from), "as if it had been made today");
}

/// Found when it is made, not by the first name that does not fit.
#[test]
fn a_database_that_is_not_utf8_is_refused_before_anything_is_made() {
    let database = cluster().database(None).unwrap();
    let latin = format!("{database}_latin1");
    let make = format!("CREATE DATABASE {latin} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
    cluster().sql("postgres", &make).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let init = |database: &str| {
        let env = environment(&TestClock::new());
        Verifier::init_postgres(directory.path(), &cluster().url(database), options(|_| ()), env)
    };
    let error = init(&latin).unwrap_err().to_string();
    assert!(error.contains("LATIN1") && error.contains("createdb -E UTF8"), "{error}");
    let tables = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'";
    assert_eq!(cluster().sql(&latin, tables).unwrap(), "0");
    let verifier = init(&database).unwrap();
    account(&verifier, "订单 Łódź", AccountKind::Current, 0);
}

/// An auditor's role, which has no right but to read.
#[test]
fn a_role_that_may_only_read_checks_everything_and_changes_nothing() {
    let home = Home::new();
    let mut card = home.card("a3+sha256+aes-cbc-cmac");
    home.send(&card.tap(home.payment(100)).request);
    let role = format!("auditor_{}", home.database);
    home.behind(&format!("CREATE ROLE {role} LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"));
    let url = home.url_of(&role);
    std::fs::write(home.directory.path().join("postgres.url"), url).unwrap();
    let auditor = Verifier::open_read_only(home.directory.path(), environment(&home.clock)).unwrap();
    auditor.audit_verify().unwrap();
    auditor.ledger_check().unwrap();
    assert_eq!(auditor.log(None).unwrap(), home.verifier.log(None).unwrap());
    let tap = card.tap(home.payment(100));
    let refused = auditor.authorise(&home.client, "k", &tap.request).map(drop);
    let act = auditor.desk(Act::of_program("Grace", "no right")).unlock(&home.ada);
    for refused in [refused, act] {
        assert!(matches!(refused, Err(ServiceError::Store(StoreError::ReadOnly))), "{refused:?}");
    }
    home.behind("INSERT INTO onetap_schema VALUES (3); DELETE FROM onetap_schema WHERE version > 3");
    let old = Verifier::open_read_only(home.directory.path(), environment(&home.clock)).unwrap_err();
    assert!(old.to_string().contains("copy it to where it can be written"), "{old}");
    home.behind(&format!("DROP OWNED BY {role}; DROP ROLE {role}"));
}
