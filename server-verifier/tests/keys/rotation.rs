//! Rotation with overlap: old cards pay on, new cards get the new version, a retired one is gone.

use onetap_server_verifier::*;

use crate::support::*;

const RSA: &str = "a3+sha256+rsa-oaep";
const AES: &str = "a3+sha256+aes-cbc-cmac";

fn pays(world: &World, card: &mut Card) -> bool {
    let tap = card.tap(world.payment(100));
    matches!(world.send(&tap.request), Outcome::Executed(_))
}

#[test]
fn old_cards_pay_on_and_new_cards_get_the_new_version() {
    let world = World::new();
    let mut old = [world.card(RSA), world.card(AES)];
    assert_eq!(
        world.verifier.desk(Act::of_program("test", "set-up")).rotate_key(KeyKind::Server).unwrap(),
        2
    );
    assert_eq!(
        world.verifier.desk(Act::of_program("test", "set-up")).rotate_key(KeyKind::Issuer).unwrap(),
        2
    );
    let mut new = [world.card(RSA), world.card(AES)];
    let versions = |card: &Card| (card.order.binding.server_key, card.order.binding.issuer_key);
    assert_eq!(old.each_ref().map(versions), [(1, 1), (0, 1)]);
    assert_eq!(new.each_ref().map(versions), [(2, 2), (0, 2)]);
    assert_ne!(old[0].order.server_public_key, new[0].order.server_public_key);
    for card in old.iter_mut().chain(&mut new) {
        assert!(pays(&world, card), "{:?}", versions(card));
    }
    world.check_books();
}

#[test]
fn a_version_is_retired_only_when_no_card_needs_it_and_then_refuses() {
    let world = World::new();
    let mut card = world.card(RSA);
    let before = card.tap(world.payment(100));
    let newest =
        world.verifier.desk(Act::of_program("test", "set-up")).retire_key(KeyKind::Server, 1).unwrap_err();
    assert!(matches!(newest, ServiceError::Keys(KeyFileError::InUse { cards: 1, .. })), "{newest}");
    for kind in [KeyKind::Server, KeyKind::Issuer] {
        world.verifier.desk(Act::of_program("test", "set-up")).rotate_key(kind).unwrap();
        let error = world.verifier.desk(Act::of_program("test", "set-up")).retire_key(kind, 1).unwrap_err();
        assert!(matches!(error, ServiceError::Keys(KeyFileError::InUse { cards: 1, .. })), "{error}");
        let error = world.verifier.desk(Act::of_program("test", "set-up")).retire_key(kind, 2).unwrap_err();
        assert!(matches!(error, ServiceError::Keys(KeyFileError::Newest { .. })), "{error}");
        let error = world.verifier.desk(Act::of_program("test", "set-up")).retire_key(kind, 9).unwrap_err();
        assert!(matches!(error, ServiceError::Keys(KeyFileError::NoSuchKey { .. })), "{error}");
    }
    assert!(pays(&world, &mut card), "nothing of this has changed anything for the card");
    world.verifier.desk(Act::of_program("op", "replaced")).block_card(card.order.binding.card).unwrap();
    for kind in [KeyKind::Server, KeyKind::Issuer] {
        world.verifier.desk(Act::of_program("test", "set-up")).retire_key(kind, 1).unwrap();
    }
    assert_eq!(world.send(&before.request), Outcome::Refused);
    assert!(!pays(&world, &mut card));
    assert!(pays(&world, &mut world.card(RSA)));
}

#[test]
fn a_card_that_is_ordered_only_holds_its_versions() {
    let world = World::new();
    let mut options = CardOptions::new(eur());
    options.suite = RSA.parse().unwrap();
    let order =
        world.verifier.desk(Act::of_program("test", "set-up")).order_card(&world.ada, &options).unwrap();
    world.verifier.desk(Act::of_program("test", "set-up")).rotate_key(KeyKind::Server).unwrap();
    assert!(world.verifier.desk(Act::of_program("test", "set-up")).retire_key(KeyKind::Server, 1).is_err());
    let mut card = Card::make(order.personalisation);
    world.verifier.desk(Act::of_program("test", "set-up")).activate_card(&card.statement()).unwrap();
    assert!(pays(&world, &mut card));
}

/// A card that is personalised again moves to the newest keys; what it had before is needed until the overlap
/// is over.
#[test]
fn rotating_a_cards_key_moves_it_to_the_newest_version() {
    let world = World::new();
    let mut old = world.card(RSA);
    let card = old.order.binding.card;
    for kind in [KeyKind::Server, KeyKind::Issuer] {
        world.verifier.desk(Act::of_program("test", "set-up")).rotate_key(kind).unwrap();
    }
    let mut options = CardOptions::new(eur());
    options.suite = RSA.parse().unwrap();
    let order = world
        .verifier
        .desk(Act::of_program("test", "set-up"))
        .rotate_card_key(card, &options)
        .unwrap()
        .personalisation;
    let versions = (order.binding.signing_key, order.binding.server_key, order.binding.issuer_key);
    assert_eq!(versions, (2, 2, 2));
    let mut new = Card::make(order);
    new.counter = 10;
    world.verifier.desk(Act::of_program("test", "set-up")).activate_card(&new.statement()).unwrap();
    assert!(pays(&world, &mut old) && pays(&world, &mut new));
    for kind in [KeyKind::Server, KeyKind::Issuer] {
        let error = world.verifier.desk(Act::of_program("test", "set-up")).retire_key(kind, 1).unwrap_err();
        assert!(matches!(error, ServiceError::Keys(KeyFileError::InUse { cards: 1, .. })), "{error}");
    }
    world.clock.advance(world.verifier.policy().key_overlap);
    for kind in [KeyKind::Server, KeyKind::Issuer] {
        world.verifier.desk(Act::of_program("test", "set-up")).retire_key(kind, 1).unwrap();
    }
    old.counter = 20;
    assert!(!pays(&world, &mut old));
    new.counter = 30;
    assert!(pays(&world, &mut new));
    world.check_books();
}

#[test]
fn rotation_and_retirement_are_in_the_log() {
    let world = World::new();
    world.verifier.desk(Act::of_program("test", "set-up")).rotate_key(KeyKind::Server).unwrap();
    world.verifier.desk(Act::of_program("test", "set-up")).retire_key(KeyKind::Server, 1).unwrap();
    let log = world.verifier.log(None).unwrap();
    for event in [
        Event::KeyRotated { key: KeyKind::Server, version: 2 },
        Event::KeyRetired { key: KeyKind::Server, version: 1 },
    ] {
        assert_eq!(log.iter().filter(|entry| entry.event == event).count(), 1, "{event:?}");
    }
}

#[test]
fn another_process_learns_of_the_new_version_from_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::on_disk(directory.path());
    let other = Verifier::open(directory.path(), environment(&world.clock)).unwrap();
    let mut old = world.card(RSA);
    other.desk(Act::of_program("test", "set-up")).rotate_key(KeyKind::Server).unwrap();
    other.desk(Act::of_program("test", "set-up")).rotate_key(KeyKind::Issuer).unwrap();
    // Ordered there, paid here; then ordered here.
    let mut options = CardOptions::new(eur());
    options.suite = RSA.parse().unwrap();
    let mut card = Card::make(
        other
            .desk(Act::of_program("test", "set-up"))
            .order_card(&world.ada, &options)
            .unwrap()
            .personalisation,
    );
    other.desk(Act::of_program("test", "set-up")).activate_card(&card.statement()).unwrap();
    assert_eq!(card.order.binding.server_key, 2);
    assert!(pays(&world, &mut card));
    assert!(pays(&world, &mut old));
    assert_eq!(world.card(RSA).order.binding.issuer_key, 2);
}

#[test]
fn the_issuers_channel_follows_the_version_of_the_card() {
    let world = World::new();
    let options = CardOptions::new(eur());
    let first =
        world.verifier.desk(Act::of_program("test", "set-up")).order_card(&world.ada, &options).unwrap();
    world.verifier.desk(Act::of_program("test", "set-up")).rotate_key(KeyKind::Issuer).unwrap();
    let second =
        world.verifier.desk(Act::of_program("test", "set-up")).order_card(&world.ada, &options).unwrap();
    let raw = |keys: &onetap_apdu_spec::gp::KeySet| keys.keys().map(|key| key.expose().to_vec());
    for order in [first, second] {
        let card = order.personalisation.binding.card;
        let again = world.verifier.management_keys(card).unwrap();
        assert_eq!(raw(&again), raw(&order.management.unwrap()));
    }
}
