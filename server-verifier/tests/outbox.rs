//! The outbox: what others are told arrives at least once, in order for each account, whatever breaks.

#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use onetap_apdu_spec::account::AccountNumber;
use onetap_apdu_spec::txn::{PayeeName, Transaction, TransactionType};
use onetap_server_verifier::outbox::*;
use onetap_server_verifier::*;
use support::*;

const SUITE: &str = "b2+sha256+aes-cbc-cmac";

/// A receiver that keeps what it takes, and answers as `answer` says.
type Answer = Box<dyn Fn(&Message) -> Result<Reply, Undelivered> + Send + Sync>;

#[derive(Clone)]
struct Receiver(Arc<(Mutex<Vec<Message>>, Mutex<Answer>)>);

impl Receiver {
    fn new() -> Self {
        Self(Arc::new((Mutex::default(), Mutex::new(Box::new(|_| Ok(Reply::default()))))))
    }
    fn answers(&self, with: impl Fn(&Message) -> Result<Reply, Undelivered> + Send + Sync + 'static) {
        *self.0.1.lock().unwrap() = Box::new(with);
    }
    fn down(&self) {
        self.answers(|_| Err(Undelivered("down".into())));
    }
    fn up(&self) {
        self.answers(|_| Ok(Reply::default()));
    }
    fn seen(&self) -> Vec<Message> {
        self.0.0.lock().unwrap().clone()
    }
}

impl Transport for Receiver {
    fn send(&self, message: &Message, _now: Timestamp) -> Result<Reply, Undelivered> {
        let answer = (self.0.1.lock().unwrap())(message);
        if answer.is_ok() {
            self.0.0.lock().unwrap().push(message.clone());
        }
        answer
    }
}

/// A world that tells of everything, in a file: the flag is read when it is opened.
fn telling(directory: &tempfile::TempDir) -> World {
    let mut world = World::on_disk(directory.path());
    assert!(world.verifier.desk(Act::of_program("test", "set-up")).announce(true).unwrap());
    assert!(!world.verifier.desk(Act::of_program("test", "set-up")).announce(true).unwrap(), "no change");
    let verifier = Verifier::open(directory.path(), environment(&world.clock)).unwrap();
    world.verifier = Arc::new(verifier);
    world
}

fn deliverer(world: &World, receiver: &Receiver) -> Deliverer<Receiver> {
    Deliverer::new(Arc::clone(&world.verifier), receiver.clone(), rules())
}

fn rules() -> DeliveryRules {
    DeliveryRules { attempts: 5, first_wait: 4, longest_wait: 60, batch: 8, lanes: 3, ..Default::default() }
}

/// Rounds until nothing is left that is due.
fn drain(deliverer: &Deliverer<Receiver>) {
    while deliverer.round().unwrap() != Round::default() {}
}

/// So many accounts pay so often.
fn pay(world: &World, accounts: usize, times: usize) -> Vec<AccountNumber> {
    (0..accounts)
        .map(|_| {
            let number = account(&world.verifier, "Ada Lovelace", AccountKind::Current, OPENING);
            let mut card = world.card_of(&number, SUITE.parse().unwrap());
            for _ in 0..times {
                assert!(matches!(world.send(&card.tap(world.payment(1)).request), Outcome::Executed(_)));
            }
            number
        })
        .collect()
}

/// Of each account, the sequences in the order of their first arrival.
fn first_arrivals(seen: &[Message]) -> BTreeMap<String, Vec<i64>> {
    let (mut ids, mut order) = (BTreeSet::new(), BTreeMap::<String, Vec<i64>>::new());
    for message in seen {
        if ids.insert(message.id.clone()) {
            order.entry(message.account.to_string()).or_default().push(message.sequence);
        }
    }
    order
}

fn assert_all_in_order(seen: &[Message], accounts: &[AccountNumber], times: usize) {
    let arrived = first_arrivals(seen);
    for number in accounts {
        let sequences = &arrived[&number.to_string()];
        assert_eq!(sequences.len(), times, "{number}");
        assert!(sequences.is_sorted(), "{number}: {sequences:?}");
    }
}

#[test]
fn without_anybody_to_tell_nothing_is_written() {
    let world = World::new();
    pay(&world, 1, 3);
    assert_eq!(world.verifier.backlog().unwrap(), Backlog { waiting: 0, dead: 0 });
}

#[test]
fn executions_and_locks_arrive_in_order_with_what_the_log_has() {
    let directory = tempfile::tempdir().unwrap();
    let (world, receiver) = (telling(&directory), Receiver::new());
    let accounts = pay(&world, 5, 4);
    let mut card = world.card(SUITE);
    let tap = card.tap(world.payment(1));
    for _ in 0..3 {
        world.send(&tap.typed("wrongpass"));
    }
    drain(&deliverer(&world, &receiver));
    let seen = receiver.seen();
    assert_eq!(seen.len(), 21);
    assert_all_in_order(&seen, &accounts, 4);
    let locked = seen.iter().find(|message| message.topic == Topic::AccountLocked).unwrap();
    assert_eq!(locked.account, world.ada);
    for message in &seen {
        let log = world.verifier.log_page(Some(&message.account), message.sequence - 1, 1).unwrap();
        assert_eq!(log[0].event, message.event);
        assert!(message.id.starts_with(&world.verifier.server_id().to_string()));
    }
    assert_eq!(world.verifier.backlog().unwrap().waiting, 0);
}

#[test]
fn a_receiver_that_is_down_for_a_while_gets_everything_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let (world, receiver) = (telling(&directory), Receiver::new());
    let deliverer = deliverer(&world, &receiver);
    receiver.down();
    let accounts = pay(&world, 4, 3);
    assert_eq!(deliverer.round().unwrap(), Round { delivered: 0, failed: 4 });
    assert_eq!(deliverer.round().unwrap(), Round::default(), "not before the wait is over");
    world.clock.advance(4);
    assert_eq!(deliverer.round().unwrap().failed, 4);
    receiver.up();
    assert_eq!(deliverer.round().unwrap(), Round::default(), "the wait is longer now");
    world.clock.advance(8);
    drain(&deliverer);
    assert_all_in_order(&receiver.seen(), &accounts, 3);
    assert_eq!(receiver.seen().len(), 12, "each once");
}

/// The process dies after the receiver has it and before that is written down.
#[test]
fn a_crash_between_delivery_and_mark_sends_the_same_again() {
    let directory = tempfile::tempdir().unwrap();
    let (world, receiver) = (telling(&directory), Receiver::new());
    let accounts = pay(&world, 1, 2);
    let first = Deliverer::new(Arc::clone(&world.verifier), Dying(receiver.clone()), rules());
    assert_eq!(first.round().unwrap(), Round::default(), "nothing is known of it");
    let next = deliverer(&world, &receiver);
    assert_eq!(next.round().unwrap(), Round::default(), "the lease of the dead one still runs");
    world.clock.advance(1_000);
    drain(&next);
    let seen = receiver.seen();
    assert_eq!(seen.len(), 3);
    assert_eq!(seen[0], seen[1], "the same to the byte");
    assert_all_in_order(&seen, &accounts, 2);
}

/// Takes a message, then panics.
struct Dying(Receiver);

impl Transport for Dying {
    fn send(&self, message: &Message, _now: Timestamp) -> Result<Reply, Undelivered> {
        self.0.0.0.lock().unwrap().push(message.clone());
        panic!("the process dies here");
    }
}

#[test]
fn two_processes_lose_nothing_and_duplicates_carry_the_same_id() {
    let directory = tempfile::tempdir().unwrap();
    let world = telling(&directory);
    let other = Verifier::open(directory.path(), environment(&world.clock)).unwrap();
    two_deliverers(&world, other);
}

#[cfg(feature = "postgres")]
#[test]
fn two_processes_on_postgresql_lose_nothing_and_duplicates_carry_the_same_id() {
    let cluster = onetap_postgres_rig::Cluster::shared().unwrap();
    let url = cluster.url(&cluster.database(None).unwrap());
    let (directory, clock) = (tempfile::tempdir().unwrap(), TestClock::new());
    let roles = Roles { owner: Some("keeper".to_owned()), service: Some("clerk".to_owned()) };
    let options = InitOptions { roles, ..options(|_| ()) };
    let made = Verifier::init_postgres(directory.path(), &url, options, environment(&clock)).unwrap();
    let mut world = World::around(made, clock);
    world.verifier.desk(Act::of_program("test", "set-up")).announce(true).unwrap();
    let open = || Verifier::open(directory.path(), environment(&world.clock)).unwrap();
    let (one, two) = (open(), open());
    world.verifier = Arc::new(one);
    two_deliverers(&world, two);
}

fn two_deliverers(world: &World, other: Verifier) {
    let receiver = Receiver::new();
    let accounts = pay(world, 12, 3);
    // Every fourth attempt fails after the receiver took it: a lost answer.
    let count = AtomicUsize::new(0);
    let kept = receiver.clone();
    receiver.answers(move |message| {
        if count.fetch_add(1, Ordering::SeqCst) % 4 == 3 {
            kept.0.0.lock().unwrap().push(message.clone());
            return Err(Undelivered("the answer was lost".into()));
        }
        Ok(Reply::default())
    });
    let deliverers =
        [deliverer(world, &receiver), Deliverer::new(Arc::new(other), receiver.clone(), rules())];
    std::thread::scope(|scope| {
        for deliverer in &deliverers {
            scope.spawn(|| {
                while world.verifier.backlog().unwrap().waiting > 0 {
                    deliverer.round().unwrap();
                    world.clock.advance(1);
                }
            });
        }
    });
    let seen = receiver.seen();
    assert!(seen.len() > 36, "some came twice");
    assert_all_in_order(&seen, &accounts, 3);
    for message in &seen {
        assert!(seen.iter().filter(|copy| copy.id == message.id).all(|copy| copy == message));
    }
}

#[test]
fn a_dead_letter_holds_back_its_account_only_until_the_operator_acts() {
    let directory = tempfile::tempdir().unwrap();
    let (world, receiver) = (telling(&directory), Receiver::new());
    let deliverer = deliverer(&world, &receiver);
    let accounts = pay(&world, 2, 2);
    let bad = accounts[0].clone();
    receiver.answers(move |message| {
        if message.account == bad { Err(Undelivered("422".into())) } else { Ok(Reply::default()) }
    });
    for _ in 0..5 {
        drain(&deliverer);
        world.clock.advance(60);
    }
    let dead = world.verifier.dead_letters(10).unwrap();
    let [letter] = &dead[..] else { panic!("{dead:?}") };
    assert_eq!((letter.attempts, letter.failure.as_str(), &letter.account), (5, "422", &accounts[0]));
    assert_eq!(world.verifier.backlog().unwrap(), Backlog { waiting: 2, dead: 1 });
    receiver.up();
    world.clock.advance(100_000);
    drain(&deliverer);
    assert_all_in_order(&receiver.seen(), &accounts[1..], 2);
    assert!(world.verifier.desk(Act::of_program("op", "r")).discard("9-9".parse().unwrap()).is_err());
    world.verifier.desk(Act::of_program("op", "the receiver is mended")).requeue(letter.message).unwrap();
    assert!(world.verifier.desk(Act::of_program("op", "twice")).requeue(letter.message).is_err());
    drain(&deliverer);
    assert_all_in_order(&receiver.seen(), &accounts, 2);
    let log = world.verifier.log_page(None, 0, 100).unwrap();
    assert!(matches!(log.last().unwrap().event, Event::MessageRequeued { .. }));
    world.check_books();
}

#[test]
fn a_discarded_message_lets_the_rest_through() {
    let directory = tempfile::tempdir().unwrap();
    let (world, receiver) = (telling(&directory), Receiver::new());
    let deliverer = deliverer(&world, &receiver);
    let accounts = pay(&world, 1, 3);
    receiver.down();
    for _ in 0..5 {
        drain(&deliverer);
        world.clock.advance(60);
    }
    receiver.up();
    let letter = world.verifier.dead_letters(10).unwrap().remove(0);
    world.verifier.desk(Act::of_program("op", "known already")).discard(letter.message).unwrap();
    drain(&deliverer);
    assert_all_in_order(&receiver.seen(), &accounts, 2);
}

/// The other system answers at once, later, or with a refusal (P-26); asking it needs no core-banking webhook.
#[test]
fn p_26_the_other_systems_answer_settles_or_fails_what_it_was_asked_to_book() {
    let world = World::new();
    let purse = account(&world.verifier, "Purse", AccountKind::StoredValue, 0);
    world
        .verifier
        .desk(Act::of_program("op", "r"))
        .link_account(&purse, &"transit".parse().unwrap())
        .unwrap();
    let (receiver, mut card) = (Receiver::new(), world.card(SUITE));
    let deliverer = deliverer(&world, &receiver);
    let mut ask = |verdict: Option<Verdict>| {
        let top_up = Transaction {
            kind: TransactionType::TopUp,
            payee_account: purse.clone(),
            payee_name: PayeeName::new("Purse").unwrap(),
            ..world.payment(100)
        };
        let Outcome::Executed(receipt) = world.send(&card.tap(top_up).request) else { panic!("refused") };
        receiver.answers(move |_| Ok(Reply { verdict: verdict.clone() }));
        drain(&deliverer);
        (world.verifier.settlement(&receipt.transaction).unwrap(), receipt.transaction)
    };
    let held = || world.verifier.account(&world.ada).unwrap().held;
    assert!(matches!(ask(Some(Verdict::Settled)).0, Settlement::Settled { .. }));
    assert!(matches!(ask(Some(Verdict::Failed { reason: "full".into() })).0, Settlement::Failed { .. }));
    assert_eq!(held(), 0);
    let (state, transaction) = ask(None);
    assert!(matches!(state, Settlement::Accepted { .. }));
    assert_eq!(held(), 100);
    world.verifier.desk(Act::of_program("test", "set-up")).settle(&transaction, &Verdict::Settled).unwrap();
    assert_eq!((held(), world.balances().0), (0, 99_800));
    assert!(receiver.seen().iter().all(|message| message.topic == Topic::Execute));
    world.check_books();
}
