//! Tries, lock and unlock (P-24).

use std::sync::Barrier;

use crate::home::*;
use crate::support::*;
use onetap_server_verifier::*;

const SUITE: &str = "a3+sha256+aes-cbc-cmac";
const WRONG: &str = "abcdefgh";

fn executed(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Executed(_))
}

#[test]
fn p_24_three_wrong_passwords_lock_until_an_administrator_unlocks() {
    let world = world();
    let mut card = world.card(SUITE);
    let tap = card.tap(world.payment(100));
    for _ in 0..3 {
        assert!(!world.locked());
        assert_eq!(world.send(&tap.typed(WRONG)), Outcome::Refused);
    }
    assert!(world.locked());
    let late = card.tap(world.payment(100));
    assert_eq!(world.send(&late.request), Outcome::Refused, "the right password too");
    assert_eq!(world.why(), Some(Why::AccountLocked));
    world
        .verifier
        .desk(Act::of_program("Grace", "holder called, identity checked"))
        .unlock(&world.ada)
        .unwrap();
    assert!(matches!(
        world.verifier.desk(Act::of_program("Grace", "again")).unlock(&world.ada),
        Err(ServiceError::NotLocked)
    ));
    assert_eq!(world.send(&late.request), Outcome::Refused, "unlocking voids what came before");
    assert!(executed(&world.send(&card.tap(world.payment(100)).request)));
    world.check_books();
}

/// What was signed before the unlock is void, even a counter value that was alive when the account locked.
#[test]
fn unlocking_voids_a_counter_value_that_was_still_alive() {
    let world = world();
    let mut card = world.card(SUITE);
    world.send(&card.tap(world.payment(100)).typed(WRONG));
    let alive = card.tap(world.payment(100));
    world.send(&alive.typed(WRONG));
    world.send(&alive.typed(WRONG));
    assert!(world.locked());
    world.verifier.desk(Act::of_program("Grace", "holder called")).unlock(&world.ada).unwrap();
    assert_eq!(world.send(&alive.request), Outcome::Refused);
    assert_eq!(world.why(), Some(Why::DeadCounter));
}

/// Where S is known to be valid only with the right password, it moves the mark then, locked or not:
/// what was refused for the lock must not be executed after the unlock.
#[test]
fn attack_replay_after_the_unlock_where_the_password_proves_the_signature() {
    for suite in ["danger-a1", "danger-a2+sha256"] {
        let world = world_with(|policy| policy.danger_allow_weak_suites = true);
        let mut card = world.card(suite);
        let first = card.tap(world.payment(100));
        for _ in 0..3 {
            assert_eq!(world.send(&first.typed(WRONG)), Outcome::Refused);
        }
        assert!(world.locked());
        let late = card.tap(world.payment(100));
        assert_eq!(world.send(&late.request), Outcome::Refused);
        assert_eq!(world.why(), Some(Why::AccountLocked));
        world.verifier.desk(Act::of_program("Grace", "holder called")).unlock(&world.ada).unwrap();
        assert_eq!(world.send(&late.request), Outcome::Refused, "{suite}");
        assert_eq!(world.why(), Some(Why::DeadCounter), "{suite}");
    }
}

#[test]
fn unlocking_without_name_or_reason_is_refused() {
    let world = world();
    for (operator, reason) in [("", "x"), ("x", " ")] {
        let unlocked = world.verifier.desk(Act::of_program(operator, reason)).unlock(&world.ada);
        assert!(matches!(unlocked, Err(ServiceError::ReasonNeeded(_))));
    }
}

#[test]
fn a_right_password_starts_the_count_in_a_row_again_but_not_the_windowed_one() {
    let world = world_with(|policy| policy.wrong_in_window = 5);
    let mut card = world.card(SUITE);
    for _ in 0..2 {
        let tap = card.tap(world.payment(100));
        world.send(&tap.typed(WRONG));
        world.send(&tap.typed(WRONG));
        assert!(executed(&world.send(&tap.request)));
    }
    assert!(!world.locked());
    world.send(&card.tap(world.payment(100)).typed(WRONG));
    let locked = world.verifier.account(&world.ada).unwrap().locked.unwrap();
    assert_eq!(locked.cause, LockCause::WrongInWindow);
}

#[test]
fn wrong_passwords_leave_the_window() {
    let world = world_with(|policy| policy.wrong_in_window = 3);
    let mut card = world.card(SUITE);
    for _ in 0..2 {
        let tap = card.tap(world.payment(100));
        world.send(&tap.typed(WRONG));
        assert!(executed(&world.send(&tap.request)));
    }
    world.clock.advance(31 * 24 * 60 * 60);
    let tap = card.tap(world.payment(100));
    world.send(&tap.typed(WRONG));
    assert!(!world.locked());
}

#[test]
fn a_counter_value_dies_at_its_third_wrong_password() {
    let world = world_with(|policy| policy.wrong_in_a_row = 10);
    let mut card = world.card(SUITE);
    let tap = card.tap(world.payment(100));
    for _ in 0..3 {
        world.send(&tap.typed(WRONG));
    }
    assert!(!world.locked());
    assert_eq!(world.send(&tap.request), Outcome::Refused);
    assert_eq!(world.why(), Some(Why::DeadCounter));
}

#[test]
fn repeating_what_was_executed_costs_a_try_with_a_wrong_password_only() {
    let world = world();
    let mut card = world.card(SUITE);
    let tap = card.tap(world.payment(100));
    let first = world.send(&tap.request);
    assert_eq!(world.send(&tap.typed(WRONG)), Outcome::Refused);
    assert_eq!(world.wrong_passwords(), 1);
    assert_eq!(world.send(&tap.request), first);
    // A repetition is no proof of a new confirmation: the count in a row stands.
    assert_eq!(world.verifier.account(&world.ada).unwrap().wrong_in_a_row, 1);
    assert_eq!(world.balances().1, 100);
}

#[test]
fn stored_answers_cost_no_second_try() {
    let world = world();
    let mut card = world.card(SUITE);
    let tap = card.tap(world.payment(100));
    let send = |request: &onetap_apdu_spec::service::AuthorisationRequest| {
        world.verifier.authorise(&world.client, "same-key", request).unwrap()
    };
    for _ in 0..5 {
        assert_eq!(send(&tap.typed(WRONG)), Outcome::Refused);
    }
    assert_eq!(world.wrong_passwords(), 1);
    assert_eq!(send(&tap.request), Outcome::Conflict, "same key, other body");
    assert!(executed(&world.send(&tap.request)));
}

/// The bar of issue 2: 1 000 parallel wrong guesses, exactly 3 evaluated.
#[test]
fn attack_lockout_race() {
    let world = world();
    let mut card = world.card(SUITE);
    race(&[&world.verifier], &world, &mut card, 1_000);
    assert_eq!(world.wrong_passwords(), 3);
    assert!(world.locked());
    world.check_books();
}

#[test]
fn attack_lockout_race_between_two_processes_on_one_store() {
    let home = Home::new();
    let second = home.open().unwrap();
    let mut card = home.card(SUITE);
    race(&[&home.verifier, &second], &home, &mut card, 200);
    assert_eq!(home.wrong_passwords(), 3);
    home.check_books();
}

/// Guesses at several taps, one after the other: a counter value dies at its third wrong password, so that only the account's lock
/// ends this.
fn race(verifiers: &[&Verifier], world: &World, card: &mut Card, guesses: usize) {
    let taps = [(); 4].map(|()| card.tap(world.payment(100)));
    let threads = 8;
    let start = Barrier::new(threads);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (start, taps, verifier) = (&start, &taps, verifiers[thread % verifiers.len()]);
            scope.spawn(move || {
                start.wait();
                for guess in (thread..guesses).step_by(threads) {
                    let request = taps[guess * taps.len() / guesses].typed(&format!("x{guess:07}"));
                    let key = format!("guess-{guess}");
                    let outcome = verifier.authorise(&world.client, &key, &request).unwrap();
                    assert_eq!(outcome, Outcome::Refused);
                }
            });
        }
    });
}

/// Parallel copies of one right request move the money once.
#[test]
fn attack_double_execution_race() {
    let world = world();
    let mut card = world.card(SUITE);
    let tap = card.tap(world.payment(100));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..10 {
                    assert!(executed(&world.send(&tap.request)));
                }
            });
        }
    });
    assert_eq!(world.balances(), (99_900, 100));
    world.check_books();
}
