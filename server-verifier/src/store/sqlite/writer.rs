//! The thread that writes.
//!
//! It takes what is queued, up to [`BATCH`] decisions, and makes one commit of it: `BEGIN IMMEDIATE` against other
//! processes, and the answers leave after the commit. Whoever else wants to write borrows the connection in its turn.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::pen::Pen;
use super::session::Session;
use crate::books::decision::{Decided, Decider, Question};
use crate::books::sql::Sql;
use crate::domain::StoreError;

use crate::store::queue::{Job, Line, Pending};

/// Most decisions in one commit.
const BATCH: usize = 128;
/// Longest wait of a commit for requests that are under way.
const GATHER: Duration = Duration::from_millis(4);
/// Most tasks that wait for the writer; more are refused as busy.
const QUEUE: usize = 4_096;

/// The writer's thread, its queue, and the requests that are about to be queued.
pub(super) struct Writer {
    queue: Option<SyncSender<Task>>,
    thread: Option<JoinHandle<()>>,
    coming: Arc<AtomicUsize>,
    line: Line,
}

/// What the writer does.
enum Task {
    Decide(Box<Job>),
    /// Lends its connection, and waits until it is back.
    Lend(SyncSender<Pen>, Receiver<Pen>),
}

impl Writer {
    pub(super) fn start(pen: Pen, decider: Arc<Decider>) -> Result<Self, StoreError> {
        let (queue, tasks) = sync_channel(QUEUE);
        let coming = Arc::new(AtomicUsize::new(0));
        let inbox = Inbox { tasks, coming: Arc::clone(&coming), next: None };
        let work = move || serve(pen, &decider, inbox);
        let thread = std::thread::Builder::new().name("onetap-sqlite".to_owned()).spawn(work);
        Ok(Self {
            queue: Some(queue),
            thread: Some(thread.map_err(|_| StoreError::Locked)?),
            coming,
            line: Line::default(),
        })
    }

    /// Says that a request is under way to the queue, until the guard is dropped.
    pub(super) fn under_way(&self) -> Coming {
        self.coming.fetch_add(1, Ordering::Relaxed);
        Coming(Arc::clone(&self.coming))
    }

    /// How many decisions are queued or being made.
    pub(super) fn queued(&self) -> usize {
        self.line.length()
    }

    /// Queues a decision.
    pub(super) fn submit(&self, question: Question) -> Result<Pending, StoreError> {
        let (job, pending) = self.line.slot(question);
        let queue = self.queue.as_ref().ok_or(StoreError::Stopped)?;
        match queue.try_send(Task::Decide(Box::new(job))) {
            Ok(()) => Ok(pending),
            Err(TrySendError::Full(_)) => Err(StoreError::Locked),
            Err(TrySendError::Disconnected(_)) => Err(StoreError::Stopped),
        }
    }

    /// Runs `work` in one writing transaction of its own.
    pub(super) fn write<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&mut dyn Sql) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut loan = self.borrow()?;
        let pen = loan.pen.as_mut().ok_or(StoreError::Stopped)?;
        pen.write(|connection| work(&mut Session(connection)))
    }

    fn borrow(&self) -> Result<Loan, StoreError> {
        let (lend, lent) = sync_channel(1);
        let (give, back) = sync_channel(1);
        let queue = self.queue.as_ref().ok_or(StoreError::Stopped)?;
        queue.send(Task::Lend(lend, back)).map_err(|_| StoreError::Stopped)?;
        let pen = lent.recv().map_err(|_| StoreError::Stopped)?;
        Ok(Loan { pen: Some(pen), home: give })
    }
}

impl Drop for Writer {
    /// Decides and answers what is queued first.
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // Whoever waited for a writer that panicked was told so.
            let _ended = thread.join();
        }
    }
}

/// A borrowed connection; it is returned when this is dropped, also in a panic.
struct Loan {
    pen: Option<Pen>,
    home: SyncSender<Pen>,
}

impl Drop for Loan {
    fn drop(&mut self) {
        if let Some(pen) = self.pen.take() {
            // The writer waits for it, whatever else happens.
            let _returned = self.home.send(pen);
        }
    }
}

/// A request under way to the writer, or to nobody who waits for it.
#[derive(Debug)]
pub(crate) struct Coming(Arc<AtomicUsize>);

impl Drop for Coming {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What the writer is to do.
struct Inbox {
    tasks: Receiver<Task>,
    coming: Arc<AtomicUsize>,
    /// Taken out, but not its turn yet.
    next: Option<Task>,
}

impl Inbox {
    /// The next task; none once the queue is closed and empty.
    fn next(&mut self) -> Option<Task> {
        self.next.take().or_else(|| self.tasks.recv().ok())
    }

    /// Adds what is queued for the same commit, and what is about to be.
    fn gather(&mut self, jobs: &mut Vec<Job>) {
        let (mut wanted, until) = (self.coming.load(Ordering::Relaxed), Instant::now() + GATHER);
        while jobs.len() < BATCH {
            let left =
                if wanted == 0 { Duration::ZERO } else { until.saturating_duration_since(Instant::now()) };
            match self.tasks.recv_timeout(left) {
                Ok(Task::Decide(job)) => jobs.push(*job),
                Ok(other) => {
                    self.next = Some(other);
                    return;
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
            }
            wanted = wanted.saturating_sub(1);
        }
    }
}

/// The writer's life: until the queue is closed and empty, or a borrower loses the connection.
fn serve(mut pen: Pen, decider: &Decider, mut inbox: Inbox) {
    let mut jobs: Vec<Job> = Vec::with_capacity(BATCH);
    while let Some(task) = inbox.next() {
        match task {
            Task::Decide(job) => {
                jobs.push(*job);
                inbox.gather(&mut jobs);
                decide_all(&mut pen, decider, &mut jobs);
            }
            Task::Lend(lend, back) => {
                if let Err(unwanted) = lend.send(pen) {
                    pen = unwanted.0;
                } else if let Ok(returned) = back.recv() {
                    pen = returned;
                } else {
                    return;
                }
            }
        }
    }
}

/// Decides `jobs` in one commit, then answers. If one of them fails, nothing is written, and each has a commit of its own: the
/// others go on.
fn decide_all(pen: &mut Pen, decider: &Decider, jobs: &mut Vec<Job>) {
    match decide_together(pen, decider, jobs) {
        Ok(outcomes) => jobs.drain(..).zip(outcomes).for_each(|(job, decided)| job.answer(Ok(decided))),
        Err(Unwritten::Decision(_)) if jobs.len() > 1 => {
            for job in jobs.drain(..) {
                decide_all(pen, decider, &mut vec![job]);
            }
        }
        Err(Unwritten::Commit(error) | Unwritten::Decision(error)) => {
            jobs.drain(..).for_each(|job| job.answer(Err(error.clone())));
        }
    }
}

/// Why nothing was written.
enum Unwritten {
    /// The transaction could not begin or end.
    Commit(StoreError),
    /// A decision failed.
    Decision(StoreError),
}

impl From<StoreError> for Unwritten {
    fn from(error: StoreError) -> Self {
        Self::Commit(error)
    }
}

fn decide_together(pen: &mut Pen, decider: &Decider, jobs: &[Job]) -> Result<Vec<Decided>, Unwritten> {
    pen.write(|connection| {
        let mut session = Session(connection);
        jobs.iter()
            .map(|job| {
                let decided = catch_unwind(AssertUnwindSafe(|| decider.run(&mut session, &job.question)));
                decided.unwrap_or(Err(StoreError::Defect)).map_err(Unwritten::Decision)
            })
            .collect()
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use onetap_apdu_spec::crypto::{Key256, default_provider};

    use super::*;
    use crate::books::chain::Sealer;
    use crate::books::notice::Notices;
    use crate::books::policy::CurrentPolicy;
    use crate::domain::{Policy, Timestamp};

    #[test]
    fn a_writer_that_has_ended_says_stopped() {
        let sealer = Sealer::new(default_provider(), Key256::new([0; 32]));
        let policy = CurrentPolicy::new(Policy::default(), Timestamp(0));
        let decider = Decider { policy, sealer, announces: false, notices: Notices::default() };
        let writer = Writer::start(Pen::in_memory().unwrap(), Arc::new(decider)).unwrap();
        let write = || writer.write(|db| db.execute("CREATE TABLE some (one)", &[]));
        write().unwrap();
        // A borrower loses the connection: there is nothing left to write with.
        let ((lend, lent), (give, back)) = (sync_channel(1), sync_channel(1));
        writer.queue.as_ref().unwrap().send(Task::Lend(lend, back)).unwrap();
        drop((lent.recv().unwrap(), give));
        for _ in 0..3 {
            assert!(matches!(write(), Err(StoreError::Stopped)));
        }
    }
}
