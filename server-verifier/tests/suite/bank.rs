//! A bank in which everything has happened that the log can tell, so that each table has rows of every kind.

use std::sync::Arc;

use onetap_apdu_spec::money::Amount;
use onetap_apdu_spec::service::TransactionId;
use onetap_apdu_spec::suite::Suite;
use onetap_apdu_spec::txn::{PayeeName, Transaction, TransactionType};
use onetap_server_verifier::domain::client::{NewClient, Role};
use onetap_server_verifier::outbox::{Deliverer, DeliveryRules, Reply, Transport, Undelivered};
use onetap_server_verifier::*;

use crate::home::*;
use crate::support::*;

const SUITE: &str = "a3+sha256+aes-cbc-cmac";
const WRONG: &str = "abcdefgh";

/// A column that is NULL only in what an older version has written.
pub const OLDER_ONLY: (&str, &str) = ("audit", "actor");

/// Table, column, and values that stand somewhere in it. Rows are taken over (`taken-over`) from an older version only.
pub const KINDS: [(&str, &str, &[&str]); 9] = [
    ("accounts", "kind", &["current", "equity", "operator", "stored-value"]),
    ("accounts", "is_open", &["0", "1"]),
    ("cards", "state", &["active", "blocked", "ordered"]),
    ("cards", "mark_life", &["alive", "dead", "executed"]),
    ("clients", "role", &["admin", "auditor", "operator", "terminal"]),
    ("proposals", "state", &["approved", "open", "rejected"]),
    ("holds", "state", &["captured", "open", "released"]),
    (
        "outbox",
        "topic",
        &["account-locked", "alarm", "captured", "execute", "executed", "failed", "reversed", "settled"],
    ),
    (
        "audit",
        "event",
        &[
            "initialised",
            "announcing",
            "policy-changed",
            "key-rotated",
            "key-retired",
            "checkpointed",
            "terminal-registered",
            "terminal-withdrawn",
            "client-added",
            "client-withdrawn",
            "proposed",
            "proposal-approved",
            "proposal-rejected",
            "token-added",
            "token-expires",
            "client-linked",
            "client-unlinked",
            "webhook-key-rotated",
            "account-opened",
            "equity-opened",
            "account-closed",
            "card-ordered",
            "card-activated",
            "card-blocked",
            "executed",
            "repeated",
            "refused",
            "wrong-password",
            "cancelled",
            "cancellation-refused",
            "unlocked",
            "account-linked",
            "hold-placed",
            "hold-released",
            "hold-captured",
            "execution-settled",
            "execution-failed",
            "reversed",
            "message-requeued",
            "message-discarded",
        ],
    ),
];

/// The bank.
pub fn rich() -> Home {
    let world = Home::with(|policy| policy.danger_allow_weak_suites = true);
    desk(&world).announce(true).unwrap();
    let change = PolicyChange { window: Some(3_600), ..PolicyChange::default() };
    desk(&world).change_policy(&change).unwrap();
    let world = world.reopened();
    keys(&world);
    clients(&world);
    let paid = payments(&world);
    desk(&world).reverse(&paid[0]).unwrap();
    // From now on those answers might be forgotten.
    world.clock.advance(2 * KEEP_ANSWERS);
    cards(&world);
    locks(&world);
    holds(&world);
    elsewhere(&world);
    messages(&world);
    desk(&world).checkpoint(&mut Vec::new()).unwrap();
    world.check_books();
    world
}

fn desk(world: &World) -> Desk<'_> {
    world.verifier.desk(Act::of_program("op", "any reason"))
}

/// A newer version of a key, and one that is gone.
fn keys(world: &World) {
    desk(world).rotate_key(KeyKind::Issuer).unwrap();
    desk(world).retire_key(KeyKind::Issuer, 1).unwrap();
}

/// Clients of each role, with token, certificate and both; some of them, and a terminal, are withdrawn.
fn clients(world: &World) {
    let terminal = |name: &str| Role::terminal(name.parse().unwrap());
    desk(world).register_terminal("TERM0009".parse().unwrap()).unwrap();
    let kinds = [
        ("till", terminal("TERM0001"), None, true),
        ("gone", terminal("TERM0009"), None, true),
        ("boss", Role::Admin, Some([1; 32]), true),
        ("clerk", Role::Operator, Some([2; 32]), false),
        ("eyes", Role::Auditor, None, true),
    ];
    for (name, role, certificate, token) in kinds {
        let new = NewClient { id: name.parse().unwrap(), role, certificate, token, expires_at: None };
        desk(world).add_client(&new.make(world.verifier.now()).0).unwrap();
    }
    desk(world).register_terminal("TERM0008".parse().unwrap()).unwrap();
    let till = "till".parse().unwrap();
    desk(world).link_client(&till, &"TERM0008".parse().unwrap()).unwrap();
    desk(world).link_client(&till, &"TERM0009".parse().unwrap()).unwrap();
    desk(world).unlink_client(&till, &"TERM0008".parse().unwrap()).unwrap();
    desk(world).add_token(&till, Some(Timestamp(START + 1_000_000)), Some(60)).unwrap();
    desk(world).add_token(&till, None, None).unwrap();
    desk(world).end_token(&till, 3).unwrap();
    let asks = ByHand::PlaceHold { account: world.ada.clone(), amount: 1 };
    let [_open, rejected, approved] = [(); 3].map(|()| desk(world).propose(&asks).unwrap());
    desk(world).reject(rejected).unwrap();
    let another = world.verifier.desk(Act::of_program("another", "looked at"));
    another.approve(approved).unwrap();
    desk(world).rotate_webhook_key(60).unwrap();
    for name in ["gone", "clerk"] {
        desk(world).withdraw_client(&name.parse().unwrap()).unwrap();
    }
    desk(world).withdraw_terminal(&"TERM0009".parse().unwrap()).unwrap();
}

/// Payments under several suites, and requests that end in each other way.
fn payments(world: &World) -> Vec<TransactionId> {
    let suites = [SUITE, "a3+sha256+rsa-oaep", "b2+sha256+aes-cbc-cmac", "b1+rsa-oaep"];
    let mut paid = Vec::new();
    for suite in suites {
        let mut card = world.card(suite);
        for amount in [100, 250] {
            let tap = card.tap(world.payment(amount));
            let Outcome::Executed(receipt) = world.send(&tap.request) else {
                panic!("{suite}: not executed")
            };
            assert_eq!(world.send(&tap.request), Outcome::Executed(receipt.clone()), "repeated");
            paid.push(receipt.transaction);
        }
    }
    let mut card = world.card("b1+rsa-oaep");
    assert_eq!(world.send(&card.tap(world.payment(200_000)).request), Outcome::InsufficientFunds);
    assert_eq!(world.send(&card.tap(world.payment(1)).typed(WRONG)), Outcome::Refused);
    let cancel = |tap: Tap| world.verifier.cancel(&world.client, &tap.request.cancellation()).unwrap();
    assert_eq!(cancel(card.tap(world.payment(5))), Outcome::Cancelled);
    let other_bytes = card.sign_at(card.counter, card.order.binding.suite, world.payment(6));
    assert_eq!(cancel(other_bytes), Outcome::Refused);
    let mut alarming = card.tap(world.payment(6)).request;
    alarming.password_object.as_mut().unwrap().bytes[3] ^= 1;
    assert_eq!(world.send(&alarming), Outcome::Refused);
    let mistyped = world.card(SUITE).tap(world.payment(8)).typed(WRONG);
    assert_eq!(world.send(&mistyped), Outcome::Refused);
    paid
}

/// A card that is renewed, one that is replaced, one that is only ordered.
fn cards(world: &World) {
    let mut options = CardOptions::new(eur());
    options.suite = SUITE.parse().unwrap();
    let card = world.card(SUITE);
    let again = desk(world).rotate_card_key(card.order.binding.card, &options).unwrap();
    let mut renewed = Card::make(again.personalisation);
    desk(world).activate_card(&renewed.statement()).unwrap();
    renewed.counter = card.counter;
    world.send(&renewed.tap(world.payment(7)).request);
    let lost = world.card(SUITE);
    desk(world).replace_card(lost.order.binding.card, &options).unwrap();
}

/// An account that is locked, one that was, one that is closed.
fn locks(world: &World) {
    for unlocked in [false, true] {
        let bob = account(&world.verifier, "Bob", AccountKind::Current, 500);
        let mut card = world.card_of(&bob, SUITE.parse::<Suite>().unwrap());
        let tap = card.tap(world.payment(1));
        for _ in 0..3 {
            world.send(&tap.typed(WRONG));
        }
        if unlocked {
            desk(world).unlock(&bob).unwrap();
        }
    }
    let closed = account(&world.verifier, "Carl", AccountKind::Current, 0);
    desk(world).close_account(&closed).unwrap();
}

/// Holds in each state.
fn holds(world: &World) {
    let [captured, released, _open] =
        [600; 3].map(|amount| desk(world).place_hold(&world.ada, amount).unwrap());
    desk(world).capture_hold(captured, &world.shop, 300).unwrap();
    desk(world).release_hold(released).unwrap();
}

/// A purse that another system keeps: accepted, settled and failed.
fn elsewhere(world: &World) {
    let purse = account(&world.verifier, "Transit", AccountKind::StoredValue, 0);
    desk(world).link_account(&purse, &"transit".parse().unwrap()).unwrap();
    let mut card = world.card(SUITE);
    for verdict in [None, Some(Verdict::Settled), Some(Verdict::Failed { reason: "late".into() })] {
        let top_up = Transaction {
            kind: TransactionType::TopUp,
            payee_account: purse.clone(),
            payee_name: PayeeName::new("Transit").unwrap(),
            amount: Amount::new(700, eur()).unwrap(),
            ..world.payment(700)
        };
        let Outcome::Executed(receipt) = world.send(&card.tap(top_up).request) else {
            panic!("not accepted")
        };
        if let Some(verdict) = verdict {
            desk(world).settle(&receipt.transaction, &verdict).unwrap();
        }
    }
}

/// Who is told, if the line is up.
struct Line {
    up: bool,
}

impl Transport for Line {
    fn send(&self, _message: &Message, _now: Timestamp) -> Result<Reply, Undelivered> {
        if self.up { Ok(Reply::default()) } else { Err(Undelivered("down".into())) }
    }
}

/// Messages that wait, that were taken, that failed, that nobody took, that are sent again and that were given up.
fn messages(world: &World) {
    let send = |up, attempts, batch| {
        world.clock.advance(60);
        let rules = DeliveryRules { attempts, batch, ..DeliveryRules::default() };
        Deliverer::new(Arc::clone(&world.verifier), Line { up }, rules).round().unwrap()
    };
    assert_eq!(send(false, 1, 2).failed, 2);
    let dead = world.verifier.dead_letters(2).unwrap();
    desk(world).discard(dead[0].message).unwrap();
    desk(world).requeue(dead[1].message).unwrap();
    assert_eq!(send(false, 1, 1).failed, 1, "given up");
    assert_eq!(send(false, 9, 1).failed, 1, "to be sent again");
    assert_eq!(send(true, 9, 1).delivered, 1);
}
