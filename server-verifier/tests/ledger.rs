//! The ledger: holds, captures, reversals, accounts that another system keeps, and books of older versions.

#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

mod support;

use std::fs;
use std::path::Path;

use onetap_apdu_spec::account::AccountNumber;
use onetap_apdu_spec::service::{AuthorisationRequest, PasswordObject};
use onetap_apdu_spec::suite::Owed;
use onetap_apdu_spec::txn::{PayeeName, Transaction, TransactionType};
use onetap_server_verifier::EntryId;
use onetap_server_verifier::*;
use proptest::prelude::*;
use rusqlite::Connection;
use support::*;

const SUITE: &str = "a3+sha256+aes-cbc-cmac";

fn money(world: &World, number: &AccountNumber) -> (i64, i64) {
    let account = world.verifier.account(number).unwrap();
    (account.balance, account.held)
}

fn ledger_error<T: std::fmt::Debug>(result: Result<T, ServiceError>) -> LedgerError {
    match result.unwrap_err() {
        ServiceError::Ledger(error) => error,
        other => panic!("{other}"),
    }
}

fn executed(outcome: Outcome) -> Receipt {
    match outcome {
        Outcome::Executed(receipt) => receipt,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_held_cannot_be_spent_until_it_is_released() {
    let world = World::new();
    let mut card = world.card(SUITE);
    let hold =
        world.verifier.desk(Act::of_program("op", "deposit")).place_hold(&world.ada, OPENING - 50).unwrap();
    assert_eq!(money(&world, &world.ada), (100_000, 99_950));
    assert_eq!(world.send(&card.tap(world.payment(51)).request), Outcome::InsufficientFunds);
    let more = world.verifier.desk(Act::of_program("op", "more")).place_hold(&world.ada, 51);
    assert_eq!(ledger_error(more), LedgerError::InsufficientFunds);
    assert!(matches!(
        world.verifier.desk(Act::of_program("test", "set-up")).close_account(&world.ada),
        Err(ServiceError::AccountNotEmpty)
    ));
    executed(world.send(&card.tap(world.payment(50)).request));
    world.verifier.desk(Act::of_program("op", "left")).release_hold(hold).unwrap();
    assert_eq!(
        ledger_error(world.verifier.desk(Act::of_program("op", "twice")).release_hold(hold)),
        LedgerError::HoldClosed
    );
    executed(world.send(&card.tap(world.payment(51)).request));
    assert_eq!(money(&world, &world.ada), (99_899, 0));
    world.check_books();
}

#[test]
fn a_capture_pays_once_at_most_what_is_held_and_frees_the_rest() {
    let world = World::new();
    let verifier = &world.verifier;
    let hold = verifier.desk(Act::of_program("op", "room")).place_hold(&world.ada, 500).unwrap();
    let capture = |hold, amount| {
        verifier.desk(Act::of_program("op", "minibar")).capture_hold(hold, &world.shop, amount)
    };
    assert_eq!(ledger_error(capture(hold, 501)), LedgerError::MoreThanHeld);
    assert_eq!(ledger_error(capture(hold, 0)), LedgerError::Amount);
    let own = verifier.desk(Act::of_program("op", "own")).capture_hold(hold, &world.ada, 1);
    assert_eq!(ledger_error(own), LedgerError::Payee);
    let transaction = capture(hold, 300).unwrap();
    assert_eq!(transaction.to_string(), format!("capture-{hold}"));
    assert_eq!((money(&world, &world.ada), money(&world, &world.shop)), ((99_700, 0), (300, 0)));
    assert_eq!(ledger_error(capture(hold, 100)), LedgerError::HoldClosed);
    let other: EntryId = "2-999".parse().unwrap();
    assert_eq!(ledger_error(capture(other, 1)), LedgerError::NoSuchHold);
    let logged = verifier.log(Some(&world.ada)).unwrap().pop().unwrap().event;
    assert!(matches!(logged, Event::HoldCaptured { amount: 300, .. }), "{logged:?}");
    world.check_books();
}

#[test]
fn what_was_executed_or_captured_is_reversed_once_and_stays_in_the_books() {
    let world = World::new();
    let verifier = &world.verifier;
    let paid = executed(world.send(&world.card(SUITE).tap(world.payment(400)).request)).transaction;
    let hold = verifier.desk(Act::of_program("op", "r")).place_hold(&world.ada, 600).unwrap();
    let captured = verifier.desk(Act::of_program("op", "r")).capture_hold(hold, &world.shop, 600).unwrap();
    for transaction in [&paid, &captured] {
        let reversal = verifier.desk(Act::of_program("op", "broken")).reverse(transaction).unwrap();
        assert_eq!(
            ledger_error(verifier.desk(Act::of_program("op", "r")).reverse(transaction)),
            LedgerError::AlreadyReversed
        );
        assert_eq!(
            ledger_error(verifier.desk(Act::of_program("op", "r")).reverse(&reversal)),
            LedgerError::CannotReverse
        );
        for number in [&world.ada, &world.shop] {
            let logged = verifier.log(Some(number)).unwrap().pop().unwrap().event;
            assert!(matches!(logged, Event::Reversed { transaction: t, .. } if t == *transaction));
        }
    }
    assert_eq!(world.balances(), (100_000, 0));
    assert_eq!(verifier.statement(&world.ada, &StatementPlace::default(), 100).unwrap().len(), 5);
    world.check_books();
}

#[test]
fn money_that_was_spent_is_not_reversed_and_a_repeat_still_gets_the_receipt() {
    let world = World::new();
    let tap = world.card(SUITE).tap(world.payment(400));
    let receipt = executed(world.send(&tap.request));
    let hold = world.verifier.desk(Act::of_program("op", "spent")).place_hold(&world.shop, 1).unwrap();
    let reversed = world.verifier.desk(Act::of_program("op", "r")).reverse(&receipt.transaction);
    assert_eq!(ledger_error(reversed), LedgerError::InsufficientFunds);
    world.verifier.desk(Act::of_program("op", "r")).release_hold(hold).unwrap();
    world.verifier.desk(Act::of_program("op", "r")).reverse(&receipt.transaction).unwrap();
    assert_eq!(world.send(&tap.request), Outcome::Executed(receipt));
    assert_eq!(world.balances(), (100_000, 0), "never a second execution");
    world.check_books();
}

/// A transit purse that the transit operator keeps.
fn purse(world: &World) -> AccountNumber {
    let purse = account(&world.verifier, "Ada's purse", AccountKind::StoredValue, 0);
    world
        .verifier
        .desk(Act::of_program("op", "contract 7"))
        .link_account(&purse, &"transit".parse().unwrap())
        .unwrap();
    purse
}

fn top_up(world: &World, purse: &AccountNumber, minor: u64) -> Transaction {
    Transaction {
        kind: TransactionType::TopUp,
        payee_account: purse.clone(),
        payee_name: PayeeName::new("Ada's purse").unwrap(),
        ..world.payment(minor)
    }
}

#[test]
fn p_26_a_top_up_of_a_purse_kept_elsewhere_is_accepted_then_settled_once() {
    top_up_is_accepted_then_settled(&World::new());
}

fn top_up_is_accepted_then_settled(world: &World) {
    let (verifier, purse) = (&world.verifier, purse(world));
    let tap = world.card(SUITE).tap(top_up(world, &purse, 700));
    let receipt = executed(world.send(&tap.request));
    let (id, system) = (&receipt.transaction, "transit".parse().unwrap());
    assert_eq!(receipt.accepted_for, Some(system));
    assert_eq!(money(world, &world.ada), (100_000, 700), "held, not paid");
    assert!(matches!(verifier.settlement(id).unwrap(), Settlement::Accepted { .. }));
    assert_eq!(ledger_error(verifier.desk(Act::of_program("op", "r")).reverse(id)), LedgerError::NotSettled);
    for _ in 0..2 {
        verifier.desk(Act::of_program("test", "set-up")).settle(id, &Verdict::Settled).unwrap();
        assert_eq!(money(world, &world.ada), (99_300, 0));
    }
    let failed = verifier
        .desk(Act::of_program("test", "set-up"))
        .settle(id, &Verdict::Failed { reason: "late".into() });
    assert_eq!(ledger_error(failed), LedgerError::AlreadyAnswered);
    assert!(matches!(verifier.settlement(id).unwrap(), Settlement::Settled { .. }));
    assert_eq!(world.send(&tap.request), Outcome::Executed(receipt.clone()), "the original answer");
    assert_eq!(money(world, &purse), (0, 0));
    world.check_books();
    verifier.desk(Act::of_program("op", "wrong purse")).reverse(id).unwrap();
    assert_eq!(money(world, &world.ada), (100_000, 0));
    world.check_books();
}

#[test]
fn p_26_a_debit_that_the_other_system_refuses_frees_all_and_is_not_executed_again() {
    refused_debit_frees_all(&World::new());
}

fn refused_debit_frees_all(world: &World) {
    let (verifier, purse) = (&world.verifier, purse(world));
    let mut card = world.card_of(&purse, SUITE.parse().unwrap());
    let taps = [card.tap(world.payment(250)), card.tap(world.payment(40))];
    let receipts = [executed(world.send(&taps[0].request)), executed(world.send(&taps[1].request))];
    assert_eq!(money(world, &purse), (0, 290), "asked for, of a balance that only the other system knows");
    verifier
        .desk(Act::of_program("test", "set-up"))
        .settle(&receipts[0].transaction, &Verdict::Failed { reason: "empty".into() })
        .unwrap();
    verifier
        .desk(Act::of_program("test", "set-up"))
        .settle(&receipts[1].transaction, &Verdict::Settled)
        .unwrap();
    assert_eq!((money(world, &purse), money(world, &world.shop)), ((0, 0), (40, 0)));
    world.send(&taps[0].request);
    assert_eq!(money(world, &purse), (0, 0), "C and the joint password are spent");
    assert!(matches!(verifier.settlement(&receipts[0].transaction).unwrap(), Settlement::Failed { .. }));
    world.check_books();
    verifier.desk(Act::of_program("op", "goods returned")).reverse(&receipts[1].transaction).unwrap();
    assert_eq!(money(world, &world.shop), (0, 0));
    world.check_books();
}

#[test]
fn an_account_kept_elsewhere_cannot_be_held_captured_or_linked_again() {
    let world = World::new();
    let (verifier, purse) = (&world.verifier, purse(&world));
    let system = "other".parse().unwrap();
    for number in [&purse, &world.ada, &world.shop] {
        let linked = verifier.desk(Act::of_program("op", "r")).link_account(number, &system);
        assert_eq!(ledger_error(linked), LedgerError::CannotLink);
    }
    assert_eq!(
        ledger_error(verifier.desk(Act::of_program("op", "r")).place_hold(&purse, 1)),
        LedgerError::KeptElsewhere
    );
    let hold = verifier.desk(Act::of_program("op", "r")).place_hold(&world.ada, 10).unwrap();
    assert_eq!(
        ledger_error(verifier.desk(Act::of_program("op", "r")).capture_hold(hold, &purse, 10)),
        LedgerError::Payee
    );
    let receipt = executed(world.send(&world.card(SUITE).tap(top_up(&world, &purse, 5)).request));
    let (card, _) = receipt.transaction.signed().unwrap();
    let entries = verifier.log(Some(&world.ada)).unwrap();
    let accepted = entries.iter().find(|e| matches!(e.event, Event::Executed { .. })).unwrap();
    let id: EntryId = format!("2-{}", accepted.sequence).parse().unwrap();
    assert_eq!(
        ledger_error(verifier.desk(Act::of_program("op", "r")).release_hold(id)),
        LedgerError::AwaitsSystem,
        "{card}"
    );
}

#[derive(Debug, Clone)]
enum Step {
    Pay(usize, u64),
    Hold(usize, u64),
    Capture(usize, u64),
    Release(usize),
    Reverse(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..2_usize, 1..600_u64).prop_map(|(who, amount)| Step::Pay(who, amount)),
        3 => (0..2_usize, 1..600_u64).prop_map(|(who, amount)| Step::Hold(who, amount)),
        2 => (0..8_usize, 1..600_u64).prop_map(|(which, amount)| Step::Capture(which, amount)),
        1 => (0..8_usize).prop_map(Step::Release),
        2 => (0..8_usize).prop_map(Step::Reverse),
    ]
}

/// Two accounts that pay each other, as simple as can be.
#[derive(Default)]
struct Model {
    balance: [i64; 2],
    held: [i64; 2],
    /// Whose, how much, whether open.
    holds: Vec<(HoldId, usize, i64, bool)>,
    /// Who paid, how much, whether reversed.
    paid: Vec<(TransactionId, usize, i64, bool)>,
}

impl Model {
    fn free(&self, who: usize) -> i64 {
        self.balance[who] - self.held[who]
    }
    fn pay(&mut self, who: usize, amount: i64) {
        self.balance[who] -= amount;
        self.balance[1 - who] += amount;
    }
}

fn run(world: &World, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let verifier = &world.verifier;
    let names = ["Ada Lovelace", "Coffee Shop"];
    let numbers = names.map(|name| account(verifier, name, AccountKind::Current, 1_000));
    let mut cards =
        [0, 1].map(|who: usize| world.card_of(&numbers[who], "b2+sha256+aes-cbc-cmac".parse().unwrap()));
    let mut model = Model { balance: [1_000; 2], ..Model::default() };
    for step in steps {
        let minor = |amount: u64| i64::try_from(amount).unwrap();
        match step {
            Step::Pay(who, amount) => {
                let to = Transaction {
                    payee_account: numbers[1 - who].clone(),
                    payee_name: PayeeName::new(names[1 - who]).unwrap(),
                    ..world.payment(amount)
                };
                let outcome = world.send(&cards[who].tap(to).request);
                prop_assert_eq!(matches!(outcome, Outcome::Executed(_)), minor(amount) <= model.free(who));
                if let Outcome::Executed(receipt) = outcome {
                    model.pay(who, minor(amount));
                    model.paid.push((receipt.transaction, who, minor(amount), false));
                }
            }
            Step::Hold(who, amount) => {
                let hold = verifier.desk(Act::of_program("op", "model")).place_hold(&numbers[who], amount);
                prop_assert_eq!(hold.is_ok(), minor(amount) <= model.free(who));
                if let Ok(hold) = hold {
                    model.held[who] += minor(amount);
                    model.holds.push((hold, who, minor(amount), true));
                }
            }
            Step::Capture(which, amount) => {
                let Some((hold, who, held, open)) = model.holds.get(which).copied() else { continue };
                let paid = verifier.desk(Act::of_program("op", "model")).capture_hold(
                    hold,
                    &numbers[1 - who],
                    amount,
                );
                prop_assert_eq!(paid.is_ok(), open && minor(amount) <= held);
                if let Ok(transaction) = paid {
                    (model.holds[which].3, model.held[who]) = (false, model.held[who] - held);
                    model.pay(who, minor(amount));
                    model.paid.push((transaction, who, minor(amount), false));
                }
            }
            Step::Release(which) => {
                let Some((hold, who, held, open)) = model.holds.get(which).copied() else { continue };
                prop_assert_eq!(
                    verifier.desk(Act::of_program("op", "model")).release_hold(hold).is_ok(),
                    open
                );
                if open {
                    (model.holds[which].3, model.held[who]) = (false, model.held[who] - held);
                }
            }
            Step::Reverse(which) => {
                let Some((transaction, who, amount, reversed)) = model.paid.get(which).cloned() else {
                    continue;
                };
                let done = verifier.desk(Act::of_program("op", "model")).reverse(&transaction);
                prop_assert_eq!(done.is_ok(), !reversed && amount <= model.free(1 - who));
                if done.is_ok() {
                    model.pay(1 - who, amount);
                    model.paid[which].3 = true;
                }
            }
        }
        for who in [0, 1] {
            prop_assert_eq!(money(world, &numbers[who]), (model.balance[who], model.held[who]));
        }
    }
    world.check_books();
    Ok(())
}

fn random_histories(world: &World, cases: u32) {
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    runner.run(&prop::collection::vec(step(), 1..50), |steps| run(world, steps)).unwrap();
}

#[test]
fn random_histories_of_two_accounts_end_as_the_model_says() {
    random_histories(&World::new(), 48);
}

#[cfg(feature = "postgres")]
mod postgres {
    use super::*;

    /// A world in a database of its own, and the folder of its keys.
    fn world() -> (World, tempfile::TempDir) {
        let cluster = onetap_postgres_rig::Cluster::shared().unwrap();
        let url = cluster.url(&cluster.database(None).unwrap());
        let (directory, clock) = (tempfile::tempdir().unwrap(), TestClock::new());
        let env = environment(&clock);
        let verifier = Verifier::init_postgres(directory.path(), &url, options(|_| ()), env).unwrap();
        (World::around(verifier, clock), directory)
    }

    #[test]
    fn random_histories_of_two_accounts_end_as_the_model_says() {
        random_histories(&world().0, 8);
    }

    #[test]
    fn p_26_top_ups_and_debits_of_a_purse_kept_elsewhere() {
        top_up_is_accepted_then_settled(&world().0);
        refused_debit_frees_all(&world().0);
    }

    /// Payments one way, reversals and captures the other way: nobody waits for ever, nothing is lost.
    #[test]
    fn payments_and_reversals_across_two_accounts_at_once() {
        let (world, _directory) = world();
        let verifier = &world.verifier;
        let mut card = world.card(SUITE);
        let paid: Vec<_> =
            (0..20).map(|_| executed(world.send(&card.tap(world.payment(10)).request)).transaction).collect();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for transaction in &paid {
                    verifier.desk(Act::of_program("op", "r")).reverse(transaction).unwrap();
                }
            });
            scope.spawn(|| {
                for _ in 0..20 {
                    let hold = verifier.desk(Act::of_program("op", "r")).place_hold(&world.ada, 5).unwrap();
                    verifier.desk(Act::of_program("op", "r")).capture_hold(hold, &world.shop, 5).unwrap();
                }
            });
            for _ in 0..20 {
                executed(world.send(&card.tap(world.payment(1)).request));
            }
        });
        assert_eq!(world.balances(), (99_880, 120));
        world.check_books();
    }
}

fn raw(directory: &Path) -> Connection {
    Connection::open(directory.join("verifier.db")).unwrap()
}

#[test]
fn each_kind_of_broken_books_is_named() {
    for (change, message) in [
        ("UPDATE entries SET amount = amount + 1", "log and the entries"),
        ("UPDATE accounts SET balance = balance + 1 WHERE account_id = 2", "sum to zero"),
        (
            "UPDATE accounts SET balance = balance + 1 WHERE account_id = 2;
             UPDATE accounts SET balance = balance - 1 WHERE kind = 'stored-value'",
            "log and the entries",
        ),
        ("UPDATE accounts SET held = held + 1 WHERE account_id = 2", "open holds"),
        (
            "UPDATE accounts SET held = 200000 WHERE account_id = 2; UPDATE holds SET amount = 200000",
            "more than it has",
        ),
        (
            "UPDATE holds SET state = 'captured', captured = 1, closed_at = 1; UPDATE accounts SET held = 0",
            "not paid",
        ),
        (
            "UPDATE accounts SET system = 'x' WHERE account_id = (SELECT account_id FROM accounts
             WHERE kind = 'stored-value')",
            "another system keeps",
        ),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let world = World::on_disk(directory.path());
        account(&world.verifier, "Purse", AccountKind::StoredValue, 5);
        world.verifier.desk(Act::of_program("op", "r")).place_hold(&world.ada, 10).unwrap();
        world.verifier.ledger_check().unwrap();
        raw(directory.path()).execute_batch(change).unwrap();
        let error = world.verifier.ledger_check().unwrap_err().to_string();
        assert!(error.contains(message), "{change}: {error}");
    }
}

/// Version 3 kept one answer for each account under one key of a client. The first stays, and no answer is given to the
/// other body; what was executed is found by a cancellation all the same.
#[test]
fn a_database_of_version_3_is_migrated_with_one_answer_for_each_key() {
    let directory = stored("v3");
    let [adas, bobs, wrong] = asked("v3");
    let clock = TestClock::new();
    clock.advance(10);
    let verifier = Verifier::open(directory.path(), environment(&clock)).unwrap();
    verifier.ledger_check().unwrap();
    verifier.audit_verify().unwrap();
    let client = verifier.client("TERM0001".parse().unwrap()).unwrap();
    let ask = |key: &str, request: &AuthorisationRequest| verifier.authorise(&client, key, request).unwrap();
    let Outcome::Executed(receipt) = ask("till-7", &adas) else { panic!("the first answer is kept") };
    assert_eq!((receipt.amount, receipt.executed_at), (100, Timestamp(START)));
    assert_eq!(ask("till-7", &bobs), Outcome::Conflict);
    let Outcome::Executed(receipt) = verifier.cancel(&client, &bobs.cancellation()).unwrap() else {
        panic!("it was executed")
    };
    assert_eq!((receipt.amount, receipt.executed_at), (70, Timestamp(START + 5)));
    assert_eq!(verifier.cancel(&client, &wrong.cancellation()).unwrap(), Outcome::Cancelled);
    assert_eq!(ask("late", &wrong), Outcome::Refused);
    verifier.ledger_check().unwrap();
    verifier.audit_verify().unwrap();
}

/// Version 4 wrote evidence beside the log, and no actors.
#[test]
fn a_database_of_version_4_is_taken_over_with_everything_in_it() {
    let directory = stored("v4");
    let [adas, wrong, cancelled, topped_up] = asked("v4");
    let clock = TestClock::new();
    clock.advance(10);
    let verifier = Verifier::open(directory.path(), environment(&clock)).unwrap();
    verifier.ledger_check().unwrap();
    assert!(verifier.audit_verify().unwrap().taken_over > 0);
    let balances: Vec<_> =
        verifier.accounts().unwrap().iter().map(|a| (a.holder.clone(), a.balance, a.held)).collect();
    // Ada: 1000.00 of which 0.30 were captured; 0.40 and 5.00 are held. The shop: 0.70 of Bob and 0.30 of Ada.
    let expected = [
        ("Ada Lovelace", 99_970, 540),
        ("Coffee Shop", 100, 0),
        ("Bob Babbage", 4_930, 0),
        ("Transit", 0, 0),
    ];
    assert_eq!(balances, expected.map(|(holder, balance, held)| (holder.to_owned(), balance, held)));
    assert_eq!(verifier.backlog().unwrap().waiting, 3);
    let client = verifier.client("TERM0001".parse().unwrap()).unwrap();
    let ask = |key: &str, request: &AuthorisationRequest| verifier.authorise(&client, key, request).unwrap();
    let Outcome::Executed(receipt) = ask("till-7", &adas) else { panic!("the answer is kept") };
    assert_eq!((receipt.amount, receipt.executed_at), (100, Timestamp(START)));
    assert_eq!(ask("till-7", &wrong), Outcome::Conflict);
    assert_eq!(verifier.cancel(&client, &cancelled.cancellation()).unwrap(), Outcome::Cancelled);
    assert_eq!(ask("late", &cancelled), Outcome::Refused);
    let Outcome::Executed(accepted) = ask("till-10", &topped_up) else { panic!("the answer is kept") };
    let desk = || verifier.desk(Act::of_program("op", "its answer"));
    assert!(matches!(
        desk().reverse(&receipt.transaction),
        Err(ServiceError::Ledger(LedgerError::AlreadyReversed))
    ));
    desk().settle(&accepted.transaction, &Verdict::Settled).unwrap();
    let ada = &verifier.accounts().unwrap()[0];
    assert_eq!((ada.balance, ada.held), (99_470, 40));
    // One try was charged before it was taken over; this is the second one.
    let mut typed = wrong.clone();
    typed.verification_password = password("abcdefgh");
    assert_eq!(ask("again", &typed), Outcome::Refused);
    assert_eq!(verifier.accounts().unwrap()[2].wrong_in_a_row, 2);
    assert!(matches!(ask("right", &wrong), Outcome::Executed(receipt) if receipt.amount == 1));
    verifier.ledger_check().unwrap();
    verifier.audit_verify().unwrap();
}

/// The requests that are stored beside a database.
fn asked<const N: usize>(version: &str) -> [AuthorisationRequest; N] {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/databases").join(version);
    let asked: Vec<Asked> = serde_json::from_slice(&fs::read(folder.join("asked.json")).unwrap()).unwrap();
    asked.iter().map(Asked::request).collect::<Vec<_>>().try_into().unwrap()
}

/// A request of the stored database, in hexadecimal.
#[derive(serde::Deserialize)]
struct Asked {
    transaction: String,
    signature_message: String,
    object: String,
    password: String,
}

impl Asked {
    fn request(&self) -> AuthorisationRequest {
        let bytes = |text: &str| hex::decode(text).unwrap();
        AuthorisationRequest {
            transaction: bytes(&self.transaction),
            signature_message: bytes(&self.signature_message),
            verification_password: password(&self.password),
            password_object: Some(PasswordObject { kind: Owed::Encrypted, bytes: bytes(&self.object) }),
        }
    }
}

/// Books of schema version 2 with keys of format 1 are opened, brought up to date, and hold.
#[test]
fn a_database_of_version_2_is_migrated_with_everything_in_it() {
    let directory = stored("v2");
    let found =
        |pragma: &str| raw(directory.path()).query_row(pragma, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(found("PRAGMA user_version"), 2);
    let clock = TestClock::new();
    let verifier = Verifier::open(directory.path(), environment(&clock)).unwrap();
    assert_eq!(found("PRAGMA user_version"), 5);
    let balances: Vec<_> =
        verifier.accounts().unwrap().iter().map(|a| (a.holder.clone(), a.balance, a.held)).collect();
    let expected = [("Ada Lovelace", 99_650), ("Coffee Shop", 420), ("Bob Babbage", 4_930), ("Transit", 0)];
    assert_eq!(balances, expected.map(|(holder, balance)| (holder.to_owned(), balance, 0)));
    assert_eq!(verifier.locked_accounts(10).unwrap().len(), 1);
    assert_eq!(verifier.backlog().unwrap().waiting, 1, "the lock of Bob's account");
    verifier.ledger_check().unwrap();
    verifier.audit_verify().unwrap();
    let ada = verifier.accounts().unwrap()[0].number.clone();
    let log = verifier.log(Some(&ada)).unwrap();
    let executed = |entry: LogEntry| match entry.event {
        Event::Executed { receipt, .. } => Some(receipt),
        _ => None,
    };
    let receipt = log.into_iter().filter_map(executed).next_back().expect("Ada has paid");
    assert_eq!(receipt.accepted_for, None);
    verifier.desk(Act::of_program("op", "of an older version")).reverse(&receipt.transaction).unwrap();
    let hold = verifier.desk(Act::of_program("op", "all of it")).place_hold(&ada, 99_900).unwrap();
    verifier.desk(Act::of_program("op", "r")).release_hold(hold).unwrap();
    verifier.ledger_check().unwrap();
    verifier.audit_verify().unwrap();
}
