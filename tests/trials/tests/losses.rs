//! Payments lost between terminal and server, and resolved: some with every `make test`, 10 000 with `make soak`.
//! `ONETAP_LOSSES` and `ONETAP_LOSSES_SEED` choose others.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a panic is how a test fails")]

use std::path::Path;

use onetap_postgres_rig::Cluster;
use onetap_server_verifier::Policy;
use onetap_trials::fire::scene::{SYMMETRIC, Scene};
use onetap_trials::fire::serve::{self, Books, Program};
use onetap_trials::losses::{self, Plan};

const LOSSES: usize = 400;
const SEED: u64 = 9;
const ACCOUNTS: usize = 32;

/// Not a test of its own: the server's process, or the terminal's. Without orders it does nothing.
#[test]
fn the_child() {
    serve::child();
    losses::child();
}

fn lost(store: &str, books: Books, losses: usize) {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seed = number("ONETAP_LOSSES_SEED").unwrap_or(SEED);
    let program = Program::this(&["--exact", "the_child", "--nocapture"]).unwrap();
    // T is signed long before it is sent.
    let policy = Policy { max_age: 24 * 60 * 60, ..Policy::default() };
    let mut scene = Scene::found(books, program, SYMMETRIC, ACCOUNTS, policy).unwrap();
    let report = losses::run(&mut scene, seed, Plan::of(losses)).unwrap();
    println!(
        "losses: store={store} losses={} cuts={} held={} kills=server:{},terminal:{} duplicates={} resolved={} \
         executed={} cancelled={} unknown={} twice={} cancelled_and_executed={} executed_and_not={} violations={} \
         seed={seed}",
        report.losses(),
        report.cuts,
        report.held,
        report.server_kills,
        report.terminal_kills,
        report.duplicates,
        report.lost,
        report.executed,
        report.cancelled,
        report.unknown,
        report.twice,
        report.cancelled_and_executed,
        report.executed_and_not,
        report.violations.len(),
    );
    assert!(report.violations.is_empty(), "{:#?}", &report.violations[..report.violations.len().min(20)]);
    assert_eq!(report.losses(), losses);
    assert!(report.executed > 0 && report.cancelled > 0 && report.lost > 0, "{report:?}");
}

fn sqlite(folder: &Path) -> Books {
    Books { folder: folder.to_owned(), url: None }
}

#[test]
fn whatever_is_lost_is_resolved_to_what_the_books_have() {
    let losses = std::env::var("ONETAP_LOSSES").ok().map_or(LOSSES, |text| text.parse().unwrap());
    lost("sqlite", sqlite(tempfile::tempdir().unwrap().path()), losses);
}

#[test]
fn whatever_is_lost_is_resolved_to_what_the_books_in_postgresql_have() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::shared().unwrap();
    let database = cluster.database(None).unwrap();
    lost(
        "postgres",
        Books { folder: folder.path().to_owned(), url: Some(cluster.url(&database)) },
        LOSSES / 4,
    );
}
