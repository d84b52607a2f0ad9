//! The PostgreSQL store: READ COMMITTED, and the payer's row locked before anything is read
//! (`SELECT … FOR NO KEY UPDATE`), so that decisions on one account come one after another and others do not
//! wait. One worker for each connection takes decisions from a queue; two exchanges with the database make
//! one decision: lock and read, write and commit.

mod link;
mod migration;
mod parts;
mod place;
mod rights;
mod session;
mod spelling;
mod wire;

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use self::link::Link;
use self::parts::Made;
pub(crate) use self::place::for_role;
use self::session::{Fault, READ, Session, Use, WRITE};
use crate::books::decision::{Decided, Decider, Question};
use crate::books::sql::Sql;
use crate::domain::StoreError;
use crate::store::pool::Pool;
use crate::store::queue::{Job, Line, Load, Pending};
use crate::store::roles::{Aim, Roles};
use crate::store::schema::{self, Parts};

/// Decisions under way at once, each on a connection of its own, unless told otherwise.
pub(crate) const WORKERS: usize = 16;
/// Connections for short transactions that are no decisions.
const VISITORS: usize = 4;
/// Most decisions that wait for the workers; more are refused as busy.
const QUEUE: usize = 4_096;
/// Most tries at one decision that meets others.
const TRIES: u32 = 12;
/// Tries that a connection that broke off counts for.
const BROKEN: u32 = 6;

/// A database of a PostgreSQL server.
pub(crate) struct PostgresStore {
    link: Arc<Link>,
    decider: Arc<Decider>,
    /// None if the store was opened for reading only.
    queue: Option<SyncSender<Job>>,
    workers: Vec<JoinHandle<()>>,
    visitors: Pool<Session>,
    line: Line,
    /// The schema as this program makes it on this server, once it was needed.
    ours: OnceLock<Parts>,
}

impl PostgresStore {
    /// Connects, brings the schema up to date, or makes it, gives `roles` their rights as the aim is, and lets `load` read, or write, what
    /// decisions need.
    pub(crate) fn open<E: From<StoreError>>(
        url: &str,
        workers: usize,
        aim: Aim,
        roles: &Roles,
        load: impl FnOnce(&mut dyn Sql) -> Result<Decider, E>,
    ) -> Result<Self, E> {
        let link = Arc::new(Link::to_primary(url)?);
        let mut first = link.first()?;
        let decider = first.migrate(aim, roles, load)?;
        first.barrier()?;
        let visitors = Pool::new(VISITORS - 1);
        visitors.add(first);
        let (queue, jobs) = sync_channel(QUEUE);
        let (decider, jobs) = (Arc::new(decider), Arc::new(Mutex::new(jobs)));
        let start = |number| {
            let (link, decider, jobs) = (Arc::clone(&link), Arc::clone(&decider), Arc::clone(&jobs));
            let name = format!("onetap-pg-{number}");
            let work = move || serve(&link, &decider, &jobs);
            std::thread::Builder::new().name(name).spawn(work).map_err(|_| StoreError::Locked)
        };
        let workers = (0..workers.max(1)).map(start).collect::<Result<Vec<_>, _>>()?;
        let (line, ours) = (Line::default(), OnceLock::new());
        Ok(Self { link, decider, queue: Some(queue), workers, visitors, line, ours })
    }

    /// Connects to a server that may be a standby, as a role that need not write, and lets `load` read.
    pub(crate) fn open_read_only<E: From<StoreError>>(
        url: &str,
        load: impl FnOnce(&mut dyn Sql) -> Result<Decider, E>,
    ) -> Result<Self, E> {
        let link = Arc::new(Link::to_any(url)?);
        let mut first = link.first()?;
        let decider = Arc::new(first.load(load)?);
        let visitors = Pool::new(VISITORS - 1);
        visitors.add(first);
        let (workers, line, ours) = (Vec::new(), Line::default(), OnceLock::new());
        Ok(Self { link, decider, queue: None, workers, visitors, line, ours })
    }

    /// What it decides by.
    pub(crate) fn decider(&self) -> &Decider {
        &self.decider
    }

    /// What it has to do now.
    pub(crate) fn load(&self) -> Load {
        let (connections, in_use) = self.visitors.load();
        Load { queued: self.line.length(), connections, in_use }
    }

    /// Queues a decision.
    pub(crate) fn submit(&self, question: Question) -> Result<Pending, StoreError> {
        let (job, pending) = self.line.slot(question);
        let queue = self.queue.as_ref().ok_or(StoreError::ReadOnly)?;
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
        if self.queue.is_none() {
            return Err(StoreError::ReadOnly.into());
        }
        self.visit(|session| session.transaction(WRITE, work))
    }

    /// Runs `work`, which is short, on one consistent snapshot.
    pub(crate) fn read<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&mut dyn Sql) -> Result<T, E>,
    ) -> Result<T, E> {
        self.visit(|session| session.transaction(READ, work))
    }

    /// Runs `work`, which may take minutes, on one consistent snapshot and a connection of its own.
    pub(crate) fn read_long<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&mut dyn Sql) -> Result<T, E>,
    ) -> Result<T, E> {
        self.link.connect(Use::Visits)?.transaction(READ, work)
    }

    /// Commits as a decision does, and looks whether all workers live and the schema is still this program's.
    pub(crate) fn prove(&self) -> Result<(), StoreError> {
        if self.workers.iter().any(JoinHandle::is_finished) {
            return Err(StoreError::Stopped);
        }
        self.visit(|session| {
            session.check_schema()?;
            session.barrier()
        })
    }

    /// The first part of the schema that is not as this program makes it; none where ours cannot be made to compare with,
    /// since nothing can be written.
    pub(crate) fn strange_part(&self) -> Result<Option<String>, StoreError> {
        let ours = match self.ours() {
            Err(StoreError::ReadOnly) => return Ok(None),
            ours => ours?,
        };
        Ok(schema::difference(ours, &self.read(parts::found)?))
    }

    fn ours(&self) -> Result<&Parts, StoreError> {
        if let Some(ours) = self.ours.get() {
            return Ok(ours);
        }
        let Err(Made(made)) = self.write(|db| Err::<Infallible, _>(Made(parts::ours(db))));
        made.map(|made| self.ours.get_or_init(|| made))
    }

    fn visit<T, E: From<StoreError>>(&self, work: impl FnOnce(&mut Session) -> Result<T, E>) -> Result<T, E> {
        let mut loan = self.visitors.borrow()?;
        work(ready(&mut loan.slot, &self.link, Use::Visits)?)
    }
}

impl Drop for PostgresStore {
    /// What is queued is decided and answered first.
    fn drop(&mut self) {
        self.queue = None;
        for worker in self.workers.drain(..) {
            // Whoever waited for a worker that panicked was told so.
            let _ended = worker.join();
        }
    }
}

/// A worker's life: until the queue is closed and empty.
fn serve(link: &Link, decider: &Decider, jobs: &Mutex<Receiver<Job>>) {
    let mut session = None;
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else {
            return;
        };
        let decided = catch_unwind(AssertUnwindSafe(|| decide(&mut session, link, decider, &job.question)));
        let outcome = decided.unwrap_or_else(|_| {
            // The server rolls back what a connection that is closed has not committed.
            session = None;
            Err(StoreError::Defect)
        });
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
) -> Result<Decided, StoreError> {
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
    Ok(slot.insert(link.connect(purpose)?))
}

impl std::fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PostgresStore")
    }
}
