//! The server's front: a [`Verifier`] takes requests from any number of threads.

pub(crate) mod accounts;
pub(crate) mod audit;
pub(crate) mod backup;
pub(crate) mod cards;
pub(crate) mod checkpoint;
pub(crate) mod desk;
pub(crate) mod error;
mod holds;
mod keys;
pub mod outbox;
mod reversal;
mod settlement;
mod terminals;
mod views;

use std::collections::HashMap;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use onetap_apdu_spec::crypto::{CryptoError, Key256, RsaBits};
use onetap_apdu_spec::header::{Binding, CardId, KeyId, ServerId};
use onetap_apdu_spec::service::{AuthorisationRequest, Cancellation, IdempotencyKey};
use onetap_apdu_spec::txn::TerminalId;

use crate::books;
use crate::books::accounts::OPERATOR;
use crate::books::chain::Sealer;
use crate::books::decision::{Decider, Question};
use crate::books::sql::Sql;
use crate::books::takeover::take_over;
use crate::books::write::Telling;
use crate::domain::{Act, Actor};
use crate::domain::{Event, Policy, StoreError, Timestamp};
use crate::keys::environment::Environment;
use crate::keys::{KeyFileError, ServerKeys};
use crate::rules::cancel::ProvenCancellation;
use crate::rules::decide::{Attempt, Outcome};
use crate::rules::verify::{
    Enrolled, Malformed, NotAuthentic, Parsed, authenticate, authenticate_unopened, body_tag,
};
use crate::service::error::ServiceError;
#[cfg(feature = "postgres")]
use crate::store::postgres::PostgresStore;
use crate::store::postgres::WORKERS as POSTGRES_WORKERS;
use crate::store::sqlite::SqliteStore;
use crate::store::{Coming, Pending, Store};

pub(crate) const DATABASE: &str = "verifier.db";
/// Where the books are, if not in a file here.
#[cfg(feature = "postgres")]
const POSTGRES_URL: &str = "postgres.url";
/// Parsed card keys kept in memory, about 4 kB each.
const CACHED_CARDS: usize = 4_000;

/// How a store is made.
#[derive(Debug, Clone)]
pub struct InitOptions {
    /// The operator's name.
    pub operator: String,
    /// The operator's rules.
    pub policy: Policy,
    /// Size of the server's encryption key.
    pub rsa_bits: RsaBits,
}

impl InitOptions {
    /// The default policy and a key of 2048 bits.
    #[must_use]
    pub fn new(operator: &str) -> Self {
        Self { operator: operator.to_owned(), policy: Policy::default(), rsa_bits: RsaBits::B2048 }
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
    pub(crate) policy: Policy,
    pub(crate) sealer: Sealer,
    pub(crate) store: Store,
    /// What of a card never changes once it is enrolled, by card and signing key.
    cards: RwLock<HashMap<(CardId, KeyId), Arc<Known>>>,
}

/// An enrolled card, ready for use.
#[derive(Debug)]
struct Known {
    /// Row of its account.
    account: i64,
    card: Enrolled,
}

/// The card that a request names.
enum Claimed {
    Enrolled(Arc<Known>),
    /// There is none: a stand-in, so that the answer takes as long.
    Unknown(Box<Enrolled>),
}

impl Claimed {
    fn card(&self) -> &Enrolled {
        match self {
            Self::Enrolled(known) => &known.card,
            Self::Unknown(decoy) => decoy,
        }
    }

    fn account(&self) -> Option<i64> {
        match self {
            Self::Enrolled(known) => Some(known.account),
            Self::Unknown(_) => None,
        }
    }
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
        let database = directory.join(DATABASE);
        if !fs::metadata(&database).is_ok_and(|file| file.len() > 0) {
            return Err(ServiceError::NotInitialised(directory.to_owned()));
        }
        let keys = ServerKeys::load(directory, &env)?;
        let store = SqliteStore::open(&database, |db| load_decider(db, directory, &keys, &env))?;
        Ok(Self::assemble(env, keys, Store::Sqlite(Box::new(store))))
    }

    /// Makes the key file in `directory` and the tables in the database at `url`, such as
    /// `host=/run/postgresql dbname=onetap user=onetap`, and notes the latter in `directory`.
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
        let first = |db: &mut dyn Sql| first_rows(db, directory, options, &keys, &env);
        let store = PostgresStore::open(url, POSTGRES_WORKERS, true, first)?;
        note_url(directory, url)?;
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
        let store = PostgresStore::open(url, POSTGRES_WORKERS, false, load)?;
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

    fn assemble(env: Environment, keys: ServerKeys, store: Store) -> Self {
        let Decider { policy, sealer, .. } = store.decider().clone();
        Self { env, keys, policy, sealer, store, cards: RwLock::new(HashMap::new()) }
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

    /// The operator's rules.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Judges one request of `client`, executes it if it holds, and returns when that is durable. Repeat a
    /// request with the same `idempotency_key` to learn what became of it. Blocks; asynchronous code uses
    /// [`Verifier::submit`].
    ///
    /// # Errors
    /// [`ServiceError`] if the store fails: then nothing was decided, or the key tells.
    pub fn authorise(
        &self,
        client: &Client,
        idempotency_key: &str,
        request: &AuthorisationRequest,
    ) -> Result<Outcome, ServiceError> {
        Ok(self.submit(client, idempotency_key, request)?.wait()?)
    }

    /// Begins to judge one request: does all cryptography in the caller's thread, before anything is
    /// locked, and queues the decision. Only a request that an enrolled card has signed is queued.
    ///
    /// # Errors
    /// [`ServiceError`] if the store fails: then nothing was decided.
    pub fn submit(
        &self,
        client: &Client,
        idempotency_key: &str,
        request: &AuthorisationRequest,
    ) -> Result<Pending, ServiceError> {
        self.submit_coming(None, client, idempotency_key, request)
    }

    /// Says that a request waits for the private key, or is at it, so that a commit waits for it a little.
    pub(crate) fn under_way(&self) -> Option<Coming> {
        self.store.under_way()
    }

    /// [`Verifier::submit`] of a request that is known to come.
    pub(crate) fn submit_coming(
        &self,
        coming: Option<Coming>,
        client: &Client,
        idempotency_key: &str,
        request: &AuthorisationRequest,
    ) -> Result<Pending, ServiceError> {
        let attempt = match self.attempt(client, idempotency_key, request)? {
            Ok(attempt) => attempt,
            Err(outcome) => return Ok(Pending::settled(outcome)),
        };
        // It has come: nobody need wait any more.
        drop(coming);
        self.ask(Question::Execute(attempt))
    }

    /// Makes sure that what a card has signed is never executed, or tells that it was: the end of an attempt of `client`
    /// whose outcome it does not know. Takes no password and charges no try; the same cancellation again gets the same
    /// answer. Blocks; asynchronous code uses [`Verifier::submit_cancellation`].
    ///
    /// # Errors
    /// [`ServiceError::CannotCancel`] under a suite whose signature cannot be checked without the password;
    /// [`ServiceError`] if the store fails: then repeat.
    pub fn cancel(&self, client: &Client, cancellation: &Cancellation) -> Result<Outcome, ServiceError> {
        Ok(self.submit_cancellation(client, cancellation)?.wait()?)
    }

    /// Begins to decide one cancellation: does all cryptography in the caller's thread, before anything is locked, and
    /// queues the decision.
    ///
    /// # Errors
    /// As [`Verifier::cancel`].
    pub fn submit_cancellation(
        &self,
        client: &Client,
        cancellation: &Cancellation,
    ) -> Result<Pending, ServiceError> {
        match self.proven(client, cancellation)? {
            Ok(proven) => self.ask(Question::Cancel(proven)),
            Err(outcome) => Ok(Pending::settled(outcome)),
        }
    }

    fn ask(&self, question: Question) -> Result<Pending, ServiceError> {
        match self.store.submit(question) {
            Err(StoreError::Locked) => Ok(Pending::settled(Outcome::Busy)),
            pending => Ok(pending?),
        }
    }

    /// True if [`Verifier::submit`] may have to ask another machine about a card, so that asynchronous code must
    /// not call it on a thread that serves others too.
    #[must_use]
    pub fn reads_remotely(&self) -> bool {
        !matches!(self.store, Store::Sqlite(_))
    }

    /// The cryptography of one request: what is to be decided, or what is refused without a decision.
    fn attempt(
        &self,
        client: &Client,
        key: &str,
        request: &AuthorisationRequest,
    ) -> Result<Result<Attempt, Outcome>, ServiceError> {
        let parsed = match check_key(key).and_then(|()| Parsed::new(request)) {
            Ok(parsed) => parsed,
            Err(malformed) => return Ok(Err(Outcome::Malformed(malformed))),
        };
        let binding = parsed.header().binding;
        let claimed = self.claimed(binding)?;
        let ring = self.keys.ring();
        let server_key = ring.decryption(binding.server_key);
        let authentic = authenticate(self.env.crypto, claimed.card(), server_key, parsed);
        if matches!(authentic, Err(NotAuthentic::KeyUnavailable)) {
            return Err(CryptoError::Unavailable.into());
        }
        let admitted = self.policy.admits(binding.suite).is_ok();
        let (Ok(authentic), Some(account), true) = (authentic, claimed.account(), admitted) else {
            return Ok(Err(Outcome::Refused));
        };
        let now = self.env.clock.now();
        Ok(Ok(Attempt {
            account,
            terminal: client.terminal.clone(),
            key: key.to_owned(),
            body: body_tag(self.env.crypto, &self.keys.requests, request),
            now,
            window_start: self.policy.window_start(now),
            judged: authentic.judge(&request.verification_password),
        }))
    }

    /// The cryptography of one cancellation. The policy on suites is not asked: what is cancelled is not executed.
    fn proven(
        &self,
        client: &Client,
        cancellation: &Cancellation,
    ) -> Result<Result<ProvenCancellation, Outcome>, ServiceError> {
        let parsed = match Parsed::cancellation(cancellation) {
            Ok(parsed) => parsed,
            Err(malformed) => return Ok(Err(Outcome::Malformed(malformed))),
        };
        if parsed.needs_password() {
            return Err(ServiceError::CannotCancel);
        }
        let claimed = self.claimed(parsed.header().binding)?;
        let evidence = authenticate_unopened(self.env.crypto, claimed.card(), parsed);
        let (Ok(evidence), Some(account)) = (evidence, claimed.account()) else {
            return Ok(Err(Outcome::Refused));
        };
        let (terminal, now) = (client.terminal.clone(), self.env.clock.now());
        Ok(Ok(ProvenCancellation { account, terminal, now, evidence }))
    }

    /// The card that H names, or a stand-in.
    fn claimed(&self, binding: Binding) -> Result<Claimed, ServiceError> {
        Ok(match self.known_card(binding.card, binding.signing_key)? {
            Some(known) => Claimed::Enrolled(known),
            None => Claimed::Unknown(Box::new(self.decoy(binding)?)),
        })
    }

    /// The enrolled card with its parsed keys. What is cached never changes; the card's state is read
    /// under the lock.
    fn known_card(&self, card: CardId, key: KeyId) -> Result<Option<Arc<Known>>, ServiceError> {
        let id = (card, key);
        if let Some(known) = self.cards.read().unwrap_or_else(PoisonError::into_inner).get(&id) {
            return Ok(Some(Arc::clone(known)));
        }
        let Some(row) = self.store.read(|db| books::enrolled(db, card, key))? else {
            return Ok(None);
        };
        let Some(card_key) = self.bound_card_key(&row.binding)? else {
            return Ok(None);
        };
        let card = Enrolled::new(self.env.crypto, row.binding, &row.public_key, card_key)?;
        let known = Arc::new(Known { account: row.account, card });
        let mut cards = self.cards.write().unwrap_or_else(PoisonError::into_inner);
        if cards.len() >= CACHED_CARDS {
            cards.clear();
        }
        cards.insert(id, Arc::clone(&known));
        Ok(Some(known))
    }

    /// The key of an enrolled card; none if a key of the server that it is bound to is retired, in which
    /// case it is blocked. Versions that another process has made are read from the file.
    pub(crate) fn bound_card_key(&self, binding: &Binding) -> Result<Option<Key256>, ServiceError> {
        if !self.keys.ring().serves(binding) {
            self.keys.refresh(&self.env)?;
        }
        Ok(self.keys.ring().card_key(binding.card, binding.issuer_key)?)
    }

    /// Stands in for a card that is not enrolled, so that the answer takes about as long as for one that is:
    /// no signature verifies under the server's own key.
    fn decoy(&self, binding: Binding) -> Result<Enrolled, CryptoError> {
        let ring = self.keys.ring();
        let card_key = ring.stand_in_key(binding.card)?;
        Enrolled::new(self.env.crypto, binding, ring.newest_server_key().1, card_key)
    }
}

fn check_key(key: &str) -> Result<(), Malformed> {
    if IdempotencyKey::fits(key) { Ok(()) } else { Err(Malformed::IdempotencyKey) }
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
    };
    Telling::new(OPERATOR, env.clock.now(), &Act::plain(Actor::Server), &event).tell(db, &sealer)?;
    Ok(Decider { policy: options.policy, sealer, announces: false })
}

/// Notes where the books are, for its owner only: there may be a password in it.
#[cfg(feature = "postgres")]
fn note_url(directory: &Path, url: &str) -> Result<(), KeyFileError> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let path = directory.join(POSTGRES_URL);
    let io = |source| KeyFileError::Io { path: path.clone(), source };
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&path).map_err(io)?;
    writeln!(file, "{url}").and_then(|()| file.sync_all()).map_err(io)
}

/// What decisions need, if the database belongs to these keys.
fn load_decider(
    db: &mut dyn Sql,
    directory: &Path,
    keys: &ServerKeys,
    env: &Environment,
) -> Result<Decider, ServiceError> {
    let (server, policy) = server_row(db)?;
    if server != keys.server {
        return Err(KeyFileError::OtherServer { path: directory.join("keys.json") }.into());
    }
    policy.check()?;
    take_over(db, env.crypto, &sealer(keys, env), env.clock.now())?;
    Ok(Decider { policy, sealer: sealer(keys, env), announces: books::outbox::announces(db)? })
}

fn server_row(db: &mut dyn Sql) -> Result<(ServerId, Policy), StoreError> {
    let row = db.first("SELECT server_id, policy FROM server", &[], |row| {
        Ok((books::parse(row.text(0)?, "server id")?, books::from_json(row.text(1)?, "policy")?))
    })?;
    row.ok_or(StoreError::BadRow { what: "server" })
}
