//! The PostgreSQL store: READ COMMITTED, and the payer's row locked before anything is read
//! (`SELECT … FOR NO KEY UPDATE`), so that decisions on one account come one after another and others do not
//! wait. One worker for each connection takes decisions from a queue; two exchanges with the database make
//! one decision: lock and read, write and commit.

mod link;
mod session;
mod spelling;
mod wire;

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use self::link::Link;
use self::session::{Fault, READ, Session, Use, WRITE};
use crate::books::decision::{Decider, Question};
use crate::books::sql::Sql;
use crate::domain::StoreError;
use crate::rules::decide::Outcome;
use crate::store::queue::{Job, Pending, queue_slot};

/// Decisions under way at once, each on a connection of its own, unless told otherwise.
pub(crate) const WORKERS: usize = 16;
/// Connections for everything else.
const VISITORS: usize = 4;
/// What may wait for the workers; more is refused as busy.
const QUEUE: usize = 4_096;
/// How long one of the rest waits for a connection.
const VISIT: Duration = Duration::from_secs(5);
/// How often one decision is made at most, where it meets others; a connection that broke off counts for several.
const TRIES: u32 = 12;
const BROKEN: u32 = 6;

/// A database of a PostgreSQL server.
pub(crate) struct PostgresStore {
    link: Arc<Link>,
    decider: Arc<Decider>,
    queue: Option<SyncSender<Job>>,
    workers: Vec<JoinHandle<()>>,
    /// Those that nobody uses; `None` where there is no connection yet.
    visitors: Mutex<Vec<Option<Session>>>,
    returned: Condvar,
}

impl PostgresStore {
    /// Connects, brings the schema up to date, or makes it, and lets `load` read, or write, what decisions
    /// need.
    pub(crate) fn open<E: From<StoreError>>(
        url: &str,
        workers: usize,
        make: bool,
        load: impl FnOnce(&mut dyn Sql) -> Result<Decider, E>,
    ) -> Result<Self, E> {
        let link = Arc::new(Link::parse(url)?);
        let mut first = link.connect(Use::Visits)?;
        let decider = first.migrate(make, load)?;
        first.barrier()?;
        // The last one is taken first.
        let visitors = (1..VISITORS).map(|_| None).chain([Some(first)]).collect();
        let (queue, jobs) = sync_channel(QUEUE);
        let (decider, jobs) = (Arc::new(decider), Arc::new(Mutex::new(jobs)));
        let start = |number| {
            let (link, decider, jobs) = (Arc::clone(&link), Arc::clone(&decider), Arc::clone(&jobs));
            let name = format!("onetap-pg-{number}");
            let work = move || serve(&link, &decider, &jobs);
            std::thread::Builder::new().name(name).spawn(work).map_err(|_| StoreError::Locked)
        };
        let workers = (0..workers.max(1)).map(start).collect::<Result<Vec<_>, _>>()?;
        let visitors = Mutex::new(visitors);
        Ok(Self { link, decider, queue: Some(queue), workers, visitors, returned: Condvar::new() })
    }

    /// What it decides by.
    pub(crate) fn decider(&self) -> &Decider {
        &self.decider
    }

    /// Queues a decision.
    pub(crate) fn submit(&self, question: Question) -> Result<Pending, StoreError> {
        let (job, pending) = queue_slot(question);
        let queue = self.queue.as_ref().ok_or(StoreError::Stopped)?;
        match queue.try_send(job) {
            Ok(()) => Ok(pending),
            Err(TrySendError::Full(_)) => Err(StoreError::Locked),
            Err(TrySendError::Disconnected(_)) => Err(StoreError::Stopped),
        }
    }

    /// Runs `work` in one transaction.
    pub(crate) fn write<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&mut dyn Sql) -> Result<T, E>,
    ) -> Result<T, E> {
        self.visit(|session| session.transaction(WRITE, work))
    }

    /// Runs `work` on one consistent snapshot.
    pub(crate) fn read<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&mut dyn Sql) -> Result<T, E>,
    ) -> Result<T, E> {
        self.visit(|session| session.transaction(READ, work))
    }

    fn visit<T, E: From<StoreError>>(&self, work: impl FnOnce(&mut Session) -> Result<T, E>) -> Result<T, E> {
        let mut loan = self.borrow()?;
        let session = ready(&mut loan.session, &self.link, Use::Visits)?;
        work(session)
    }

    /// A connection that nobody uses, until it is dropped.
    fn borrow(&self) -> Result<Loan<'_>, StoreError> {
        let visitors = guard(&self.visitors);
        let free = self.returned.wait_timeout_while(visitors, VISIT, |visitors| visitors.is_empty());
        let session = free.unwrap_or_else(PoisonError::into_inner).0.pop().ok_or(StoreError::Locked)?;
        Ok(Loan { home: self, session })
    }
}

/// A borrowed connection.
struct Loan<'a> {
    home: &'a PostgresStore,
    session: Option<Session>,
}

impl Drop for Loan<'_> {
    /// It goes home, but for one that a panic left in the middle of a transaction.
    fn drop(&mut self) {
        let session = self.session.take().filter(|_| !std::thread::panicking());
        guard(&self.home.visitors).push(session);
        self.home.returned.notify_one();
    }
}

impl Drop for PostgresStore {
    /// What is queued is decided and answered first.
    fn drop(&mut self) {
        self.queue = None;
        for worker in self.workers.drain(..) {
            // A panic of a worker has been seen by those whose answers it took along.
            let _ended = worker.join();
        }
    }
}

/// A worker's life: until the queue is closed and empty.
fn serve(link: &Link, decider: &Decider, jobs: &Mutex<Receiver<Job>>) {
    let mut session = None;
    loop {
        let job = guard(jobs).recv();
        let Ok(job) = job else {
            return;
        };
        let outcome = decide(&mut session, link, decider, &job.question);
        job.answer(outcome);
    }
}

/// Decides; again from the start where the transaction met another one, or the connection broke off. That is safe even
/// where a commit is not known to have failed: then the idempotency key finds its answer.
fn decide(
    session: &mut Option<Session>,
    link: &Link,
    decider: &Decider,
    question: &Question,
) -> Result<Outcome, StoreError> {
    let mut tries = 0;
    loop {
        let session = ready(session, link, Use::Decisions)?;
        let outcome = session.transaction(WRITE, |db| decider.run(db, question));
        tries += match (&outcome, session.fault()) {
            (Err(_), Some(Fault::Conflict)) => 1,
            (Err(_), Some(Fault::Broken)) => BROKEN,
            _ => return outcome,
        };
        if tries >= TRIES {
            return outcome;
        }
        std::thread::sleep(Duration::from_millis(u64::from(tries * tries)));
    }
}

/// The session, or a new one where there is none or the server is gone.
fn ready<'a>(
    slot: &'a mut Option<Session>,
    link: &Link,
    purpose: Use,
) -> Result<&'a mut Session, StoreError> {
    if let Some(session) = slot.take_if(|session| session.is_good()) {
        return Ok(slot.insert(session));
    }
    *slot = None;
    let mut session = link.connect(purpose)?;
    session.barrier()?;
    Ok(slot.insert(session))
}

fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PostgresStore")
    }
}
