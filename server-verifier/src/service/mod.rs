//! The server's front: a [`Verifier`] takes requests from any number of threads.

pub(crate) mod accounts;
pub(crate) mod audit;
pub(crate) mod authorise;
pub(crate) mod backup;
pub(crate) mod cache;
pub(crate) mod cards;
pub(crate) mod checkpoint;
mod clients;
mod copy;
pub(crate) mod desk;
pub(crate) mod error;
mod export;
#[cfg(feature = "http")]
pub(crate) mod figures;
mod holds;
mod keys;
pub(crate) mod known;
pub(crate) mod moving;
pub mod outbox;
mod part;
mod policy;
mod proposals;
pub(crate) mod rebuild;
mod reversal;
mod rows;
mod settlement;
mod terminals;
mod views;

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use onetap_apdu_spec::crypto::RsaBits;
use onetap_apdu_spec::header::{CardId, KeyId, ServerId};
use onetap_apdu_spec::txn::TerminalId;

use crate::books;
use crate::books::accounts::OPERATOR;
use crate::books::chain::Sealer;
use crate::books::decision::Decider;
use crate::books::notice::Notices;
use crate::books::policy::{CurrentPolicy, stored};
use crate::books::sql::Sql;
use crate::books::takeover::take_over;
use crate::books::write::Telling;
use crate::domain::{Act, Actor, Event, Policy, Shard, StoreError, Timestamp, Watch};
use crate::keys::environment::Environment;
use crate::keys::{KeyFileError, ServerKeys};
use crate::service::cache::Cache;
use crate::service::error::ServiceError;
use crate::service::known::Known;
#[cfg(feature = "postgres")]
use crate::store::postgres::{PostgresStore, WORKERS as POSTGRES_WORKERS, for_role};
#[cfg(feature = "postgres")]
use crate::store::roles::Aim;
use crate::store::sqlite::SqliteStore;
use crate::store::{Roles, Store};

pub(crate) const DATABASE: &str = "verifier.db";
/// Where the books are, if not in a file here.
const POSTGRES_URL: &str = "postgres.url";
/// Parsed card keys kept in memory, about 4 kB each.
const CACHED_CARDS: usize = 4_000;
/// Seconds by which the clock may be behind the operator's last act.
#[cfg(feature = "http")]
const CLOCK_TOLERANCE: i64 = 60;

/// How a store is made.
#[derive(Debug, Clone)]
pub struct InitOptions {
    /// The operator's name.
    pub operator: String,
    /// The operator's rules.
    pub policy: Policy,
    /// Size of the server's encryption key.
    pub rsa_bits: RsaBits,
    /// Which part of the bank it is, where accounts are spread over several databases.
    pub shard: Shard,
    /// As whom PostgreSQL keeps the tables, and lets the service use them.
    pub roles: Roles,
}

impl InitOptions {
    /// The default policy and a key of 2048 bits.
    #[must_use]
    pub fn new(operator: &str) -> Self {
        Self {
            operator: operator.to_owned(),
            policy: Policy::default(),
            rsa_bits: RsaBits::B2048,
            shard: Shard::default(),
            roles: Roles::default(),
        }
    }
}

/// A terminal that may send requests, as the front has authenticated it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    pub(crate) terminal: TerminalId,
}

impl Client {
    /// Its terminal id.
    #[must_use]
    pub fn terminal(&self) -> &TerminalId {
        &self.terminal
    }
}

/// The server: verifies requests and executes each signed transaction at most once.
#[derive(Debug)]
pub struct Verifier {
    pub(crate) env: Environment,
    pub(crate) keys: ServerKeys,
    pub(crate) policy: CurrentPolicy,
    pub(crate) sealer: Sealer,
    pub(crate) store: Store,
    /// What of a card never changes once it is enrolled, by card and signing key.
    cards: Cache<(CardId, KeyId), Arc<Known>>,
}

impl Verifier {
    /// Makes the key file and the database in `directory`, which is made if it does not exist.
    ///
    /// # Errors
    /// [`ServiceError::AlreadyInitialised`]; [`ServiceError`] if a file cannot be written.
    pub fn init(directory: &Path, options: InitOptions, env: Environment) -> Result<Self, ServiceError> {
        options.policy.check()?;
        make_directory(directory)?;
        let keys = ServerKeys::create(directory, options.rsa_bits, &env)?;
        let first = |db: &mut dyn Sql| first_rows(db, directory, options, &keys, &env);
        let store = SqliteStore::create(&directory.join(DATABASE), first)?;
        Ok(Self::assemble(env, keys, Store::Sqlite(Box::new(store))))
    }

    /// Opens what [`Verifier::init`] or [`Verifier::init_postgres`] made.
    ///
    /// # Errors
    /// [`ServiceError::NotInitialised`], [`StoreError`], [`KeyFileError`].
    pub fn open(directory: &Path, env: Environment) -> Result<Self, ServiceError> {
        #[cfg(feature = "postgres")]
        if let Ok(url) = fs::read_to_string(directory.join(POSTGRES_URL)) {
            return Self::open_postgres(directory, url.trim(), env);
        }
        let database = database(directory)?;
        let keys = ServerKeys::load(directory, &env)?;
        let store = SqliteStore::open(&database, |db| load_decider(db, directory, &keys, &env))?;
        Ok(Self::assemble(env, keys, Store::Sqlite(Box::new(store))))
    }

    /// Opens what [`Verifier::init`] or [`Verifier::init_postgres`] made, for reading only: where nothing can be written, as a
    /// role that may only read, on a standby. Whatever would write fails with [`StoreError::ReadOnly`].
    ///
    /// # Errors
    /// As [`Verifier::open`]; [`StoreError::NotUpToDate`].
    pub fn open_read_only(directory: &Path, env: Environment) -> Result<Self, ServiceError> {
        #[cfg(feature = "postgres")]
        if let Ok(url) = fs::read_to_string(directory.join(POSTGRES_URL)) {
            let keys = ServerKeys::load(directory, &env)?;
            let load = |db: &mut dyn Sql| load_decider(db, directory, &keys, &env);
            let store = PostgresStore::open_read_only(url.trim(), load)?;
            return Ok(Self::assemble(env, keys, Store::Postgres(Box::new(store))));
        }
        let database = database(directory)?;
        let keys = ServerKeys::load(directory, &env)?;
        let load = |db: &mut dyn Sql| load_decider(db, directory, &keys, &env);
        let store = SqliteStore::open_read_only(&database, load)?;
        Ok(Self::assemble(env, keys, Store::Sqlite(Box::new(store))))
    }

    /// Makes the key file in `directory` and the tables in the database at `url`, such as
    /// `host=/run/postgresql dbname=onetap user=onetap`, and notes the latter in `directory`: for the role that serves, if one is
    /// named, and then without a password.
    ///
    /// # Errors
    /// [`ServiceError::AlreadyInitialised`], [`StoreError`], [`KeyFileError`].
    #[cfg(feature = "postgres")]
    pub fn init_postgres(
        directory: &Path,
        url: &str,
        options: InitOptions,
        env: Environment,
    ) -> Result<Self, ServiceError> {
        options.policy.check()?;
        make_directory(directory)?;
        let keys = ServerKeys::create(directory, options.rsa_bits, &env)?;
        let roles = options.roles.clone();
        let noted = noted_url(url, &roles)?;
        let first = |db: &mut dyn Sql| first_rows(db, directory, options, &keys, &env);
        let store = PostgresStore::open(url, POSTGRES_WORKERS, Aim::Make, &roles, first)?;
        note_url(directory, &noted)?;
        Ok(Self::assemble(env, keys, Store::Postgres(Box::new(store))))
    }

    /// Opens what [`Verifier::init_postgres`] made; any number of processes may.
    ///
    /// # Errors
    /// [`StoreError`], [`KeyFileError`].
    #[cfg(feature = "postgres")]
    pub fn open_postgres(directory: &Path, url: &str, env: Environment) -> Result<Self, ServiceError> {
        let keys = ServerKeys::load(directory, &env)?;
        let load = |db: &mut dyn Sql| load_decider(db, directory, &keys, &env);
        let store = PostgresStore::open(url, POSTGRES_WORKERS, Aim::Use, &Roles::default(), load)?;
        Ok(Self::assemble(env, keys, Store::Postgres(Box::new(store))))
    }

    /// Brings the tables of the database at `url` up to date as their owner, and gives those who serve their rights anew:
    /// `service` too, if it is named, for whom the place is noted in `directory` then.
    ///
    /// # Errors
    /// [`StoreError::OwnersToUpgrade`], [`StoreError`], [`KeyFileError`].
    #[cfg(feature = "postgres")]
    pub fn upgrade_postgres(
        directory: &Path,
        url: &str,
        service: Option<String>,
        env: Environment,
    ) -> Result<Self, ServiceError> {
        let keys = ServerKeys::load(directory, &env)?;
        let roles = Roles { owner: None, service };
        let noted = noted_url(url, &roles)?;
        let load = |db: &mut dyn Sql| load_decider(db, directory, &keys, &env);
        let store = PostgresStore::open(url, 1, Aim::Upgrade, &roles, load)?;
        if roles.service.is_some() {
            note_url(directory, &noted)?;
        }
        Ok(Self::assemble(env, keys, Store::Postgres(Box::new(store))))
    }

    /// A server that is gone when it is dropped.
    ///
    /// # Errors
    /// [`ServiceError`] if the policy or cryptography fails.
    pub fn in_memory(options: InitOptions, env: Environment) -> Result<Self, ServiceError> {
        options.policy.check()?;
        let keys = ServerKeys::in_memory(options.rsa_bits, &env)?;
        let nowhere = Path::new("memory");
        let store = SqliteStore::in_memory(|db| first_rows(db, nowhere, options, &keys, &env))?;
        Ok(Self::assemble(env, keys, Store::Sqlite(Box::new(store))))
    }

    /// The same with somebody who is told how far long work is: checks of the log, exports, copies, moves.
    #[must_use]
    pub fn watched(mut self, watch: Watch) -> Self {
        self.env.watch = watch;
        self
    }

    fn assemble(env: Environment, keys: ServerKeys, store: Store) -> Self {
        let Decider { policy, sealer, .. } = store.decider().clone();
        Self { env, keys, policy, sealer, store, cards: Cache::new(CACHED_CARDS) }
    }

    /// This operator's id, which every header must carry.
    #[must_use]
    pub fn server_id(&self) -> ServerId {
        self.keys.server
    }

    /// What this server's clock says.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.env.clock.now()
    }

    /// Whether a decision could be committed now, by a clock that is not behind the log.
    ///
    /// # Errors
    /// [`StoreError`].
    #[cfg(feature = "http")]
    pub(crate) fn prove(&self) -> Result<(), StoreError> {
        self.store.prove()?;
        let last = self.store.read(|db| books::log::last_at(db, OPERATOR))?;
        let behind = last.is_some_and(|last| self.now().0 + CLOCK_TOLERANCE < last.0);
        if behind { Err(StoreError::ClockBehind) } else { Ok(()) }
    }

    /// How many alarms (REQ-V-22) this process has raised.
    #[must_use]
    pub fn alarms(&self) -> u64 {
        self.store.decider().notices.alarms()
    }
}

/// The database's file in `directory`.
fn database(directory: &Path) -> Result<PathBuf, ServiceError> {
    let database = directory.join(DATABASE);
    match fs::metadata(&database) {
        Ok(file) if file.len() > 0 => Ok(database),
        _ => Err(ServiceError::NotInitialised(directory.to_owned())),
    }
}

/// Makes the directory, for its owner only.
fn make_directory(directory: &Path) -> Result<(), KeyFileError> {
    let io = |source| KeyFileError::Io { path: PathBuf::from(directory), source };
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(io)
}

fn sealer(keys: &ServerKeys, env: &Environment) -> Sealer {
    Sealer::new(env.crypto, keys.audit.clone())
}

/// The operator's rows, if there are none yet.
fn first_rows(
    db: &mut dyn Sql,
    directory: &Path,
    options: InitOptions,
    keys: &ServerKeys,
    env: &Environment,
) -> Result<Decider, ServiceError> {
    if db.count("SELECT count(*) FROM server", &[])? > 0 {
        return Err(ServiceError::AlreadyInitialised(directory.to_owned()));
    }
    let sealer = sealer(keys, env);
    let event = Event::Initialised {
        operator: options.operator,
        server: Some(keys.server),
        policy: Some(options.policy.clone()),
        shard: options.shard,
    };
    Telling::new(OPERATOR, env.clock.now(), &Act::plain(Actor::Server), &event).tell(db, &sealer)?;
    let policy = CurrentPolicy::new(options.policy, env.clock.now());
    Ok(Decider { policy, sealer, announces: false, notices: Notices::default() })
}

/// What is noted of a place: the role that serves does not have the password of who made the tables.
#[cfg(feature = "postgres")]
fn noted_url(url: &str, roles: &Roles) -> Result<String, StoreError> {
    roles.service.as_ref().map_or_else(|| Ok(url.to_owned()), |service| for_role(url, service))
}

/// Notes where the books are, for its owner only: there may be a password in it.
#[cfg(feature = "postgres")]
fn note_url(directory: &Path, url: &str) -> Result<(), KeyFileError> {
    use std::io::Write as _;
    let path = directory.join(POSTGRES_URL);
    let noted = tempfile::NamedTempFile::new_in(directory).and_then(|mut file| {
        writeln!(file, "{url}")?;
        file.as_file().sync_all()?;
        file.persist(&path).map_err(|error| error.error)?;
        fs::File::open(directory)?.sync_all()
    });
    noted.map_err(|source| KeyFileError::Io { path, source })
}

/// What decisions need, if the database belongs to these keys.
fn load_decider(
    db: &mut dyn Sql,
    directory: &Path,
    keys: &ServerKeys,
    env: &Environment,
) -> Result<Decider, ServiceError> {
    if stored_server(db)? != keys.server {
        return Err(KeyFileError::OtherServer { path: directory.join("keys.json") }.into());
    }
    let policy = CurrentPolicy::new(stored(db)?, env.clock.now());
    take_over(db, env.crypto, &sealer(keys, env), env.clock.now())?;
    let announces = books::outbox::announces(db)?;
    Ok(Decider { policy, sealer: sealer(keys, env), announces, notices: Notices::default() })
}

fn stored_server(db: &mut dyn Sql) -> Result<ServerId, StoreError> {
    let server = db.first("SELECT server_id FROM server", &[], |row| {
        books::parse(row.text("server_id")?, "server id")
    })?;
    server.ok_or(StoreError::BadRow { what: "server" })
}
