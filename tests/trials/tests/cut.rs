//! The power cut at every access of SQLite to the verifier's files; see `onetap_trials::cut`.
//! `ONETAP_CUT_SEED`, `ONETAP_CUT_RUNS` (each with the next seed) and `ONETAP_CUT_RANDOM` (images at each place)
//! choose others. The files of the first image that breaks a promise stay in `target/tmp/cut`.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a panic is how a test fails")]

use std::path::Path;

use onetap_trials::cut::{Plan, Report, Syncs, Violation, Wrong, fast_folder, found, run};

const SEED: u64 = 20_261_123;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

fn plan() -> Plan {
    let plan = Plan::new(number("ONETAP_CUT_SEED").unwrap_or(SEED));
    let random = number("ONETAP_CUT_RANDOM").map_or(plan.random, |n| usize::try_from(n).unwrap());
    Plan { random, ..plan }
}

/// Runs `plan`; no promise may be broken.
fn nothing_is_lost(plan: Plan) {
    for run_number in 0..number("ONETAP_CUT_RUNS").unwrap_or(1) {
        let plan = Plan { seed: plan.seed + run_number, ..plan };
        let start = std::time::Instant::now();
        let folder = tempfile::tempdir_in(fast_folder()).unwrap();
        let report = run(folder.path(), plan).unwrap();
        println!(
            "cut: points={} images={} second={} acknowledged={} shared={} violations={} seed={} threads={} seconds={:.1}",
            report.points,
            report.images,
            report.second,
            report.acknowledged,
            report.shared,
            report.violations.len(),
            plan.seed,
            plan.threads,
            start.elapsed().as_secs_f64()
        );
        none(&report.violations, folder.path());
        assert!(report.images > report.points, "more than one image for a place");
        assert!(report.second > 0, "some are cut again");
        assert!(plan.crowd == 0 || report.shared > 0, "a crowd's decisions share a commit");
    }
}

fn none(violations: &[Violation], folder: &Path) {
    if let Some(files) = violations.iter().find_map(|violation| violation.files.as_ref()) {
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cut");
        std::fs::create_dir_all(&kept).unwrap();
        files.iter().for_each(|(name, bytes)| std::fs::write(kept.join(name), bytes).unwrap());
        std::fs::copy(folder.join("bank/keys.json"), kept.join("keys.json")).unwrap();
    }
    let first: Vec<_> = violations.iter().take(5).collect();
    assert!(first.is_empty(), "{} violations; the first: {first:#?}", violations.len());
}

#[test]
fn a_power_cut_takes_nothing_that_was_acknowledged() {
    nothing_is_lost(plan());
}

#[test]
fn nor_when_many_ask_at_once() {
    nothing_is_lost(Plan { threads: 3, crowd: 8, rounds: 1, ..plan() });
}

#[test]
fn founding_an_operator_is_done_or_can_be_done_again() {
    let folder = tempfile::tempdir_in(fast_folder()).unwrap();
    let report = found(folder.path(), SEED, 1).unwrap();
    println!("cut: founding points={} images={}", report.points, report.images);
    none(&report.violations, folder.path());
    assert!(report.images > report.points, "more than one image for a place");
}

/// What is found where something is wrong on purpose; and in how many images acknowledged decisions are lost.
fn sabotaged(plan: Plan) -> (Report, usize) {
    let folder = tempfile::tempdir_in(fast_folder()).unwrap();
    let report = run(folder.path(), Plan { twice: 0, ..plan }).unwrap();
    let lost = |violation: &&Violation| matches!(violation.wrong, Wrong::Lost { .. });
    let lost = report.violations.iter().filter(lost).count();
    println!("sabotaged: images={} violations={} lost={lost}", report.images, report.violations.len());
    (report, lost)
}

#[test]
fn without_syncs_acknowledged_decisions_are_found_lost() {
    let (_, lost) = sabotaged(Plan { rounds: 1, syncs: Syncs::Ignored, ..Plan::new(SEED) });
    assert!(lost > 0);
}

#[test]
fn a_checkpoint_without_syncs_is_found() {
    let (report, _) = sabotaged(Plan { syncs: Syncs::OfTheLogOnly, ..Plan::new(SEED) });
    assert!(!report.violations.is_empty());
}

#[test]
fn an_acknowledgement_before_its_sync_is_found() {
    let (report, lost) = sabotaged(Plan { rounds: 1, acknowledged_early: true, ..Plan::new(SEED) });
    assert!(lost >= report.acknowledged, "each one is lost where it comes too early");
}
