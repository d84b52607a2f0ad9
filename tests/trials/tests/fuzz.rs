//! Seeded runs of the fuzz targets: short ones with every `make test`, 10 million inputs for each with `make soak`.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a panic is how a test fails")]

use std::path::PathBuf;
use std::time::Instant;

use onetap_trials::fuzz::{Target, run, seeds};

/// Unless `ONETAP_FUZZ_SEED` says another.
const SEED: u64 = 20_261_123;

fn fuzz(target: Target, short: u64) {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seed = number("ONETAP_FUZZ_SEED").unwrap_or(SEED);
    let start = Instant::now();
    let done = run(target, seed, number("ONETAP_FUZZ_INPUTS").unwrap_or(short)).unwrap();
    println!("fuzz: {} inputs={done} seed={seed} seconds={:.1}", target, start.elapsed().as_secs_f64());
}

#[test]
fn any_bytes_are_an_apdu_or_refused() {
    fuzz(Target::Apdu, 200_000);
}

#[test]
fn any_bytes_are_a_canonical_template_or_refused() {
    fuzz(Target::Tlv, 200_000);
}

#[test]
fn a_card_keeps_its_promises_whatever_happens_to_it() {
    fuzz(Target::Process, 100_000);
}

/// What mutation starts from passes by itself, and there is enough of it. Written to the folder
/// `ONETAP_FUZZ_CORPUS`, where one is given, for libFuzzer to start from too.
#[test]
fn seeds_are_there_and_pass() {
    let corpus = std::env::var_os("ONETAP_FUZZ_CORPUS").map(PathBuf::from);
    for target in Target::ALL {
        let seeds = seeds(target).unwrap();
        assert!(seeds.len() > 50, "{} seeds for {}", seeds.len(), target);
        let folder = corpus.as_ref().map(|corpus| corpus.join(target.to_string()));
        folder.iter().for_each(|folder| std::fs::create_dir_all(folder).unwrap());
        for (i, seed) in seeds.iter().enumerate() {
            let _ = target.call(seed);
            folder.iter().for_each(|folder| std::fs::write(folder.join(format!("seed-{i}")), seed).unwrap());
        }
    }
}
