//! Connections that break off, at every step of a decision: the idempotency key tells the truth, money moves once.

use onetap_server_verifier::*;

use crate::home::*;
use crate::proxy::{Cut, Proxy};

const SUITE: &str = "a3+sha256+aes-cbc-cmac";
const TERMINATE: &str = "PERFORM pg_terminate_backend(pg_backend_pid())";

/// The reply to a commit is lost, or the commit itself: the store asks again, and where it cannot, the client does.
#[test]
fn attack_cut_the_connection_after_any_byte() {
    let home = Home::new();
    let proxy = Proxy::start(cluster().host());
    let verifier = home.open_at(&home.url_at(&[&proxy.host()])).unwrap();
    let mut card = home.card(SUITE);
    let (mut paid, mut failed, mut unmet) = (0, 0, 0);
    // A decision on a new connection is about 7 kB up and 3 kB down.
    let bytes = |limit: usize| (1..limit).step_by(131);
    for cut in bytes(8_000).map(Cut::Up).chain(bytes(4_000).map(Cut::Down)) {
        // One that the store mends by itself, or as many as it takes until the client hears of it.
        for cuts in [vec![cut], vec![cut; 2]] {
            proxy.cut(&cuts);
            let tap = card.tap(home.payment(1));
            let key = format!("{cut:?}-{}", cuts.len());
            let first = verifier.authorise(&home.client, &key, &tap.request);
            failed += usize::from(first.is_err());
            unmet += proxy.left();
            proxy.cut(&[]);
            let again = verifier.authorise(&home.client, &key, &tap.request).unwrap();
            assert!(matches!(again, Outcome::Executed(_)), "{cut:?}: {again:?}");
            assert!(first.is_err() || first.unwrap() == again, "{cut:?}");
            paid += 1;
            assert_eq!(home.balances().1, paid, "{cut:?}");
        }
    }
    assert!(failed > 10, "the client heard of some: {failed}");
    assert!(unmet > 10, "the sweep goes beyond the end of a decision: {unmet}");
    home.check_books();
}

/// The server ends the connection in the middle of a transaction, at each of its writes, and at its commit.
#[test]
fn a_connection_that_the_server_ends_leaves_nothing() {
    let home = Home::new();
    let mut card = home.card(SUITE);
    for (paid, table) in ["audit", "requests", "transactions", "entries", "credits"].into_iter().enumerate() {
        let tap = card.tap(home.payment(100));
        home.on_insert(table, TERMINATE);
        let ended = home.verifier.authorise(&home.client, table, &tap.request);
        let Err(ServiceError::Store(StoreError::Unreachable(_))) = ended else { panic!("{ended:?}") };
        home.mend();
        let before = 100 * i64::try_from(paid).unwrap();
        assert_eq!(home.balances().1, before, "{table}");
        let outcome = home.verifier.authorise(&home.client, table, &tap.request).unwrap();
        assert!(matches!(outcome, Outcome::Executed(_)), "{table}: {outcome:?}");
        assert_eq!(home.balances().1, before + 100, "{table}");
    }
    home.behind(&format!(
        "CREATE FUNCTION ends() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {TERMINATE}; RETURN NEW; END $$;
         CREATE CONSTRAINT TRIGGER ends AFTER INSERT ON audit DEFERRABLE INITIALLY DEFERRED
         FOR EACH ROW EXECUTE FUNCTION ends()"
    ));
    let tap = card.tap(home.payment(100));
    assert!(home.verifier.authorise(&home.client, "commit", &tap.request).is_err());
    home.behind("DROP FUNCTION ends CASCADE");
    assert_eq!(home.balances().1, 500);
    assert!(matches!(
        home.verifier.authorise(&home.client, "commit", &tap.request).unwrap(),
        Outcome::Executed(_)
    ));
    home.check_books();
}

/// What was connected before the server went is not tried out on the next client.
#[test]
fn a_server_that_was_away_between_two_requests_costs_no_error() {
    let home = Home::new();
    let mut card = home.card(SUITE);
    for paid in 1..=5 {
        let outcome = home.send(&card.tap(home.payment(1)).request);
        assert!(matches!(outcome, Outcome::Executed(_)), "{outcome:?}");
        let ended = home.behind(
            "SELECT count(pg_terminate_backend(pid)) > 1 FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        );
        assert_eq!(ended, "t", "there were connections to end");
        home.until("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()", "1");
        assert_eq!(home.balances().1, paid);
    }
}

/// A statement that takes too long is given up, and nothing of it stays.
#[test]
fn a_decision_that_takes_too_long_is_given_up() {
    let home = Home::new();
    let verifier =
        home.open_at(&home.url().replace("lock_timeout", "statement_timeout").replace("2s", "300ms"));
    let verifier = verifier.unwrap();
    let mut card = home.card(SUITE);
    let tap = card.tap(home.payment(100));
    home.on_insert("entries", "PERFORM pg_sleep(60)");
    assert_eq!(verifier.authorise(&home.client, "k", &tap.request).unwrap(), Outcome::Busy);
    home.mend();
    assert_eq!(home.balances(), (100_000, 0));
    assert!(matches!(verifier.authorise(&home.client, "k", &tap.request).unwrap(), Outcome::Executed(_)));
}

/// Each session of a decision has a name, and a limit to all that it might wait for.
#[test]
fn sessions_are_set() {
    let home = Home::new();
    let mut card = home.card(SUITE);
    home.behind("CREATE TABLE seen (name TEXT, setting TEXT); GRANT INSERT ON seen TO PUBLIC");
    let names = "'application_name', 'default_transaction_isolation', 'idle_in_transaction_session_timeout',
        'lock_timeout', 'statement_timeout'";
    home.on_insert(
        "audit",
        &format!("INSERT INTO seen SELECT name, setting || coalesce(unit, '') FROM pg_settings WHERE name IN ({names})"),
    );
    home.send(&card.tap(home.payment(1)).request);
    let seen = home.behind("SELECT string_agg(setting, ' ' ORDER BY name) FROM seen");
    assert_eq!(seen, "onetap-verifier read committed 60000ms 2000ms 10000ms");
}

/// What was prepared on the server is gone, or no longer fits: after a switch of servers behind a pooler, or a migration.
#[test]
fn prepared_statements_that_are_gone_are_prepared_anew() {
    let home = Home::new();
    let mut card = home.card(SUITE);
    assert!(matches!(home.send(&card.tap(home.payment(1)).request), Outcome::Executed(_)));
    // The server throws away what the session has prepared, at the end of its next decision.
    home.on_insert("credits", "EXECUTE 'DEALLOCATE ALL'");
    let outcome = home.send(&card.tap(home.payment(1)).request);
    home.mend();
    assert!(matches!(outcome, Outcome::Executed(_)), "{outcome:?}");
    for paid in 3..=40 {
        assert!(matches!(home.send(&card.tap(home.payment(1)).request), Outcome::Executed(_)));
        assert_eq!(home.balances().1, paid);
    }
}
