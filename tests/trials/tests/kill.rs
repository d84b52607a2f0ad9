//! kill -9 at random instants of a card under load: some with every `make test`, 1 000 with `make soak` and
//! `make bench`. `ONETAP_KILL_SEED` and `ONETAP_KILLS` choose others.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a panic is how a test fails")]

use std::process::Command;
use std::sync::{Mutex, PoisonError};

use onetap_trials::kill::{child, run};

const SEED: u64 = 20_261_123;
const KILLS: u64 = 30;

/// Not a test of its own: the process that is killed. Without orders it does nothing.
#[test]
fn the_child() {
    child();
}

fn myself() -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "the_child", "--nocapture"]);
    command
}

/// A child that is just being started holds, for a moment, the files that its parent has open, and with them the
/// lock of the other test's image.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn killed(durable: bool) {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seed = number("ONETAP_KILL_SEED").unwrap_or(SEED);
    let kills = number("ONETAP_KILLS").unwrap_or(KILLS) / 2;
    let folder = tempfile::tempdir().unwrap();
    let report = run(folder.path(), durable, seed, kills, &myself).unwrap();
    println!(
        "kill: durable={durable} kills={} in_flight={} blocked={} acknowledged={} violations={} seed={seed}",
        report.kills,
        report.in_flight,
        report.blocked,
        report.acknowledged,
        report.violations.len()
    );
    assert!(report.violations.is_empty(), "{:#?}", report.violations);
    assert_eq!(report.kills, kills);
    assert!(report.in_flight > 0, "some kills meet a step in the middle");
}

#[test]
fn a_card_killed_at_any_instant_is_what_it_said_last() {
    killed(false);
}

#[test]
fn a_durable_card_killed_at_any_instant_is_what_it_said_last() {
    killed(true);
}
