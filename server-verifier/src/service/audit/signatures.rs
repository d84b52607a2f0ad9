//! What cards have signed, verified beside the reading of the log.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, Scope, ScopedJoinHandle};

use onetap_apdu_spec::crypto::Crypto;

use crate::domain::StoreError;
use crate::rules::verify::{Enrolled, signature_holds};
use crate::service::error::ServiceError;

/// Signatures that are handed over at a time.
const BATCH: usize = 64;
/// Batches that wait; who reads the log waits then.
const WAITING: usize = 4;

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

/// The thread that verifies, and what it has not been given yet.
pub(super) struct Signatures<'scope> {
    queue: SyncSender<Vec<Signature>>,
    batch: Vec<Signature>,
    thread: ScopedJoinHandle<'scope, Option<i64>>,
}

impl<'scope> Signatures<'scope> {
    /// Starts the thread. It ends when this is dropped.
    ///
    /// # Errors
    /// [`StoreError::Locked`] if the machine has no thread left.
    pub(super) fn start(
        scope: &'scope Scope<'scope, '_>,
        crypto: &'static dyn Crypto,
    ) -> Result<Self, StoreError> {
        let (queue, batches) = sync_channel(WAITING);
        let work = move || verify_all(crypto, &batches);
        let thread = Builder::new().name("onetap-audit".to_owned()).spawn_scoped(scope, work);
        Ok(Self { queue, batch: Vec::with_capacity(BATCH), thread: thread.map_err(|_| StoreError::Locked)? })
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
        match self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)) {
            Some(account) => {
                Err(ServiceError::RowsBroken { account, what: "signatures of executed transactions" })
            }
            None => Ok(()),
        }
    }
}

/// Verifies until no more come; the account of the first signature that does not hold.
fn verify_all(crypto: &dyn Crypto, batches: &Receiver<Vec<Signature>>) -> Option<i64> {
    yield_to_others();
    let mut failed = None;
    for batch in batches {
        if failed.is_none() {
            let broken = batch
                .iter()
                .find(|one| !signature_holds(crypto, &one.card, &one.message, &one.signature, &one.object));
            failed = broken.map(|one| one.account);
        }
    }
    failed
}

/// Has this thread run on Linux when no other wants its core, whatever the priority of who pays: a thread that is merely less
/// urgent keeps a core for some milliseconds after a payment has come.
pub(super) fn yield_to_others() {
    #[cfg(target_os = "linux")]
    {
        use thread_priority::unix::{
            NormalThreadSchedulePolicy, ThreadSchedulePolicy, set_thread_priority_and_policy,
            thread_native_id,
        };
        let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
        // Where this is not allowed, checking is as urgent as all else, and as right.
        let _refused =
            set_thread_priority_and_policy(thread_native_id(), thread_priority::ThreadPriority::Min, idle);
    }
}
