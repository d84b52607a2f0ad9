//! The server's front: a [`Verifier`] takes requests from any number of threads.

use std::collections::HashMap;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use onetap_apdu_spec::crypto::{CryptoError, RsaBits};
use onetap_apdu_spec::header::{Binding, CardId, ServerId};
use onetap_apdu_spec::request::AuthorisationRequest;
use onetap_apdu_spec::txn::TerminalId;
use rusqlite::{Connection, params};

use crate::audit::Event;
use crate::decide::{Attempt, Decision, Outcome, TransactionId, decide};
use crate::environment::{Environment, Timestamp};
use crate::error::{KeyFileError, ServiceError, StoreError};
use crate::keys::ServerKeys;
use crate::policy::Policy;
use crate::store::Store as _;
use crate::store::books::{self, OPERATOR};
use crate::store::sqlite::SqliteStore;
use crate::verify::{Enrolled, Malformed, Parsed, authenticate, body_tag};

const DATABASE: &str = "verifier.db";
/// Parsed card keys kept in memory, about 4 kB each.
const CACHED_CARDS: usize = 10_000;
const MAX_IDEMPOTENCY_KEY: usize = 64;

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
    pub(crate) store: SqliteStore,
    /// What of a card never changes once it is enrolled: its binding and its keys.
    cards: RwLock<HashMap<CardId, Arc<Enrolled>>>,
}

impl Verifier {
    /// Makes the key file and the database in `directory`, which is made if it does not exist.
    ///
    /// # Errors
    /// [`ServiceError::AlreadyInitialised`]; [`ServiceError`] if a file cannot be written.
    pub fn init(directory: &Path, options: InitOptions, env: Environment) -> Result<Self, ServiceError> {
        options.policy.check()?;
        let database = directory.join(DATABASE);
        if fs::metadata(&database).is_ok_and(|file| file.len() > 0) {
            return Err(ServiceError::AlreadyInitialised(directory.to_owned()));
        }
        make_directory(directory)?;
        let keys = ServerKeys::create(directory, options.rsa_bits, &env)?;
        let first = |db: &Connection| first_rows(db, &options, &keys, &env);
        let store = SqliteStore::create(&database, env.crypto, keys.audit.clone(), first)?;
        Ok(Self::assemble(env, keys, options.policy, store))
    }

    /// Opens what [`Verifier::init`] made.
    ///
    /// # Errors
    /// [`ServiceError::NotInitialised`], [`StoreError`], [`KeyFileError`].
    pub fn open(directory: &Path, env: Environment) -> Result<Self, ServiceError> {
        let database = directory.join(DATABASE);
        if !fs::metadata(&database).is_ok_and(|file| file.len() > 0) {
            return Err(ServiceError::NotInitialised(directory.to_owned()));
        }
        let keys = ServerKeys::load(directory, &env)?;
        let store = SqliteStore::open(&database, env.crypto, keys.audit.clone())?;
        let (server, policy) = store.read(server_row)?;
        if server != keys.server {
            return Err(KeyFileError::OtherServer { path: directory.join("keys.json") }.into());
        }
        policy.check()?;
        Ok(Self::assemble(env, keys, policy, store))
    }

    /// A server that is gone when it is dropped.
    ///
    /// # Errors
    /// [`ServiceError`] if the policy or cryptography fails.
    pub fn in_memory(options: InitOptions, env: Environment) -> Result<Self, ServiceError> {
        options.policy.check()?;
        let keys = ServerKeys::in_memory(options.rsa_bits, &env)?;
        let first = |db: &Connection| first_rows(db, &options, &keys, &env);
        let store = SqliteStore::in_memory(env.crypto, keys.audit.clone(), first)?;
        Ok(Self::assemble(env, keys, options.policy, store))
    }

    fn assemble(env: Environment, keys: ServerKeys, policy: Policy, store: SqliteStore) -> Self {
        Self { env, keys, policy, store, cards: RwLock::new(HashMap::new()) }
    }

    /// This operator's id, which every header must carry.
    #[must_use]
    pub fn server_id(&self) -> ServerId {
        self.keys.server
    }

    /// The operator's rules.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Judges one request of `client` and executes it if it holds. Repeat a request with the same
    /// `idempotency_key` to learn what became of it.
    ///
    /// All cryptography is done before anything is locked; only a request that an enrolled card has
    /// signed opens a writing transaction. When this returns, the decision is durable.
    ///
    /// # Errors
    /// [`ServiceError`] if the store fails: then nothing was decided.
    pub fn authorise(
        &self,
        client: &Client,
        idempotency_key: &str,
        request: &AuthorisationRequest,
    ) -> Result<Outcome, ServiceError> {
        let parsed = match check_key(idempotency_key).and_then(|()| Parsed::new(request)) {
            Ok(parsed) => parsed,
            Err(malformed) => return Ok(Outcome::Malformed(malformed)),
        };
        let binding = parsed.header().binding;
        let known = self.known_card(binding.card)?;
        let unknown = known.is_none();
        let card = known.map_or_else(|| self.decoy(binding), Ok)?;
        let authentic = authenticate(self.env.crypto, &card, self.keys.decryption.as_ref(), &parsed);
        let admitted = !unknown && self.policy.admits(binding.suite).is_ok();
        let Some(authentic) = authentic.ok().filter(|_| admitted) else {
            return Ok(Outcome::Refused);
        };
        let now = self.env.clock.now();
        let attempt = Attempt {
            terminal: &client.terminal,
            key: idempotency_key,
            body: body_tag(self.env.crypto, &self.keys.requests, request),
            now,
            window_start: Timestamp(now.0.saturating_sub(self.policy.window)),
            transaction: TransactionId(hex::encode(self.env.random::<16>())),
            authentic: &authentic,
            password: authentic.check_password(&request.verification_password),
        };
        match self.store.transact(attempt, |rows, attempt| decide(&self.policy, rows, attempt)) {
            Ok(Decision::Answered(answer)) => Ok(answer.into()),
            Ok(Decision::Conflict) => Ok(Outcome::Conflict),
            Ok(Decision::Commit(commit)) => Ok(commit.answer.into()),
            Err(StoreError::Locked) => Ok(Outcome::Busy),
            Err(error) => Err(error.into()),
        }
    }

    /// The enrolled card with its parsed keys. What is cached never changes; the card's state is read
    /// under the lock.
    fn known_card(&self, id: CardId) -> Result<Option<Arc<Enrolled>>, ServiceError> {
        if let Some(card) = self.cards.read().unwrap_or_else(PoisonError::into_inner).get(&id) {
            return Ok(Some(Arc::clone(card)));
        }
        let Some(row) = self.store.enrolled(id)? else {
            return Ok(None);
        };
        let card_key = self.keys.card_key(&self.env, id, row.binding.issuer_key);
        let card = Arc::new(Enrolled::new(self.env.crypto, row.binding, &row.public_key, card_key)?);
        let mut cards = self.cards.write().unwrap_or_else(PoisonError::into_inner);
        if cards.len() >= CACHED_CARDS {
            cards.clear();
        }
        cards.insert(id, Arc::clone(&card));
        Ok(Some(card))
    }

    /// Stands in for a card that is not enrolled, so that the answer takes about as long as for one that is:
    /// no signature verifies under the server's own key.
    fn decoy(&self, binding: Binding) -> Result<Arc<Enrolled>, CryptoError> {
        let card_key = self.keys.card_key(&self.env, binding.card, binding.issuer_key);
        Enrolled::new(self.env.crypto, binding, &self.keys.public_key, card_key).map(Arc::new)
    }
}

fn check_key(key: &str) -> Result<(), Malformed> {
    let fits = (1..=MAX_IDEMPOTENCY_KEY).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic());
    if fits { Ok(()) } else { Err(Malformed::IdempotencyKey) }
}

/// Makes the directory, for its owner only.
fn make_directory(directory: &Path) -> Result<(), KeyFileError> {
    let io = |source| KeyFileError::Io { path: PathBuf::from(directory), source };
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(io)
}

/// The operator's rows. Fails if another process was first.
fn first_rows(
    db: &Connection,
    options: &InitOptions,
    keys: &ServerKeys,
    env: &Environment,
) -> Result<(), StoreError> {
    db.execute(
        "INSERT INTO server (one, server_id, operator, policy) VALUES (1, ?1, ?2, ?3)",
        params![keys.server.to_string(), options.operator, books::to_json(&options.policy)?],
    )?;
    let sql = "INSERT INTO accounts (account_id, holder, kind) VALUES (?1, ?2, 'operator')";
    db.execute(sql, params![OPERATOR, options.operator])?;
    books::begin_audit(db, env.crypto, &keys.audit, OPERATOR)?;
    let event = Event::Initialised { operator: options.operator.clone() };
    books::append_audit(db, env.crypto, &keys.audit, OPERATOR, env.clock.now(), &event)?;
    Ok(())
}

fn server_row(db: &Connection) -> Result<(ServerId, Policy), StoreError> {
    let sql = "SELECT server_id, policy FROM server";
    let (server, policy): (String, String) = db.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let server = server.parse().map_err(|_| StoreError::BadRow { what: "server id" })?;
    Ok((server, books::from_json(&policy, "policy")?))
}
