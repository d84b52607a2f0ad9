//! Where the suite's stores live: databases of one PostgreSQL server, which starts with the first of them.

use std::ops::Deref;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use onetap_postgres_rig::Cluster;
use onetap_server_verifier::*;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio_postgres::{Client, NoTls};

use crate::support::*;

/// Sixteen zero bytes.
pub const ZEROS: &str = "decode(repeat('00', 16), 'hex')";

/// Bytes, as SQL has them.
pub fn literal(bytes: &[u8]) -> String {
    format!("decode('{}', 'hex')", hex::encode(bytes))
}

/// A store that no other process looks at.
pub type Fresh = Home;

pub fn world() -> Fresh {
    Home::new()
}

pub fn world_with(change: impl FnOnce(&mut Policy)) -> Fresh {
    Home::with(change)
}

/// The server of this test run.
pub fn cluster() -> &'static Cluster {
    Cluster::shared().unwrap()
}

/// A database of the shared server, removed when this is dropped.
pub struct Home {
    pub world: World,
    pub database: String,
    pub directory: TempDir,
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
        let database = cluster().database(None).unwrap();
        let url = patient(&cluster().url(&database));
        let verifier = Verifier::init_postgres(directory.path(), &url, options(change), environment(&clock));
        Self { world: World::around(verifier.unwrap(), clock), database, directory }
    }

    pub fn url(&self) -> String {
        patient(&cluster().url(&self.database))
    }

    /// The same database by way of other sockets.
    pub fn url_at(&self, hosts: &[&Path]) -> String {
        patient(&url(hosts, &self.database))
    }

    /// As another process does.
    pub fn open(&self) -> Result<Verifier, ServiceError> {
        self.open_at(&self.url())
    }

    pub fn open_with(&self, env: Environment) -> Result<Verifier, ServiceError> {
        Verifier::open_postgres(self.directory.path(), &self.url(), env)
    }

    pub fn open_at(&self, url: &str) -> Result<Verifier, ServiceError> {
        Verifier::open_postgres(self.directory.path(), url, environment(&self.clock))
    }

    /// The server's RSA keys, from its file.
    pub fn private_keys(&self) -> Vec<Vec<u8>> {
        private_keys(self.directory.path())
    }

    /// Changes rows behind the verifier's back, or asks for some.
    pub fn behind(&self, sql: &str) -> String {
        cluster().sql(&self.database, sql).unwrap()
    }

    /// Waits until `sql` gives `wanted`.
    pub fn until(&self, sql: &str, wanted: &str) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.behind(sql) != wanted {
            assert!(Instant::now() < deadline, "never {wanted}: {sql}");
        }
    }

    /// What a process holds that hangs in the middle of writing.
    pub fn lock(&self) -> Raw {
        let lock = Raw::connect(&self.url());
        lock.run("BEGIN; LOCK TABLE accounts IN EXCLUSIVE MODE");
        lock
    }

    pub fn break_inserts(&self, table: &str) {
        self.on_insert(table, "RAISE EXCEPTION 'injected'");
    }

    /// What happens before each insert into a table.
    pub fn on_insert(&self, table: &str, what: &str) {
        self.behind(&format!(
            "CREATE OR REPLACE FUNCTION fails() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN {what}; RETURN NEW; END $$;
             CREATE TRIGGER fails BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION fails()"
        ));
    }

    pub fn mend(&self, table: &str) {
        self.behind(&format!("DROP TRIGGER fails ON {table}"));
    }

    /// Whether a text stands anywhere in what is stored, or in what the server has to say.
    pub fn holds(&self, text: &str) -> bool {
        let mut dump = cluster().program("pg_dump").unwrap();
        let dump = dump.arg(&self.database).stderr(Stdio::inherit()).output().unwrap();
        assert!(dump.status.success() && dump.stdout.len() > 10_000, "the dump has all tables");
        let log = std::fs::read(cluster().log()).unwrap();
        // Bytes stand in a dump in hexadecimal.
        let spelt = [text.to_owned(), hex::encode(text)];
        [dump.stdout, log]
            .iter()
            .map(|bytes| String::from_utf8_lossy(bytes))
            .any(|found| spelt.iter().any(|text| found.contains(text.as_str())))
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // The server is gone soon anyway.
        let _ = cluster().sql("postgres", &format!("DROP DATABASE {} WITH (FORCE)", self.database));
    }
}

/// A database by way of sockets in folders, of which the first that takes writes is used.
pub fn url(hosts: &[&Path], database: &str) -> String {
    let hosts: Vec<String> = hosts.iter().map(|host| host.to_string_lossy().replace('/', "%2F")).collect();
    format!("postgresql://postgres@{}/{database}", hosts.join(","))
}

/// A URL under which who waits for a row longer than this is told that the store is busy.
fn patient(url: &str) -> String {
    format!("{url}?options=-c%20lock_timeout%3D2s")
}

/// A connection of the test's own.
pub struct Raw {
    client: Client,
    runtime: Runtime,
}

impl Raw {
    pub fn connect(url: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (client, connection) = runtime.block_on(tokio_postgres::connect(url, NoTls)).unwrap();
        runtime.spawn(connection);
        Self { client, runtime }
    }

    pub fn run(&self, sql: &str) {
        self.runtime.block_on(self.client.batch_execute(sql)).unwrap();
    }
}
