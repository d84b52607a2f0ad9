//! One connection and its transactions.

use std::collections::HashMap;
use std::pin::pin;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use futures_util::future::{join, join_all};
use tokio::runtime::Runtime;
use tokio::time::timeout;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, Statement as Prepared};

use super::spelling::{joined, spelled};
use super::wire::{Owned, is_broken, is_conflict};
use crate::books::sql::{Row, Sql, Statement, Value};
use crate::domain::StoreError;
use crate::store::schema;

/// What a session is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// Decisions: short transactions, or none.
    Decisions,
    /// The rest, some of which reads every row there is.
    Visits,
}

pub(super) const WRITE: &str = "BEGIN";
pub(super) const READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
/// Locks, so that its commit waits for the standby; shared, so that sessions do not wait for each other.
const BARRIER: &str = "SELECT current_setting('synchronous_commit') AS level FROM server FOR KEY SHARE";
/// Settings of `synchronous_commit` under which a crash takes along what was answered.
const LOSING: [&str; 2] = ["off", "local"];
/// How long a decision waits for the server: longer than any of the server's own time-outs. It is reached when the
/// server is gone without a word, or a commit waits for a standby that is.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why the last transaction failed, where that is of interest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It met another one and was rolled back.
    Conflict,
    /// The connection is of no more use.
    Broken,
    /// The server did not answer in time.
    Late,
}

/// One connection, driven by the thread that uses it.
///
/// `BEGIN` goes out with the first exchange of a transaction, what [`Sql::execute_all`] was told last goes out as one
/// statement beside `COMMIT`: if it fails, the server rolls back whatever `COMMIT` says.
pub(super) struct Session {
    client: Client,
    runtime: Runtime,
    purpose: Use,
    prepared: HashMap<&'static str, Prepared>,
    opening: Option<&'static str>,
    /// What several statements are prepared as that run as one.
    joined: HashMap<Vec<&'static str>, Prepared>,
    /// Statements of one [`Sql::execute_all`] that have not been sent yet.
    deferred: Vec<(&'static str, Vec<Owned>)>,
    fault: Option<Fault>,
}

impl Session {
    pub(super) fn new(client: Client, runtime: Runtime, purpose: Use) -> Self {
        let (prepared, joined, deferred) = (HashMap::new(), HashMap::new(), Vec::new());
        Self { client, runtime, purpose, prepared, joined, opening: None, deferred, fault: None }
    }

    /// Why the last transaction failed.
    pub(super) fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// Whether the connection is still good, as far as can be seen without asking the server.
    pub(super) fn is_good(&self) -> bool {
        // Lets the connection read what has come meanwhile: that the server is gone, perhaps.
        self.runtime.block_on(async {
            for _ in 0..4 {
                tokio::task::yield_now().await;
            }
        });
        !self.client.is_closed() && !matches!(self.fault, Some(Fault::Broken | Fault::Late))
    }

    /// Waits until everything that can be read here is on the standby too. After a crash of the server, commits show
    /// that nobody was told of and that the standby may lack: an answer out of these must not leave before.
    pub(super) fn barrier(&mut self) -> Result<(), StoreError> {
        let level =
            self.transaction(WRITE, |db| db.first(BARRIER, &[], |row| Ok(row.text("level")?.to_owned())))?;
        match level {
            Some(level) if LOSING.contains(&level.as_str()) => Err(StoreError::Refused(format!(
                "synchronous_commit is {level}, a crash would lose what was answered"
            ))),
            _ => Ok(()),
        }
    }

    /// Whether the schema is of this program's version.
    pub(super) fn check_schema(&mut self) -> Result<(), StoreError> {
        schema::check_readable(self.transaction(READ, version)?)
    }

    /// Runs `work` in a transaction.
    pub(super) fn transaction<T, E: From<StoreError>>(
        &mut self,
        begin: &'static str,
        work: impl FnOnce(&mut dyn Sql) -> Result<T, E>,
    ) -> Result<T, E> {
        self.within(begin, |session| work(session))
    }

    pub(super) fn within<T, E: From<StoreError>>(
        &mut self,
        begin: &'static str,
        work: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        (self.fault, self.opening) = (None, Some(begin));
        let value = work(self);
        if value.is_err() {
            self.abandon();
            return value;
        }
        self.commit()?;
        value
    }

    /// Sends what is left, then `COMMIT`.
    fn commit(&mut self) -> Result<(), StoreError> {
        if self.opening.take().is_some() {
            return Ok(());
        }
        let last = match self.join_deferred() {
            Ok(last) => last,
            Err(error) => {
                self.abandon();
                return Err(error);
            }
        };
        let client = &self.client;
        let done = self.wait(async {
            let write = async {
                match &last {
                    Some((sql, params)) => execute(client, sql, params).await,
                    None => Ok(0),
                }
            };
            let (written, done) = join(write, client.batch_execute("COMMIT")).await;
            written.and(done)
        });
        self.noted(done)
    }

    /// What was put off, as one statement.
    fn join_deferred(&mut self) -> Result<Option<(Prepared, Vec<Owned>)>, StoreError> {
        let deferred = std::mem::take(&mut self.deferred);
        if deferred.is_empty() {
            return Ok(None);
        }
        let key: Vec<&'static str> = deferred.iter().map(|(sql, _)| *sql).collect();
        let prepared = match self.joined.get(&key) {
            Some(known) => known.clone(),
            None => {
                let counted: Vec<_> = deferred.iter().map(|(sql, params)| (*sql, params.len())).collect();
                let prepared = self.parse(&joined(&counted))?;
                self.joined.insert(key, prepared.clone());
                prepared
            }
        };
        Ok(Some((prepared, deferred.into_iter().flat_map(|(_, params)| params).collect())))
    }

    /// Rolls back. If the connection is gone, the server does so by itself; one that cannot be rolled back is.
    fn abandon(&mut self) {
        self.deferred.clear();
        let begun = self.opening.take().is_none();
        if !begun || matches!(self.fault, Some(Fault::Broken | Fault::Late)) {
            return;
        }
        if !matches!(self.wait(self.client.batch_execute("ROLLBACK")), Ok(Ok(()))) {
            self.fault = Some(Fault::Broken);
        }
    }

    /// Waits for the server: `None` if it does not answer.
    fn wait<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Answer<T> {
        let answered = match self.purpose {
            Use::Decisions => self.runtime.block_on(async { timeout(PATIENCE, work).await.ok() }),
            Use::Visits => Some(self.runtime.block_on(work)),
        };
        answered.ok_or(())
    }

    /// Keeps what an error means for this session.
    fn noted<T>(&mut self, answer: Answer<T>) -> Result<T, StoreError> {
        match answer {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => {
                let conflict = is_conflict(&error).then_some(Fault::Conflict);
                self.fault = conflict.or(is_broken(&error).then_some(Fault::Broken));
                Err(error.into())
            }
            Err(()) => {
                self.fault = Some(Fault::Late);
                Err(StoreError::Unreachable(format!("nothing within {} s", PATIENCE.as_secs())))
            }
        }
    }

    fn prepare(&mut self, sql: &'static str) -> Result<Prepared, StoreError> {
        if let Some(prepared) = self.prepared.get(sql) {
            return Ok(prepared.clone());
        }
        let prepared = self.parse(&spelled(sql, 0))?;
        self.prepared.insert(sql, prepared.clone());
        Ok(prepared)
    }

    fn parse(&mut self, text: &str) -> Result<Prepared, StoreError> {
        let prepared = self.wait(self.client.prepare(text));
        self.noted(prepared)
    }

    /// Sends what was put off, in its place before what comes now.
    fn catch_up(&mut self) -> Result<(), StoreError> {
        for (sql, params) in std::mem::take(&mut self.deferred) {
            let sql = self.prepare(sql)?;
            self.send(&sql, &params)?;
        }
        Ok(())
    }

    /// Runs one statement, after `BEGIN` if that has not been sent.
    fn send(&mut self, sql: &Prepared, params: &[Owned]) -> Result<u64, StoreError> {
        let opening = self.opening.take();
        let client = &self.client;
        let done = self.wait(async {
            let (begun, changed) = join(begin(client, opening), execute(client, sql, params)).await;
            begun.and(changed)
        });
        self.noted(done)
    }

    pub(super) fn batch(&mut self, script: &str) -> Result<(), StoreError> {
        let opening = self.opening.take();
        let done = self.wait(async {
            begin(&self.client, opening).await?;
            self.client.batch_execute(script).await
        });
        self.noted(done)
    }

    /// Lets `load` read, if the schema is up to date.
    pub(super) fn load<T, E: From<StoreError>>(
        &mut self,
        load: impl FnOnce(&mut dyn Sql) -> Result<T, E>,
    ) -> Result<T, E> {
        self.transaction(READ, |db| {
            schema::check_readable(version(db)?)?;
            load(db)
        })
    }
}

/// What the server says, if it says anything in time.
type Answer<T> = Result<Result<T, Error>, ()>;

/// The version of the schema; 0 of an empty database.
pub(super) fn version(db: &mut dyn Sql) -> Result<i64, StoreError> {
    let table = "SELECT count(*) FROM information_schema.tables
        WHERE table_schema = current_schema() AND table_name = 'onetap_schema'";
    match db.count(table, &[])? {
        0 => Ok(0),
        _ => db.count("SELECT max(version) FROM onetap_schema", &[]),
    }
}

impl Sql for Session {
    fn execute(&mut self, sql: &'static str, params: &[Value<'_>]) -> Result<u64, StoreError> {
        let sql = self.prepare(sql)?;
        self.catch_up()?;
        let params: Vec<Owned> = params.iter().map(Owned::from).collect();
        self.send(&sql, &params)
    }

    fn query(
        &mut self,
        sql: &'static str,
        params: &[Value<'_>],
        each: &mut dyn FnMut(&Row<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let sql = self.prepare(sql)?;
        self.catch_up()?;
        let opening = self.opening.take();
        let client = &self.client;
        let done = self.wait(async {
            let (begun, rows) = join(begin(client, opening), client.query_raw(&sql, params)).await;
            let mut rows = pin!(begun.and(rows)?);
            while let Some(row) = rows.try_next().await? {
                if let Err(refused) = each(&Row::new(&row)) {
                    return Ok(Err(refused));
                }
            }
            Ok(Ok(()))
        });
        self.noted(done)?
    }

    fn query_all(
        &mut self,
        queries: &[Statement<'_>],
        each: &mut dyn FnMut(usize, &Row<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let prepared = queries.iter().map(|query| self.prepare(query.sql)).collect::<Result<Vec<_>, _>>()?;
        self.catch_up()?;
        let opening = self.opening.take();
        let client = &self.client;
        let answers = self.wait(async {
            let all = queries.iter().zip(&prepared).map(|(query, sql)| async move {
                let params: Vec<_> = query.params.iter().map(|param| param as &(dyn ToSql + Sync)).collect();
                client.query(sql, &params).await
            });
            let (begun, answers) = join(begin(client, opening), join_all(all)).await;
            begun.and(answers.into_iter().collect::<Result<Vec<_>, _>>())
        });
        for (query, rows) in self.noted(answers)?.into_iter().enumerate() {
            for row in rows {
                each(query, &Row::new(&row))?;
            }
        }
        Ok(())
    }

    fn execute_all(&mut self, statements: &[Statement<'_>]) -> Result<(), StoreError> {
        self.catch_up()?;
        for statement in statements {
            self.deferred.push((statement.sql, statement.params.iter().map(Owned::from).collect()));
        }
        Ok(())
    }

    fn locks_rows(&self) -> bool {
        true
    }
}

async fn begin(client: &Client, opening: Option<&'static str>) -> Result<(), Error> {
    match opening {
        Some(begin) => client.batch_execute(begin).await,
        None => Ok(()),
    }
}

async fn execute(client: &Client, sql: &Prepared, params: &[Owned]) -> Result<u64, Error> {
    let params: Vec<_> = params.iter().map(|param| param as &(dyn ToSql + Sync)).collect();
    client.execute(sql, &params).await
}
