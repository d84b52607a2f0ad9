//! Where the suite's stores live: SQLite.

use std::fs;
use std::ops::Deref;

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

    /// As another process does.
    pub fn open(&self) -> Result<Verifier, ServiceError> {
        self.open_with(environment(&self.clock))
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

    pub fn mend(&self, _table: &str) {
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
