//! The power cut at every write of every step in every situation; see `onetap_trials::tear`.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a panic is how a test fails")]

use std::fmt::Write as _;

use onetap_trials::tear::sweep;

#[test]
fn no_cut_at_any_write_breaks_a_promise() {
    let start = std::time::Instant::now();
    let report = sweep(&mut |_, _| ());
    println!(
        "tear: points={} recovery_points={} lost_points={} violations={} seconds={:.1}",
        report.points,
        report.recovery_points,
        report.lost_points,
        report.violations.len(),
        start.elapsed().as_secs_f64()
    );
    let first: Vec<_> = report.violations.iter().take(5).collect();
    assert!(first.is_empty(), "{} violations; the first: {first:#?}", report.violations.len());
    assert_eq!(report.points, 4 * report.writes, "before, each half, after");
    // Which steps write at all, and in how many commits, is reviewed: what takes more than one can be seen half done.
    let mut rows = String::new();
    for row in &report.rows {
        writeln!(rows, "{} | {} | {}: {}", row.subject, row.situation, row.step, row.commits).unwrap();
    }
    insta::assert_snapshot!(rows);
}
