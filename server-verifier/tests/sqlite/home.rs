//! Where the suite's stores live: SQLite.

use std::fs;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use onetap_server_verifier::*;
use rusqlite::Connection;
use tempfile::TempDir;

use crate::support::*;

/// Sixteen zero bytes.
pub const ZEROS: &str = "zeroblob(16)";

/// Bytes, as SQL has them.
pub fn literal(bytes: &[u8]) -> String {
    format!("x'{}'", hex::encode(bytes))
}

/// Random changes of one run, unless the environment says otherwise.
pub const CHANGES: u64 = 2_000;

/// Tables without rows: one thread writes, so that what comes in goes to the balance at once.
pub const EMPTY: &[&str] = &["credits"];

pub const STORE: &str = "sqlite";

/// Table, column, type, whether it is of the key, and whether it may be NULL, as the file itself says.
pub const COLUMNS: &str = "SELECT t.name, c.name, c.type, CAST(c.pk > 0 AS TEXT),
        CAST(c.pk = 0 AND c.\"notnull\" = 0 AS TEXT)
    FROM sqlite_schema t JOIN pragma_table_info(t.name) c WHERE t.type = 'table' ORDER BY t.name, c.cid";

/// Changes of the schema, and how each is undone.
pub const SCHEMA_CHANGES: [(&str, &str); 9] = [
    (
        "CREATE TRIGGER t AFTER INSERT ON entries BEGIN DELETE FROM entries WHERE amount = 1; END",
        "DROP TRIGGER t",
    ),
    ("CREATE VIEW v AS SELECT * FROM accounts", "DROP VIEW v"),
    ("CREATE TABLE t (a INTEGER)", "DROP TABLE t"),
    ("CREATE INDEX i ON accounts (holder)", "DROP INDEX i"),
    (
        "DROP INDEX locked_accounts",
        "CREATE INDEX locked_accounts ON accounts (locked_at) WHERE locked_at IS NOT NULL",
    ),
    ("ALTER TABLE cards ADD COLUMN c TEXT", "ALTER TABLE cards DROP COLUMN c"),
    ("ALTER TABLE cards RENAME COLUMN state TO other", "ALTER TABLE cards RENAME COLUMN other TO state"),
    (
        "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, 'CHECK (amount <> 0)', '')
             WHERE name = 'entries'; PRAGMA writable_schema = RESET",
        "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql,
             'amount         INTEGER NOT NULL ', 'amount         INTEGER NOT NULL CHECK (amount <> 0)')
             WHERE name = 'entries'; PRAGMA writable_schema = RESET",
    ),
    ("PRAGMA user_version = 4", "PRAGMA user_version = 5"),
];

/// A column as SQL spells its value.
pub fn spelled(column: &str, _kind: &str) -> String {
    format!("quote({column})")
}

/// Bytes as SQL spells them.
pub fn blob(bytes: &[u8]) -> String {
    format!("X'{}'", hex::encode(bytes))
}

/// Somebody who can write to the file, and whom no constraint holds that can be set aside.
pub struct Intruder(Connection);

impl Intruder {
    pub fn at(file: &Path) -> Self {
        let connection = Connection::open(file).unwrap();
        let settings = "PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON;
            PRAGMA synchronous = OFF; PRAGMA busy_timeout = 5000";
        connection.execute_batch(settings).unwrap();
        Self(connection)
    }

    /// Makes a change of rows, all of it or nothing, or of the schema.
    pub fn run(&self, sql: &str) -> Result<(), String> {
        if !["DELETE", "INSERT"].iter().any(|verb| sql.starts_with(verb)) {
            return self.0.execute_batch(sql).map_err(|error| error.to_string());
        }
        self.0.execute_batch(&format!("BEGIN IMMEDIATE; {sql} COMMIT")).map_err(|error| {
            self.0.execute_batch("ROLLBACK").unwrap();
            error.to_string()
        })
    }

    /// What a query gives, as text.
    pub fn all(&self, sql: &str) -> Vec<Vec<String>> {
        let mut query = self.0.prepare(sql).unwrap();
        let columns = query.column_count();
        let rows = query.query_map([], |row| (0..columns).map(|column| row.get(column)).collect()).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    }
}

/// A store that no other process looks at.
pub type Fresh = World;

pub fn world() -> Fresh {
    World::new()
}

pub fn world_with(change: impl FnOnce(&mut Policy)) -> Fresh {
    World::with(change)
}

/// A store that other processes look at.
pub struct Home {
    world: World,
    directory: TempDir,
}

impl Deref for Home {
    type Target = World;
    fn deref(&self) -> &World {
        &self.world
    }
}

impl Home {
    pub fn new() -> Self {
        Self::with(|_| ())
    }

    pub fn with(change: impl FnOnce(&mut Policy)) -> Self {
        let (directory, clock) = (tempfile::tempdir().unwrap(), TestClock::new());
        let verifier = Verifier::init(directory.path(), options(change), environment(&clock)).unwrap();
        Self { world: World::around(verifier, clock), directory }
    }

    /// Another shard of the same bank, empty.
    pub fn shard(&self, number: u16) -> Self {
        let (directory, clock) = (tempfile::tempdir().unwrap(), self.clock.clone());
        fs::copy(self.directory.path().join("keys.json"), directory.path().join("keys.json")).unwrap();
        let options = InitOptions { shard: number.try_into().unwrap(), ..options(|_| ()) };
        let verifier = Verifier::init(directory.path(), options, environment(&clock)).unwrap();
        Self { world: World::around(verifier, clock), directory }
    }

    /// As another process does.
    pub fn open(&self) -> Result<Verifier, ServiceError> {
        self.open_with(environment(&self.clock))
    }

    /// The same store after a restart.
    pub fn reopened(mut self) -> Self {
        self.world.verifier = Arc::new(self.open().unwrap());
        self
    }

    pub fn open_with(&self, env: Environment) -> Result<Verifier, ServiceError> {
        Verifier::open(self.directory.path(), env)
    }

    /// The server's RSA keys, from its file.
    pub fn private_keys(&self) -> Vec<Vec<u8>> {
        private_keys(self.directory.path())
    }

    fn raw(&self) -> Connection {
        Connection::open(self.directory.path().join("verifier.db")).unwrap()
    }

    /// Changes rows behind the verifier's back.
    pub fn behind(&self, sql: &str) {
        self.raw().execute_batch(sql).unwrap();
    }

    /// Somebody who can write to the file.
    pub fn intruder(&self) -> Intruder {
        Intruder::at(&self.directory.path().join("verifier.db"))
    }

    /// What a process holds that hangs in the middle of writing.
    pub fn lock(&self) -> Lock {
        let connection = self.raw();
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        Lock(connection)
    }

    pub fn break_inserts(&self, table: &str) {
        self.behind(&format!(
            "CREATE TRIGGER fails BEFORE INSERT ON {table} BEGIN SELECT raise(ABORT, 'injected'); END"
        ));
    }

    /// Lets no entry of this event into the log.
    pub fn break_event(&self, event: &str) {
        self.behind(&format!(
            "CREATE TRIGGER fails BEFORE INSERT ON audit WHEN NEW.event LIKE '{{\"event\":\"{event}\"%'
             BEGIN SELECT raise(ABORT, 'injected'); END"
        ));
    }

    pub fn mend(&self) {
        self.behind("DROP TRIGGER fails");
    }

    /// Whether a text stands anywhere in what is stored.
    pub fn holds(&self, text: &str) -> bool {
        ["verifier.db", "verifier.db-wal"].iter().any(|file| {
            let bytes = fs::read(self.directory.path().join(file)).unwrap();
            bytes.windows(text.len()).any(|window| window == text.as_bytes())
        })
    }
}

/// Rolled back when it is dropped.
pub struct Lock(#[expect(dead_code, reason = "held")] Connection);
