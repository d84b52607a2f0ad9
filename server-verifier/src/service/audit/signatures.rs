//! What cards have signed, verified beside the reading of the log.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, Scope, ScopedJoinHandle};

use onetap_apdu_spec::crypto::Crypto;

use crate::domain::StoreError;
use crate::rules::verify::{Enrolled, signature_holds};
use crate::service::error::ServiceError;

/// Threads that verify.
const THREADS: usize = 2;
/// Signatures that one of them takes at a time.
const BATCH: usize = 64;

/// One signature, and under which card's keys it must hold.
pub(super) struct Signature {
    /// Row of the account that paid.
    pub(super) account: i64,
    pub(super) card: Arc<Enrolled>,
    /// T.
    pub(super) message: Vec<u8>,
    /// H and S.
    pub(super) signature: Vec<u8>,
    /// What the card owed besides.
    pub(super) object: Vec<u8>,
}

/// The threads, and what they have not been given yet.
pub(super) struct Signatures<'scope> {
    queue: SyncSender<Vec<Signature>>,
    batch: Vec<Signature>,
    threads: Vec<ScopedJoinHandle<'scope, Option<i64>>>,
}

impl<'scope> Signatures<'scope> {
    /// Starts the threads. They end when this is dropped.
    ///
    /// # Errors
    /// [`StoreError::Locked`] if the machine has no thread left.
    pub(super) fn start(
        scope: &'scope Scope<'scope, '_>,
        crypto: &'static dyn Crypto,
    ) -> Result<Self, StoreError> {
        let (queue, batches) = sync_channel(2 * THREADS);
        let batches = Arc::new(Mutex::new(batches));
        let start = |_| {
            let batches = Arc::clone(&batches);
            let work = move || verify_all(crypto, &batches);
            Builder::new().name("onetap-audit".to_owned()).spawn_scoped(scope, work)
        };
        let threads = (0..THREADS).map(start).collect::<Result<_, _>>().map_err(|_| StoreError::Locked)?;
        Ok(Self { queue, batch: Vec::with_capacity(BATCH), threads })
    }

    /// Has a signature verified, some time before [`Self::finish`] returns.
    pub(super) fn push(&mut self, signature: Signature) {
        self.batch.push(signature);
        if self.batch.len() == BATCH {
            self.flush();
        }
    }

    fn flush(&mut self) {
        // A thread that is gone has panicked, which is seen when it is joined.
        let _sent = self.queue.send(std::mem::replace(&mut self.batch, Vec::with_capacity(BATCH)));
    }

    /// Waits until all are verified.
    ///
    /// # Errors
    /// [`ServiceError::RowsBroken`] if one does not hold.
    pub(super) fn finish(mut self) -> Result<(), ServiceError> {
        self.flush();
        drop(self.queue);
        let mut failed = None;
        for thread in self.threads {
            let seen = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            failed = failed.or(seen);
        }
        match failed {
            Some(account) => {
                Err(ServiceError::RowsBroken { account, what: "signatures of executed transactions" })
            }
            None => Ok(()),
        }
    }
}

/// Verifies until no more come; the account of the first signature that does not hold.
fn verify_all(crypto: &dyn Crypto, batches: &Mutex<Receiver<Vec<Signature>>>) -> Option<i64> {
    yield_to_others();
    let mut failed = None;
    loop {
        let next = batches.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(batch) = next else { return failed };
        if failed.is_none() {
            let broken = batch
                .iter()
                .find(|one| !signature_holds(crypto, &one.card, &one.message, &one.signature, &one.object));
            failed = broken.map(|one| one.account);
        }
    }
}

/// How much less urgent checking is than paying: a thread that waits for the same core gets thirty times as much of it.
#[cfg(target_os = "linux")]
const PATIENCE: i32 = 15;

/// Makes this thread, on Linux this one alone, less urgent than others.
pub(super) fn yield_to_others() {
    #[cfg(target_os = "linux")]
    if let Ok(urgency) = rustix::process::getpriority_process(None) {
        // Where this is not allowed, checking is as urgent as all else, and as right.
        let _refused = rustix::process::setpriority_process(None, urgency + PATIENCE);
    }
}
