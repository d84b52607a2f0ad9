//! Whether the store can commit: one trial commit a second, however many ask.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use super::problem::Problem;
use super::work::OffThread;

/// How long the result of a trial commit is told again.
const FRESH: Duration = Duration::from_secs(1);

/// What a trial commit found.
struct Trial {
    ended: Instant,
    found: Result<(), Problem>,
}

/// Whether the store can commit, as the last trial found. Anybody may ask, and a trial costs a sync of the disk: however many
/// ask, there is one at a time, and none within [`FRESH`] of the last.
#[derive(Default)]
pub(crate) struct Readiness(Arc<Mutex<Option<Trial>>>);

impl Readiness {
    /// What a trial has found within the last second, or finds now.
    pub(crate) async fn know(&self, verifier: &Arc<OffThread>) -> Result<(), Problem> {
        let mut last = Arc::clone(&self.0).lock_owned().await;
        if let Some(trial) = last.as_ref().filter(|trial| trial.ended.elapsed() < FRESH) {
            return trial.found.clone();
        }
        let verifier = Arc::clone(verifier);
        // A task of its own: a caller that goes away does not end the trial before its result is kept.
        let trial = tokio::spawn(async move {
            let found = verifier.run(|verifier| Ok(verifier.store.prove()?)).await;
            last.insert(Trial { ended: Instant::now(), found }).found.clone()
        });
        trial.await.unwrap_or_else(|_| Err(Problem::panicked()))
    }
}
