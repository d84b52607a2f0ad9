//! Cards in files: made once, opened again, told apart from what is no card.

use std::path::PathBuf;

use onetap_apdu_spec::command::CardState;
use onetap_apdu_spec::gp::KeySet;
use onetap_apdu_spec::gp::ceremony::{self, CeremonyError, Issue, Issuer};
use onetap_apdu_spec::gp::scp03::HandshakeError;
use onetap_apdu_spec::gp::scp03::SecurityLevel;
use onetap_applet::card::{Millis, VirtualClock};
use onetap_applet::nvm::{ImageFile, ImageOptions, MemoryImage, Nvm, ObjectId};
use onetap_applet::{Card, CardError, Key};
use tempfile::TempDir;

use crate::rig::{CARD_KEY, PIN, Rig, START, Seeded, crypto, environment, order};

fn path() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.card");
    (folder, path)
}

fn create(path: &std::path::Path) -> ImageFile {
    ImageFile::create(path, ImageOptions::default()).unwrap()
}

fn open(path: &std::path::Path) -> ImageFile {
    ImageFile::open(path, ImageOptions::default()).unwrap()
}

#[test]
fn a_card_lives_in_a_file_and_is_made_once() {
    let (_folder, path) = path();
    let clock = VirtualClock::at(START);
    let make = |image: ImageFile| {
        let order = order(onetap_apdu_spec::suite::Suite::default());
        Card::personalise_with_key(
            order,
            PIN.parse().unwrap(),
            CARD_KEY,
            Box::new(image),
            environment(&clock),
        )
    };
    drop(make(create(&path)).unwrap());
    Card::open(Box::new(open(&path)), environment(&clock)).unwrap();
    let why = make(open(&path)).map(drop).unwrap_err();
    assert!(why.to_string().contains("already holds a card"));
    let (_folder, empty) = self::path();
    let why = Card::open(Box::new(create(&empty)), environment(&clock)).map(drop).unwrap_err();
    assert!(matches!(why, CardError::Nvm(_)) && why.to_string().contains("make one"), "{why}");
}

/// Cards that were made when their format was new, stored for ever; see the README beside them.
#[test]
fn images_of_every_format_load_and_become_ones_of_today() {
    let stored = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/images");
    let names = [
        ("v1/idle", CardState::Idle),
        ("v1/showing", CardState::Showing),
        ("v2/idle", CardState::Idle),
        ("v2/showing", CardState::Showing),
        ("v2/p-256", CardState::Showing),
    ];
    for (name, state) in names {
        let (_folder, path) = path();
        std::fs::copy(stored.join(name).with_extension("card"), &path).unwrap();
        let clock = VirtualClock::at(Millis(1_003_000));
        for _ in 0..2 {
            let card = Card::open_file(&path, ImageOptions::default(), environment(&clock)).unwrap();
            let mut rig = Rig::around(card, &clock);
            assert_eq!(rig.card.state(), state, "{name}");
            assert_eq!(
                rig.card.screen().lines().iter().any(|line| line == "4.20 EUR"),
                state == CardState::Showing
            );
        }
        let card = Card::open_file(&path, ImageOptions::default(), environment(&clock)).unwrap();
        let mut rig = Rig::around(card, &clock);
        if state == CardState::Showing {
            rig.read();
            rig.card.press(Key::Confirm).unwrap();
            assert_eq!(rig.card.state(), CardState::Revealed);
        }
        // One card had signed twice, the other never.
        let used = if state == CardState::Showing { 2 } else { 1 };
        rig.enter();
        rig.select();
        assert_eq!(rig.alias(), rig.keys.alias(crypto(), used + 1).as_str(), "{name}: C goes on");
        // The PIN is as it was, and a wrong one takes a try.
        rig.card.leave_field();
        rig.tap("60.00");
        rig.read();
        rig.type_pin("1111");
        assert!(rig.card.press(Key::Confirm).is_err());
        rig.type_pin(PIN);
        rig.card.press(Key::Confirm).unwrap();
        assert_eq!(rig.card.state(), CardState::Revealed, "{name}");
    }
}

/// Memory that was made and never became a card, as a power cut in `card new` leaves it.
#[test]
fn a_card_that_was_never_finished_says_what_to_do() {
    let clock = VirtualClock::at(START);
    let memory = MemoryImage::default();
    let mut nvm = Nvm::format(Box::new(memory.clone())).unwrap();
    let unfinished = || Card::open(Box::new(memory.copy()), environment(&clock)).map(drop).unwrap_err();
    let why = unfinished();
    assert!(matches!(why, CardError::Unfinished) && why.to_string().contains("card new"), "{why}");
    // A registry without an applet in it.
    let empty_list = [0];
    nvm.commit(&[
        (ObjectId { owner: 0, number: 0 }, Some(&empty_list)),
        (ObjectId { owner: 0, number: 1 }, Some(&[0])),
    ])
    .unwrap();
    assert!(matches!(unfinished(), CardError::Unfinished));
}

/// A card whose making was cut short after its key was made still has the keys that everybody knows.
#[test]
fn attack_use_a_card_that_was_never_finished() {
    let clock = VirtualClock::at(START);
    let (_folder, path) = path();
    drop(Card::manufacture(Box::new(create(&path)), environment(&clock)).unwrap());
    let open = || Card::open_file(&path, ImageOptions::default(), environment(&clock));
    let mut blank = open().expect("a blank card has nothing to lose");
    blank.enter_field();
    blank.power_on();
    let (order, pin) = (order(onetap_apdu_spec::suite::Suite::default()), PIN.parse().unwrap());
    let issue =
        Issue { keys: &KeySet::TEST, level: SecurityLevel::Full, order: &order, pin: &pin, new_keys: None };
    let mut transmit = |apdu: &[u8]| Ok::<_, std::convert::Infallible>(blank.transmit(apdu));
    ceremony::personalise(crypto(), &issue, &mut Seeded(7), &mut transmit).unwrap();
    drop(blank);
    let why = open().map(drop).unwrap_err();
    assert!(matches!(why, CardError::Unfinished), "{why}");
}

/// A card made of an image of format 1 had no issuer's keys: it gets ones that nobody knows, not those that
/// everybody does.
#[test]
fn attack_manage_a_converted_card_with_the_well_known_keys() {
    let stored = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/images/v1/idle.card");
    let (_folder, path) = path();
    std::fs::copy(stored, &path).unwrap();
    let clock = VirtualClock::at(Millis(1_003_000));
    let mut card = Card::open_file(&path, ImageOptions::default(), environment(&clock)).unwrap();
    card.enter_field();
    card.power_on();
    let mut transmit = |apdu: &[u8]| Ok::<_, std::convert::Infallible>(card.transmit(apdu));
    let opened = Issuer::open(crypto(), &KeySet::TEST, SecurityLevel::Full, &mut Seeded(7), &mut transmit);
    assert!(matches!(opened.map(drop), Err(CeremonyError::Handshake(HandshakeError::OtherKeyVersion(0x30)))));
}
