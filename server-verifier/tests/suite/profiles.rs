//! Every suite, executed and tampered with (P-07 … P-15, P-17, P-18).

use crate::home::*;
use crate::support::*;
use onetap_apdu_spec::suite::Suite;
use onetap_server_verifier::*;

fn executed(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Executed(_))
}

fn weak_world() -> Fresh {
    world_with(|policy| {
        policy.danger_allow_weak_suites = true;
        policy.wrong_in_a_row = 10;
        policy.wrong_in_window = 10_000;
    })
}

#[test]
fn p_07_to_p_15_every_suite_is_executed_once() {
    let world = weak_world();
    for suite in Suite::all() {
        let mut card = world.card_of(&world.ada, suite);
        let before = world.balances();
        let tap = card.tap(world.payment(125));
        assert!(executed(&world.send(&tap.request)), "{suite}");
        let again = world.send(&tap.request);
        assert!(executed(&again), "{suite}: the repetition gets the receipt");
        assert_eq!(world.balances(), (before.0 - 125, before.1 + 125), "{suite}");
    }
    world.check_books();
}

#[test]
fn p_18_whatever_is_changed_on_the_way_is_refused() {
    let world = weak_world();
    for suite in Suite::all() {
        let mut card = world.card_of(&world.ada, suite);
        let before = world.balances();
        let tap = card.tap(world.payment(125));
        let mut forged = Vec::new();
        // Another amount, another payee, under the same signature.
        for change in [world.payment(999), {
            let mut other = world.payment(125);
            other.payee_account = world.ada.clone();
            other
        }] {
            let mut request = tap.request.clone();
            request.transaction = card.sign_at(tap.header.counter, suite, change).request.transaction;
            forged.push(request);
        }
        // Each byte of header and some of the signature.
        let length = tap.request.signature_message.len();
        for at in (8..48).chain([length - 1, length - 100]) {
            let mut request = tap.request.clone();
            request.signature_message[at] ^= 1;
            forged.push(request);
        }
        for (n, request) in forged.iter().enumerate() {
            let outcome = world.send(request);
            assert!(matches!(outcome, Outcome::Refused | Outcome::Malformed(_)), "{suite} {n}: {outcome:?}");
            // The weak suites count a bad signature as a wrong password; give the tries back.
            if world.locked() {
                world.verifier.desk(Act::of_program("op", "test")).unlock(&world.ada).unwrap();
            }
        }
        assert_eq!(world.balances(), before, "{suite}");
    }
}

#[test]
fn p_17_a_changed_password_object_is_refused_and_never_executed() {
    let world = weak_world();
    for suite in Suite::all().filter(|suite| suite.owed().is_some()) {
        let mut card = world.card_of(&world.ada, suite);
        let before = world.balances();
        let tap = card.tap(world.payment(125));
        let length = tap.request.password_object.as_ref().unwrap().bytes.len();
        for at in [0, length / 2, length - 1] {
            let mut request = tap.request.clone();
            request.password_object.as_mut().unwrap().bytes[at] ^= 1;
            assert_eq!(world.send(&request), Outcome::Refused, "{suite} {at}");
        }
        let mut missing = tap.request.clone();
        missing.password_object = None;
        assert!(
            matches!(world.send(&missing), Outcome::Malformed(Malformed::PasswordObject { .. })),
            "{suite}"
        );
        assert_eq!(world.balances(), before, "{suite}");
    }
    assert_eq!(world.wrong_passwords(), 0, "no try for a changed object");
}

#[test]
fn the_default_policy_refuses_every_suite_that_can_be_guessed_or_forged() {
    let world = world();
    for suite in Suite::all() {
        let mut options = CardOptions::new(eur());
        options.suite = suite;
        let ordered = world.verifier.desk(Act::of_program("test", "set-up")).order_card(&world.ada, &options);
        assert_eq!(ordered.is_err(), suite.danger().is_some(), "{suite}");
    }
}

#[test]
fn malformed_requests_are_named() {
    let world = world();
    let mut card = world.card("a3+sha256+rsa-oaep");
    let tap = card.tap(world.payment(125));
    let send = |change: &dyn Fn(&mut onetap_apdu_spec::service::AuthorisationRequest)| {
        let mut request = tap.request.clone();
        change(&mut request);
        world.send(&request)
    };
    assert!(matches!(send(&|r| r.transaction.push(0)), Outcome::Malformed(Malformed::Transaction(_))));
    assert!(matches!(send(&|r| r.transaction.clear()), Outcome::Malformed(Malformed::Transaction(_))));
    assert!(matches!(
        send(&|r| r.signature_message.truncate(50)),
        Outcome::Malformed(Malformed::Signature(_))
    ));
    let long = send(&|r| r.password_object.as_mut().unwrap().bytes = vec![0; 5_000]);
    assert!(matches!(long, Outcome::Malformed(Malformed::PasswordObject { .. })));
    for key in ["", " ", "ü", &"x".repeat(65)] {
        let outcome = world.verifier.authorise(&world.client, key, &tap.request).unwrap();
        assert_eq!(outcome, Outcome::Malformed(Malformed::IdempotencyKey));
    }
    assert!(executed(&world.send(&tap.request)), "none of these cost anything");
}
