//! Through a real pcscd and a virtual reader. Run by `scripts/with-pcscd`, which sets `ONETAP_PCSCD`;
//! anywhere else there is no private daemon to talk to, and the tests say so and end.
#![allow(clippy::print_stderr, clippy::print_stdout, reason = "a test that cannot run says why")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail like tests"
)]

#[path = "../support/mod.rs"]
mod support;

mod card;
mod choosing;
mod events;
mod misbehaving;
mod other;
mod service;
mod taps;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use onetap_pcsc_host::pcsc::{abandoned, readers, wait_for_removal};
use onetap_pcsc_host::{Deadline, Error, Reader, Tapped, Terminal};
use support::fields;

const PATIENCE: Duration = Duration::from_secs(20);
/// The readers are shared: one test at a time.
static ONE: Mutex<()> = Mutex::new(());

/// Both readers, empty and working, for one test; `None` where there is no pcscd of our own.
fn alone() -> Option<MutexGuard<'static, ()>> {
    if std::env::var_os("ONETAP_PCSCD").is_none() {
        eprintln!("not run: no private pcscd here, use scripts/with-pcscd");
        return None;
    }
    let alone = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    for slot in [slot(0), slot(1)] {
        wait_for_removal(&slot, &soon()).unwrap();
    }
    until("no call is left from the test before", || abandoned() == 0);
    Some(alone)
}

/// The virtual readers in the order of their ports, as `scripts/with-pcscd` names them.
fn slots() -> Vec<String> {
    let mut names = Vec::new();
    // pcscd may have been started just now.
    until("there are virtual readers", || {
        names = readers(&soon()).unwrap_or_default();
        names.len() > 1
    });
    names.sort();
    names
}

/// The name of a virtual reader.
fn slot(number: usize) -> String {
    slots().swap_remove(number)
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "{what}: not after {PATIENCE:?}");
        std::thread::yield_now();
    }
}

fn soon() -> Deadline {
    Deadline::after(PATIENCE)
}

fn tap(reader: &mut dyn Reader, deadline: &Deadline) -> Result<Tapped, Error> {
    Terminal::new("TERM0001".parse().unwrap()).tap(reader, &fields().draft().unwrap(), deadline)
}

/// What is measured to the bar in `make bench` is held here with room for a busy machine.
const ROOM: Duration = Duration::from_millis(1_500);

/// Does `work`, which must end with its deadline.
fn in_time<T>(time: Duration, work: impl FnOnce(&Deadline) -> T) -> T {
    let start = Instant::now();
    let done = work(&Deadline::after(time));
    let took = start.elapsed();
    // `make soak` takes the worst of these for its row.
    println!("deadline: over_us={}", took.saturating_sub(time).as_micros());
    assert!(took < time + ROOM, "{took:?} instead of {time:?}");
    done
}
