//! The SQLite store: write-ahead log, `synchronous = FULL`, and one thread that writes.
//!
//! The writer takes what is queued, up to [`BATCH`] decisions, and makes one commit of it: `BEGIN IMMEDIATE`
//! against other processes, a savepoint for each decision, and the answers leave after the commit. Requests at the
//! private key are waited for a little: the more decisions in one commit, the less each costs. Whoever
//! else wants to write borrows the writer's connection in its turn.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::{CachedStatement, Connection, OpenFlags, ToSql, Transaction, TransactionBehavior};

use super::fold::Folder;
use crate::books::decision::{Decider, Question};
use crate::books::sql::{Param, Row, Sql, Value};
use crate::domain::StoreError;
use crate::rules::decide::Outcome;
use crate::store::queue::{Job, Pending, queue_slot};
use crate::store::schema;

/// Decisions in one commit at most.
const BATCH: usize = 128;
/// How long a commit waits for requests that are under way.
const GATHER: Duration = Duration::from_millis(4);
/// What may wait for the writer; more is refused as busy.
const QUEUE: usize = 4_096;

/// One database file, or one database in memory.
pub(crate) struct SqliteStore {
    /// Reads beside the writer; none in memory, where the one connection does both. Closed first: the
    /// last connection folds the log into the file, which a reader may not.
    reader: Option<Mutex<Connection>>,
    path: Option<PathBuf>,
    folder: Option<Folder>,
    decider: Arc<Decider>,
    /// Requests under way to the queue.
    coming: Arc<AtomicUsize>,
    queue: Option<SyncSender<Task>>,
    writer: Option<JoinHandle<()>>,
}

/// What the writer does.
enum Task {
    Decide(Box<Job>),
    /// Lends its connection, and waits until it is back.
    Lend(SyncSender<Connection>, Receiver<Connection>),
}

impl SqliteStore {
    /// Makes the file at `path` if need be, and whatever `first` writes, in one commit.
    pub(crate) fn create<E: From<StoreError>>(
        path: &Path,
        first: impl FnOnce(&mut dyn Sql) -> Result<Decider, E>,
    ) -> Result<Self, E> {
        schema::make_file(path)?;
        let mut connection = schema::connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        schema::use_wal(&connection)?;
        let decider = fill(&mut connection, first)?;
        let reader = schema::connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        Ok(Self::start(connection, Some((reader, path)), decider)?)
    }

    /// Opens the file at `path`, bringing an older schema up to date; `load` reads what decisions need.
    pub(crate) fn open<E: From<StoreError>>(
        path: &Path,
        load: impl FnOnce(&mut dyn Sql) -> Result<Decider, E>,
    ) -> Result<Self, E> {
        let mut writer = schema::connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        let found = schema::version(&writer)?;
        if found == 0 {
            return Err(StoreError::Empty.into());
        }
        if writer.is_readonly("main").map_err(StoreError::from)? {
            return Err(StoreError::ReadOnly.into());
        }
        let decider =
            if found < schema::VERSION { fill(&mut writer, load)? } else { load(&mut Session(&writer))? };
        let reader = schema::connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        Ok(Self::start(writer, Some((reader, path)), decider)?)
    }

    /// Makes a database in memory.
    pub(crate) fn in_memory<E: From<StoreError>>(
        first: impl FnOnce(&mut dyn Sql) -> Result<Decider, E>,
    ) -> Result<Self, E> {
        let mut writer = Connection::open_in_memory().map_err(StoreError::from)?;
        schema::configure(&writer)?;
        let decider = fill(&mut writer, first)?;
        Ok(Self::start(writer, None, decider)?)
    }

    /// Starts the writer.
    fn start(
        connection: Connection,
        reader: Option<(Connection, &Path)>,
        decider: Decider,
    ) -> Result<Self, StoreError> {
        let (queue, tasks) = sync_channel(QUEUE);
        let (decider, coming) = (Arc::new(decider), Arc::new(AtomicUsize::new(0)));
        let inbox = Inbox { tasks, coming: Arc::clone(&coming), next: None };
        let work = {
            let decider = Arc::clone(&decider);
            move || serve(connection, &decider, inbox)
        };
        let writer = std::thread::Builder::new().name("onetap-sqlite".to_owned()).spawn(work);
        let writer = writer.map_err(|_| StoreError::Locked)?;
        let folder = reader.as_ref().map(|(_, path)| Folder::start(path)).transpose()?;
        let (reader, path) = reader.map(|(reader, path)| (Mutex::new(reader), path.to_owned())).unzip();
        Ok(Self { reader, path, folder, decider, coming, queue: Some(queue), writer: Some(writer) })
    }

    /// What it decides by.
    pub(crate) fn decider(&self) -> &Decider {
        &self.decider
    }

    /// Says that a request is under way to the queue, until the guard is dropped.
    pub(crate) fn under_way(&self) -> Coming {
        self.coming.fetch_add(1, Ordering::Relaxed);
        Coming(Arc::clone(&self.coming))
    }

    /// Queues a decision.
    pub(crate) fn submit(&self, question: Question) -> Result<Pending, StoreError> {
        let (job, pending) = queue_slot(question);
        let queue = self.queue.as_ref().ok_or(StoreError::Locked)?;
        match queue.try_send(Task::Decide(Box::new(job))) {
            Ok(()) => Ok(pending),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Err(StoreError::Locked),
        }
    }

    /// Runs `work` in one writing transaction: all of it is durable when this returns `Ok`, none of it
    /// is written otherwise.
    pub(crate) fn write<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&mut dyn Sql) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut loan = self.borrow()?;
        let connection = loan.connection.as_mut().ok_or(StoreError::Locked)?;
        let transaction = begin(connection)?;
        let value = work(&mut Session(&transaction))?;
        transaction.commit().map_err(StoreError::from)?;
        Ok(value)
    }

    /// Runs `work` on one consistent snapshot.
    pub(crate) fn read<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&mut dyn Sql) -> Result<T, E>,
    ) -> Result<T, E> {
        let Some(reader) = &self.reader else {
            return self.write(work);
        };
        let mut connection = guard(reader);
        let transaction = connection.transaction().map_err(StoreError::from)?;
        work(&mut Session(&transaction))
    }

    /// Writes a compact copy of the database, of one moment, into the empty file `to`, beside readers and the
    /// writer.
    pub(crate) fn copy_to(&self, to: &Path) -> Result<(), StoreError> {
        let Some(path) = &self.path else {
            return Err(StoreError::CannotOpen);
        };
        let source = schema::connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let to = to.to_str().ok_or(StoreError::CannotOpen)?;
        source.execute("VACUUM INTO ?1", [to])?;
        Ok(())
    }

    /// The writer's connection, until it is dropped.
    fn borrow(&self) -> Result<Loan, StoreError> {
        let queue = self.queue.as_ref().ok_or(StoreError::Locked)?;
        let ((lend, take), (give, back)) = (sync_channel(1), sync_channel(1));
        queue.send(Task::Lend(lend, back)).map_err(|_| StoreError::Locked)?;
        let connection = take.recv().map_err(|_| StoreError::Locked)?;
        Ok(Loan { connection: Some(connection), home: give })
    }
}

impl Drop for SqliteStore {
    /// What is queued is decided and answered first. Reader and folder go before the writer may.
    fn drop(&mut self) {
        self.reader = None;
        self.folder = None;
        self.queue = None;
        if let Some(writer) = self.writer.take() {
            // A panic of the writer has been seen by those whose answers it took along.
            let _ended = writer.join();
        }
    }
}

/// A borrowed connection; it goes home when this is dropped, also in a panic.
struct Loan {
    connection: Option<Connection>,
    home: SyncSender<Connection>,
}

impl Drop for Loan {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            // The writer waits for it, whatever else happens.
            let _returned = self.home.send(connection);
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

/// The writer's life: until the queue is closed and empty.
fn serve(mut connection: Connection, decider: &Decider, mut inbox: Inbox) {
    let mut jobs: Vec<Job> = Vec::with_capacity(BATCH);
    while let Some(task) = inbox.next() {
        match task {
            Task::Decide(job) => {
                jobs.push(*job);
                inbox.gather(&mut jobs);
                decide_all(&mut connection, decider, &mut jobs);
            }
            Task::Lend(lend, back) => {
                if let Err(unwanted) = lend.send(connection) {
                    connection = unwanted.0;
                } else if let Ok(returned) = back.recv() {
                    connection = returned;
                } else {
                    return;
                }
            }
        }
    }
}

/// Decides `jobs` in one commit, then answers.
fn decide_all(connection: &mut Connection, decider: &Decider, jobs: &mut Vec<Job>) {
    let outcomes = commit_all(connection, decider, jobs);
    match outcomes {
        Ok(outcomes) => {
            for (job, outcome) in jobs.drain(..).zip(outcomes) {
                job.answer(outcome);
            }
        }
        Err(error) => {
            for job in jobs.drain(..) {
                job.answer(Err(error.clone()));
            }
        }
    }
}

type Outcomes = Vec<Result<Outcome, StoreError>>;

fn commit_all(connection: &mut Connection, decider: &Decider, jobs: &[Job]) -> Result<Outcomes, StoreError> {
    let transaction = begin(connection)?;
    let mut outcomes = Vec::with_capacity(jobs.len());
    for job in jobs {
        let mut session = Session(&transaction);
        session.execute("SAVEPOINT decision", &[])?;
        let outcome = decider.run(&mut session, &job.question);
        if outcome.is_err() {
            session.execute("ROLLBACK TO decision", &[])?;
        }
        session.execute("RELEASE decision", &[])?;
        outcomes.push(outcome);
    }
    transaction.commit()?;
    Ok(outcomes)
}

/// Whether the file at `path` is a OneTap database without damage.
pub(crate) fn check_file(path: &Path) -> Result<(), StoreError> {
    let connection = schema::connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    if schema::version(&connection)? == 0 {
        return Err(StoreError::NotOneTap);
    }
    let verdict: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if verdict == "ok" { Ok(()) } else { Err(StoreError::Damaged) }
}

/// Brings the schema up to date and writes what `first` writes, in one commit.
fn fill<T, E: From<StoreError>>(
    connection: &mut Connection,
    first: impl FnOnce(&mut dyn Sql) -> Result<T, E>,
) -> Result<T, E> {
    let transaction = begin(connection)?;
    let found = schema::version(&transaction)?;
    schema::migrate(&transaction, found)?;
    let value = first(&mut Session(&transaction))?;
    transaction.commit().map_err(StoreError::from)?;
    Ok(value)
}

fn begin(connection: &mut Connection) -> Result<Transaction<'_>, StoreError> {
    Ok(connection.transaction_with_behavior(TransactionBehavior::Immediate)?)
}

/// A panic in another thread rolled its transaction back: the connection is fit for use.
fn guard<T>(connection: &Mutex<T>) -> MutexGuard<'_, T> {
    connection.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A transaction of SQLite.
struct Session<'a>(&'a Connection);

impl Session<'_> {
    fn bound(&self, sql: &str, params: &[Param<'_>]) -> Result<CachedStatement<'_>, StoreError> {
        let mut statement = self.0.prepare_cached(sql)?;
        for (index, param) in params.iter().enumerate() {
            statement.raw_bind_parameter(index + 1, param)?;
        }
        Ok(statement)
    }
}

impl Sql for Session<'_> {
    fn execute(&mut self, sql: &'static str, params: &[Param<'_>]) -> Result<u64, StoreError> {
        let changed = self.bound(sql, params)?.raw_execute()?;
        Ok(u64::try_from(changed).unwrap_or(u64::MAX))
    }

    fn query(
        &mut self,
        sql: &'static str,
        params: &[Param<'_>],
        each: &mut dyn FnMut(&dyn Row) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut statement = self.bound(sql, params)?;
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next()? {
            each(row)?;
        }
        Ok(())
    }

    fn locks_rows(&self) -> bool {
        false
    }
}

impl ToSql for Param<'_> {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        use rusqlite::types::ValueRef;
        Ok(rusqlite::types::ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Int(value) => ValueRef::Integer(*value),
            Self::Text(value) => ValueRef::Text(value.as_bytes()),
            Self::Bytes(value) => ValueRef::Blob(value),
        }))
    }
}

impl Row for rusqlite::Row<'_> {
    fn value(&self, column: usize) -> Result<Value<'_>, StoreError> {
        use rusqlite::types::ValueRef;
        match self.get_ref(column)? {
            ValueRef::Null => Ok(Value::Null),
            ValueRef::Integer(value) => Ok(Value::Int(value)),
            ValueRef::Text(value) => {
                std::str::from_utf8(value).map(Value::Text).map_err(|_| StoreError::BadRow { what: "text" })
            }
            ValueRef::Blob(value) => Ok(Value::Bytes(value)),
            ValueRef::Real(_) => Err(StoreError::BadRow { what: "number" }),
        }
    }
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SqliteStore")
    }
}
