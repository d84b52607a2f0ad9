//! Cards that sign with ECDSA (REQ-S-21 to REQ-S-23): what is taken for a signature, that a second one for the same bytes pays
//! nothing more, and keys that no such card may have.

use crate::home::*;
use crate::support::*;
use onetap_apdu_spec::crypto::{RsaBits, SigningKeyType};
use onetap_apdu_spec::header::Binding;
use onetap_apdu_spec::personal::{EnrolmentStatement, Personalisation};
use onetap_apdu_spec::service::AuthorisationRequest;
use onetap_apdu_spec::signed::SignatureMessage;
use onetap_apdu_spec::suite::{Danger, SignatureAlgorithm, Suite};
use onetap_server_verifier::*;

const SUITE: &str = "a3+sha256+aes-cbc-cmac+ecdsa";
const RSA: &str = "a3+sha256+aes-cbc-cmac+pkcs1";
/// The order of the base point (docs/spec/signing.md).
const N: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";

/// The request with another S, made of the one that it has.
fn with_signature(request: &AuthorisationRequest, change: impl Fn(&[u8]) -> Vec<u8>) -> AuthorisationRequest {
    let SignatureMessage { header, signature } = SignatureMessage::parse(&request.signature_message).unwrap();
    let signature_message = SignatureMessage { header, signature: change(&signature) }.encode();
    AuthorisationRequest { signature_message, ..request.clone() }
}

/// Makes another S of one.
type Change = fn(&[u8]) -> Vec<u8>;

/// r ‖ n − s, which anybody can make of r ‖ s.
fn mirrored(signature: &[u8]) -> Vec<u8> {
    let (r, s) = signature.split_at(32);
    let (mut out, mut borrow) = (hex::decode(N).unwrap(), 0);
    for (byte, s) in out.iter_mut().zip(s).rev() {
        let difference = i32::from(*byte) - i32::from(*s) - borrow;
        borrow = i32::from(difference < 0);
        *byte = u8::try_from(difference.rem_euclid(256)).unwrap();
    }
    [r, &out].concat()
}

/// The same card, made for another suite.
fn remade(card: &Card, suite: &str) -> Card {
    let suite: Suite = suite.parse().unwrap();
    let binding = Binding { suite, ..card.order.binding };
    let key_type = SigningKeyType::of(suite.signature(), RsaBits::B2048);
    Card::make(Personalisation { binding, key_type, ..card.order.clone() })
}

fn receipt(outcome: Outcome) -> Receipt {
    match outcome {
        Outcome::Executed(receipt) => receipt,
        other => panic!("{other:?}"),
    }
}

/// Whoever holds a request can make another good S for it. What it pays for is its counter value, and the signed bytes.
#[test]
fn attack_a_second_signature_of_the_same_bytes_pays_again() {
    let world = world_with(|policy| policy.danger_allow_weak_suites = true);
    // Of the others S cannot be verified without the password, and there is no cancellation.
    let suites = Suite::all().filter(|suite| {
        suite.signature() == SignatureAlgorithm::EcdsaP256Sha256 && suite.danger() != Some(Danger::Guessable)
    });
    for suite in suites {
        let before = world.balances().1;
        let mut card = world.card_of(&world.ada, suite);
        let tap = card.tap(world.payment(100));
        let second = with_signature(&tap.request, mirrored);
        assert_ne!(second.signature_message, tap.request.signature_message);
        let first = receipt(world.send(&second));
        assert_eq!(receipt(world.send(&tap.request)), first, "{suite}: a repetition");
        assert_eq!(world.balances().1, before + 100, "{suite}");
        let cancelled = world.verifier.cancel(&world.client, &second.cancellation()).unwrap();
        assert_eq!(receipt(cancelled), first, "{suite}: executed, whichever S asks");
    }
    world.check_books();
}

/// Cancelled with one S, executed with the other.
#[test]
fn attack_a_second_signature_of_what_was_cancelled_is_executed() {
    let world = world();
    let mut card = world.card(SUITE);
    let tap = card.tap(world.payment(100));
    let second = with_signature(&tap.request, mirrored);
    assert_eq!(world.verifier.cancel(&world.client, &second.cancellation()).unwrap(), Outcome::Cancelled);
    assert_eq!(world.send(&tap.request), Outcome::Refused);
    assert_eq!(world.send(&second), Outcome::Refused);
    assert_eq!(world.balances().1, 0);
}

/// Under one idempotency key the two are two bodies: nothing is decided on the second.
#[test]
fn a_second_signature_under_the_same_idempotency_key_is_a_conflict() {
    let world = world();
    let mut card = world.card(SUITE);
    let tap = card.tap(world.payment(100));
    let send =
        |request: &AuthorisationRequest| world.verifier.authorise(&world.client, "till-7", request).unwrap();
    let first = receipt(send(&tap.request));
    assert_eq!(send(&with_signature(&tap.request, mirrored)), Outcome::Conflict);
    assert_eq!(receipt(send(&tap.request)), first);
    assert_eq!(world.balances().1, 100);
}

#[test]
fn signatures_that_are_none_are_refused_and_cost_no_try() {
    let world = world();
    let mut card = world.card(SUITE);
    let tap = card.tap(world.payment(100));
    let changes: [Change; 7] = [
        |_| vec![0; 64],
        |s| [&[0; 32], &s[32..]].concat(),
        |s| [&s[..32], &[0; 32]].concat(),
        |s| [&s[..32], &hex::decode(N).unwrap()].concat(),
        |s| [&s[32..], &s[..32]].concat(),
        |_| vec![0xff; 64],
        |_| [vec![0; 31], vec![1], vec![0; 31], vec![1]].concat(),
    ];
    for (at, change) in changes.into_iter().enumerate() {
        assert_eq!(world.send(&with_signature(&tap.request, change)), Outcome::Refused, "{at}");
    }
    let forms: [Change; 4] = [
        |s| s[1..].to_vec(),
        |s| [&[0], s].concat(),
        |s| [&[0x30, 68, 2, 32], &s[..32], &[2, 32], &s[32..]].concat(),
        |_| vec![1; 256],
    ];
    for (at, form) in forms.into_iter().enumerate() {
        let outcome = world.send(&with_signature(&tap.request, form));
        assert!(matches!(outcome, Outcome::Malformed(_)), "{at}: {outcome:?}");
    }
    assert_eq!((world.why(), world.wrong_passwords()), (None, 0), "no trace");
    receipt(world.send(&tap.request));
}

/// H names the algorithm: one of the other kind than the card's key is refused like an unknown card.
#[test]
fn a_header_of_the_other_kind_of_key_is_refused() {
    let world = world();
    for (enrolled, claimed) in [(SUITE, RSA), (RSA, SUITE)] {
        let mut card = world.card(enrolled);
        let mut stranger = remade(&card, claimed);
        for _ in 0..2 {
            assert_eq!(world.send(&stranger.tap(world.payment(100)).request), Outcome::Refused);
            // Known to the cache by then.
            receipt(world.send(&card.tap(world.payment(100)).request));
        }
        assert_eq!(world.why(), None, "no trace");
    }
    world.check_books();
}

/// REQ-S-21, REQ-I-14; the statements were made by another program from docs/spec.
#[test]
fn statements_with_other_keys_or_signatures_are_not_enrolled() {
    let world = world();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/vectors/enrolments.json");
    let file: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let mut refused = 0;
    for vector in file["vectors"].as_array().unwrap() {
        let statement: EnrolmentStatement = serde_json::from_value(vector.clone()).unwrap();
        let desk = world.verifier.desk(Act::of_program("test", "set-up"));
        let answer = desk.activate_card(&statement);
        let expected = match answer {
            // It holds; there is no such card.
            Err(ServiceError::NoSuchCard) => "valid",
            Err(ServiceError::StatementForged | ServiceError::UnusableKey(_)) => "invalid",
            other => panic!("{}: {other:?}", vector["id"]),
        };
        assert_eq!(vector["expect"], expected, "{}", vector["id"]);
        refused += usize::from(expected == "invalid");
    }
    assert!(refused > 50, "{refused}");
}

/// REQ-I-14: a card that was ordered with ECDSA states an RSA key, and the other way round.
#[test]
fn a_statement_of_the_other_kind_of_key_is_not_the_ordered_cards() {
    let world = world();
    for (ordered, made) in [(SUITE, RSA), (RSA, SUITE)] {
        let mut options = CardOptions::new(eur());
        options.suite = ordered.parse().unwrap();
        let desk = world.verifier.desk(Act::of_program("test", "set-up"));
        let card = Card::make(desk.order_card(&world.ada, &options).unwrap().personalisation);
        let other = remade(&card, made).statement();
        let as_made = desk.activate_card(&other);
        assert!(matches!(as_made, Err(ServiceError::StatementMismatch)), "{as_made:?}");
        let as_ordered = desk.activate_card(&EnrolmentStatement { binding: card.order.binding, ..other });
        assert!(matches!(as_ordered, Err(ServiceError::UnusableKey(_))), "{as_ordered:?}");
        desk.activate_card(&card.statement()).unwrap();
    }
}

/// REQ-I-15: a key that was written into the database past the server.
#[test]
fn attack_pay_with_a_stored_key_of_the_other_kind_or_off_the_curve() {
    let rsa = world().card(RSA).key.public_spki();
    let mut off_curve = hex::decode("3059301306072a8648ce3d020106082a8648ce3d030107034200").unwrap();
    off_curve.extend([&[4][..], &[1; 64]].concat());
    for key in [rsa, off_curve] {
        let home = Home::new();
        let mut card = home.card(SUITE);
        home.behind(&format!("UPDATE card_keys SET public_key = {}", literal(&key)));
        let tap = card.tap(home.payment(100));
        assert_eq!(home.send(&tap.request), Outcome::Refused);
        assert_eq!((home.balances(), home.why()), ((100_000, 0), None), "as of an unknown card: no trace");
    }
}
