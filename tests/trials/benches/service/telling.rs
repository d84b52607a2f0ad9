//! Whether a client can tell by time why it was refused.

use onetap_trials::fire::Fallible;
use onetap_trials::fire::refusals::{self, ACCOUNTS, policy};
use onetap_trials::fire::scene::{SYMMETRIC, Scene};
use onetap_trials::fire::serve::Program;
use onetap_trials::fire::telling::{LIMIT, compare};

use crate::Place;
use crate::row::Row;

const SAMPLES: usize = 100_000;
const SEED: u64 = 4;

pub(crate) fn measure(place: &Place) -> Fallible<Vec<Row>> {
    let books = place.sqlite("telling");
    let mut scene = Scene::found(books, Program::this(&[])?, SYMMETRIC, ACCOUNTS, policy())?;
    let seen = refusals::measure(&mut scene, SAMPLES, SEED)?;
    for class in &seen.classes {
        println!("  median {:.1} µs: {}", crate::row::median(class.times.clone()) * 1e6, class.name);
    }
    let verdict = compare(&seen.classes).ok_or("nothing was measured")?;
    println!("  most apart: {} and {}", verdict.one, verdict.other);
    Ok(vec![
        Row::within("refusals told apart by time, |t| of Welch's test", "", verdict.t, LIMIT),
        Row::exactly("refusals of another status or body", "answers", seen.others, 0).of_issue(4),
    ])
}
