//! Shards on PostgreSQL: one is away while another decides; and an account that moves between PostgreSQL and SQLite.

use std::fs;

use onetap_apdu_spec::account::AccountNumber;
use onetap_server_verifier::*;

use crate::home::{Home, cluster};
use crate::support::*;

const SUITE: &str = "a3+sha256+aes-cbc-cmac";

fn carry(from: &World, to: &World, account: &AccountNumber) -> Result<Moved, ServiceError> {
    from.verifier.desk(Act::of_program("op", "load")).move_account(account, &to.verifier)
}

fn balance(world: &World, account: &AccountNumber) -> i64 {
    world.verifier.account(account).unwrap().balance
}

/// A decision needs the payer's shard only: the payee's lets nobody in meanwhile.
#[test]
fn a_payee_that_has_moved_is_paid_while_its_shard_is_away_and_gets_it_once() {
    let first = Home::new();
    let second = first.shard(1);
    let mut card = first.card(SUITE);
    let shop = first.shop.clone();
    carry(&first, &second, &shop).unwrap();
    let allow = |yes: bool| {
        let database = &second.database;
        cluster().sql("postgres", &format!("ALTER DATABASE {database} ALLOW_CONNECTIONS {yes}")).unwrap();
        let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname";
        cluster().sql("postgres", &format!("{end} = '{database}'")).unwrap();
    };
    allow(false);
    assert!(cluster().sql(&second.database, "SELECT 1").is_err(), "it is away");
    for _ in 0..3 {
        let outcome = first.send(&card.tap(first.payment(100)).request);
        assert!(matches!(outcome, Outcome::Executed(_)), "{outcome:?}");
    }
    assert!(carry(&first, &second, &shop).is_err());
    assert_eq!(balance(&first, &shop), 300);
    allow(true);
    // The first connections that are used again are found broken.
    let moved = (0..9).find_map(|_| carry(&first, &second, &shop).ok()).unwrap();
    assert_eq!((balance(&first, &shop), balance(&second, &shop)), (0, 300));
    assert!(moved.amount == 300 || moved.amount == 0, "{moved:?}");
    assert_eq!(carry(&first, &second, &shop).unwrap().amount, 0);
    first.check_books();
    second.check_books();
}

#[test]
fn an_account_moves_from_postgresql_to_sqlite_and_back() {
    let first = Home::new();
    let folder = tempfile::tempdir().unwrap();
    fs::copy(first.directory.path().join("keys.json"), folder.path().join("keys.json")).unwrap();
    let options = InitOptions { shard: 1.try_into().unwrap(), ..options(|_| ()) };
    let verifier = Verifier::init(folder.path(), options, environment(&first.clock)).unwrap();
    let second = World::around(verifier, first.clock.clone());
    let mut card = first.card(SUITE);
    let hold = first.verifier.desk(Act::of_program("op", "r")).place_hold(&first.ada, 70).unwrap();
    let tap = card.tap(first.payment(100));
    let pay = |world: &World, key: &str, tap: &Tap| {
        let outcome = world.verifier.authorise(&world.client, key, &tap.request).unwrap();
        assert!(matches!(outcome, Outcome::Executed(_)), "{outcome:?}");
        outcome
    };
    let answer = pay(&first, "one", &tap);
    carry(&first, &second, &first.ada).unwrap();
    assert_eq!(pay(&second, "one", &tap), answer);
    pay(&second, "two", &card.tap(second.payment(200)));
    let moved = carry(&second, &first, &first.ada).unwrap();
    assert_eq!(moved.amount, 99_700);
    first.verifier.desk(Act::of_program("op", "r")).capture_hold(hold, &first.shop, 70).unwrap();
    pay(&first, "three", &card.tap(first.payment(99_630)));
    assert_eq!((balance(&first, &first.ada), balance(&second, &first.ada)), (0, 0));
    first.check_books();
    second.check_books();
}
