//! All runs of `make bench` on this machine as one page: `bench/index.html` in the target folder, from `bench/history.jsonl` there,
//! to which `scripts/bench` adds a line for each run.
#![allow(clippy::print_stdout, reason = "a program for the terminal")]

use std::path::Path;

use onetap_conformance::html::{page, section, table};
use onetap_conformance::plot::{Axes, Curve, curves, number};
use onetap_trials::fire::Fallible;
use serde::Deserialize;

/// A run, as `scripts/summary.py` writes it.
#[derive(Deserialize)]
struct Run {
    at: String,
    commit: String,
    machine: Machine,
    rows: Vec<Row>,
}

#[derive(Deserialize)]
struct Machine {
    cpu: String,
    cores: u32,
}

/// What docs/benchmarks.md says of a row.
#[derive(Deserialize)]
struct Row {
    name: String,
    value: f64,
    unit: String,
    peer: String,
    peer_value: f64,
    bar: Option<String>,
    holds: Option<bool>,
}

fn main() -> Fallible<()> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().ok_or("no target folder")?;
    let folder = target.join("bench");
    let lines = std::fs::read_to_string(folder.join("history.jsonl"))?;
    let runs = lines.lines().map(serde_json::from_str).collect::<Result<Vec<Run>, _>>()?;
    let file = folder.join("index.html");
    std::fs::write(&file, html(&runs)?)?;
    println!("all runs: {}", file.display());
    Ok(())
}

/// The runs, the last one's rows, and each row over all runs.
fn html(runs: &[Run]) -> Fallible<String> {
    let last = runs.last().ok_or("there was no run yet")?;
    let mut parts = vec![listed(runs), verdicts(last)];
    for (name, row) in last.named() {
        parts.push(section(&name, &over_time(runs, &name, row)?));
    }
    Ok(page("Benchmarks", &parts))
}

impl Run {
    /// The rows with their whole names: one that begins with `…` belongs to the last that does not.
    fn named(&self) -> Vec<(String, &Row)> {
        let mut of = "";
        let name = |row| {
            let Row { name, .. }: &Row = row;
            if !name.starts_with('…') {
                of = name;
                return (name.clone(), row);
            }
            (format!("{of} {name}"), row)
        };
        self.rows.iter().map(name).collect()
    }
}

fn cells<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}

fn listed(runs: &[Run]) -> String {
    let run = |(place, run): (usize, &Run)| {
        cells([
            &place.to_string(),
            &run.at,
            &run.commit,
            &format!("{} × {}", run.machine.cores, run.machine.cpu),
        ])
    };
    let head = cells(["run", "at", "commit", "machine"]);
    table(&std::iter::once(head).chain((1..).zip(runs).map(run)).collect::<Vec<_>>())
}

fn verdicts(last: &Run) -> String {
    let row = |(name, row): (String, &Row)| {
        let verdict = match row.holds {
            Some(true) => "holds",
            Some(false) => "missed",
            None => "-",
        };
        let (value, peer) = (number(row.value), number(row.peer_value));
        let bar = row.bar.as_deref().unwrap_or("-");
        cells([&name, &format!("{value} {}", row.unit), &format!("{}: {peer}", row.peer), bar, verdict])
    };
    let head = cells(["the last run", "value", "beside", "bar", ""]);
    table(&std::iter::once(head).chain(last.named().into_iter().map(row)).collect::<Vec<_>>())
}

/// The values of a row in all runs that have it, and those of its peer.
fn over_time(runs: &[Run], name: &str, row: &Row) -> Fallible<String> {
    let of = |value: &dyn Fn(&Row) -> f64| -> Vec<(f64, f64)> {
        let found = (1_u32..).zip(runs).filter_map(|(place, run)| {
            let named = run.named();
            let (_, found) = named.iter().find(|(other, found)| other == name && found.unit == row.unit)?;
            Some((f64::from(place), value(found)))
        });
        found.collect()
    };
    let (ours, peers) = (of(&|row| row.value), of(&|row| row.peer_value));
    let both = [Curve { name: "ours", points: ours }, Curve { name: &row.peer, points: peers }];
    Ok(curves(Axes { x: "run", y: &row.unit }, &both)?)
}
