//! What must hold however hard it is tried: three guesses, and nothing lost or done twice.

use onetap_trials::fire::scene::SYMMETRIC;
use onetap_trials::fire::serve::Books;
use onetap_trials::fire::{Fallible, kill, lockout as guessing};

use crate::row::Row;
use crate::{Place, scene};

const GUESSES: usize = 100_000;
const CONNECTIONS: usize = 64;
const PROCESSES: usize = 2;
const KILLS_SQLITE: u64 = 1_000;
const KILLS_POSTGRES: u64 = 100;
const SEED: u64 = 4;

pub(crate) fn lockout(place: &Place) -> Fallible<Vec<Row>> {
    let cluster = place.cluster()?;
    Ok(vec![
        guessed("lockout: 100 000 guesses at two processes on SQLite, evaluated", place.sqlite("lockout"))?,
        guessed(
            "lockout: 100 000 guesses at two processes on PostgreSQL, evaluated",
            place.postgres(&cluster, "lockout-postgres")?,
        )?,
    ])
}

fn guessed(name: &'static str, books: Books) -> Fallible<Row> {
    let report = guessing::run(&mut scene(books, SYMMETRIC, 2)?, GUESSES, CONNECTIONS, PROCESSES)?;
    let (rate, statuses) = (report.measured.rate(), &report.measured.statuses);
    println!("  {rate:.0}/s, statuses {statuses:?}, p99 {:.1} ms", report.measured.millis(99.0));
    let row = Row::exactly(name, "guesses", report.evaluated, 3).of_issue(4);
    let whole = report.locked && report.others == 0 && report.measured.broken == 0;
    Ok(Row { holds: row.holds.map(|holds| holds && whole), ..row })
}

pub(crate) fn kills_sqlite(place: &Place) -> Fallible<Vec<Row>> {
    killed("kill -9 of the verifier under load, SQLite", place.sqlite("kills"), KILLS_SQLITE)
}

pub(crate) fn kills_postgres(place: &Place) -> Fallible<Vec<Row>> {
    let cluster = place.cluster()?;
    let books = place.postgres(&cluster, "kills-postgres")?;
    killed("kill -9 of the verifier under load, PostgreSQL", books, KILLS_POSTGRES)
}

fn killed(name: &'static str, books: Books, kills: u64) -> Fallible<Vec<Row>> {
    let report = kill::run(&mut scene(books, SYMMETRIC, 64)?, SEED, kills)?;
    println!("  {} acknowledged, {} requests in flight at a kill", report.acknowledged, report.in_flight);
    report.violations.iter().take(10).for_each(|violation| println!("  {violation}"));
    Ok(vec![Row::unbroken(name, "kills", report.kills, kills, report.violations.len()).of_issue(4)])
}
