//! Authorisations a second, durable, over HTTP keep-alive, beside what bounds them.

use onetap_apdu_spec::suite::Suite;
use onetap_conformance::load::api::EXECUTED;
use onetap_conformance::load::{self, Measured};
use onetap_trials::fire::Fallible;
use onetap_trials::fire::peer::{Pgbench, Protocol, openssl_rsa_2048};
use onetap_trials::fire::scene::{SYMMETRIC, Scene};
use onetap_trials::fire::serve::Serving;
use onetap_trials::fire::usage::processor_time;

use crate::row::{Row, median};
use crate::{Place, scene};

/// Rounds, each with one run of ours and one of the peer.
const ROUNDS: usize = 5;
const CONNECTIONS: usize = 64;
/// Enough that the processor has work while a commit waits for a disk that takes 4 ms, which alone bounds 64 connections to
/// 16 000 answers a second.
const MANY_CONNECTIONS: usize = 160;
const ACCOUNTS: usize = 1_000;
const REQUESTS: usize = 30_000;
const PEER_SECONDS: u32 = 2;

/// On PostgreSQL, as issue 4 has it.
const CLIENTS: u32 = 32;
const PGBENCH_SCALE: u32 = 50;
const PGBENCH_SECONDS: u32 = 8;

/// What each round gave.
#[derive(Default)]
struct Rounds {
    ours: Vec<f64>,
    peers: Vec<f64>,
    p99: Vec<f64>,
    /// Processor time of an authorisation in microseconds: the server's, and the load generator's.
    costs: [Vec<f64>; 2],
}

impl Rounds {
    fn add(&mut self, peer: f64, measured: &Measured, costs: [f64; 2]) {
        self.peers.push(peer);
        self.ours.push(measured.rate());
        self.p99.push(measured.millis(99.0));
        self.costs.iter_mut().zip(costs).for_each(|(all, cost)| all.push(cost));
    }

    fn ratio(&self) -> f64 {
        median(self.ours.iter().zip(&self.peers).map(|(ours, peer)| ours / peer).collect())
    }

    fn row(&self, name: &'static str, peer: &'static str) -> Row {
        let (ours, peers) = (median(self.ours.clone()), median(self.peers.clone()));
        Row { ratio: self.ratio(), ..Row::of_service(name, "1/s", ours, peer, peers) }
    }

    /// Does not hang on what else the machine does, unlike the rate.
    fn cost(&self) -> Row {
        let [server, generator] = self.costs.clone().map(median);
        Row::of_service("… processor time of one", "µs", server, "the load generator's", generator)
    }

    fn p99(&self) -> Row {
        Row::within("… their p99", "ms", median(self.p99.clone()), 25.0)
    }
}

/// Runs both by turns, after one run of ours that warms up.
fn by_turns(
    scene: &mut Scene,
    connections: usize,
    requests: usize,
    mut peer: impl FnMut() -> Fallible<f64>,
) -> Fallible<(Rounds, Serving)> {
    let serving = scene.serve()?;
    run(scene, &serving, connections, requests / 4)?;
    let mut rounds = Rounds::default();
    for _ in 0..ROUNDS {
        let peer = peer()?;
        let bytes = signed(scene, requests)?;
        let before = [serving.processor_time()?, processor_time("self")?];
        let measured = send(&serving, connections, &bytes)?;
        let used = [serving.processor_time()? - before[0], processor_time("self")? - before[1]];
        let costs = used.map(|used| used.as_secs_f64() * 1e6 / bytes.len() as f64);
        println!(
            "  {:.0}/s, p50 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms; processor time {:.0} + {:.0} µs; peer {peer:.0}/s",
            measured.rate(),
            measured.millis(50.0),
            measured.millis(99.0),
            measured.millis(99.9),
            costs[0],
            costs[1],
        );
        rounds.add(peer, &measured, costs);
    }
    Ok((rounds, serving))
}

/// So many payments, as the bytes of requests.
pub(crate) fn signed(scene: &mut Scene, requests: usize) -> Fallible<Vec<Vec<u8>>> {
    Ok(scene.payments(requests)?.into_iter().map(|asked| asked.bytes).collect())
}

/// Every payment must be executed, or the rate means nothing.
pub(crate) fn send(serving: &Serving, connections: usize, requests: &[Vec<u8>]) -> Fallible<Measured> {
    let mut other = None;
    let measured = load::run(&[serving.address()], connections, requests, &mut |_, answer| {
        if !answer.body.starts_with(EXECUTED) && other.is_none() {
            other = Some(format!("{} {}", answer.status, String::from_utf8_lossy(answer.body)));
        }
    })?;
    match other {
        Some(answer) => Err(format!("a payment was answered with {answer}").into()),
        None if measured.broken > 0 => Err(format!("{} connections broke", measured.broken).into()),
        None => Ok(measured),
    }
}

/// Signs so many payments, then sends them.
pub(crate) fn run(
    scene: &mut Scene,
    serving: &Serving,
    connections: usize,
    requests: usize,
) -> Fallible<Measured> {
    send(serving, connections, &signed(scene, requests)?)
}

pub(crate) fn symmetric(place: &Place) -> Fallible<Vec<Row>> {
    let mut scene = scene(place.sqlite("symmetric"), SYMMETRIC, ACCOUNTS)?;
    let verifications = || Ok(openssl_rsa_2048(1, PEER_SECONDS)?.verify);
    let (rounds, serving) = by_turns(&mut scene, MANY_CONNECTIONS, REQUESTS, verifications)?;
    let [now, most] = serving.resident()?.map(|kib| f64::from(kib) / 1024.0);
    Ok(vec![
        rounds
            .row(
                "durable authorisations over HTTP, symmetric, SQLite",
                "OpenSSL RSA-2048 verifications, one core",
            )
            .at_least(0.35)
            .of_issue(10),
        rounds.p99(),
        rounds.cost(),
        Row::of_service("… resident memory after that", "MiB", now, "most so far", most),
    ])
}

pub(crate) fn oaep(place: &Place) -> Fallible<Vec<Row>> {
    let suite = Suite::default().to_string();
    let mut scene = scene(place.sqlite("oaep"), &suite, ACCOUNTS)?;
    let operations = || Ok(openssl_rsa_2048(2, PEER_SECONDS)?.sign);
    let (rounds, _serving) = by_turns(&mut scene, CONNECTIONS, REQUESTS / 2, operations)?;
    let peer = "OpenSSL RSA-2048 private operations, two cores";
    Ok(vec![
        rounds.row("durable authorisations over HTTP, RSA-OAEP, SQLite", peer).at_least(0.8).of_issue(10),
        rounds.p99(),
        rounds.cost(),
    ])
}

pub(crate) fn postgres(place: &Place) -> Fallible<Vec<Row>> {
    let cluster = place.cluster()?;
    let pgbench = Pgbench::fill(&cluster, PGBENCH_SCALE)?;
    let mut scene = scene(place.postgres(&cluster, "postgres")?, SYMMETRIC, ACCOUNTS)?;
    let mut prepared = Vec::new();
    let peer = || {
        prepared.push(pgbench.rate(CLIENTS, PGBENCH_SECONDS, Protocol::Prepared)?);
        pgbench.rate(CLIENTS, PGBENCH_SECONDS, Protocol::Simple)
    };
    let (rounds, _serving) = by_turns(&mut scene, CLIENTS as usize, REQUESTS / 2, peer)?;
    let ours = median(rounds.ours.clone());
    let row = rounds
        .row("durable authorisations over HTTP, PostgreSQL, 32 clients", "pgbench TPC-B")
        .at_least(0.9)
        .of_issue(10);
    let beside = "… beside pgbench with prepared statements";
    Ok(vec![
        row,
        Row::of_service(beside, "1/s", ours, "pgbench -M prepared", median(prepared)),
        Row::of_service("… their p99", "ms", median(rounds.p99.clone()), "limit", 25.0),
    ])
}
