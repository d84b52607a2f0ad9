//! Card, terminal and server together, in every profile: what each is for is tested elsewhere; here, that
//! they agree.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests")]

use std::sync::{Arc, Mutex};

use onetap_apdu_spec::service::Answer;
use onetap_apdu_spec::suite::Suite;
use onetap_applet::card::{Event, Observer};
use onetap_applet::runtime::MAX_SHORT_APDU;
use onetap_conformance::world::{BALANCE, Route, World};
use onetap_pcsc_host::{Fields, source};
use onetap_server_verifier::Act;

const PRICE: u64 = 12_34;

fn world(suite: Suite) -> (tempfile::TempDir, World) {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new(folder.path(), suite, Route::InProcess).unwrap();
    (folder, world)
}

fn balances(world: &World) -> (i64, i64) {
    let balance = |number| world.server.account(number).unwrap().balance;
    (balance(&world.payer), balance(&world.payee))
}

/// One payment, up to the typed password.
fn tap_and_confirm(world: &mut World) -> (onetap_pcsc_host::Tapped, String) {
    let tapped = world.plain_tap(&world.draft(PRICE).unwrap()).unwrap();
    let password = world.holder().confirm(&mut |_| ()).unwrap();
    (tapped, password)
}

fn every_suite(check: impl Fn(Suite) + Sync) {
    let suites: Vec<Suite> = Suite::all().collect();
    let next = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(suite) = suites.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                    check(*suite);
                }
            });
        }
    });
    assert!(next.into_inner() >= suites.len());
}

#[test]
fn p_04_p_17_p_18_every_profile_executes_once_and_only_as_signed() {
    every_suite(|suite| {
        let (_folder, mut world) = world(suite);
        let (tapped, password) = tap_and_confirm(&mut world);
        let request = World::type_in(tapped, &password).unwrap();

        // Tampered on the way: refused, nothing moves.
        let mut tampered = request.clone();
        let at = tampered.transaction.len() / 2;
        tampered.transaction[at] ^= 1;
        let outcome = world.send("tampered", &tampered);
        assert!(!matches!(outcome, Ok(Answer::Executed { .. })), "{suite}: {outcome:?}");
        assert_eq!(balances(&world), (BALANCE as i64, 0), "{suite}");

        // As signed: executed.
        let Answer::Executed { receipt } = world.send("first", &request).unwrap() else { panic!("{suite}") };
        assert_eq!(receipt.amount, PRICE, "{suite}");
        // Sent again, under the same key or another: the same receipt, no second execution.
        for key in ["first", "second"] {
            assert_eq!(
                world.send(key, &request).unwrap(),
                Answer::Executed { receipt: receipt.clone() },
                "{suite}"
            );
        }
        assert_eq!(balances(&world), ((BALANCE - PRICE) as i64, PRICE as i64), "{suite}");
        world.server.ledger_check().unwrap();
        world.server.audit_verify().unwrap();
    });
}

#[test]
fn p_24_every_profile_locks_after_three_wrong_passwords() {
    every_suite(|suite| {
        let (_folder, mut world) = world(suite);
        for attempt in 0..3 {
            assert!(world.server.account(&world.payer).unwrap().locked.is_none(), "{suite}");
            let (tapped, right) = tap_and_confirm(&mut world);
            let wrong = if right == "00000000" { "11111111" } else { "00000000" };
            let request = World::type_in(tapped, wrong).unwrap();
            assert_eq!(
                world.send(&format!("wrong-{attempt}"), &request).unwrap(),
                Answer::Refused,
                "{suite}"
            );
        }
        assert!(world.server.account(&world.payer).unwrap().locked.is_some(), "{suite}");
        let (tapped, right) = tap_and_confirm(&mut world);
        let request = World::type_in(tapped, &right).unwrap();
        assert_eq!(world.send("right", &request).unwrap(), Answer::Refused, "{suite}");
        assert_eq!(balances(&world), (BALANCE as i64, 0), "{suite}");
    });
}

#[test]
fn p_02_a_transaction_typed_in_sent_or_scanned_is_the_same_to_the_card() {
    const IBAN: &str = "DE89370400440532013000";
    let typed = Fields {
        kind: onetap_apdu_spec::txn::TransactionType::Payment,
        payee_account: IBAN.into(),
        payee_name: "Coffee Shop".into(),
        amount: "12.34".into(),
        currency: "EUR".into(),
        reference: "RF18539007547034".into(),
        details: None,
    };
    let sent = serde_json::to_vec(&typed).unwrap();
    let scanned = format!("BCD\n002\n1\nSCT\n\nCoffee Shop\n{IBAN}\nEUR12.34\n\nRF18539007547034\n");
    let typed = typed.draft().unwrap();
    assert_eq!(source::json(&sent).unwrap(), typed);
    assert_eq!(source::code(scanned.as_bytes()).unwrap().fill(None, None).unwrap(), typed);
}

/// What an eavesdropper between terminal and server has is of no use for anything else: not for another
/// transaction of the same card, nor for the same one with another amount.
#[test]
fn p_27_a_joint_password_in_clear_serves_its_own_transaction_only() {
    let (_folder, mut world) = world(Suite::default());
    let (tapped, overheard) = tap_and_confirm(&mut world);
    let first = World::type_in(tapped, &overheard).unwrap();
    assert!(matches!(world.send("first", &first).unwrap(), Answer::Executed { .. }));
    let (tapped, right) = tap_and_confirm(&mut world);
    assert_ne!(right, overheard);
    let stolen = World::type_in(tapped, &overheard).unwrap();
    assert_eq!(world.send("stolen", &stolen).unwrap(), Answer::Refused);
    assert_eq!(balances(&world), ((BALANCE - PRICE) as i64, PRICE as i64));
}

/// Length of each command, and the response.
type Said = Arc<Mutex<Vec<(usize, Vec<u8>)>>>;

/// What a card's reader and the card say to each other.
struct Lengths(Said);

impl Observer for Lengths {
    fn observe(&mut self, event: &Event<'_>) {
        let mut said = self.0.lock().unwrap();
        match event {
            Event::Command(command) => said.push((command.len(), Vec::new())),
            Event::Response(response) => said.last_mut().unwrap().1 = response.to_vec(),
            _ => {}
        }
    }
}

/// One payment with a card on a chip with these limits. Everything is short, and nothing is refused for its length.
fn pays_within(limits: &str, suite: Suite, route: Route) {
    let folder = tempfile::tempdir().unwrap();
    let (chip, founder) = (limits.parse().unwrap(), Act::of_program("test", "set-up"));
    let mut world = World::on_chip(chip, &founder, folder.path(), suite, route).unwrap();
    let said = Said::default();
    world.card.lock().unwrap().watch(Box::new(Lengths(Arc::clone(&said))));
    let (tapped, password) = tap_and_confirm(&mut world);
    let request = World::type_in(tapped, &password).unwrap();
    let outcome = world.send("first", &request).unwrap();
    assert!(matches!(outcome, Answer::Executed { .. }), "{limits}, {suite}: {outcome:?}");
    let said = said.lock().unwrap();
    // Four where nothing but S travels, and S fits a short response.
    assert!(said.len() >= 4, "{limits}, {suite}");
    for (command, response) in said.iter() {
        assert!(*command <= MAX_SHORT_APDU && response.len() <= 256 + 2, "{limits}, {suite}: {command}");
        assert!(!response.ends_with(&[0x67, 0x00]), "{limits}, {suite}: a length was refused");
    }
}

const REAL_CARDS: [&str; 2] = ["real-card", "real-card,t0"];

#[test]
fn every_profile_pays_with_a_real_cards_limits() {
    let suites: Vec<Suite> = Suite::all().collect();
    every_suite(|suite| {
        // Each profile on one of the two, which one suite after the other take turns in.
        let at = suites.iter().position(|other| *other == suite).unwrap();
        pays_within(REAL_CARDS[at % 2], suite, Route::InProcess);
    });
    REAL_CARDS.iter().for_each(|limits| pays_within(limits, Suite::default(), Route::InProcess));
}

#[test]
fn a_real_cards_limits_hold_in_a_real_reader() {
    if std::env::var_os("ONETAP_PCSCD").is_none() {
        println!("not performed: needs a pcscd of its own, run it under scripts/with-pcscd");
        return;
    }
    for limits in REAL_CARDS {
        pays_within(limits, Suite::default(), Route::first_virtual_reader().unwrap());
    }
}

/// Through a real pcscd and vpcd (scripts/with-pcscd): contactless in the sense of P-03, a reader that
/// the card comes to and leaves.
#[test]
fn p_03_p_19_a_card_in_a_real_reader_pays_and_leaves() {
    if std::env::var_os("ONETAP_PCSCD").is_none() {
        println!("not performed: needs a pcscd of its own, run it under scripts/with-pcscd");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let route = Route::first_virtual_reader().unwrap();
    let mut world = World::new(folder.path(), Suite::default(), route).unwrap();
    for round in 0..2 {
        let (tapped, password) = tap_and_confirm(&mut world);
        assert!(!world.card.lock().unwrap().in_field(), "the card left by itself");
        let request = World::type_in(tapped, &password).unwrap();
        let outcome = world.send(&format!("round-{round}"), &request).unwrap();
        assert!(matches!(outcome, Answer::Executed { .. }), "{outcome:?}");
    }
}
