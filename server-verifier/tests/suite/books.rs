//! What is stored: all of a decision or nothing, and whoever changes it behind the verifier's back shows.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use onetap_server_verifier::*;

use crate::home::*;

const SUITE: &str = "a3+sha256+aes-cbc-cmac";

#[test]
fn a_locked_database_answers_busy_and_decides_nothing() {
    let world = Home::new();
    let mut card = world.card(SUITE);
    let tap = card.tap(world.payment(100));
    let lock = world.lock();
    assert_eq!(world.send(&tap.request), Outcome::Busy);
    drop(lock);
    assert!(matches!(world.send(&tap.request), Outcome::Executed(_)));
    assert_eq!(world.balances(), (99_900, 100));
}

/// Each statement of a decision that fails, fails all of it: no half of a transaction is ever seen.
#[test]
fn a_write_that_fails_in_the_middle_leaves_nothing() {
    for table in ["entries", "transactions", "audit", "requests"] {
        let world = Home::new();
        let mut card = world.card(SUITE);
        let tap = card.tap(world.payment(100));
        world.break_inserts(table);
        assert!(world.verifier.authorise(&world.client, "k", &tap.request).is_err(), "{table}");
        world.mend();
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
        "UPDATE audit SET event = replace(event, '100', '900') WHERE sequence = 4 AND account_id = 2",
        "UPDATE audit SET at = at + 1 WHERE sequence = 2",
        "DELETE FROM audit WHERE sequence = 2 AND account_id = 2",
        "DELETE FROM audit WHERE sequence = 4 AND account_id = 2",
        "UPDATE audit SET sequence = -2 WHERE sequence = 2; UPDATE audit SET sequence = 2 WHERE sequence = 3;
         UPDATE audit SET sequence = 3 WHERE sequence = -2",
        "UPDATE accounts SET audit_sequence = 3, audit_seal = (SELECT seal FROM audit WHERE account_id = 2
         AND sequence = 3) WHERE account_id = 2",
    ] {
        let world = Home::new();
        let mut card = world.card(SUITE);
        world.send(&card.tap(world.payment(100)).request);
        world.verifier.audit_verify().unwrap();
        assert_eq!(world.verifier.log(Some(&world.ada)).unwrap().len(), 4);
        world.behind(change);
        let verified = world.verifier.audit_verify();
        assert!(matches!(verified, Err(ServiceError::AuditBroken { .. })), "{change}: {verified:?}");
    }
}

/// Whoever writes to the database cuts the chain short, or empties it, and moves its end with it.
#[test]
fn attack_cut_the_end_of_an_audit_chain() {
    for keep in [0, 3] {
        let world = Home::new();
        let mut card = world.card(SUITE);
        world.send(&card.tap(world.payment(100)).request);
        let cut = format!(
            "DELETE FROM audit WHERE account_id = 2 AND sequence > {keep};
             UPDATE accounts SET audit_sequence = {keep}, audit_seal = coalesce((SELECT seal FROM audit
             WHERE account_id = 2 AND sequence = {keep}), {ZEROS}) WHERE account_id = 2"
        );
        world.behind(&cut);
        let verified = world.verifier.audit_verify();
        assert!(matches!(verified, Err(ServiceError::AuditBroken { .. })), "{keep}: {verified:?}");
        let next = card.tap(world.payment(100));
        let decided = world.verifier.authorise(&world.client, "next", &next.request);
        assert!(decided.is_err(), "the next entry must not make the chain whole again");
    }
}

/// Two databases under the same keys, as a copy has them that went on by itself. An entry of one has a seal that is right for its
/// place in the other, and tells the same rows; but it was sealed over another one before it.
#[test]
fn attack_an_entry_of_another_history_in_its_place_shows() {
    let home = Home::new();
    let copy = home.shard(0);
    for (world, reason) in [(&home, "asked by the shop"), (&copy, "asked by the court")] {
        for amount in [70, 80] {
            world.verifier.desk(Act::of_program("op", reason)).place_hold(&world.ada, amount).unwrap();
        }
    }
    home.verifier.audit_verify().unwrap();
    let entry = |home: &Home| {
        let seal = spelled("seal", "bytea");
        let place = "account_id = 2 AND sequence = 2";
        home.intruder().all(&format!("SELECT CAST(at AS TEXT), event, {seal} FROM audit WHERE {place}"))
    };
    let (ours, theirs) = (entry(&home), entry(&copy));
    assert_eq!(ours[0][..2], theirs[0][..2], "the same was done");
    home.behind(&format!(
        "UPDATE audit SET reason = 'asked by the court', seal = {} WHERE account_id = 2 AND sequence = 2",
        theirs[0][2]
    ));
    let verified = home.verifier.audit_verify();
    assert!(matches!(verified, Err(ServiceError::AuditBroken { .. })), "{verified:?}");
}

#[test]
fn a_ledger_that_does_not_balance_shows() {
    for change in [
        "UPDATE accounts SET balance = balance + 1 WHERE account_id = 2",
        "UPDATE entries SET amount = amount + 1",
        "DELETE FROM entries",
    ] {
        let world = Home::new();
        world.verifier.ledger_check().unwrap();
        world.behind(change);
        assert!(matches!(world.verifier.ledger_check(), Err(ServiceError::LedgerBroken { .. })), "{change}");
    }
}

/// P-27, and the rule that no password reaches log or database.
#[test]
fn no_password_is_written_anywhere() {
    let world = Home::new();
    let mut card = world.card(SUITE);
    let tap = card.tap(world.payment(100));
    world.send(&tap.typed("wrongpass"));
    world.send(&tap.request);
    let log = serde_json::to_string(&world.verifier.log(None).unwrap()).unwrap();
    for secret in ["wrongpass", tap.password.expose()] {
        assert!(!log.contains(secret));
        assert!(!world.holds(secret));
    }
}

/// Verifying works on a snapshot: what comes meanwhile is neither missing nor too much.
#[test]
fn what_is_paid_while_the_log_is_verified_is_no_finding() {
    let world = Home::new();
    let mut card = world.card(SUITE);
    let (verified, paid) = (AtomicBool::new(false), AtomicUsize::new(0));
    let seen = std::thread::scope(|scope| {
        let paying = scope.spawn(|| {
            while !verified.load(Ordering::Relaxed) {
                assert!(matches!(world.send(&card.tap(world.payment(1)).request), Outcome::Executed(_)));
                paid.fetch_add(1, Ordering::Relaxed);
            }
        });
        let verify = |_| {
            // The second payment from here on begins after the verification before has ended.
            let enough = paid.load(Ordering::Relaxed) + 2;
            while paid.load(Ordering::Relaxed) < enough && !paying.is_finished() {
                std::thread::yield_now();
            }
            world.verifier.audit_verify().map(|audited| audited.entries)
        };
        let seen: Result<Vec<_>, _> = (0..3).map(verify).collect();
        verified.store(true, Ordering::Relaxed);
        paying.join().unwrap();
        seen.unwrap()
    });
    assert!(seen.is_sorted_by(|before, after| before < after), "{seen:?}");
    world.check_books();
}

/// An answer that may be forgotten is still none that was never given.
#[test]
fn an_old_answer_that_was_changed_shows_and_one_that_was_forgotten_does_not() {
    let world = Home::new();
    let mut card = world.card(SUITE);
    world.send(&card.tap(world.payment(100)).request);
    world.send(&card.tap(world.payment(200)).request);
    world.clock.advance(2 * KEEP_ANSWERS);
    world.verifier.audit_verify().unwrap();
    world.behind("UPDATE requests SET sequence = 4 WHERE idempotency_key = 'key-1'");
    let verified = world.verifier.audit_verify();
    assert!(matches!(verified, Err(ServiceError::RowsBroken { what: "requests", .. })), "{verified:?}");
    world.behind("UPDATE requests SET sequence = 5 WHERE idempotency_key = 'key-1'");
    world.verifier.audit_verify().unwrap();
    world.behind("DELETE FROM requests WHERE idempotency_key = 'key-0'");
    world.verifier.audit_verify().unwrap();
}
