//! Whether a payment could be decided now: one trial a second, however many ask.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use super::problem::Problem;
use super::work::{OffThread, PrivateKeyWork};
use crate::domain::Timestamp;

/// How long the result of a trial is told again.
const FRESH: Duration = Duration::from_secs(1);
/// Seconds by which the clock may run away from the time that passes: the tolerance of the dates of transactions.
const TOLERANCE: i64 = 60;
/// How long a clock must run evenly after a step.
const EVEN: Duration = Duration::from_secs(60);

/// What a trial found.
struct Trial {
    ended: Instant,
    found: Result<(), Problem>,
}

/// Whether a payment could be decided, as the last trial found. Anybody may ask, and a trial costs a sync of the disk: however
/// many ask, there is one at a time, and none within [`FRESH`] of the last.
#[derive(Default)]
pub(crate) struct Readiness(Arc<Mutex<Known>>);

/// The last trial, and what the clock has shown.
#[derive(Default)]
struct Known {
    last: Option<Trial>,
    clock: Option<Watch>,
}

impl Readiness {
    /// What a trial has found within the last second, or finds now.
    pub(crate) async fn know(
        &self,
        verifier: &Arc<OffThread>,
        private_key: &PrivateKeyWork,
    ) -> Result<(), Problem> {
        let mut known = Arc::clone(&self.0).lock_owned().await;
        if let Some(trial) = known.last.as_ref().filter(|trial| trial.ended.elapsed() < FRESH) {
            return trial.found.clone();
        }
        let (verifier, workers) = (Arc::clone(verifier), private_key.is_whole());
        // A task of its own: a caller that goes away does not end the trial before its result is kept.
        let trial = tokio::spawn(async move {
            let committed = verifier.run(|verifier| Ok(verifier.prove()?)).await;
            let now = verifier.now();
            let clock = known.clock.get_or_insert_with(|| Watch::begin(now)).look(now, Instant::now());
            let workers =
                if workers { Ok(()) } else { Err(not_ready("a thread for the private key has ended")) };
            let found = committed.and(workers).and(clock);
            known.last.insert(Trial { ended: Instant::now(), found }).found.clone()
        });
        trial.await.unwrap_or_else(|_| Err(Problem::panicked()))
    }
}

fn not_ready(why: &'static str) -> Problem {
    Problem::busy("the server is not ready; its log has the reason").because(why)
}

/// Compares the clock with the time that passes.
struct Watch {
    at: Instant,
    showed: Timestamp,
    stepped: Option<Instant>,
}

impl Watch {
    fn begin(now: Timestamp) -> Self {
        Self { at: Instant::now(), showed: now, stepped: None }
    }

    /// What the clock shows at `at`: it must not have been stepped for a while.
    fn look(&mut self, now: Timestamp, at: Instant) -> Result<(), Problem> {
        let passed = i64::try_from(at.duration_since(self.at).as_secs()).unwrap_or(i64::MAX);
        if (now.0 - self.showed.0 - passed).abs() > TOLERANCE {
            self.stepped = Some(at);
        }
        (self.at, self.showed) = (at, now);
        match self.stepped {
            Some(stepped) if at.duration_since(stepped) < EVEN => {
                Err(not_ready("the clock was stepped; see that it is right"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_stepped_either_way_is_told_until_it_has_run_evenly_for_a_minute() {
        let start = Instant::now();
        let mut watch = Watch { at: start, showed: Timestamp(1_000), stepped: None };
        let mut look = |passed: u64, shows: i64| {
            watch.look(Timestamp(shows), start + Duration::from_secs(passed)).is_ok()
        };
        assert!(look(10, 1_010));
        assert!(look(20, 1_080), "a correction within the tolerance");
        assert!(!look(30, 1_151), "61 seconds too many");
        assert!(!look(89, 1_210));
        assert!(look(90, 1_211));
        assert!(!look(91, 1_000), "back");
        assert!(look(151, 1_060));
    }
}
