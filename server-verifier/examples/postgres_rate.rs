//! Executed payments per second on PostgreSQL, from 32 threads that pay from accounts of their own, beside pgbench's
//! TPC-B (32 clients, scale 50) on the same server; fsync on.
//! Run: `cargo run --release -p onetap-server-verifier --example postgres_rate`.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measuring program")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use onetap_postgres_rig::cluster::scratch;
use onetap_postgres_rig::{Cluster, Settings};
use onetap_server_verifier::{AccountKind, Outcome, Verifier};
use support::{TestClock, World, account, environment, options};

const CLIENTS: usize = 32;
const SECONDS: u64 = 10;
/// Signed before the clock runs, for each client.
const TAPS: usize = 2_000;
const SUITE: &str = "a3+sha256+aes-cbc-cmac";

fn main() {
    let cluster = Cluster::start(&scratch().unwrap(), Settings::production()).unwrap();
    pgbench(&cluster, &["-i", "-q", "-s", "50"]);
    let (directory, clock) = (tempfile::tempdir().unwrap(), TestClock::new());
    let database = cluster.database(None).unwrap();
    let url = cluster.url(&database);
    let verifier =
        Verifier::init_postgres(directory.path(), &url, options(|_| ()), environment(&clock)).unwrap();
    let world = World::around(verifier, clock);
    for round in 1..=2 {
        let tpcb = pgbench(&cluster, &["-c", "32", "-j", "2", "-T", &SECONDS.to_string()]);
        let ours = payments(&world);
        println!("{round}: pgbench {tpcb:.0}/s, payments {ours:.0}/s, {:.0} %", 100.0 * ours / tpcb);
    }
    world.check_books();
}

fn payments(world: &World) -> f64 {
    let (start, paid) = (Barrier::new(CLIENTS + 1), AtomicU64::new(0));
    let mut seconds = 0.0;
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            let (start, paid) = (&start, &paid);
            scope.spawn(move || {
                let ada = account(&world.verifier, "Payer", AccountKind::Current, 10_000_000);
                let mut card = world.card_of(&ada, SUITE.parse().unwrap());
                let taps: Vec<_> = (0..TAPS).map(|_| card.tap(world.payment(1))).collect();
                start.wait();
                let began = Instant::now();
                for tap in taps {
                    if began.elapsed().as_secs() >= SECONDS {
                        break;
                    }
                    assert!(matches!(world.send(&tap.request), Outcome::Executed(_)));
                    paid.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        start.wait();
        let began = Instant::now();
        // The scope ends when the last client does.
        while began.elapsed().as_secs() < SECONDS {
            std::thread::park_timeout(std::time::Duration::from_millis(50));
        }
        seconds = began.elapsed().as_secs_f64();
    });
    #[expect(clippy::cast_precision_loss, reason = "a few thousands")]
    let paid = paid.load(Ordering::Relaxed) as f64;
    paid / seconds
}

/// Transactions per second, where it says so.
fn pgbench(cluster: &Cluster, arguments: &[&str]) -> f64 {
    let output = cluster.program("pgbench").unwrap().args(arguments).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let tps = text.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
    tps.unwrap_or(0.0)
}
