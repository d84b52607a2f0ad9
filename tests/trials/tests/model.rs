//! Random operations against a model of the card: some with every `make test`, a million with `make soak` and
//! `make bench`. `ONETAP_MODEL_SEED` and `ONETAP_MODEL_OPERATIONS` choose others.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a panic is how a test fails")]

use std::time::Instant;

use onetap_trials::model::run;

const SEED: u64 = 20_261_123;
const OPERATIONS: u64 = 50_000;

/// What random operations have to get to, so that agreeing on it means something.
const MET: &[&str] = &[
    "state Idle",
    "state Loaded",
    "state Signed",
    "state Delivered",
    "state Showing",
    "state Revealed",
    "screen Page",
    "screen AskKey",
    "screen AskPin",
    "screen AskKeyAfterPin",
    "screen Password",
    "key InField",
    "key Asleep",
    "key NotYet",
    "key NoPinWanted",
    "key PinMissing",
    "key WrongPin(1)",
    "key PinBlocked",
    "answer 9000",
    "answer 61xx",
    "answer 6200",
    "answer 6700",
    "answer 6881",
    "answer 6882",
    "answer 6883",
    "answer 6884",
    "answer 6983",
    "answer 6985",
    "answer 6A80",
    "answer 6A81",
    "answer 6A82",
    "answer 6A86",
    "answer 6A88",
    "answer 6D00",
    "answer 6E00",
    "answer 6F00",
];

#[test]
fn the_card_does_what_the_model_foretells() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seed = number("ONETAP_MODEL_SEED").unwrap_or(SEED);
    let start = Instant::now();
    let agreement = run(seed, number("ONETAP_MODEL_OPERATIONS").unwrap_or(OPERATIONS));
    let agreement = agreement.unwrap_or_else(|divergence| panic!("{divergence}"));
    println!(
        "model: operations={} tears={} seed={seed} divergences=0 seconds={:.1}",
        agreement.operations,
        agreement.tears,
        start.elapsed().as_secs_f64()
    );
    assert!(agreement.tears > 0, "the power was cut");
    for what in MET {
        assert!(agreement.met.contains_key(*what), "{what} was never met: {:#?}", agreement.met);
    }
}
