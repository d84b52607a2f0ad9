//! Where the suite's stores live: databases of one PostgreSQL server, which starts with the first of them.

use std::ops::Deref;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

use onetap_postgres_rig::Cluster;
use onetap_server_verifier::*;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use crate::support::*;

/// Sixteen zero bytes.
pub const ZEROS: &str = "decode(repeat('00', 16), 'hex')";

/// Bytes, as SQL has them.
pub fn literal(bytes: &[u8]) -> String {
    format!("decode('{}', 'hex')", hex::encode(bytes))
}

/// Random changes of one run, unless the environment says otherwise.
pub const CHANGES: u64 = 200;

/// Tables without rows.
pub const EMPTY: &[&str] = &[];

pub const STORE: &str = "postgres";

/// Table, column, type, whether it is of the key, and whether it may be NULL, as the server's own catalog says.
pub const COLUMNS: &str = "SELECT c.table_name, c.column_name, c.data_type,
        CASE WHEN k.column_name IS NULL THEN '0' ELSE '1' END,
        CASE WHEN c.is_nullable = 'YES' THEN '1' ELSE '0' END
    FROM information_schema.columns c
    LEFT JOIN information_schema.table_constraints t ON t.table_schema = c.table_schema
        AND t.table_name = c.table_name AND t.constraint_type = 'PRIMARY KEY'
    LEFT JOIN information_schema.key_column_usage k ON k.constraint_name = t.constraint_name
        AND k.table_schema = c.table_schema AND k.column_name = c.column_name
    WHERE c.table_schema = 'public' ORDER BY c.table_name, c.ordinal_position";

/// Changes of the schema, and how each is undone.
pub const SCHEMA_CHANGES: [(&str, &str); 15] = [
    (
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$",
        "DROP FUNCTION f",
    ),
    (
        "CREATE SCHEMA s;
         CREATE FUNCTION s.f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
         CREATE TRIGGER t BEFORE INSERT ON entries FOR EACH ROW EXECUTE FUNCTION s.f()",
        "DROP SCHEMA s CASCADE",
    ),
    ("CREATE VIEW v AS SELECT * FROM accounts", "DROP VIEW v"),
    ("CREATE TABLE t (a BIGINT)", "DROP TABLE t"),
    ("CREATE INDEX i ON accounts (holder)", "DROP INDEX i"),
    (
        "DROP INDEX locked_accounts",
        "CREATE INDEX locked_accounts ON accounts (locked_at) WHERE locked_at IS NOT NULL",
    ),
    ("ALTER TABLE cards ADD COLUMN c TEXT", "ALTER TABLE cards DROP COLUMN c"),
    (
        "ALTER TABLE cards ALTER COLUMN state DROP NOT NULL",
        "ALTER TABLE cards ALTER COLUMN state SET NOT NULL",
    ),
    (
        "ALTER TABLE cards ALTER COLUMN state SET DEFAULT 'active'",
        "ALTER TABLE cards ALTER COLUMN state DROP DEFAULT",
    ),
    ("ALTER TABLE holds ADD CONSTRAINT k CHECK (amount < 9000)", "ALTER TABLE holds DROP CONSTRAINT k"),
    ("CREATE RULE r AS ON INSERT TO entries DO INSTEAD NOTHING", "DROP RULE r ON entries"),
    ("CREATE POLICY p ON entries", "DROP POLICY p ON entries"),
    ("ALTER TABLE entries ENABLE ROW LEVEL SECURITY", "ALTER TABLE entries DISABLE ROW LEVEL SECURITY"),
    ("ALTER TABLE cards DISABLE TRIGGER ALL", "ALTER TABLE cards ENABLE TRIGGER ALL"),
    ("INSERT INTO onetap_schema VALUES (99)", "DELETE FROM onetap_schema WHERE version = 99"),
];

/// A column as SQL spells its value.
pub fn spelled(column: &str, kind: &str) -> String {
    match kind {
        "bigint" => format!("coalesce({column}::text, 'NULL')"),
        "bytea" => format!("coalesce(quote_literal('\\x' || encode({column}, 'hex')), 'NULL')"),
        _ => format!("quote_nullable({column})"),
    }
}

/// Bytes as SQL spells them.
pub fn blob(bytes: &[u8]) -> String {
    format!("'\\x{}'", hex::encode(bytes))
}

/// Somebody who can write to the database, and whom no trigger or reference holds.
pub struct Intruder(Raw);

impl Intruder {
    /// Makes a change, all of it or nothing.
    pub fn run(&self, sql: &str) -> Result<(), String> {
        let done = self.0.runtime.block_on(self.0.client.batch_execute(sql));
        done.map_err(|error| causes(&error))
    }

    /// What a query gives, as text.
    pub fn all(&self, sql: &str) -> Vec<Vec<String>> {
        let found = self.0.runtime.block_on(self.0.client.simple_query(sql)).unwrap();
        let rows = found.iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        rows.map(|row| (0..row.len()).map(|column| row.get(column).unwrap().to_owned()).collect()).collect()
    }
}

/// A store that no other process looks at.
pub type Fresh = Home;

pub fn world() -> Fresh {
    Home::new()
}

pub fn world_with(change: impl FnOnce(&mut Policy)) -> Fresh {
    Home::with(change)
}

/// Owns the tables of every store here.
pub const OWNER: &str = "onetap_owner";
/// As whom every store here is used, so that the whole suite needs no more rights than a service has.
pub const SERVICE: &str = "onetap_service";

/// The server of this test run.
pub fn cluster() -> &'static Cluster {
    static ROLES: Once = Once::new();
    let cluster = Cluster::shared().unwrap();
    let roles = format!("CREATE ROLE {OWNER}; CREATE ROLE {SERVICE} LOGIN");
    ROLES.call_once(|| drop(cluster.sql("postgres", &roles).unwrap()));
    cluster
}

/// With tables that [`OWNER`] owns and [`SERVICE`] uses.
pub fn with_roles(options: InitOptions) -> InitOptions {
    let roles = Roles { owner: Some(OWNER.to_owned()), service: Some(SERVICE.to_owned()) };
    InitOptions { roles, ..options }
}

/// A store of its own in `directory`, made by the superuser and opened by [`SERVICE`].
fn made(directory: &Path, database: &str, options: InitOptions, clock: &TestClock) -> Verifier {
    let url = patient(&cluster().url(database));
    Verifier::init_postgres(directory, &url, with_roles(options), environment(clock)).unwrap();
    Verifier::open(directory, environment(clock)).unwrap()
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
        let verifier = made(directory.path(), &database, options(change), &clock);
        Self { world: World::around(verifier, clock), database, directory }
    }

    /// Another shard of the same bank, empty.
    pub fn shard(&self, number: u16) -> Self {
        let (directory, clock) = (tempfile::tempdir().unwrap(), self.clock.clone());
        let keys = self.directory.path().join("keys.json");
        std::fs::copy(keys, directory.path().join("keys.json")).unwrap();
        let database = cluster().database(None).unwrap();
        let options = InitOptions { shard: number.try_into().unwrap(), ..options(|_| ()) };
        let verifier = made(directory.path(), &database, options, &clock);
        Self { world: World::around(verifier, clock), database, directory }
    }

    /// How the service connects.
    pub fn url(&self) -> String {
        self.url_of(SERVICE)
    }

    /// How another role connects.
    pub fn url_of(&self, role: &str) -> String {
        patient(&cluster().url(&self.database)).replace("postgres@", &format!("{role}@"))
    }

    /// The same database by way of other sockets.
    pub fn url_at(&self, hosts: &[&Path]) -> String {
        patient(&url(hosts, &self.database))
    }

    /// As another process does.
    pub fn open(&self) -> Result<Verifier, ServiceError> {
        self.open_at(&self.url())
    }

    /// The same store after a restart.
    pub fn reopened(mut self) -> Self {
        self.world.verifier = Arc::new(self.open().unwrap());
        self
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

    /// Somebody who can write to the database.
    pub fn intruder(&self) -> Intruder {
        let raw = Raw::connect(&self.url_of("postgres"));
        raw.run("SET session_replication_role = replica; SET synchronous_commit = off");
        Intruder(raw)
    }

    /// Somebody who has taken over the service.
    pub fn servant(&self) -> Intruder {
        Intruder(Raw::connect(&self.url()))
    }

    /// What a process holds that hangs in the middle of writing.
    pub fn lock(&self) -> Raw {
        let lock = Raw::connect(&self.url_of("postgres"));
        lock.run("BEGIN; LOCK TABLE accounts IN EXCLUSIVE MODE");
        lock
    }

    pub fn break_inserts(&self, table: &str) {
        self.on_insert(table, "RAISE EXCEPTION 'injected'");
    }

    /// Lets no entry of this event into the log.
    pub fn break_event(&self, event: &str) {
        let what =
            format!("IF NEW.event LIKE '{{\"event\":\"{event}\"%' THEN RAISE EXCEPTION 'injected'; END IF");
        self.on_insert("audit", &what);
    }

    /// What happens before each insert into a table.
    pub fn on_insert(&self, table: &str, what: &str) {
        self.behind(&format!(
            "CREATE OR REPLACE FUNCTION fails() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN {what}; RETURN NEW; END $$;
             CREATE TRIGGER fails BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION fails()"
        ));
    }

    pub fn mend(&self) {
        self.behind("DROP FUNCTION fails CASCADE");
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
