//! `audit verify` by a process of its own: alone, and beside clients that pay.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use onetap_trials::fire::Fallible;
use onetap_trials::fire::scene::SYMMETRIC;
use onetap_trials::fire::serve::{Books, Program};
use onetap_trials::fire::usage::resident;

use crate::row::{Row, median};
use crate::throughput::{run, send, signed};
use crate::{Place, scene};

/// How many payments are verified; the bar speaks of a million, which takes some minutes to make.
const PAYMENTS: &str = "ONETAP_AUDIT_PAYMENTS";
const DEFAULT_PAYMENTS: usize = 100_000;
/// How many are signed and sent in one go.
const SHARE: usize = 50_000;
const ACCOUNTS: usize = 1_000;
const CONNECTIONS: usize = 64;
const ROUNDS: usize = 3;
const REQUESTS: usize = 20_000;
/// The process that verifies finds here, as JSON, whose books.
const ORDERS: &str = "ONETAP_BENCH_VERIFY";

/// What one verification took.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Took {
    seconds: f64,
    /// Most that was resident.
    kib: u32,
}

/// Verifies and ends, if there are orders for it; else returns at once.
pub(crate) fn child() -> Fallible<()> {
    let Ok(orders) = std::env::var(ORDERS) else { return Ok(()) };
    let verifier = serde_json::from_str::<Books>(&orders)?.open()?;
    let start = Instant::now();
    verifier.audit_verify()?;
    let seconds = start.elapsed().as_secs_f64();
    let [_, kib] = resident("self")?;
    println!("{}", serde_json::to_string(&Took { seconds, kib })?);
    std::process::exit(0);
}

fn verify(books: &Books) -> Fallible<Took> {
    let orders = serde_json::to_string(books)?;
    let output = Program::this(&[])?.command().env(ORDERS, orders).output()?;
    let text = String::from_utf8(output.stdout)?;
    let found = text.lines().last().map(serde_json::from_str);
    found.ok_or_else(|| String::from_utf8_lossy(&output.stderr))?.map_err(Into::into)
}

pub(crate) fn sqlite(place: &Place) -> Fallible<Vec<Row>> {
    let payments = std::env::var(PAYMENTS).ok().and_then(|text| text.parse().ok());
    let payments = payments.unwrap_or(DEFAULT_PAYMENTS);
    let mut scene = scene(place.sqlite("audit"), SYMMETRIC, ACCOUNTS)?;
    let serving = scene.serve()?;
    println!("  {payments} payments are made");
    for first in (0..payments).step_by(SHARE) {
        run(&mut scene, &serving, CONNECTIONS, SHARE.min(payments - first))?;
    }
    let alone = verify(&scene.books)?;
    let mut rates = [vec![], vec![]];
    let mut p99 = vec![];
    for _ in 0..ROUNDS {
        let [before, beside] = [signed(&mut scene, REQUESTS)?, signed(&mut scene, REQUESTS)?];
        rates[0].push(send(&serving, CONNECTIONS, &before)?.rate());
        let measured = while_verified(&scene.books, || send(&serving, CONNECTIONS, &beside))?;
        rates[1].push(measured.rate());
        p99.push(measured.millis(99.0));
    }
    println!("  {:.1} s alone, {} MiB; rates {rates:.0?}", alone.seconds, alone.kib / 1024);
    rows(payments, &alone, rates, p99)
}

fn rows(payments: usize, alone: &Took, rates: [Vec<f64>; 2], p99: Vec<f64>) -> Fallible<Vec<Row>> {
    let ratio = median(rates[0].iter().zip(&rates[1]).map(|(without, with)| with / without).collect());
    let [without, with] = rates.map(median);
    let speed = f64::from(u32::try_from(payments)?) / alone.seconds;
    let name = "authorisations while the log is verified, SQLite, 64 clients";
    let rate = Row { ratio, ..Row::of_service(name, "1/s", with, "the same without", without) };
    Ok(vec![
        rate.at_least(0.85).of_issue(10),
        Row::within("… their p99", "ms", median(p99), 50.0).of_issue(10),
        Row::of_service("… payments verified, with nobody paying", "1/s", speed, "limit", 50_000.0)
            .at_least(1.0)
            .of_issue(10),
        Row::within("… resident memory of verifying", "MB", f64::from(alone.kib) * 1.024e-3, 200.0)
            .of_issue(10),
    ])
}

/// Does `work` while the books are verified over and over.
fn while_verified<T>(books: &Books, work: impl FnOnce() -> Fallible<T>) -> Fallible<T> {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let verifying = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                verify(books)?;
            }
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
        });
        // It has begun to read by then.
        thread::sleep(Duration::from_millis(200));
        let done = work();
        over.store(true, Ordering::Relaxed);
        verifying.join().map_err(|_| "verifying panicked")??;
        done
    })
}
