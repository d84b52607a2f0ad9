//! Where work runs that may block or takes long, so that no thread of the runtime waits: the verifier's calls, and
//! operations with the private key.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use onetap_apdu_spec::header::{Binding, ServerId};
use tokio::sync::{Semaphore, oneshot};

use super::problem::Problem;
use crate::domain::{Policy, Timestamp};
use crate::rules::verify::Parsed;
use crate::service::authorise::Asked;
use crate::service::error::ServiceError;
use crate::service::known::Claimed;
use crate::service::{Client, Verifier};
use crate::store::{Coming, Pending};

/// Handlers that may block at a time; the others wait. Threads are left for [`OffThread::at_once`].
const AT_A_TIME: usize = 48;
/// Threads for whatever blocks.
pub(super) const THREADS: usize = 64;

/// The verifier as asynchronous code may use it: whatever may block runs on a thread that may.
pub(crate) struct OffThread {
    verifier: Arc<Verifier>,
    places: Semaphore,
}

impl OffThread {
    pub(crate) fn new(verifier: Arc<Verifier>) -> Self {
        Self { verifier, places: Semaphore::new(AT_A_TIME) }
    }

    /// Runs `work`, which may take long, once one of [`AT_A_TIME`] places is free.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Verifier) -> Result<T, ServiceError> + Send + 'static,
    ) -> Result<T, Problem> {
        let _place = self.places.acquire().await.map_err(|_| ending())?;
        self.at_once(work).await
    }

    /// Runs `work`, a short read that others must not delay: who asks, and with which card.
    pub(crate) async fn at_once<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Verifier) -> Result<T, ServiceError> + Send + 'static,
    ) -> Result<T, Problem> {
        let verifier = Arc::clone(&self.verifier);
        match tokio::task::spawn_blocking(move || work(&verifier)).await {
            Ok(done) => Ok(done?),
            Err(error) if error.is_panic() => Err(Problem::panicked()),
            Err(_cancelled) => Err(ending()),
        }
    }

    /// The card that a header names, and the rules: from memory at once, else from the store.
    pub(crate) async fn claimed(&self, binding: Binding) -> Result<Claimed, Problem> {
        match self.verifier.remembered(binding) {
            Some(claimed) => Ok(claimed),
            None => self.at_once(move |verifier| verifier.claimed(binding)).await,
        }
    }

    /// Begins to judge a request with this card: no more than cryptography and a place in the store's queue.
    pub(crate) fn submit(&self, claimed: &Claimed, asked: Asked<'_>) -> Result<Pending, Problem> {
        Ok(self.verifier.submit_asked(None, claimed, asked)?)
    }

    /// Begins to decide a cancellation: no more than cryptography and a place in the store's queue.
    pub(crate) fn submit_cancellation(
        &self,
        claimed: &Claimed,
        client: &Client,
        parsed: Parsed<'_>,
    ) -> Result<Pending, Problem> {
        Ok(self.verifier.submit_cancellation(claimed, client, parsed)?)
    }

    /// Says that a request waits for the private key, or is at it, so that a commit waits for it a little.
    pub(crate) fn under_way(&self) -> Option<Coming> {
        self.verifier.under_way()
    }

    /// What the server's clock says.
    pub(crate) fn now(&self) -> Timestamp {
        self.verifier.now()
    }

    pub(crate) fn server_id(&self) -> ServerId {
        self.verifier.server_id()
    }

    pub(crate) fn policy(&self) -> Arc<Policy> {
        self.verifier.policy()
    }
}

fn ending() -> Problem {
    Problem::busy("the server is ending; repeat elsewhere")
}

type Task = Box<dyn FnOnce() + Send>;

/// Threads for operations with the server's private key. They take the next one from the line themselves: between
/// two operations nobody else has to be woken.
pub(crate) struct PrivateKeyWork {
    line: Sender<Task>,
    threads: Vec<JoinHandle<()>>,
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
        let begin = |_| {
            let tasks = Arc::clone(&tasks);
            thread::Builder::new().name("onetap-key".to_owned()).spawn(move || serve(&tasks))
        };
        let threads = (0..parallel).map(begin).collect::<Result<_, _>>()?;
        let places = parallel.saturating_add(queue);
        Ok(Self { line, threads, admitted: Arc::new(Semaphore::new(places)), places, gauge })
    }

    /// Whether all of its threads live.
    pub(crate) fn is_whole(&self) -> bool {
        !self.threads.iter().any(JoinHandle::is_finished)
    }

    /// How many are at the key or in line now.
    pub(crate) fn length(&self) -> usize {
        self.places.saturating_sub(self.admitted.available_permits())
    }

    /// Waits in line, works, and returns what `work` returned. A panic of `work` ends this request only.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        verifier: &OffThread,
        work: impl FnOnce(&Verifier) -> Result<T, ServiceError> + Send + 'static,
    ) -> Result<T, Problem> {
        let verifier = Arc::clone(&verifier.verifier);
        let full = "too many requests at the private key; repeat with the same idempotency key";
        let place = Arc::clone(&self.admitted).try_acquire_owned().map_err(|_| Problem::busy(full))?;
        self.gauge.increment(1.0);
        let gauge = self.gauge.clone();
        let (done, waiting) = oneshot::channel();
        let task = move || {
            let result = catch_unwind(AssertUnwindSafe(|| work(&verifier)));
            drop((place, verifier));
            gauge.decrement(1.0);
            // Whoever asked may be gone.
            let _gone = done.send(result);
        };
        // If the line is gone, so is `done`.
        let _gone = self.line.send(Box::new(task));
        match waiting.await {
            Ok(Ok(done)) => Ok(done?),
            Ok(Err(_panic)) => Err(Problem::panicked()),
            Err(_lost) => Err(ending()),
        }
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

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod tests {
    use super::super::problem::Kind;
    use super::*;
    use crate::{Environment, InitOptions};

    #[test]
    fn a_task_that_panics_ends_its_own_request_and_the_one_worker_goes_on() {
        let verifier = Verifier::in_memory(InitOptions::new("Example Bank"), Environment::system()).unwrap();
        let verifier = OffThread::new(Arc::new(verifier));
        let work = PrivateKeyWork::start(1, 1, metrics::Gauge::noop()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for _ in 0..3 {
            let ended = runtime
                .block_on(work.run(&verifier, |_| -> Result<(), ServiceError> { panic!("on purpose") }));
            assert_eq!(ended.unwrap_err().kind(), Kind::Internal);
            assert_eq!(runtime.block_on(work.run(&verifier, |_| Ok(7))).ok(), Some(7));
        }
        assert_eq!(work.length(), 0);
    }
}
