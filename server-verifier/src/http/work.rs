//! Work at the private key: so much at a time, so much in line, and a plain no to the rest.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::problem::Problem;

/// A bounded pool for operations with the server's private key.
pub(crate) struct PrivateKeyWork {
    running: Arc<Semaphore>,
    admitted: Arc<Semaphore>,
    places: usize,
    gauge: metrics::Gauge,
}

/// A place in the line; the work may begin once it has its turn.
pub(crate) struct Place {
    _admitted: OwnedSemaphorePermit,
    gauge: metrics::Gauge,
}

/// The right to run, for as long as it lives.
pub(crate) struct Turn {
    _running: OwnedSemaphorePermit,
    _place: Place,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.gauge.decrement(1.0);
    }
}

impl PrivateKeyWork {
    /// `parallel` at a time, `queue` more in line.
    pub(crate) fn new(parallel: usize, queue: usize, gauge: metrics::Gauge) -> Self {
        let places = parallel.saturating_add(queue);
        let (running, admitted) = (Semaphore::new(parallel), Semaphore::new(places));
        Self { running: Arc::new(running), admitted: Arc::new(admitted), places, gauge }
    }

    /// How many are at the key or in line now.
    pub(crate) fn length(&self) -> usize {
        self.places.saturating_sub(self.admitted.available_permits())
    }

    /// Waits in line.
    pub(crate) async fn turn(&self) -> Result<Turn, Problem> {
        let full =
            || Problem::busy("too many requests at the private key; repeat with the same idempotency key");
        let admitted = Arc::clone(&self.admitted).try_acquire_owned().map_err(|_| full())?;
        self.gauge.increment(1.0);
        let place = Place { _admitted: admitted, gauge: self.gauge.clone() };
        let running = Arc::clone(&self.running).acquire_owned().await.map_err(|_| full())?;
        Ok(Turn { _running: running, _place: place })
    }
}
