//! The card's promises under power cuts, random operations and kill -9: counted, and none broken.

use std::path::Path;
use std::process::Command;

use onetap_trials::kill;
use onetap_trials::model;
use onetap_trials::tear::{Report, sweep};

use crate::row::Row;
use crate::support::Fallible;

const OPERATIONS: u64 = 1_000_000;
const KILLS: u64 = 1_000;
const SEED: u64 = 3;

pub(crate) fn measure(folder: &Path) -> Fallible<Vec<Row>> {
    Ok(vec![tear(&sweep(&mut |_, _| ())), against_a_model(), kills(folder)?])
}

/// Every write, four ways to cut it.
fn tear(report: &Report) -> Row {
    report.violations.iter().take(10).for_each(|violation| println!("{violation:?}"));
    let points = report.points + report.recovery_points + report.lost_points;
    Row::unbroken("tear sweep: points", "points", points, report.writes * 4, report.violations.len())
}

fn against_a_model() -> Row {
    let (done, found) = match model::run(SEED, OPERATIONS) {
        Ok(agreement) => (agreement.operations, 0),
        Err(divergence) => {
            println!("{divergence}");
            (divergence.agreed as u64, 1)
        }
    };
    Row::unbroken("random operations against a model", "operations", done, OPERATIONS, found)
}

/// Half of them on a durable card.
fn kills(folder: &Path) -> Fallible<Row> {
    let program = std::env::current_exe()?;
    let (mut kills, mut broken) = (0, 0);
    for durable in [false, true] {
        let report = kill::run(folder, durable, SEED, KILLS / 2, &|| Command::new(&program))?;
        report.violations.iter().take(10).for_each(|violation| println!("{violation}"));
        (kills, broken) = (kills + report.kills, broken + report.violations.len());
    }
    Ok(Row::unbroken("kill -9 at random instants under load", "kills", kills, KILLS, broken))
}
