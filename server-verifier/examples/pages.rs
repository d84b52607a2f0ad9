//! What one payment writes: pages of SQLite's log, records and bytes of PostgreSQL's.
//! Run: `cargo run --release -p onetap-server-verifier --example pages`.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measuring program")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::fs;
use std::path::Path;

use onetap_postgres_rig::Cluster;
use onetap_server_verifier::{AccountKind, Outcome, Verifier};
use rusqlite::Connection;
use support::{Card, TestClock, World, account, environment, options};

const SUITE: &str = "a3+sha256+aes-cbc-cmac";
const PAYERS: usize = 64;
/// Payments of each payer before anything is counted.
const BEFORE: usize = 20;
const COUNTED: usize = 20;

fn main() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::on_disk(directory.path());
    let reader = hold_the_log(directory.path());
    let log = || [pages(directory.path()), PAGE * pages(directory.path())];
    report("SQLite", &world, log, "pages");
    drop(reader);
    let (keys, clock) = (tempfile::tempdir().unwrap(), TestClock::new());
    let cluster = Cluster::shared().unwrap();
    let database = cluster.database(None).unwrap();
    let url = cluster.url(&database);
    let verifier = Verifier::init_postgres(keys.path(), &url, options(|_| ()), environment(&clock)).unwrap();
    let world = World::around(verifier, clock);
    // The statistics of a session are late; the log itself is not.
    cluster.sql(&database, "CREATE EXTENSION pg_walinspect").unwrap();
    let begin = cluster.sql(&database, "SELECT pg_current_wal_lsn()").unwrap();
    let log = || {
        let sql = format!(
            "SELECT count(*), sum(record_length) FROM pg_get_wal_records_info('{}', pg_current_wal_flush_lsn())",
            begin.trim()
        );
        let found = cluster.sql(&database, &sql).unwrap();
        let (records, bytes) = found.trim().split_once('|').unwrap();
        [records, bytes].map(|number| number.parse::<f64>().unwrap())
    };
    report("PostgreSQL", &world, log, "records");
}

/// Prints what a payment writes alone in its commit, and with 63 others.
fn report(store: &str, world: &World, written: impl Fn() -> [f64; 2], unit: &str) {
    let mut cards: Vec<Card> = (0..PAYERS)
        .map(|number| {
            let ada = account(&world.verifier, &format!("Payer {number}"), AccountKind::Current, 10_000_000);
            world.card_of(&ada, SUITE.parse().unwrap())
        })
        .collect();
    let mut pay = |rounds: usize, together: usize| {
        for round in 0..rounds {
            for (some, cards) in cards.chunks_mut(together).enumerate() {
                let taps: Vec<_> = cards.iter_mut().map(|card| card.tap(world.payment(1))).collect();
                let submit = |(number, tap): (usize, &support::Tap)| {
                    let key = format!("{together}-{rounds}-{round}-{some}-{number}");
                    world.verifier.submit(&world.client, &key, &tap.request).unwrap()
                };
                let pending: Vec<_> = taps.iter().enumerate().map(submit).collect();
                for pending in pending {
                    assert!(matches!(pending.wait().unwrap(), Outcome::Executed(_)));
                }
            }
        }
    };
    pay(BEFORE, PAYERS);
    for (together, rounds) in [(1, COUNTED), (PAYERS, COUNTED + 1)] {
        let before = written();
        pay(rounds, together);
        #[expect(clippy::cast_precision_loss, reason = "a few thousands")]
        let payments = (rounds * PAYERS) as f64;
        let [number, bytes] = written();
        let each = [(number - before[0]) / payments, (bytes - before[1]) / payments];
        println!("{store}, {together} at a time: {:.2} {unit}, {:.0} bytes a payment", each[0], each[1]);
    }
}

/// A read that keeps the log from beginning anew, so that its length tells what was written.
fn hold_the_log(directory: &Path) -> Connection {
    let reader = Connection::open(directory.join("verifier.db")).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM server").unwrap();
    reader
}

/// Bytes of a page in the log, its header of 24 included.
const PAGE: f64 = 2_072.0;

/// Pages in the log, which has a header of 32 bytes itself (<https://sqlite.org/fileformat.html#walformat>).
fn pages(directory: &Path) -> f64 {
    let bytes = fs::metadata(directory.join("verifier.db-wal")).unwrap().len() - 32;
    f64::from(u32::try_from(bytes).unwrap()) / PAGE
}
