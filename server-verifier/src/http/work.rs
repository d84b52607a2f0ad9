//! Work at the private key: so much at a time, so much in line, and a plain no to the rest.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tokio::sync::{Semaphore, oneshot};

use super::problem::Problem;
use crate::service::error::ServiceError;

type Task = Box<dyn FnOnce() + Send>;

/// Threads for operations with the server's private key. They take the next one from the line themselves: between
/// two operations nobody else has to be woken.
pub(crate) struct PrivateKeyWork {
    line: Sender<Task>,
    admitted: Arc<Semaphore>,
    places: usize,
    gauge: metrics::Gauge,
}

impl PrivateKeyWork {
    /// `parallel` at a time, `queue` more in line.
    ///
    /// # Errors
    /// No threads are left.
    pub(crate) fn start(parallel: usize, queue: usize, gauge: metrics::Gauge) -> io::Result<Self> {
        let (line, tasks) = channel();
        let tasks = Arc::new(Mutex::new(tasks));
        for _ in 0..parallel {
            let tasks = Arc::clone(&tasks);
            thread::Builder::new().name("onetap-key".to_owned()).spawn(move || serve(&tasks))?;
        }
        let places = parallel.saturating_add(queue);
        Ok(Self { line, admitted: Arc::new(Semaphore::new(places)), places, gauge })
    }

    /// How many are at the key or in line now.
    pub(crate) fn length(&self) -> usize {
        self.places.saturating_sub(self.admitted.available_permits())
    }

    /// Waits in line, works, and returns what `work` returned.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, ServiceError> + Send + 'static,
    ) -> Result<T, Problem> {
        let full = "too many requests at the private key; repeat with the same idempotency key";
        let place = Arc::clone(&self.admitted).try_acquire_owned().map_err(|_| Problem::busy(full))?;
        self.gauge.increment(1.0);
        let gauge = self.gauge.clone();
        let (done, waiting) = oneshot::channel();
        let task = move || {
            let result = work();
            drop(place);
            gauge.decrement(1.0);
            // Whoever asked may be gone.
            let _gone = done.send(result);
        };
        // If the line is gone, so is `done`.
        let _gone = self.line.send(Box::new(task));
        let lost = |_| Problem::busy("the server is ending; repeat elsewhere");
        Ok(waiting.await.map_err(lost)??)
    }
}

/// A thread's life: until nobody can send any more.
fn serve(tasks: &Mutex<Receiver<Task>>) {
    loop {
        let next = tasks.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(task) = next else { return };
        task();
    }
}
