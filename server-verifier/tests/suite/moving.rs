//! An account that moves from one shard to another.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use onetap_apdu_spec::service::AuthorisationRequest;
use onetap_apdu_spec::txn::{PayeeName, Transaction};
use onetap_server_verifier::*;
use proptest::prelude::*;

use crate::home::{Home, STORE};
use crate::support::*;

const SUITE: &str = "a3+sha256+aes-cbc-cmac";

/// Two shards of one bank, each with a shop, and Ada, who has opened her account in the first one.
struct Shards {
    first: Home,
    second: Home,
}

impl Shards {
    fn new() -> Self {
        let first = Home::new();
        let second = first.shard(1);
        Self { first, second }
    }

    fn carry(&self) -> Result<Moved, ServiceError> {
        carry(&self.first, &self.second, &self.first)
    }

    /// That logs, rows and sums hold in both, and that what one has of the other is what the other lacks.
    fn check(&self) {
        self.first.check_books();
        self.second.check_books();
        assert_eq!(settling(&self.first, 1) + settling(&self.second, 0), 0);
    }
}

/// Moves Ada of `world` from one shard to another.
fn carry(from: &World, to: &World, world: &World) -> Result<Moved, ServiceError> {
    from.verifier.desk(Act::of_program("op", "load")).move_account(&world.ada, &to.verifier)
}

/// What the other shard owes this one.
fn settling(home: &Home, other: u16) -> i64 {
    let sql = format!(
        "SELECT CAST(coalesce(sum(balance), 0) AS TEXT) FROM accounts WHERE system = 'shard-{other}'"
    );
    home.intruder().all(&sql)[0][0].parse().unwrap()
}

/// Asks a shard with a client of its own.
fn ask(shard: &World, key: &str, request: &AuthorisationRequest) -> Result<Outcome, ServiceError> {
    shard.verifier.authorise(&shard.client, key, request)
}

fn executed(outcome: Result<Outcome, ServiceError>) -> Receipt {
    match outcome {
        Ok(Outcome::Executed(receipt)) => receipt,
        other => panic!("{other:?}"),
    }
}

/// Whether the shard says that the account is at home elsewhere.
fn has_moved<T>(outcome: Result<T, ServiceError>) -> bool {
    outcome.is_err_and(|error| matches!(error, ServiceError::Store(StoreError::AccountMoved)))
}

/// A payment to the shop of this shard, dated now.
fn to_shop_of(shard: &World, minor: u64) -> Transaction {
    shard.payment(minor)
}

#[test]
fn an_account_moves_with_all_that_it_has() {
    let shards = Shards::new();
    let Shards { first, second } = &shards;
    let desk = || first.verifier.desk(Act::of_program("op", "r"));
    desk().announce(true).unwrap();
    let (mut card, mut second_card) = (first.card(SUITE), first.card(SUITE));
    let paid = card.tap(first.payment(100));
    let receipt = executed(ask(first, "paid", &paid.request));
    let guessed = card.tap(first.payment(1)).typed("abcdefgh");
    assert_eq!(ask(first, "guessed", &guessed).unwrap(), Outcome::Refused);
    let cancelled = second_card.tap(first.payment(9)).request;
    assert_eq!(first.verifier.cancel(&first.client, &cancelled.cancellation()).unwrap(), Outcome::Cancelled);
    let holds: Vec<_> = (0..3).map(|_| desk().place_hold(&first.ada, 70).unwrap()).collect();
    desk().release_hold(holds[0]).unwrap();
    desk().capture_hold(holds[1], &first.shop, 30).unwrap();
    let bob = account(&first.verifier, "Bob", AccountKind::Current, 500);
    let mut bobs = first.card_of(&bob, SUITE.parse().unwrap());
    let to_ada = |minor| Transaction {
        payee_account: first.ada.clone(),
        payee_name: PayeeName::new("Ada Lovelace").unwrap(),
        ..first.payment(minor)
    };
    executed(ask(first, "bob", &bobs.tap(to_ada(11)).request));
    let before = first.verifier.account(&first.ada).unwrap();
    assert_eq!((before.balance, before.held, before.wrong_in_a_row), (99_881, 70, 1));
    let (log, waiting) =
        (first.verifier.log(Some(&first.ada)).unwrap(), first.verifier.messages(None, 9).unwrap());

    let moved = shards.carry().unwrap();
    assert_eq!((moved.entries, moved.amount), (log.len() as u64 + 1, 99_881));
    shards.check();
    let after = second.verifier.account(&first.ada).unwrap();
    assert_eq!(after, before);
    assert_eq!(second.verifier.log(Some(&first.ada)).unwrap()[..log.len()], log);
    let open = second.verifier.holds(&first.ada, None, 9).unwrap();
    assert_eq!(open.iter().map(|hold| (hold.hold, hold.amount)).collect::<Vec<_>>(), [(holds[2], 70)]);
    let came = second.verifier.messages(None, 9).unwrap();
    let names = |messages: &[MessageView]| messages.iter().map(|m| (m.message, m.topic)).collect::<Vec<_>>();
    assert!(!waiting.is_empty());
    assert_eq!(names(&came), names(&waiting));
    assert_eq!(first.verifier.backlog().unwrap().waiting, 0);

    // It answers as before, and goes on.
    assert_eq!(executed(ask(second, "paid", &paid.request)), receipt);
    assert_eq!(ask(second, "guessed", &guessed).unwrap(), Outcome::Refused);
    assert_eq!(ask(second, "paid", &guessed).unwrap(), Outcome::Conflict);
    assert_eq!(ask(second, "late", &cancelled).unwrap(), Outcome::Refused);
    assert_eq!(second.verifier.transaction(&receipt.transaction).unwrap().receipt, receipt);
    executed(ask(second, "next", &card.tap(to_shop_of(second, 40)).request));
    executed(ask(second, "other", &second_card.tap(to_shop_of(second, 1)).request));
    second.verifier.desk(Act::of_program("op", "r")).capture_hold(holds[2], &second.shop, 60).unwrap();
    let reversed = second.verifier.desk(Act::of_program("op", "r")).reverse(&receipt.transaction);
    assert!(matches!(reversed, Err(ServiceError::Ledger(LedgerError::BookedElsewhere))), "{reversed:?}");
    assert_eq!(second.verifier.account(&first.ada).unwrap().balance, 99_881 - 101);
    shards.check();
}

#[test]
fn where_an_account_was_nothing_is_decided_any_more_and_what_it_is_paid_follows_it() {
    let shards = Shards::new();
    let Shards { first, second } = &shards;
    let desk = || first.verifier.desk(Act::of_program("op", "r"));
    let mut card = first.card(SUITE);
    let receipt = executed(ask(first, "paid", &card.tap(first.payment(100)).request));
    let hold = desk().place_hold(&first.ada, 70).unwrap();
    shards.carry().unwrap();
    let tap = card.tap(first.payment(5)).request;
    assert!(has_moved(ask(first, "late", &tap)));
    assert!(has_moved(first.verifier.cancel(&first.client, &tap.cancellation())));
    assert!(has_moved(desk().unlock(&first.ada)));
    assert!(has_moved(desk().close_account(&first.ada)));
    assert!(has_moved(desk().block_card(card.order.binding.card)));
    assert!(has_moved(desk().order_card(&first.ada, &CardOptions::new(eur()))));
    assert!(has_moved(desk().place_hold(&first.ada, 1)));
    assert!(desk().release_hold(hold).is_err() && desk().capture_hold(hold, &first.shop, 1).is_err());
    assert_eq!(first.verifier.account(&first.ada).unwrap().locked.unwrap().cause, LockCause::Moved);
    assert_eq!(first.verifier.locked_count().unwrap(), 0, "nobody has to unlock it");

    // Bob pays her where he is; the shop gives back what was reversed there. Both follow.
    let bob = account(&first.verifier, "Bob", AccountKind::Current, 500);
    let mut bobs = first.card_of(&bob, SUITE.parse().unwrap());
    let to_ada = Transaction {
        payee_account: first.ada.clone(),
        payee_name: PayeeName::new("Ada Lovelace").unwrap(),
        ..first.payment(11)
    };
    executed(ask(first, "bob", &bobs.tap(to_ada).request));
    desk().reverse(&receipt.transaction).unwrap();
    assert!(matches!(
        desk().reverse(&receipt.transaction),
        Err(ServiceError::Ledger(LedgerError::AlreadyReversed))
    ));
    shards.check();
    assert_eq!(first.verifier.account(&first.ada).unwrap().balance, 111);
    let moved = shards.carry().unwrap();
    assert_eq!((moved.entries, moved.amount), (0, 111));
    let again = shards.carry().unwrap();
    assert_eq!((again.entries, again.amount), (0, 0));
    assert_eq!(first.verifier.account(&first.ada).unwrap().balance, 0);
    assert_eq!(second.verifier.account(&first.ada).unwrap().balance, 100_011);
    shards.check();
    executed(ask(second, "late", &tap_to(second, &mut card, 100_011 - 70)));
    shards.check();
}

fn tap_to(shard: &World, card: &mut Card, minor: u64) -> AuthorisationRequest {
    card.tap(to_shop_of(shard, minor)).request
}

#[test]
fn an_account_comes_back_and_goes_on_to_a_third_shard() {
    let shards = Shards::new();
    let Shards { first, second } = &shards;
    let third = first.shard(8_191);
    let mut card = first.card(SUITE);
    executed(ask(first, "one", &tap_to(first, &mut card, 100)));
    let hold = first.verifier.desk(Act::of_program("op", "r")).place_hold(&first.ada, 70).unwrap();
    shards.carry().unwrap();
    executed(ask(second, "two", &tap_to(second, &mut card, 200)));
    let mut other = second.card_of(&first.ada, SUITE.parse().unwrap());
    carry(second, first, first).unwrap();
    assert!(has_moved(ask(second, "three", &tap_to(second, &mut card, 1))));
    executed(ask(first, "three", &tap_to(first, &mut card, 400)));
    executed(ask(first, "four", &tap_to(first, &mut other, 800)));
    first.verifier.desk(Act::of_program("op", "r")).capture_hold(hold, &first.shop, 70).unwrap();
    assert_eq!(first.verifier.account(&first.ada).unwrap().balance, 98_430);
    shards.check();
    let moved = carry(first, &third, first).unwrap();
    assert_eq!(moved.amount, 98_430);
    executed(ask(&third, "five", &tap_to(&third, &mut card, 98_430)));
    // From where it was before it cannot be carried anywhere else.
    let error = carry(first, second, first).unwrap_err().to_string();
    assert!(error.contains("shard-8191 before"), "{error}");
    first.check_books();
    second.check_books();
    third.check_books();
    assert_eq!(third.verifier.account(&first.ada).unwrap().balance, 0);
}

#[test]
fn what_cannot_move_stays_as_it_was() {
    let shards = Shards::new();
    let Shards { first, second } = &shards;
    let mut card = first.card(SUITE);
    executed(ask(first, "paid", &tap_to(first, &mut card, 100)));
    let refused = |result: Result<Moved, ServiceError>, words: &str| {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
        assert!(first.verifier.account(&first.ada).unwrap().locked.is_none());
        shards.check();
    };
    refused(carry(first, &Home::new(), first), "another bank's");
    refused(carry(first, &first.shard(0), first), "are both shard-0");
    refused(carry(first, second, second), "no such account");
    let desk = first.verifier.desk(Act::of_program("op", ""));
    refused(desk.move_account(&first.ada, &second.verifier), "reason");
    // A stand-in that was opened by hand has the number.
    let holder = PayeeName::new("Ada Lovelace").unwrap();
    let stand_in = AccountOptions {
        holder,
        currency: eur(),
        kind: AccountKind::Current,
        opening_balance: 0,
        number: Some(first.ada.clone()),
    };
    let third = first.shard(2);
    third.verifier.desk(Act::of_program("op", "r")).open_account(&stand_in).unwrap();
    refused(carry(first, &third, first), "has an account with this number");
    // Its terminal asks another shard under a key of its own account's.
    let mut there = second.card(SUITE);
    executed(ask(second, "paid", &tap_to(second, &mut there, 100)));
    refused(shards.carry(), "idempotency key");
    // A key of the server that one shard has and the other not.
    let fourth = first.shard(4);
    first.verifier.desk(Act::of_program("op", "r")).rotate_key(KeyKind::Issuer).unwrap();
    let mut newer = first.card(SUITE);
    refused(carry(first, &fourth, first), "lacks a key");
    executed(ask(first, "again", &tap_to(first, &mut card, 1)));
    executed(ask(first, "newer", &tap_to(first, &mut newer, 1)));
}

#[test]
fn a_stored_value_that_another_system_keeps_moves_once_that_has_answered() {
    let shards = Shards::new();
    let Shards { first, second } = &shards;
    let desk = || first.verifier.desk(Act::of_program("op", "r"));
    let purse = account(&first.verifier, "Transit", AccountKind::StoredValue, 0);
    assert!(
        desk().link_account(&purse, &"shard-1".parse().unwrap()).is_err(),
        "no system has a shard's name"
    );
    desk().link_account(&purse, &"transit".parse().unwrap()).unwrap();
    let mut card = first.card_of(&purse, SUITE.parse().unwrap());
    let receipt = executed(ask(first, "fare", &tap_to(first, &mut card, 3)));
    let error = desk().move_account(&purse, &second.verifier).unwrap_err().to_string();
    assert!(error.contains("has not answered"), "{error}");
    desk().settle(&receipt.transaction, &Verdict::Settled).unwrap();
    assert_eq!(desk().move_account(&purse, &second.verifier).unwrap().amount, 0);
    let receipt = executed(ask(second, "fare-there", &tap_to(second, &mut card, 3)));
    assert_eq!(receipt.accepted_for, Some("transit".parse().unwrap()));
    second.verifier.desk(Act::of_program("op", "r")).settle(&receipt.transaction, &Verdict::Settled).unwrap();
    shards.check();
}

#[test]
fn a_locked_account_stays_locked_and_is_unlocked_where_it_is() {
    let shards = Shards::new();
    let Shards { first, second } = &shards;
    let mut card = first.card(SUITE);
    let tap = card.tap(first.payment(1));
    for _ in 0..3 {
        first.send(&tap.typed("abcdefgh"));
    }
    let locked = first.verifier.account(&first.ada).unwrap().locked.unwrap();
    shards.carry().unwrap();
    assert_eq!(second.verifier.account(&first.ada).unwrap().locked, Some(locked));
    assert_eq!(ask(second, "locked", &tap_to(second, &mut card, 1)).unwrap(), Outcome::Refused);
    second.verifier.desk(Act::of_program("op", "r")).unlock(&first.ada).unwrap();
    executed(ask(second, "unlocked", &tap_to(second, &mut card, 1)));
    shards.check();
}

#[test]
fn a_chain_that_is_torn_does_not_move() {
    for damage in [
        "DELETE FROM audit WHERE account_id = (SELECT account_id FROM accounts WHERE holder = 'Ada Lovelace') AND sequence = 3;",
        "DELETE FROM audit WHERE account_id = (SELECT account_id FROM accounts WHERE holder = 'Ada Lovelace') AND sequence =
            (SELECT audit_sequence FROM accounts WHERE holder = 'Ada Lovelace');",
        "UPDATE audit SET event = replace(event, '\"amount\":100', '\"amount\":900')
            WHERE account_id = (SELECT account_id FROM accounts WHERE holder = 'Ada Lovelace')",
    ] {
        let shards = Shards::new();
        let first = &shards.first;
        let mut card = first.card(SUITE);
        for key in ["one", "two"] {
            executed(ask(first, key, &tap_to(first, &mut card, 100)));
        }
        first.intruder().run(damage).unwrap();
        assert!(matches!(shards.carry(), Err(ServiceError::AuditBroken { .. })), "{damage}");
        assert!(matches!(shards.second.verifier.account(&first.ada), Err(ServiceError::NoSuchAccount)));
        shards.second.check_books();
        assert!(first.verifier.account(&first.ada).unwrap().locked.is_none());
    }
}

/// What each commit of a move writes, in which of the two shards.
const COMMITS: [(usize, &str); 4] =
    [(0, "moved-away"), (0, "money-sent"), (1, "moved-in"), (1, "money-came")];

/// A move that breaks off in each of its commits, with payments to and from the account in between.
fn interrupted(steps: &[(usize, u64)]) {
    let shards = Shards::new();
    let homes = [&shards.first, &shards.second];
    let [first, second] = homes;
    let bob = account(&first.verifier, "Bob", AccountKind::Current, 50_000);
    let (mut card, mut bobs) = (first.card(SUITE), first.card_of(&bob, SUITE.parse().unwrap()));
    let mut worth = i64::try_from(OPENING).unwrap();
    for (step, (commit, minor)) in steps.iter().enumerate() {
        let (home, event) = COMMITS[*commit];
        let is_home = first.verifier.account(&first.ada).unwrap().locked.is_none();
        let has_come = second.verifier.account(&first.ada).is_ok();
        homes[home].break_event(event);
        // Bob has paid her since, so that there is money to be sent in any case.
        let happens = match event {
            "moved-away" => is_home,
            "moved-in" => !has_come,
            _ => true,
        };
        assert_eq!(shards.carry().is_err(), happens, "{event}");
        homes[home].mend();
        // In one of the two at most; and where it is, what was paid to it meanwhile does not hinder it.
        let key = format!("ada-{step}");
        let payable = homes.map(|home| ask(home, &key, &tap_to(home, &mut card, *minor)));
        let paid = payable.iter().filter(|outcome| matches!(outcome, Ok(Outcome::Executed(_)))).count();
        assert!(paid <= 1, "{payable:?}");
        worth -= i64::try_from(*minor).unwrap() * i64::try_from(paid).unwrap();
        let to_ada = Transaction {
            payee_account: first.ada.clone(),
            payee_name: PayeeName::new("Ada Lovelace").unwrap(),
            ..first.payment(*minor)
        };
        executed(ask(first, &format!("bob-{step}"), &bobs.tap(to_ada).request));
        worth += i64::try_from(*minor).unwrap();
        // Her money is there once: with her, or on its way.
        let balance = |home: &Home| home.verifier.account(&first.ada).map_or(0, |ada| ada.balance);
        let under_way = settling(first, 1) + settling(second, 0);
        assert_eq!(balance(first) + balance(second) + under_way, worth, "{event}");
        first.check_books();
        second.check_books();
    }
    shards.carry().unwrap();
    shards.check();
    assert_eq!(second.verifier.account(&first.ada).unwrap().balance, worth);
    executed(ask(second, "last", &tap_to(second, &mut card, worth.unsigned_abs())));
    shards.check();
}

#[test]
fn a_move_that_breaks_off_in_any_commit_is_finished_by_the_next_one() {
    interrupted(&[(0, 100), (1, 200), (2, 300), (3, 400)]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if STORE == "sqlite" { 8 } else { 1 }, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_move_that_breaks_off_at_random_loses_and_doubles_nothing(
        steps in proptest::collection::vec((0..COMMITS.len(), 1_u64..1_000), 2..7)
    ) {
        interrupted(&steps);
    }
}

/// Which shard the router asks, and whether the account is still to pay.
struct Directory {
    home: AtomicUsize,
    goes_on: AtomicBool,
}

/// Pays until told to stop, each payment until it is answered. Returns what was executed.
fn pay(shards: &Shards, directory: &Directory, thread: usize, mut card: Card) -> Vec<Receipt> {
    let homes: [&World; 2] = [&shards.first, &shards.second];
    let mut receipts = Vec::new();
    let (mut number, mut after) = (0, 0);
    while after < 5 {
        number += 1;
        let minor = 1 + number % 7;
        let home = directory.home.load(Ordering::SeqCst);
        let (tap, key) = (tap_to(homes[home], &mut card, minor), format!("{thread}-{number}"));
        let receipt = loop {
            match ask(homes[directory.home.load(Ordering::SeqCst)], &key, &tap) {
                Ok(Outcome::Executed(receipt)) => break Some(receipt),
                // The shop of the shard that it has left is not known in the other one: signed anew, with its next counter value.
                Ok(Outcome::Refused) if home == 0 && directory.home.load(Ordering::SeqCst) == 1 => {
                    break None;
                }
                Ok(Outcome::Busy) | Err(ServiceError::Store(StoreError::AccountMoved)) => {
                    std::thread::yield_now();
                }
                other => panic!("{other:?}"),
            }
        };
        receipts.extend(receipt);
        after += usize::from(!directory.goes_on.load(Ordering::SeqCst));
    }
    receipts
}

#[test]
fn an_account_that_pays_while_it_moves_pays_everything_once() {
    let shards = Shards::new();
    let first = &shards.first;
    let directory = Directory { home: AtomicUsize::new(0), goes_on: AtomicBool::new(true) };
    let cards: Vec<_> = (0..4).map(|_| first.card(SUITE)).collect();
    let receipts: Vec<Receipt> = std::thread::scope(|scope| {
        let spawn = |(thread, card)| {
            scope.spawn({
                let (shards, directory) = (&shards, &directory);
                move || pay(shards, directory, thread, card)
            })
        };
        let threads: Vec<_> = cards.into_iter().enumerate().map(spawn).collect();
        // Until some have paid: the log tells.
        let paid = || first.verifier.log(Some(&first.ada)).unwrap().len();
        let begun = paid();
        while paid() < begun + 40 {
            std::thread::yield_now();
        }
        let moved = loop {
            match shards.carry() {
                Ok(moved) => break moved,
                Err(ServiceError::Store(StoreError::Locked)) => {}
                Err(other) => panic!("{other}"),
            }
        };
        assert!(moved.entries > 40);
        directory.home.store(1, Ordering::SeqCst);
        directory.goes_on.store(false, Ordering::SeqCst);
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let sum: u64 = receipts.iter().map(|receipt| receipt.amount).sum();
    let mut ids: Vec<_> = receipts.iter().map(|receipt| &receipt.transaction).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), receipts.len());
    let log = shards.second.verifier.log(Some(&first.ada)).unwrap();
    let executed = log.iter().filter(|entry| matches!(entry.event, Event::Executed { .. })).count();
    assert_eq!(executed, receipts.len());
    let balance = shards.second.verifier.account(&first.ada).unwrap().balance;
    assert_eq!(balance, i64::try_from(OPENING - sum).unwrap());
    let shops: i64 = [&shards.first, &shards.second]
        .map(|home| home.verifier.account(&home.shop).unwrap().balance)
        .iter()
        .sum();
    assert_eq!(shops, i64::try_from(sum).unwrap());
    shards.check();
}

/// Who can write to a database in which the account was has it decide there again, or gives its chain another end: it stays where
/// it is, and pays there.
#[test]
fn attack_an_account_that_was_brought_to_life_where_it_was_takes_in_no_other() {
    let changes =
        ["locked_at = NULL, lock_cause = NULL".to_owned(), format!("audit_seal = {}", crate::home::ZEROS)];
    for change in changes {
        let shards = Shards::new();
        let Shards { first, second } = &shards;
        let mut card = first.card(SUITE);
        shards.carry().unwrap();
        first.behind(&format!("UPDATE accounts SET {change} WHERE holder = 'Ada Lovelace'"));
        let error = carry(second, first, first).unwrap_err();
        assert!(matches!(error, ServiceError::Move(MoveError::AccountThere)), "{change}: {error}");
        executed(ask(second, "paid", &tap_to(second, &mut card, 100)));
        second.check_books();
    }
}

/// Who can write to both databases makes a copy of what the account has become, where it was before: to pay twice.
#[test]
fn attack_an_account_that_is_copied_back_shows() {
    let shards = Shards::new();
    let Shards { first, second } = &shards;
    let mut card = first.card(SUITE);
    executed(ask(first, "paid", &tap_to(first, &mut card, 100)));
    shards.carry().unwrap();
    shards.check();
    let (from, to) = (second.intruder(), first.intruder());
    let ada =
        format!("account_id = (SELECT account_id FROM accounts WHERE number = '{}')", first.ada.as_str());
    let columns = to.all(crate::home::COLUMNS);
    let of_log = columns.iter().filter(|column| column[0] == "audit");
    let (names, values): (Vec<_>, Vec<_>) =
        of_log.map(|column| (column[1].as_str(), crate::home::spelled(&column[1], &column[2]))).unzip();
    let log = from.all(&format!("SELECT {} FROM audit WHERE {ada}", values.join(" || ', ' || ")));
    to.run(&format!("DELETE FROM audit WHERE {ada};")).unwrap();
    for entry in log {
        to.run(&format!("INSERT INTO audit ({}) VALUES ({});", names.join(", "), entry[0])).unwrap();
    }
    // The end of the chain, and no lock.
    let row = from.all(&format!(
        "SELECT {} FROM accounts WHERE {ada}",
        ["audit_sequence", "audit_seal", "audit_head"]
            .map(|name| {
                let kind =
                    columns.iter().find(|column| column[0] == "accounts" && column[1] == name).unwrap();
                crate::home::spelled(name, &kind[2])
            })
            .join(", ")
    ));
    let [sequence, seal, head] = [0, 1, 2].map(|i| row[0][i].clone());
    to.run(&format!(
        "UPDATE accounts SET locked_at = NULL, lock_cause = NULL, balance = 99900, audit_sequence = {sequence},
         audit_seal = {seal}, audit_head = {head} WHERE {ada}"
    ))
    .unwrap();
    let found = first.verifier.audit_verify();
    assert!(matches!(found, Err(ServiceError::AuditBroken { .. })), "{found:?}");
}
