//! What the operator reads, in pages.

use std::sync::Arc;

use onetap_server_verifier::HoldState;
use onetap_server_verifier::outbox::{Deliverer, DeliveryRules, Reply, Transport, Undelivered};
use onetap_server_verifier::*;

use crate::home::*;
use crate::support::{OPENING, account};

const SUITE: &str = "a3+sha256+aes-cbc-cmac";

#[test]
fn holds_come_in_pages_with_what_became_of_them() {
    let world = world();
    let verifier = &world.verifier;
    let place =
        |amount| verifier.desk(Act::of_program("op", "deposit")).place_hold(&world.ada, amount).unwrap();
    let placed = [place(10), place(20), place(30)];
    verifier.desk(Act::of_program("op", "left")).release_hold(placed[0]).unwrap();
    verifier.desk(Act::of_program("op", "stayed")).capture_hold(placed[1], &world.shop, 15).unwrap();
    let all = verifier.holds(&world.ada, None, 100).unwrap();
    let told: Vec<_> = all.iter().map(|hold| (hold.hold, hold.amount, hold.state, hold.captured)).collect();
    let expected = [
        (placed[0], 10, HoldState::Released, 0),
        (placed[1], 20, HoldState::Captured, 15),
        (placed[2], 30, HoldState::Open, 0),
    ];
    assert_eq!(told, expected);
    assert_eq!((&all[0].payee, &all[1].payee), (&None, &Some(world.shop.clone())));
    assert_eq!((all[1].closed_at, all[2].closed_at), (Some(verifier.now()), None));
    assert_eq!(verifier.holds(&world.ada, Some(placed[0]), 1).unwrap(), all[1..2]);
    assert_eq!(verifier.holds(&world.ada, Some(placed[2]), 100).unwrap(), []);
    assert_eq!(verifier.holds(&world.shop, None, 100).unwrap(), []);
    let nobody = verifier.holds(&"1000000000009".parse().unwrap(), None, 1);
    assert!(matches!(nobody, Err(ServiceError::NoSuchAccount)));
}

/// What the account pays and is paid, by its own chain and by those of others, is one statement in the order of time; read a
/// page at a time it is the same.
#[test]
fn a_statement_has_all_that_came_and_went_in_the_order_of_time() {
    let world = world();
    let desk = || world.verifier.desk(Act::of_program("op", "r"));
    let hold = desk().place_hold(&world.ada, 70).unwrap();
    let step = || world.clock.advance(60);
    let (mut card, mut paid) = (world.card(SUITE), Vec::new());
    for amount in [100, 250] {
        step();
        let Outcome::Executed(receipt) = world.send(&card.tap(world.payment(amount)).request) else {
            panic!()
        };
        paid.push(receipt.transaction);
    }
    step();
    let captured = desk().capture_hold(hold, &world.shop, 30).unwrap();
    step();
    let reversed = desk().reverse(&paid[0]).unwrap();
    step();
    let returned = desk().place_hold(&world.shop, 40).unwrap();
    step();
    let returned = desk().capture_hold(returned, &world.ada, 40).unwrap();
    let moved = [
        (paid[0].to_string(), 100),
        (paid[1].to_string(), 250),
        (captured.to_string(), 30),
        (reversed.to_string(), -100),
        (returned.to_string(), -40),
    ];
    let expect = |opening: Option<i64>, sign: i64| -> Vec<i64> {
        opening.into_iter().chain(moved.iter().map(|(_, amount)| sign * amount)).collect()
    };
    for (account, expected) in
        [(&world.ada, expect(Some(i64::try_from(OPENING).unwrap()), -1)), (&world.shop, expect(None, 1))]
    {
        let begin = StatementPlace::default();
        let whole = world.verifier.statement(account, &begin, 100).unwrap();
        assert_eq!(whole.iter().map(|line| line.amount).collect::<Vec<_>>(), expected);
        let named = whole.iter().rev().zip(moved.iter().rev());
        assert!(
            named.clone().count() == moved.len()
                && named.clone().all(|(line, (id, _))| line.transaction == *id)
        );
        assert!(whole.is_sorted_by_key(|line| line.at));
        let (mut place, mut read) = (begin, Vec::new());
        while let [line] = world.verifier.statement(account, &place, 1).unwrap().as_slice() {
            place = line.place.to_string().parse().unwrap();
            read.push(line.clone());
        }
        assert_eq!(read, whole);
        let balance = world.verifier.account(account).unwrap().balance;
        assert_eq!(balance, expected.iter().sum::<i64>());
    }
    for bad in ["", "1", "1.2", "x.2.y", "1.y.z"] {
        assert!(bad.parse::<StatementPlace>().is_err(), "{bad}");
    }
}

#[test]
fn checkpoints_come_newest_first() {
    let world = world();
    let verifier = &world.verifier;
    assert_eq!(verifier.checkpoints(None, 100).unwrap(), []);
    let made: Vec<_> = (0..3)
        .map(|_| {
            world.clock.advance(60);
            verifier.desk(Act::of_program("test", "set-up")).checkpoint(&mut Vec::new()).unwrap()
        })
        .collect();
    let all = verifier.checkpoints(None, 100).unwrap();
    let told: Vec<_> = all.iter().rev().map(|signed| (signed.at, signed.chains, signed.root)).collect();
    assert_eq!(told, made.iter().map(|one| (one.at, one.chains, one.root)).collect::<Vec<_>>());
    assert_eq!(verifier.checkpoints(Some(all[0].sequence), 1).unwrap(), all[1..2]);
    assert_eq!(verifier.checkpoints(Some(all[2].sequence), 100).unwrap(), []);
}

#[test]
fn the_tail_of_a_log_is_its_last_entries_in_their_order() {
    let world = world();
    for _ in 0..3 {
        world.verifier.desk(Act::of_program("op", "deposit")).place_hold(&world.ada, 1).unwrap();
    }
    for (account, whole) in [
        (Some(&world.ada), world.verifier.log(Some(&world.ada)).unwrap()),
        (None, world.verifier.log_page(None, 0, 100).unwrap()),
    ] {
        assert!(whole.len() >= 2);
        assert_eq!(world.verifier.log_tail(account, 2).unwrap(), whole[whole.len() - 2..]);
        assert_eq!(world.verifier.log_tail(account, 1_000).unwrap(), whole);
    }
}

/// A receiver that takes nothing.
struct Deaf;

impl Transport for Deaf {
    fn send(&self, _message: &Message, _now: Timestamp) -> Result<Reply, Undelivered> {
        Err(Undelivered("down".into()))
    }
}

#[test]
fn messages_wait_are_held_back_or_dead() {
    let world = world();
    let verifier = &world.verifier;
    assert_eq!(verifier.messages(None, 100).unwrap(), []);
    let lock = |account| {
        let mut card = world.card_of(account, SUITE.parse().unwrap());
        for _ in 0..3 {
            world.send(&card.tap(world.payment(1)).typed("wrongpass"));
        }
    };
    lock(&world.ada);
    assert_eq!(verifier.locked_count().unwrap(), 1);
    let [first] = verifier.messages(None, 100).unwrap().try_into().unwrap();
    assert_eq!((first.state, first.attempts, first.failure), (MessageState::Waiting, 0, None));
    assert!(first.due_at.is_some() && first.dead_at.is_none());

    let rules = DeliveryRules { attempts: 1, ..DeliveryRules::default() };
    Deliverer::new(Arc::clone(verifier), Deaf, rules).round().unwrap();
    verifier.desk(Act::of_program("op", "identified")).unlock(&world.ada).unwrap();
    assert_eq!(verifier.locked_count().unwrap(), 0);
    lock(&world.ada);
    let grace = account(verifier, "Grace Hopper", AccountKind::Current, OPENING);
    lock(&grace);
    let all = verifier.messages(None, 100).unwrap();
    let states: Vec<_> = all.iter().map(|message| (&message.account, message.state)).collect();
    let expected = [
        (&world.ada, MessageState::Dead),
        (&world.ada, MessageState::HeldBack),
        (&grace, MessageState::Waiting),
    ];
    assert_eq!(states, expected);
    assert_eq!((all[0].message, all[0].failure.as_deref()), (first.message, Some("down")));
    assert!(all[0].dead_at.is_some() && all[0].due_at.is_none() && all[1].due_at.is_none());
    assert_eq!(verifier.messages(Some(all[0].message), 1).unwrap(), all[1..2]);
    assert_eq!(verifier.messages(Some(all[1].message), 9).unwrap(), all[2..]);

    verifier.desk(Act::of_program("op", "it is up again")).requeue(first.message).unwrap();
    let states: Vec<_> = verifier.messages(None, 9).unwrap().iter().map(|message| message.state).collect();
    assert_eq!(states, [MessageState::Waiting; 3]);
}
