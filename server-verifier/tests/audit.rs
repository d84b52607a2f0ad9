//! The log tells what the rows must be; checkpoints and copies outlive the database.

#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

mod support;

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use onetap_server_verifier::*;
use support::*;

const SUITE: &str = "a3+sha256+aes-cbc-cmac";

/// Ada has paid twice, mistyped once since, and has a card whose key was rotated; a second account is locked.
fn history(directory: &Path) -> World {
    let world = World::on_disk(directory);
    let mut card = world.card(SUITE);
    world.send(&card.tap(world.payment(100)).request);
    world.send(&card.tap(world.payment(250)).request);
    world.send(&card.tap(world.payment(1)).typed("abcdefgh"));
    let mut options = CardOptions::new(eur());
    options.suite = SUITE.parse().unwrap();
    let again = world
        .verifier
        .desk(Act::of_program("test", "set-up"))
        .rotate_card_key(card.order.binding.card, &options)
        .unwrap();
    world
        .verifier
        .desk(Act::of_program("test", "set-up"))
        .activate_card(&Card::make(again.personalisation).statement())
        .unwrap();
    let bob = account(&world.verifier, "Bob", AccountKind::Current, 500);
    let mut other = world.card_of(&bob, SUITE.parse().unwrap());
    let tap = other.tap(world.payment(1));
    for _ in 0..3 {
        world.send(&tap.typed("abcdefgh"));
    }
    world.check_books();
    world
}

#[test]
fn a_checkpoint_finds_what_was_rolled_back() {
    let directory = tempfile::tempdir().unwrap();
    let world = history(directory.path());
    let (clock, ada) = (world.clock.clone(), world.ada.clone());
    let copy = directory.path().join("copy.db");
    world.verifier.backup(&copy).unwrap();
    let mut card = world.card(SUITE);
    world.send(&card.tap(world.payment(100)).request);
    let mut checkpoint = Vec::new();
    let written = world.verifier.desk(Act::of_program("test", "set-up")).checkpoint(&mut checkpoint).unwrap();
    assert_eq!(written.chains, 5, "operator, equity, three holders");
    assert_eq!(world.verifier.checkpoint_verify(&mut &checkpoint[..]).unwrap(), written);
    world.send(&card.tap(world.payment(100)).request);
    world.verifier.checkpoint_verify(&mut &checkpoint[..]).unwrap();
    drop(world);

    let older = tempfile::tempdir().unwrap();
    restore(&copy, older.path(), &Watch::default()).unwrap();
    fs::copy(directory.path().join("keys.json"), older.path().join("keys.json")).unwrap();
    let restored = Verifier::open(older.path(), environment(&clock)).unwrap();
    restored.audit_verify().unwrap();
    restored.ledger_check().unwrap();
    assert_eq!(restored.account(&ada).unwrap().balance, 99_650);
    let verified = restored.checkpoint_verify(&mut &checkpoint[..]);
    assert!(matches!(verified, Err(ServiceError::RolledBack { .. })), "{verified:?}");
}

#[test]
fn a_changed_checkpoint_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let world = history(directory.path());
    let mut checkpoint = Vec::new();
    world.verifier.desk(Act::of_program("test", "set-up")).checkpoint(&mut checkpoint).unwrap();
    let text = String::from_utf8(checkpoint).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let without_a_chain = [&lines[..1], &lines[2..]].concat().join("\n");
    let unsigned = lines[..lines.len() - 1].join("\n");
    let other_time = text.replace("\"at\":\"2026", "\"at\":\"2027");
    assert_ne!(other_time, text);
    for damaged in [without_a_chain, unsigned, other_time, String::new()] {
        let verified = world.verifier.checkpoint_verify(&mut damaged.as_bytes());
        assert!(matches!(verified, Err(ServiceError::BadCheckpoint)), "{verified:?}");
    }
    let other = World::new();
    let verified = other.verifier.checkpoint_verify(&mut text.as_bytes());
    assert!(matches!(verified, Err(ServiceError::BadCheckpoint)), "another server's");
}

#[test]
fn the_whole_log_is_exported_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let world = history(directory.path());
    let mut out = Vec::new();
    let entries = world.verifier.export_log(&mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let end = &lines.last().unwrap()["end"];
    assert_eq!(end["entries"].as_u64(), Some(entries));
    assert_eq!(usize::try_from(entries).unwrap(), world.verifier.log(None).unwrap().len());
    let chains = lines.iter().filter(|line| line.get("chain").is_some()).count();
    assert_eq!(end["chains"].as_u64(), Some(chains as u64));
    let places: Vec<(Option<i64>, i64)> = lines
        .iter()
        .filter_map(|line| line.get("entry"))
        .map(|entry| (entry["account"].as_i64(), entry["sequence"].as_i64().unwrap()))
        .collect();
    assert_eq!(places.len() + chains + 2, lines.len());
    for pair in places.windows(2) {
        assert!(
            pair[1].1 == if pair[0].0 == pair[1].0 && pair[1].1 != 1 { pair[0].1 + 1 } else { 1 },
            "{pair:?}"
        );
    }
}

/// A copy made while payments go on is of one moment: its books hold, and it has all that was acknowledged
/// before the copy began.
#[test]
fn a_backup_under_load_is_whole() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::on_disk(directory.path());
    let mut card = world.card(SUITE);
    let taps: Vec<_> = (0..60).map(|_| card.tap(world.payment(1))).collect();
    let (before, during) = taps.split_at(20);
    for tap in before {
        world.send(&tap.request);
    }
    let copy = directory.path().join("copy.db");
    std::thread::scope(|scope| {
        scope.spawn(|| during.iter().for_each(|tap| drop(world.send(&tap.request))));
        world.verifier.backup(&copy).unwrap();
    });
    assert!(world.verifier.backup(&copy).is_err(), "never over another file");
    let restored = tempfile::tempdir().unwrap();
    restore(&copy, restored.path(), &Watch::default()).unwrap();
    fs::copy(directory.path().join("keys.json"), restored.path().join("keys.json")).unwrap();
    let restored = Verifier::open(restored.path(), environment(&world.clock)).unwrap();
    restored.audit_verify().unwrap();
    restored.ledger_check().unwrap();
    let paid = 100_000 - restored.account(&world.ada).unwrap().balance;
    assert!((20..=60).contains(&paid), "{paid}");
}

#[test]
fn what_is_no_database_is_not_restored() {
    let directory = tempfile::tempdir().unwrap();
    let (copy, to) = (directory.path().join("copy.db"), directory.path().join("new"));
    fs::write(&copy, b"something else, long enough to look like a file of a database").unwrap();
    assert!(matches!(restore(&copy, &to, &Watch::default()), Err(ServiceError::Store(_))));
    assert!(!to.exists());
    drop(World::on_disk(&to));
    assert!(matches!(restore(&copy, &to, &Watch::default()), Err(ServiceError::AlreadyInitialised(_))));
}

#[test]
fn answers_are_forgotten_after_a_day_and_transactions_are_not() {
    let world = World::new();
    let mut card = world.card(SUITE);
    let tap = card.tap(world.payment(100));
    let first = world.send(&tap.request);
    assert_eq!(world.verifier.forget_answers().unwrap(), 0);
    world.clock.advance(KEEP_ANSWERS + 1);
    assert_eq!(world.verifier.forget_answers().unwrap(), 1);
    assert_eq!(world.send(&tap.request), first, "the same receipt, from the transaction itself");
    assert_eq!(world.balances(), (99_900, 100));
    world.check_books();
}

/// Asserts that a watch was told of growing parts of one whole, the last of which is at least `nearly` of it.
fn assert_growing(what: &str, told: &Mutex<Vec<(u64, u64)>>, nearly: u64) {
    let told = std::mem::take(&mut *told.lock().unwrap());
    let (last, all) = *told.last().unwrap_or_else(|| panic!("{what}: nothing was told"));
    assert!(
        told.is_sorted() && told.iter().all(|(done, total)| done <= total && *total == all),
        "{what}: {told:?}"
    );
    assert!(last >= all - nearly, "{what}: {last} of {all}");
}

#[test]
fn whoever_watches_long_work_is_told_how_far_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let World { verifier, clock, .. } = history(&at("bank"));
    for holder in 0..150 {
        account(&verifier, &format!("Holder {holder}"), AccountKind::Current, 1);
    }
    drop(verifier);
    let told = Arc::new(Mutex::new(Vec::new()));
    let telling = Arc::clone(&told);
    let watch = Watch::new(move |done, total| telling.lock().unwrap().push((done, total)));
    let verifier = Verifier::open(&at("bank"), environment(&clock)).unwrap().watched(watch.clone());
    verifier.audit_verify().unwrap();
    assert_growing("verify", &told, 100);
    verifier.export_log(&mut std::io::sink()).unwrap();
    assert_growing("export", &told, 0);
    verifier.copy_to_sqlite(&at("copied")).unwrap();
    assert_growing("copy", &told, 0);
    verifier.backup(&at("copy.db")).unwrap();
    told.lock().unwrap().clear();
    restore(&at("copy.db"), &at("restored"), &watch).unwrap();
    assert_growing("restore", &told, 0);
}
