//! Cancellation: an attempt whose outcome nobody knows gets an end (docs/spec/server.md, "Cancellation").

use std::sync::Barrier;

use crate::home::*;
use crate::support::*;
use onetap_apdu_spec::service::Cancellation;
use onetap_apdu_spec::suite::{Danger, Suite};
use onetap_server_verifier::*;

const SUITE: &str = "a3+sha256+aes-cbc-cmac";
const WRONG: &str = "abcdefgh";

fn executed(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Executed(_))
}

impl World {
    fn cancel(&self, tap: &Tap) -> Outcome {
        self.verifier.cancel(&self.client, &tap.request.cancellation()).unwrap()
    }

    /// Why the last cancellation for Ada's account was refused.
    fn why_not_cancelled(&self) -> Option<Why> {
        match self.verifier.log(Some(&self.ada)).unwrap().pop()?.event {
            Event::CancellationRefused { why, .. } => Some(why),
            _ => None,
        }
    }

    fn events(&self) -> usize {
        self.verifier.log(Some(&self.ada)).unwrap().len()
    }
}

/// The request hangs somewhere in the network; the terminal gives up, the holder taps again; the first request arrives
/// after all, while the holder types the second password, and once more after it.
#[test]
fn attack_a_delayed_request_and_a_second_tap_execute_both() {
    let world = world();
    let mut card = world.card(SUITE);
    let delayed = card.tap(world.payment(100));
    assert_eq!(world.cancel(&delayed), Outcome::Cancelled);
    let second = card.tap(world.payment(100));
    assert_eq!(world.send(&delayed.request), Outcome::Refused);
    assert!(executed(&world.send(&second.request)));
    assert_eq!(world.send(&delayed.request), Outcome::Refused);
    assert_eq!(world.balances().1, 100);
    world.check_books();
}

/// Nor if the holder goes away: the cancellation alone stops what comes late, whether its counter value is new to the server, or at
/// the mark and alive after a wrong password.
#[test]
fn what_was_cancelled_is_not_executed_by_any_copy_of_the_request() {
    for wrong in [0, 1] {
        let world = world();
        let mut card = world.card(SUITE);
        let delayed = card.tap(world.payment(100));
        (0..wrong).for_each(|_| assert_eq!(world.send(&delayed.typed(WRONG)), Outcome::Refused));
        assert_eq!(world.cancel(&delayed), Outcome::Cancelled);
        assert_eq!(world.send(&delayed.request), Outcome::Refused);
        assert_eq!(world.why(), Some(Why::DeadCounter));
        assert_eq!(world.cancel(&delayed), Outcome::Cancelled, "the same answer again");
        assert_eq!(world.balances().1, 0);
        world.check_books();
    }
}

#[test]
fn what_was_executed_is_told_with_its_receipt_at_the_mark_and_below() {
    let world = world();
    let mut card = world.card(SUITE);
    let first = card.tap(world.payment(100));
    let receipt = world.send(&first.request);
    assert!(executed(&receipt));
    let events = world.events();
    assert_eq!(world.cancel(&first), receipt);
    assert_eq!(world.events(), events, "nothing changed, nothing is logged");
    assert!(executed(&world.send(&card.tap(world.payment(200)).request)));
    assert_eq!(world.cancel(&first), receipt, "below the mark");
    assert_eq!(world.balances().1, 300);
    world.check_books();
}

/// What is below the mark was never executed and never will be: nothing changes.
#[test]
fn below_the_mark_a_cancellation_says_what_is_so_already() {
    let world = world();
    let mut card = world.card(SUITE);
    let (first, second) = (card.tap(world.payment(100)), card.tap(world.payment(200)));
    world.send(&second.typed(WRONG));
    let events = world.events();
    assert_eq!(world.cancel(&first), Outcome::Cancelled);
    assert_eq!(world.events(), events);
    assert!(executed(&world.send(&second.request)), "what stands at the mark is still alive");
}

/// Refused for funds, or by three wrong passwords: dead, and a cancellation says so.
#[test]
fn what_died_at_the_mark_is_cancelled_without_another_entry() {
    let world = world();
    let mut card = world.card(SUITE);
    let dear = card.tap(world.payment(OPENING + 1));
    assert_eq!(world.send(&dear.request), Outcome::InsufficientFunds);
    let events = world.events();
    assert_eq!(world.cancel(&dear), Outcome::Cancelled);
    assert_eq!(world.events(), events);
}

#[test]
fn a_cancellation_charges_no_try_forgives_none_and_names_its_terminal() {
    let world = world();
    let mut card = world.card(SUITE);
    let tap = card.tap(world.payment(100));
    world.send(&tap.typed(WRONG));
    assert_eq!(world.cancel(&tap), Outcome::Cancelled);
    let account = world.verifier.account(&world.ada).unwrap();
    assert_eq!((account.wrong_in_a_row, world.wrong_passwords()), (1, 1));
    let last = world.verifier.log(Some(&world.ada)).unwrap().pop().unwrap().event;
    let Event::Cancelled { terminal, counter, mark, .. } = last else { panic!("{last:?}") };
    assert_eq!((terminal.as_str(), counter, mark.wrong), ("TERM0001", 1, 1));
    world.check_books();
}

/// An honest terminal always gets one or the other.
#[test]
fn an_attempt_has_an_end_whatever_became_of_account_card_key_and_clock() {
    let late = |world: &World| {
        world.clock.advance(30 * 24 * 60 * 60);
    };
    let block = |world: &World, card: &Card| {
        world.verifier.desk(Act::of_program("op", "lost")).block_card(card.order.binding.card).unwrap();
    };
    let lock = |world: &World, card: &mut Card| {
        let tap = card.tap(world.payment(100));
        for _ in 0..3 {
            world.send(&tap.typed(WRONG));
        }
        assert!(world.locked());
    };
    let rotate = |world: &World, card: &mut Card| {
        let id = card.order.binding.card;
        let order = world
            .verifier
            .desk(Act::of_program("test", "set-up"))
            .rotate_card_key(id, &CardOptions::new(eur()))
            .unwrap();
        world
            .verifier
            .desk(Act::of_program("test", "set-up"))
            .activate_card(&Card::make(order.personalisation).statement())
            .unwrap();
        world.clock.advance(2 * 24 * 60 * 60);
    };
    type Change<'a> = &'a dyn Fn(&World, &mut Card);
    let changes: [(&str, Change<'_>); 4] = [
        ("late", &|world, _| late(world)),
        ("blocked", &|world, card| block(world, card)),
        ("locked", &|world, card| lock(world, card)),
        ("rotated", &|world, card| rotate(world, card)),
    ];
    for (name, change) in changes {
        let world = world();
        let mut card = world.card(SUITE);
        let paid = card.tap(world.payment(100));
        let receipt = world.send(&paid.request);
        let mut other = card.tap(world.payment(100));
        change(&world, &mut card);
        assert_eq!(world.cancel(&paid), receipt, "{name}");
        if card.counter > 2 {
            other = card.tap(world.payment(100));
        }
        assert_eq!(world.cancel(&other), Outcome::Cancelled, "{name}");
        assert_eq!(world.cancel(&paid), receipt, "{name}");
        world.check_books();
    }
}

#[test]
fn an_attempt_at_a_closed_account_has_an_end() {
    let world = world();
    let eve = account(&world.verifier, "Eve", AccountKind::Current, 100);
    let mut card = world.card_of(&eve, SUITE.parse().unwrap());
    let paid = card.tap(world.payment(100));
    let receipt = world.send(&paid.request);
    let tap = card.tap(world.payment(100));
    world.verifier.desk(Act::of_program("test", "set-up")).close_account(&eve).unwrap();
    assert_eq!((world.cancel(&tap), world.cancel(&paid)), (Outcome::Cancelled, receipt));
    world.check_books();
}

/// Another terminal, however it came by what was signed, can neither stop it nor learn what became of it.
#[test]
fn attack_cancel_what_another_terminal_sends() {
    let world = world();
    let other = world
        .verifier
        .desk(Act::of_program("test", "set-up"))
        .register_terminal("TERM0002".parse().unwrap())
        .unwrap();
    let mut card = world.card(SUITE);
    let tap = card.tap(world.payment(100));
    let cancel = || world.verifier.cancel(&other, &tap.request.cancellation()).unwrap();
    assert_eq!(cancel(), Outcome::Refused);
    assert_eq!(world.why_not_cancelled(), Some(Why::OtherTerminal));
    assert!(executed(&world.send(&tap.request)));
    assert_eq!(cancel(), Outcome::Refused);
    world.check_books();
}

/// A card that was put back to an older state has signed two things with one counter value: neither is taken for the other.
#[test]
fn attack_cancel_other_bytes_with_the_same_counter_value() {
    let world = world();
    let mut card = world.card(SUITE);
    let (paid, other) = (card.tap(world.payment(100)), {
        card.counter = 0;
        card.tap(world.payment(999))
    });
    world.send(&paid.typed(WRONG));
    assert_eq!(world.cancel(&other), Outcome::Refused);
    assert_eq!(world.why_not_cancelled(), Some(Why::OtherBytes));
    assert!(executed(&world.send(&paid.request)));
    assert_eq!(world.cancel(&other), Outcome::Refused, "no receipt of what it did not sign");
    assert!(executed(&world.send(&card.tap(world.payment(1)).request)));
    assert_eq!(world.cancel(&other), Outcome::Refused, "nor below the mark");
    world.check_books();
}

/// Nobody cancels without what the card made: each part counts, and nothing is written for what no card has signed.
#[test]
fn attack_cancel_with_anything_that_the_card_did_not_make() {
    let world = world();
    for suite in Suite::all().filter(|suite| suite.danger().is_none()) {
        let mut card = world.card_of(&world.ada, suite);
        let (genuine, strange) = (card.tap(world.payment(100)), card.tap(world.payment(200)));
        let events = world.events();
        let try_with = |change: &dyn Fn(&mut Cancellation)| {
            let mut cancellation = genuine.request.cancellation();
            change(&mut cancellation);
            let outcome = world.verifier.cancel(&world.client, &cancellation).unwrap();
            assert!(matches!(outcome, Outcome::Refused | Outcome::Malformed(_)), "{suite}: {outcome:?}");
        };
        try_with(&|c| c.transaction.clone_from(&strange.request.transaction));
        try_with(&|c| c.signature_message.clone_from(&strange.request.signature_message));
        try_with(&|c| *c.signature_message.last_mut().unwrap() ^= 1);
        try_with(&|c| c.signature_message[30] ^= 1);
        try_with(&|c| c.password_object.clone_from(&strange.request.password_object));
        try_with(&|c| c.password_object.as_mut().unwrap().bytes[0] ^= 1);
        try_with(&|c| c.password_object = None);
        assert_eq!(world.events(), events, "{suite}");
        // What was sent with the second tap only is not known here: the first is still good.
        assert!(executed(&world.send(&genuine.request)), "{suite}");
    }
    world.check_books();
}

/// S of a1, and of a2 without a key, can be checked with the password only: nobody could tell who cancels.
#[test]
fn every_suite_whose_signature_needs_no_password_can_be_cancelled() {
    let world = world_with(|policy| {
        policy.danger_allow_weak_suites = true;
    });
    for suite in Suite::all() {
        let mut card = world.card_of(&world.ada, suite);
        let tap = card.tap(world.payment(100));
        let cancelled = world.verifier.cancel(&world.client, &tap.request.cancellation());
        if suite.danger() == Some(Danger::Guessable) {
            let error = cancelled.unwrap_err();
            assert!(matches!(error, ServiceError::CannotCancel), "{suite}: {error}");
            assert!(executed(&world.send(&tap.request)), "{suite}");
        } else {
            assert_eq!(cancelled.unwrap(), Outcome::Cancelled, "{suite}");
            assert_eq!(world.send(&tap.request), Outcome::Refused, "{suite}");
        }
    }
    world.check_books();
}

/// A request and its cancellation at the same moment, at two processes on one store: both learn the same.
#[test]
fn attack_a_race_of_a_request_and_its_cancellation_is_told_alike() {
    let home = Home::new();
    let second = home.open().unwrap();
    let mut card = home.card(SUITE);
    let (mut paid, mut stopped) = (0, 0);
    for _ in 0..40 {
        let tap = card.tap(home.payment(100));
        let start = Barrier::new(3);
        let cancel = |verifier: &Verifier| {
            start.wait();
            verifier.cancel(&home.client, &tap.request.cancellation()).unwrap()
        };
        let (sent, first, again) = std::thread::scope(|scope| {
            let (first, again) = (scope.spawn(|| cancel(&second)), scope.spawn(|| cancel(&home.verifier)));
            start.wait();
            (home.send(&tap.request), first.join().unwrap(), again.join().unwrap())
        });
        match &sent {
            Outcome::Executed(_) => paid += 1,
            Outcome::Refused => stopped += 1,
            other => panic!("{other:?}"),
        }
        let expected = if executed(&sent) { sent } else { Outcome::Cancelled };
        assert_eq!((&first, &again), (&expected, &expected));
    }
    assert_eq!(home.balances().1, 100 * paid);
    assert_eq!(paid + stopped, 40);
    home.check_books();
}
