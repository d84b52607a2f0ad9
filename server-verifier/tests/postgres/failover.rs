//! The primary dies under attack, its standby takes over, and the verifiers go on: docs/postgres.md, "Failover".

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use onetap_postgres_rig::cluster::scratch;
use onetap_postgres_rig::{Cluster, Settings};
use onetap_server_verifier::*;
use tempfile::TempDir;

use crate::home::{Raw, url};
use crate::support::*;

const SUITE: &str = "a3+sha256+aes-cbc-cmac";
const ROUNDS: &str = "ONETAP_FAILOVER_ROUNDS";
const PAYERS: usize = 3;
const VICTIMS: usize = 8;
const GUESSES: usize = 8;
/// For one request to be answered, however often it must be repeated.
const DEADLINE: Duration = Duration::from_secs(120);

/// With synchronous replication nothing that was answered is lost, whenever the primary dies.
#[test]
fn attack_failover_under_load_forgets_nothing() {
    let rounds = std::env::var(ROUNDS).map_or(2, |rounds| rounds.parse().unwrap());
    for round in 0..rounds {
        let mut pair = Pair::start(true);
        let lost = pair.round(&format!("round {round}"));
        assert_eq!(lost, BTreeSet::new(), "answered, and forgotten");
    }
}

/// The same rounds find what asynchronous replication loses: the test above can fail.
#[test]
fn with_asynchronous_replication_the_same_round_forgets() {
    let mut pair = Pair::start(false);
    let lost = pair.round("asynchronous");
    assert!(!lost.is_empty(), "the standby had everything by chance");
}

/// After a crash the primary shows commits that nobody was told of and that the standby may lack. Neither a repeated
/// request nor a reader is told of them before the standby has them: a fail-over right then would take them back.
#[test]
fn what_the_standby_lacks_is_not_told_after_a_crash() {
    let Pair { mut primary, mut standby, database, world, _keys } = Pair::start(true);
    let mut card = world.card(SUITE);
    connect_all(&primary, &database, &world, &card.tap(world.payment(100)));
    let tap = card.tap(world.payment(100));
    let authorise = || world.verifier.authorise(&world.client, "k", &tap.request);
    standby.stop().unwrap();
    thread::scope(|scope| {
        let sent = scope.spawn(authorise);
        until(&primary, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'", "1");
        primary.kill9().unwrap();
        assert!(sent.join().unwrap().is_err(), "nobody was told");
    });
    primary.restart().unwrap();
    assert_eq!(primary.sql(&database, "SELECT count(*) FROM transactions").unwrap(), "2", "it shows");
    thread::scope(|scope| {
        let (repeated, read) = (scope.spawn(authorise), scope.spawn(|| world.balances()));
        let until = Instant::now() + Duration::from_secs(3);
        while Instant::now() < until {
            assert!(!repeated.is_finished() && !read.is_finished(), "told, and the standby lacks it");
            thread::sleep(Duration::from_millis(10));
        }
        standby.restart().unwrap();
        assert!(matches!(repeated.join().unwrap(), Ok(Outcome::Executed(_))));
        assert_eq!(read.join().unwrap(), (99_800, 200));
    });
}

/// Has every connection for decisions made: each takes a decision that waits for a lock.
fn connect_all(primary: &Cluster, database: &str, world: &World, tap: &Tap) {
    const CONNECTIONS: usize = 16;
    let lock = Raw::connect(&primary.url(database));
    lock.run("BEGIN; LOCK TABLE accounts IN EXCLUSIVE MODE");
    let submit = |n| world.verifier.submit(&world.client, &format!("connect-{n}"), &tap.request).unwrap();
    let pending: Vec<Pending> = (0..CONNECTIONS).map(submit).collect();
    until(primary, "SELECT count(*) FROM pg_locks WHERE NOT granted", &CONNECTIONS.to_string());
    lock.run("COMMIT");
    for answer in pending {
        assert!(matches!(answer.wait(), Ok(Outcome::Executed(_))));
    }
}

fn until(server: &Cluster, sql: &str, wanted: &str) {
    let deadline = Instant::now() + DEADLINE;
    while server.sql("postgres", sql).unwrap() != wanted {
        assert!(Instant::now() < deadline, "never {wanted}: {sql}");
    }
}

/// A primary, its standby, and a verifier that knows both.
struct Pair {
    primary: Cluster,
    standby: Cluster,
    database: String,
    world: World,
    _keys: TempDir,
}

impl Pair {
    fn start(synchronous: bool) -> Self {
        let primary = Cluster::start(&scratch().unwrap(), Settings::production()).unwrap();
        let database = primary.database(None).unwrap();
        let standby = primary.standby().unwrap();
        primary.synchronous(synchronous).unwrap();
        let (keys, clock) = (tempfile::tempdir().unwrap(), TestClock::new());
        let url = url(&[primary.host(), standby.host()], &database);
        let options = options(|policy| policy.wrong_in_window = 10_000);
        let verifier = Verifier::init_postgres(keys.path(), &url, options, environment(&clock)).unwrap();
        Self { primary, standby, database, world: World::around(verifier, clock), _keys: keys }
    }

    /// Kills the primary under load, at a moment that differs from round to round; returns the keys of requests that
    /// were answered and that the new primary does not know.
    fn round(&mut self, name: &str) -> BTreeSet<String> {
        let load = Load::new(&self.world);
        thread::scope(|scope| {
            load.start(scope);
            load.until_answered(60);
            thread::sleep(Duration::from_millis(random(300)));
            // The line to the standby stalls first; what the primary answers from now on is on it alone.
            let sender = self.primary.sql("postgres", "SELECT pid FROM pg_stat_replication").unwrap();
            signal("STOP", &sender);
            thread::sleep(Duration::from_millis(50 + random(300)));
            self.primary.kill9().unwrap();
            signal("KILL", &sender);
            let before = load.answered();
            self.standby.promote().unwrap();
            load.until_answered(before + 60);
            load.stop.store(true, Ordering::SeqCst);
        });
        self.judge(&load, name)
    }

    fn judge(&self, load: &Load<'_>, name: &str) -> BTreeSet<String> {
        let ask = |sql: &str| self.standby.sql(&self.database, sql).unwrap();
        let kept: BTreeSet<String> =
            ask("SELECT idempotency_key FROM requests").lines().map(str::to_owned).collect();
        let answered = load.answers.lock().unwrap().clone();
        let lost: BTreeSet<String> = answered.difference(&kept).cloned().collect();
        println!("{name}: {} answered, {} lost", answered.len(), lost.len());
        self.world.check_books();
        // Nothing twice: a receipt for each tap, the sum of them is what the shop has.
        let paid: i64 = ask("SELECT count(*) FROM transactions").parse().unwrap();
        assert_eq!(self.world.balances().1, paid);
        // And never a fourth guess, on any account.
        let guesses = "SELECT coalesce(max(n), 0) FROM (SELECT count(*) AS n FROM wrong_passwords
            GROUP BY account_id) AS counts";
        assert_eq!(ask(guesses), "3", "some account was attacked to its end");
        lost
    }
}

/// Payments and guesses without end, each repeated under its key until it is answered.
struct Load<'a> {
    world: &'a World,
    answers: Mutex<BTreeSet<String>>,
    turn: AtomicU64,
    stop: AtomicBool,
}

impl<'a> Load<'a> {
    fn new(world: &'a World) -> Self {
        let (answers, turn) = (Mutex::new(BTreeSet::new()), AtomicU64::new(0));
        Self { world, answers, turn, stop: AtomicBool::new(false) }
    }

    fn start<'s>(&'s self, scope: &'s thread::Scope<'s, '_>) {
        let payer = |_| account(&self.world.verifier, "Payer", AccountKind::Current, OPENING);
        let mut cards = (0..PAYERS + VICTIMS)
            .map(payer)
            .map(|number| self.world.card_of(&number, SUITE.parse().unwrap()))
            .collect::<Vec<_>>();
        let victims = cards.split_off(PAYERS);
        for (number, mut card) in cards.into_iter().enumerate() {
            scope.spawn(move || {
                while !self.stop.load(Ordering::SeqCst) {
                    let tap = card.tap(self.world.payment(1));
                    let key = format!("payment-{number}-{}", card.counter);
                    assert!(matches!(self.ask(&key, &tap.request), Outcome::Executed(_)), "{key}");
                }
            });
        }
        // Accounts are attacked one after the other, so that some are half way when the primary dies.
        for (number, mut card) in victims.into_iter().enumerate() {
            scope.spawn(move || {
                while self.turn.load(Ordering::SeqCst) < 20 * number as u64 {
                    thread::yield_now();
                    thread::sleep(Duration::from_millis(1));
                }
                let tap = card.tap(self.world.payment(1));
                for guess in 0..GUESSES {
                    let key = format!("guess-{number}-{guess}");
                    let typed = tap.typed(&format!("x{guess:07}"));
                    assert_eq!(self.ask(&key, &typed), Outcome::Refused, "{key}");
                }
            });
        }
    }

    fn ask(&self, key: &str, request: &onetap_apdu_spec::service::AuthorisationRequest) -> Outcome {
        let deadline = Instant::now() + DEADLINE;
        loop {
            match self.world.verifier.authorise(&self.world.client, key, request) {
                Ok(Outcome::Busy) | Err(_) => assert!(Instant::now() < deadline, "{key} is never answered"),
                Ok(outcome) => {
                    self.answers.lock().unwrap().insert(key.to_owned());
                    self.turn.fetch_add(1, Ordering::SeqCst);
                    return outcome;
                }
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn answered(&self) -> u64 {
        self.turn.load(Ordering::SeqCst)
    }

    fn until_answered(&self, wanted: u64) {
        let deadline = Instant::now() + DEADLINE;
        while self.answered() < wanted {
            assert!(Instant::now() < deadline, "no answers");
            thread::sleep(Duration::from_millis(2));
        }
    }
}

/// To one process of the test's own server.
fn signal(name: &str, process: &str) {
    assert!(process.parse::<u32>().is_ok(), "one standby: {process}");
    let sent = Command::new("kill").args(["-s", name, process]).status().unwrap();
    assert!(sent.success() || name == "KILL");
}

/// Milliseconds below `limit`, another number each time.
fn random(limit: u64) -> u64 {
    u64::from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos()) / 1_000 % limit
}
