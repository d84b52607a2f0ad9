//! Behind pgbouncer: a session for each client works; one for each transaction is told before anything is done.

use std::sync::atomic::{AtomicBool, Ordering};

use onetap_postgres_rig::Pooler;
use onetap_server_verifier::*;

use crate::home::*;
use crate::support::*;

fn pooler(mode: &str) -> Pooler {
    Pooler::start(cluster(), mode, &["postgres", SERVICE]).unwrap()
}

/// The time-outs are those of a direct connection, too: whoever waits for a row is told that the store is busy.
#[test]
fn behind_a_pooler_of_sessions_everything_is_as_without() {
    let home = Home::new();
    let pooler = pooler("session");
    let verifier = home.open_at(&pooler.url(SERVICE, &home.database)).unwrap();
    let mut card = home.card("a3+sha256+aes-cbc-cmac");
    for key in ["one", "two"] {
        let tap = card.tap(home.payment(100));
        let outcome = verifier.authorise(&home.client, key, &tap.request).unwrap();
        assert!(matches!(outcome, Outcome::Executed(_)), "{outcome:?}");
    }
    let lock = home.lock();
    let tap = card.tap(home.payment(100));
    assert_eq!(verifier.authorise(&home.client, "three", &tap.request).unwrap(), Outcome::Busy);
    drop(lock);
    verifier.audit_verify().unwrap();
    verifier.ledger_check().unwrap();
}

/// Also while others come and go there, so that transactions meet other sessions at random.
#[test]
fn a_pooler_that_gives_each_transaction_another_session_is_refused() {
    let home = Home::new();
    let folder = home.directory.path();
    let pooler = pooler("transaction");
    let url = pooler.url(SERVICE, &home.database);
    let refused = |what: Result<Verifier, ServiceError>| {
        let error = what.unwrap_err().to_string();
        assert!(error.contains("set pgbouncer's `pool_mode` to `session`"), "{error}");
    };
    let (idle, others) = (home.open_at(&url), AtomicBool::new(true));
    refused(idle);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            let other = Raw::connect(&url);
            let others = &others;
            scope.spawn(move || {
                while others.load(Ordering::Relaxed) {
                    other.run("SELECT count(*) FROM audit");
                }
            });
        }
        let tries = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            (0..20).for_each(|_| refused(home.open_at(&url)));
        }));
        others.store(false, Ordering::Relaxed);
        tries.unwrap();
    });
    std::fs::write(folder.join("postgres.url"), &url).unwrap();
    refused(Verifier::open_read_only(folder, environment(&home.clock)));
    let empty = pooler.url("postgres", &cluster().database(None).unwrap());
    let fresh = tempfile::tempdir().unwrap();
    refused(Verifier::init_postgres(fresh.path(), &empty, options(|_| ()), environment(&home.clock)));
}
