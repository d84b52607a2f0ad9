//! A seeded run: mutants of the seeds, one after another, without instrumentation.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::mutate::mutate;
use super::target::Target;
use super::{NoSeeds, apdu, process, seeds, tlv};
use onetap_conformance::dice::Dice;

impl Target {
    /// Runs one input, and says how many APDUs or templates it was.
    ///
    /// # Panics
    /// If a property does not hold.
    #[must_use]
    pub fn call(self, bytes: &[u8]) -> u64 {
        match self {
            Self::Apdu => apdu(bytes),
            Self::Tlv => tlv(bytes),
            Self::Process => return process(bytes),
        }
        1
    }
}

/// Runs mutants of the seeds until `count` APDUs or templates went in. The same `seed` gives the same
/// mutants.
///
/// # Errors
/// [`NoSeeds`].
///
/// # Panics
/// If a property does not hold; the input was printed then.
#[allow(clippy::print_stderr, reason = "the input that fails must not get lost")]
pub fn run(target: Target, seed: u64, count: u64) -> Result<u64, NoSeeds> {
    let seeds = seeds(target)?;
    assert!(!seeds.is_empty(), "no seeds for {}", target);
    let mut dice = Dice::new(seed);
    let mut done = 0;
    while done < count {
        let input = mutate(target, &seeds, &mut dice);
        match catch_unwind(AssertUnwindSafe(|| target.call(&input))) {
            Ok(calls) => done += calls.max(1),
            Err(panic) => {
                eprintln!("{} fails after {done} of seed {seed} on {}", target, hex::encode(&input));
                resume_unwind(panic);
            }
        }
    }
    Ok(done)
}
