//! Many at once: no deadlock, bounded retries, two processes that share nothing but the database.

use onetap_apdu_spec::txn::PayeeName;
use onetap_server_verifier::*;

use crate::home::*;
use crate::support::*;

const SUITE: &str = "a3+sha256+aes-cbc-cmac";

fn deadlocks(home: &Home) -> String {
    home.behind("SELECT pg_stat_force_next_flush(); SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
}

/// Ada pays Bob while Bob pays Ada: each decision locks its payer only, so nobody waits in a circle.
#[test]
fn attack_deadlock_by_paying_each_other() {
    let home = Home::new();
    let bob = account(&home.verifier, "Bob", AccountKind::Current, OPENING);
    let second = home.open().unwrap();
    std::thread::scope(|scope| {
        for (number, (payer, payee, name)) in [(&home.ada, &bob, "Bob"), (&bob, &home.ada, "Ada Lovelace")]
            .into_iter()
            .cycle()
            .take(8)
            .enumerate()
        {
            let verifier = if number < 4 { &*home.verifier } else { &second };
            let mut card = home.card_of(payer, SUITE.parse().unwrap());
            let home = &home;
            scope.spawn(move || {
                for payment in 0..50 {
                    let mut transaction = home.payment(10);
                    transaction.payee_account = payee.clone();
                    transaction.payee_name = PayeeName::new(name).unwrap();
                    let tap = card.tap(transaction);
                    let key = format!("{number}-{payment}");
                    let outcome = verifier.authorise(&home.client, &key, &tap.request).unwrap();
                    assert!(matches!(outcome, Outcome::Executed(_)), "{outcome:?}");
                }
            });
        }
    });
    let balance = |number| home.verifier.account(number).unwrap().balance;
    let opening = i64::try_from(OPENING).unwrap();
    assert_eq!((balance(&home.ada), balance(&bob)), (opening, opening));
    assert_eq!(deadlocks(&home).lines().last(), Some("0"));
    home.check_books();
}

/// Somebody else has the account's row, and locks the account: who decides meanwhile waits for it, and reads what was written.
#[test]
fn a_decision_waits_for_the_row_and_reads_it_then() {
    let home = Home::new();
    let mut card = home.card(SUITE);
    let tap = card.tap(home.payment(100));
    let patience = "-c%20lock_timeout%3D60s%20-c%20statement_timeout%3D60s";
    let patient = home.open_at(&format!("{}?options={patience}", cluster().url(&home.database))).unwrap();
    let other = Raw::connect(&home.url());
    other.run(
        "BEGIN; UPDATE accounts SET locked_at = 1, lock_cause = 'wrong-in-a-row'
         WHERE holder = 'Ada Lovelace'",
    );
    let outcome = std::thread::scope(|scope| {
        let asked = scope.spawn(|| patient.authorise(&home.client, "waits", &tap.request).unwrap());
        let waiting = "SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'";
        home.until(waiting, "1");
        other.run("COMMIT");
        asked.join().unwrap()
    });
    assert_eq!(outcome, Outcome::Refused);
    assert_eq!(home.why(), Some(Why::AccountLocked));
    assert_eq!(home.balances(), (100_000, 0));
}

/// Parallel copies of one right request, through two processes, move the money once.
#[test]
fn attack_double_execution_race_between_two_processes() {
    let home = Home::new();
    let second = home.open().unwrap();
    let mut card = home.card(SUITE);
    for round in 1..=10 {
        let tap = card.tap(home.payment(100));
        let receipts: Vec<Outcome> = std::thread::scope(|scope| {
            let senders: Vec<_> = (0..8)
                .map(|n| {
                    let verifier = if n % 2 == 0 { &*home.verifier } else { &second };
                    // Half of them under one key, half under a key of their own.
                    let key = if n < 4 { format!("{round}") } else { format!("{round}-{n}") };
                    let (home, tap) = (&home, &tap);
                    scope.spawn(move || verifier.authorise(&home.client, &key, &tap.request).unwrap())
                })
                .collect();
            senders.into_iter().map(|sender| sender.join().unwrap()).collect()
        });
        assert!(matches!(receipts[0], Outcome::Executed(_)), "{receipts:?}");
        assert!(receipts.iter().all(|receipt| *receipt == receipts[0]), "{receipts:?}");
        assert_eq!(home.balances(), (100_000 - 100 * round, 100 * round));
    }
    home.check_books();
}

/// Under SERIALIZABLE, as on CockroachDB, who waited for a row is rolled back (40001) and must decide anew.
#[test]
fn serialization_failures_are_retried() {
    let home = Home::new();
    let url = format!("{}%20-c%20default_transaction_isolation%3Dserializable", home.url());
    let verifier = home.open_at(&url).unwrap();
    std::thread::scope(|scope| {
        for number in 0..4 {
            let mut card = home.card(SUITE);
            let (home, verifier) = (&home, &verifier);
            scope.spawn(move || {
                for payment in 0..20 {
                    let tap = card.tap(home.payment(10));
                    let key = format!("{number}-{payment}");
                    // Bounded: where all tries met others, the client is told so and may repeat.
                    let paid = (0..50).any(|_| {
                        let outcome = verifier.authorise(&home.client, &key, &tap.request).unwrap();
                        assert!(matches!(outcome, Outcome::Executed(_) | Outcome::Busy), "{outcome:?}");
                        matches!(outcome, Outcome::Executed(_))
                    });
                    assert!(paid, "{key}");
                }
            });
        }
    });
    assert_eq!(home.balances(), (99_200, 800));
    let log = std::fs::read_to_string(cluster().log()).unwrap();
    assert!(log.contains("could not serialize access"), "there was something to retry");
    home.check_books();
}

/// More who ask than there are connections: they wait, or are told that the store is busy; none gets an error.
#[test]
fn connections_are_bounded() {
    let home = Home::new();
    std::thread::scope(|scope| {
        for _ in 0..40 {
            scope.spawn(|| (0..10).for_each(|_| assert_eq!(home.balances(), (100_000, 0))));
        }
    });
    let open = home.behind(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'onetap-verifier'
        AND datname = current_database()",
    );
    assert!((1..=20).contains(&open.parse::<u32>().unwrap()), "{open} connections");
}

/// The law of idempotency keys (REQ-W-10) knows no moment at which an equal act is told to come again: whoever comes second waits,
/// and gets the answer of the first. Among the acts is one that fails for who comes second, since it is done.
#[test]
fn equal_acts_under_one_key_at_one_moment_are_one_act() {
    let home = Home::new();
    let other = home.open().unwrap();
    for round in 0..30 {
        let verifiers = [&*home.verifier, &other, &*home.verifier, &other];
        let start = std::sync::Barrier::new(verifiers.len());
        let hold = home.verifier.desk(Act::of_program("op", "r")).place_hold(&home.ada, 1).unwrap();
        let key = || format!("key-{round}").parse().unwrap();
        let act = |verifier: &Verifier, body: &[u8]| {
            start.wait();
            let desk = verifier.desk(Act::of_program("op", "r")).once(key(), body);
            if round % 2 == 0 {
                return desk.place_hold(&home.ada, 1).map(drop);
            }
            desk.release_hold(hold)
        };
        let told: Vec<_> = std::thread::scope(|scope| {
            let acts = verifiers.map(|verifier| scope.spawn(|| act(verifier, b"the same")));
            acts.into_iter().map(|act| act.join().unwrap()).collect()
        });
        assert_eq!(told.iter().filter(|told| told.is_ok()).count(), 1, "{told:?}");
        let entries: Vec<_> = told
            .iter()
            .filter_map(|told| match told {
                Err(ServiceError::DoneBefore(entry)) => Some(*entry),
                _ => None,
            })
            .collect();
        assert!(entries.len() == 3 && entries.iter().all(|entry| *entry == entries[0]), "{told:?}");
        let another =
            home.verifier.desk(Act::of_program("op", "r")).once(key(), b"another").place_hold(&home.ada, 1);
        assert!(matches!(another, Err(ServiceError::KeyTaken)), "{another:?}");
    }
    home.check_books();
}
