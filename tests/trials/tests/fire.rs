//! The verifier under fire, in short; `make bench` burns longer.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::Read as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use std::time::Duration;

use onetap_trials::crowd::{self, Crowd};
use onetap_trials::fire::client::Client;
use onetap_trials::fire::proxy::Proxy;
use onetap_trials::fire::scene::{SYMMETRIC, Scene};
use onetap_trials::fire::serve::{Books, Program, child};
use onetap_trials::fire::stand_in::StandIn;

use onetap_conformance::load::wire::request;
use onetap_conformance::load::{self, Load, Server, api};
use onetap_postgres_rig::Cluster;
use onetap_server_verifier::Policy;
use onetap_trials::fire::{kill, lockout, refusals};

const SEED: u64 = 4;
const KILLS: u64 = 10;
const GUESSES: usize = 5_000;
/// T may be older than a policy of a real operator would have it: it is signed long before it is sent.
const ONE_DAY: i64 = 24 * 60 * 60;

/// The process that serves, where a test asks for one.
#[test]
fn the_child() {
    child();
}

fn sqlite(folder: &Path) -> Books {
    Books { folder: folder.to_owned(), url: None }
}

fn postgres(folder: &Path) -> Books {
    let cluster = Cluster::shared().unwrap();
    let database = cluster.database(None).unwrap();
    Books { folder: folder.to_owned(), url: Some(cluster.url(&database)) }
}

fn scene(books: Books, accounts: usize) -> Scene {
    let program = Program::this(&["--exact", "the_child", "--nocapture"]).unwrap();
    let policy = Policy { max_age: ONE_DAY, ..Policy::default() };
    Scene::found(books, program, SYMMETRIC, accounts, policy).unwrap()
}

fn killed(books: Books) {
    let report = kill::run(&mut scene(books, 32), SEED, KILLS).unwrap();
    assert!(report.violations.is_empty(), "{:#?}", report.violations);
    assert_eq!(report.kills, KILLS);
    assert!(report.acknowledged > 0 && report.in_flight > 0, "{report:?}");
}

#[test]
fn a_verifier_on_sqlite_killed_at_any_instant_keeps_what_it_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    killed(sqlite(folder.path()));
}

#[test]
fn a_verifier_on_postgresql_killed_at_any_instant_keeps_what_it_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    killed(postgres(folder.path()));
}

/// Megabytes that the service may take, whoever comes.
const MEMORY: f64 = 60.0;

#[test]
fn whoever_comes_the_service_stays_small() {
    let folder = tempfile::tempdir().unwrap();
    let scene = scene(sqlite(folder.path()), 2);
    let crowd = Crowd::gather(&scene.books.open().unwrap(), 250).unwrap();
    let serving = scene.serve().unwrap();
    crowd.come_at_once(serving.address()).unwrap();
    crowd::try_tokens(serving.address(), 5_000, 500).unwrap();
    let [_, most] = serving.resident().unwrap().map(|kib| f64::from(kib) * 1.024e-3);
    assert!(most <= MEMORY, "{most:.1} MB");
}

#[test]
fn honest_clients_are_served_while_one_address_is_silent_and_another_tries_tokens() {
    const REQUESTS: usize = 300;
    let folder = tempfile::tempdir().unwrap();
    let scene = scene(sqlite(folder.path()), 2);
    let crowd = Crowd::gather(&scene.books.open().unwrap(), 16).unwrap();
    let serving = scene.serve().unwrap();
    let served = crowd.served_among_strangers(serving.address(), 3_000, REQUESTS).unwrap();
    assert!(served * 100 >= REQUESTS * 99, "{served} of {REQUESTS}");
}

fn guessed(books: Books) {
    let report = lockout::run(&mut scene(books, 2), GUESSES, 64, 2).unwrap();
    assert_eq!(
        (report.evaluated, report.locked, report.others),
        (3, true, 0),
        "{:?}",
        report.measured.statuses
    );
    assert_eq!(report.measured.broken, 0);
}

#[test]
fn of_guesses_at_two_processes_on_sqlite_exactly_three_are_evaluated() {
    let folder = tempfile::tempdir().unwrap();
    guessed(sqlite(folder.path()));
}

#[test]
fn of_guesses_at_two_processes_on_postgresql_exactly_three_are_evaluated() {
    let folder = tempfile::tempdir().unwrap();
    guessed(postgres(folder.path()));
}

/// Times are for `make bench`: this machine may be busy.
#[test]
fn refusals_of_all_kinds_have_one_status_and_one_body() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::this(&["--exact", "the_child", "--nocapture"]).unwrap();
    let books = sqlite(folder.path());
    let mut scene = Scene::found(books, program, SYMMETRIC, refusals::ACCOUNTS, refusals::policy()).unwrap();
    let seen = refusals::measure(&mut scene, 600, SEED).unwrap();
    assert_eq!(seen.others, 0);
    assert!(seen.classes.len() > 8 && seen.classes.iter().all(|class| class.times.len() > 20));
}

#[test]
fn payments_through_a_failing_network_are_executed_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut scene = scene(sqlite(folder.path()), 8);
    let payments = scene.payments(200).unwrap();
    let serving = scene.serve().unwrap();
    let proxy = Proxy::start(serving.address(), SEED).unwrap();
    let address = || Some(proxy.address());
    let mut client = Client::new(&address, Duration::from_millis(500), Duration::from_secs(60));
    for payment in &payments {
        let reply = client.ask(&payment.bytes).unwrap();
        assert_eq!(reply.status, 200);
        assert!(reply.body.starts_with(api::EXECUTED), "{}", String::from_utf8_lossy(&reply.body));
        if payment.payment.counter % 2 == 0 {
            client.hang_up();
        }
    }
    assert!(proxy.met().iter().skip(1).sum::<usize>() > 0, "{:?}", proxy.met());
    drop((proxy, serving));
    let verifier = scene.books.open().unwrap();
    let opening = i64::try_from(onetap_trials::fire::town::OPENING).unwrap();
    // Each of the eight paid as often as it was paid.
    for holder in scene.town.holders() {
        assert_eq!(verifier.account(&holder.account).unwrap().balance, opening);
    }
    assert_eq!(verifier.log(None).unwrap().iter().filter(|entry| is_execution(&entry.event)).count(), 200);
    verifier.ledger_check().unwrap();
    verifier.audit_verify().unwrap();
}

fn is_execution(event: &onetap_server_verifier::Event) -> bool {
    matches!(event, onetap_server_verifier::Event::Executed { .. })
}

fn keyed(key: usize) -> Vec<u8> {
    request("POST", "/", &[("idempotency-key", &key.to_string())], &"x".repeat(key % 3_000))
}

#[test]
fn the_load_generator_asks_each_request_once_and_sees_its_answer() {
    let server = StandIn::start().unwrap();
    let requests: Vec<_> = (0..2_000).map(keyed).collect();
    let mut wrong = 0;
    let measured = load::run(&[server.address()], 16, &requests, &mut |number, answer| {
        wrong += usize::from(answer.body != number.to_string().as_bytes());
    });
    let measured = measured.unwrap();
    assert_eq!((wrong, measured.broken, measured.with(200)), (0, 0, 2_000));
    assert_eq!(measured.samples.len(), 2_000);
    assert!(measured.rate() > 0.0 && measured.millis(99.0) >= measured.millis(50.0));
    let seen = server.seen();
    assert!(seen.len() == 2_000 && seen.values().all(|times| *times == 1));
}

#[test]
fn at_a_rate_each_request_counts_from_when_it_was_due_however_busy_the_connection_was() {
    let server = StandIn::start().unwrap();
    let requests: Vec<_> = (0..100).map(keyed).collect();
    let load = Load {
        servers: &[Server::plain(server.address())],
        connections: 1,
        requests: &requests,
        apart: None,
        repetitions: 0,
        rate: Some(1_000.0),
        time: None,
        stop: None,
    };
    let measured = load.run(&mut |_, _| ()).unwrap();
    let due = measured.samples.iter().map(|sample| sample.due);
    assert!(due.eq((0..100).map(Duration::from_millis)), "{:?}", measured.samples);
    assert!(measured.elapsed >= Duration::from_millis(99), "none is sent before it is due");
    let over = Load { time: Some(Duration::ZERO), ..load };
    assert_eq!(over.run(&mut |_, _| ()).unwrap().begun, 0);
}

/// A way to a server on which the first two connections break once something has come over them.
fn breaking(server: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for (number, mut client) in listener.incoming().flatten().enumerate() {
            if number < 2 {
                client.read_exact(&mut [0]).unwrap();
                continue;
            }
            let server = TcpStream::connect(server).unwrap();
            let (mut back, mut forth) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            let mut to = server;
            thread::spawn(move || std::io::copy(&mut forth, &mut to));
            thread::spawn(move || std::io::copy(&mut back, &mut client));
        }
    });
    address
}

#[test]
fn over_a_failing_network_a_request_is_repeated_under_its_own_key() {
    let server = StandIn::start().unwrap();
    let requests: Vec<_> = (0..300).map(keyed).collect();
    let (servers, mut wrong) = ([Server::plain(breaking(server.address()))], 0);
    let load = Load {
        servers: &servers,
        connections: 4,
        requests: &requests,
        apart: None,
        repetitions: 1,
        rate: None,
        time: None,
        stop: None,
    };
    let measured = load.run(&mut |number, answer| {
        wrong += usize::from(answer.body != number.to_string().as_bytes());
    });
    let measured = measured.unwrap();
    assert_eq!((wrong, measured.samples.len(), measured.begun), (0, 300, 300));
    assert_eq!(measured.broken, 2, "of four connections two broke");
}

#[test]
fn what_is_to_keep_its_order_keeps_it_over_many_connections() {
    let server = StandIn::start().unwrap();
    let requests: Vec<_> = (0..500).map(keyed).collect();
    let mut answered = Vec::new();
    let load = Load {
        servers: &[Server::plain(server.address())],
        connections: 16,
        requests: &requests,
        apart: Some(1),
        repetitions: 0,
        rate: None,
        time: None,
        stop: None,
    };
    load.run(&mut |number, _| answered.push(number)).unwrap();
    assert!(answered.into_iter().eq(0..500));
}

#[test]
fn behind_a_failing_network_a_client_gets_an_answer_to_each_request() {
    let server = StandIn::start().unwrap();
    let proxy = Proxy::start(server.address(), SEED).unwrap();
    let address = || Some(proxy.address());
    let mut client = Client::new(&address, Duration::from_millis(200), Duration::from_secs(60));
    let mut repeated = 0;
    for key in 0..300 {
        let reply = client.ask(&keyed(key)).unwrap();
        assert_eq!((reply.status, reply.body), (200, key.to_string().into_bytes()));
        repeated += u32::from(reply.attempts > 1);
        if key % 3 == 0 {
            client.hang_up();
        }
    }
    assert!(repeated > 0, "some requests met a fault");
    assert!(proxy.met().iter().all(|times| *times > 0), "each kind: {:?}", proxy.met());
    assert!(server.seen().values().any(|times| *times > 1), "some requests arrived twice");
}
