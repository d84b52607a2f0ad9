//! One connection and its transactions.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::{join, join_all};
use tokio::runtime::Runtime;
use tokio::time::timeout;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, Statement as Prepared};

use super::spelling::fused;
use super::spelling::spelled;
use super::wire::Owned;
use super::wire::is_broken;
use super::wire::is_conflict;
use crate::books::sql::{Param, Sql, Statement};
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
/// Serialises those who bring the schema up to date.
const MIGRATING: &str = "SELECT pg_advisory_xact_lock(823173296)";
/// Locks, so that its commit waits for the standby; shared, so that sessions do not wait for each other.
const BARRIER: &str = "SELECT current_setting('synchronous_commit') FROM server FOR KEY SHARE";
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
/// `BEGIN` goes out with the first exchange of a transaction, what [`Sql::execute_all`] writes with the last
/// one, beside `COMMIT`: if a statement fails, the server rolls back whatever `COMMIT` says.
pub(super) struct Session {
    client: Client,
    runtime: Runtime,
    purpose: Use,
    prepared: HashMap<&'static str, Prepared>,
    opening: Option<&'static str>,
    /// What several statements at once are prepared as.
    together: HashMap<Vec<&'static str>, Option<Prepared>>,
    deferred: Vec<(&'static str, Vec<Owned>)>,
    fault: Option<Fault>,
}

impl Session {
    pub(super) fn new(client: Client, runtime: Runtime, purpose: Use) -> Self {
        let (prepared, together, deferred) = (HashMap::new(), HashMap::new(), Vec::new());
        Self { client, runtime, purpose, prepared, together, opening: None, deferred, fault: None }
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
            self.transaction(WRITE, |db| db.first(BARRIER, &[], |row| Ok(row.text(0)?.to_owned())))?;
        match level {
            Some(level) if LOSING.contains(&level.as_str()) => Err(StoreError::Refused(format!(
                "synchronous_commit is {level}, a crash would lose what was answered"
            ))),
            _ => Ok(()),
        }
    }

    /// Runs `work` in a transaction.
    pub(super) fn transaction<T, E: From<StoreError>>(
        &mut self,
        begin: &'static str,
        work: impl FnOnce(&mut dyn Sql) -> Result<T, E>,
    ) -> Result<T, E> {
        self.within(begin, |session| work(session))
    }

    fn within<T, E: From<StoreError>>(
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
        let writes = match self.writes() {
            Ok(writes) => writes,
            Err(error) => {
                self.abandon();
                return Err(error);
            }
        };
        let client = &self.client;
        let done = self.wait(async {
            let writes = join_all(writes.iter().map(|(sql, params)| execute(client, sql, params)));
            let (writes, done) = join(writes, client.batch_execute("COMMIT")).await;
            writes.into_iter().collect::<Result<Vec<u64>, _>>().and(done)
        });
        self.noted(done)
    }

    /// What was put off: one statement if that means the same.
    fn writes(&mut self) -> Result<Vec<(Prepared, Vec<Owned>)>, StoreError> {
        let deferred = std::mem::take(&mut self.deferred);
        if let Some(one) = self.together(&deferred)? {
            return Ok(vec![(one, deferred.into_iter().flat_map(|(_, params)| params).collect())]);
        }
        deferred.into_iter().map(|(sql, params)| Ok((self.prepare(sql)?, params))).collect()
    }

    fn together(&mut self, deferred: &[(&'static str, Vec<Owned>)]) -> Result<Option<Prepared>, StoreError> {
        let key: Vec<&'static str> = deferred.iter().map(|(sql, _)| *sql).collect();
        if let Some(known) = self.together.get(&key) {
            return Ok(known.clone());
        }
        let counted: Vec<_> = deferred.iter().map(|(sql, params)| (*sql, params.len())).collect();
        let prepared = fused(&counted).map(|text| self.parse(&text)).transpose()?;
        self.together.insert(key, prepared.clone());
        Ok(prepared)
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
            let done = self.wait(execute(&self.client, &sql, &params));
            self.noted(done)?;
        }
        Ok(())
    }

    fn batch(&mut self, script: &str) -> Result<(), StoreError> {
        let opening = self.opening.take();
        let done = self.wait(async {
            begin(&self.client, opening).await?;
            self.client.batch_execute(script).await
        });
        self.noted(done)
    }

    /// Brings the schema up to date, or makes it if there is none and `make` says so, and lets `load` read or
    /// write, all in one transaction and one process after the other.
    pub(super) fn migrate<T, E: From<StoreError>>(
        &mut self,
        make: bool,
        load: impl FnOnce(&mut dyn Sql) -> Result<T, E>,
    ) -> Result<T, E> {
        let found = self.transaction(READ, version)?;
        if found == schema::VERSION && !make {
            return self.transaction(WRITE, load);
        }
        self.within(WRITE, |session| {
            session.batch(MIGRATING)?;
            let found = version(session)?;
            if found == 0 && !make {
                return Err(StoreError::Empty.into());
            }
            schema::check_version(found)?;
            if found != schema::VERSION {
                for script in schema::postgres_scripts(found) {
                    session.batch(&script)?;
                }
                session.batch(&format!("INSERT INTO onetap_schema VALUES ({})", schema::VERSION))?;
            }
            load(session)
        })
    }
}

/// What the server says, if it says anything in time.
type Answer<T> = Result<Result<T, Error>, ()>;

/// The version of the schema; 0 of an empty database.
fn version(db: &mut dyn Sql) -> Result<i64, StoreError> {
    let table = "SELECT count(*) FROM information_schema.tables
        WHERE table_schema = current_schema() AND table_name = 'onetap_schema'";
    match db.count(table, &[])? {
        0 => Ok(0),
        _ => db.count("SELECT max(version) FROM onetap_schema", &[]),
    }
}

impl Sql for Session {
    fn execute(&mut self, sql: &'static str, params: &[Param<'_>]) -> Result<u64, StoreError> {
        let sql = self.prepare(sql)?;
        self.catch_up()?;
        let opening = self.opening.take();
        let params: Vec<Owned> = params.iter().map(Owned::from).collect();
        let client = &self.client;
        let done = self.wait(async {
            let (begun, changed) = join(begin(client, opening), execute(client, &sql, &params)).await;
            begun.and(changed)
        });
        self.noted(done)
    }

    fn query(
        &mut self,
        sql: &'static str,
        params: &[Param<'_>],
        each: &mut dyn FnMut(&dyn crate::books::sql::Row) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.query_all(&[Statement::new(sql, params)], &mut |_, row| each(row))
    }

    fn query_all(
        &mut self,
        queries: &[Statement<'_>],
        each: &mut dyn FnMut(usize, &dyn crate::books::sql::Row) -> Result<(), StoreError>,
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
                each(query, &row)?;
            }
        }
        Ok(())
    }

    fn execute_all(&mut self, statements: &[Statement<'_>]) -> Result<(), StoreError> {
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
