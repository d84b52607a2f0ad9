//! Who is asking: from a token or a certificate to a client, once in a while from the table, mostly from memory.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, header};
use onetap_apdu_spec::crypto::Digest;
use onetap_apdu_spec::txn::TerminalId;
use tokio::sync::Semaphore;

use super::clients::ClientId;
use super::clients::ClientRecord;
use super::clients::Clients;
use super::clients::Fingerprint;
use super::clients::Role;
use super::clients::secret_fits;
use super::clients::split;
use super::limits::Limits;
use super::metrics::Metrics;
use super::problem::Problem;
use crate::service::error::ServiceError;
use crate::service::{Client, Verifier};

/// After so long a client in memory is looked up in the table again: so long a client that another process has
/// withdrawn may go on.
pub const RECHECK: Duration = Duration::from_secs(5);
/// After so long a token's secret is hashed again.
const FORGET: Duration = Duration::from_secs(15 * 60);
/// Clients kept in memory.
const MAX_CACHED: usize = 20_000;
/// Tokens that may wait to be hashed. One at a time is: that takes 19 MB and tens of milliseconds.
const MAX_WAITING: usize = 64;

/// An authenticated client.
#[derive(Debug)]
pub(crate) struct Principal {
    pub(crate) id: ClientId,
    pub(crate) access: Access,
}

/// Its role, with what the role needs.
#[derive(Debug)]
pub(crate) enum Access {
    Terminal(Client),
    Operator,
    Auditor,
    Admin,
}

/// Where a request comes from.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) address: IpAddr,
    /// Of the certificate that TLS has verified.
    pub(crate) certificate: Option<Fingerprint>,
}

/// What was shown, in the form in which it is remembered: a token only as its hash.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Shown {
    token: Option<Digest>,
    certificate: Option<Fingerprint>,
}

struct Known {
    principal: Arc<Principal>,
    record: ClientRecord,
    verified: Instant,
    checked: Instant,
}

/// What memory says about what was shown.
enum Memory {
    Nothing,
    Fresh(Arc<Principal>),
    /// To be looked up again, by this request only.
    Stale(ClientRecord, Arc<Principal>),
}

/// Finds out who is asking.
pub(crate) struct Authenticator {
    verifier: Arc<Verifier>,
    clients: Arc<dyn Clients>,
    known: RwLock<HashMap<Shown, Known>>,
    hashing: Semaphore,
    waiting: Semaphore,
}

impl Authenticator {
    pub(crate) fn new(verifier: Arc<Verifier>, clients: Arc<dyn Clients>) -> Self {
        let known = RwLock::default();
        Self { verifier, clients, known, hashing: Semaphore::new(1), waiting: Semaphore::new(MAX_WAITING) }
    }

    /// The client that shows this token, this certificate, or both.
    pub(crate) async fn identify(
        self: &Arc<Self>,
        headers: &HeaderMap,
        peer: &Peer,
        limits: &Limits,
        metrics: &Metrics,
    ) -> Result<Arc<Principal>, Problem> {
        let token = bearer(headers)?;
        // A certificate need not come with a token, and a token may come over a connection with any certificate.
        if token.is_none() && peer.certificate.is_none() {
            return Err(Problem::not_authenticated());
        }
        let crypto = self.verifier.env.crypto;
        let shown = Shown {
            token: token.map(|token| crypto.sha256(&[token.as_bytes()])),
            certificate: peer.certificate,
        };
        match self.recall(&shown) {
            Memory::Fresh(principal) => Ok(principal),
            Memory::Stale(record, principal) => self.recheck(shown, record, principal).await,
            Memory::Nothing => {
                limits.stranger(peer.address)?;
                let found = self.look_up(token, peer, metrics).await?;
                let Some(record) = found else {
                    metrics.wrong_credentials.increment(1);
                    limits.wrong_token(peer.address);
                    return Err(Problem::not_authenticated());
                };
                self.remember(shown, record).await
            }
        }
    }

    fn recall(&self, shown: &Shown) -> Memory {
        let now = Instant::now();
        {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            match known.get(shown) {
                None => return Memory::Nothing,
                Some(entry) if now - entry.verified >= FORGET => return Memory::Nothing,
                Some(entry) if now - entry.checked < RECHECK => {
                    return Memory::Fresh(Arc::clone(&entry.principal));
                }
                Some(_) => {}
            }
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        match known.get_mut(shown) {
            None => Memory::Nothing,
            // Another request was first.
            Some(entry) if now.saturating_duration_since(entry.checked) < RECHECK => {
                Memory::Fresh(Arc::clone(&entry.principal))
            }
            Some(entry) => {
                entry.checked = now;
                Memory::Stale(entry.record.clone(), Arc::clone(&entry.principal))
            }
        }
    }

    /// The same client if its row is still the same.
    async fn recheck(
        self: &Arc<Self>,
        shown: Shown,
        record: ClientRecord,
        principal: Arc<Principal>,
    ) -> Result<Arc<Principal>, Problem> {
        let this = Arc::clone(self);
        let found = blocking(move || {
            let same = this.clients.find(&record.id)?.is_some_and(|found| found == record);
            Ok(same && this.role_stands(&record.role)?)
        });
        match found.await {
            Ok(true) => Ok(principal),
            Ok(false) => {
                self.forget(&shown);
                Err(Problem::not_authenticated())
            }
            Err(problem) => {
                self.forget(&shown);
                Err(problem)
            }
        }
    }

    /// False once the client's terminal is withdrawn.
    fn role_stands(&self, role: &Role) -> Result<bool, ServiceError> {
        let Some(terminal) = role.terminal() else { return Ok(true) };
        match self.verifier.client(terminal.clone()) {
            Ok(_) => Ok(true),
            Err(ServiceError::NoSuchTerminal) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn forget(&self, shown: &Shown) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).remove(shown);
    }

    /// Drops a withdrawn client at once.
    pub(crate) fn forget_client(&self, id: &ClientId) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, entry| entry.record.id != *id);
    }

    /// Drops the clients of a withdrawn terminal at once.
    pub(crate) fn forget_terminal(&self, terminal: &TerminalId) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, entry| entry.record.role.terminal() != Some(terminal));
    }

    /// The record that fits what was shown.
    async fn look_up(
        self: &Arc<Self>,
        token: Option<&str>,
        peer: &Peer,
        metrics: &Metrics,
    ) -> Result<Option<ClientRecord>, Problem> {
        let certificate = peer.certificate;
        let Some(token) = token else {
            let Some(fingerprint) = certificate else { return Ok(None) };
            let this = Arc::clone(self);
            let found = blocking(move || this.clients.find_certificate(&fingerprint)).await?;
            return Ok(found.filter(|record| usable(record) && record.credential.secret_hash().is_none()));
        };
        let Some((id, secret)) = split(token) else { return Ok(None) };
        let this = Arc::clone(self);
        let found = blocking(move || this.clients.find(&id)).await?;
        let fits = |record: &ClientRecord| {
            usable(record)
                && record.credential.certificate().is_none_or(|wanted| Some(*wanted) == certificate)
        };
        let Some(record) = found.filter(fits) else { return Ok(None) };
        let Some(hash) = record.credential.secret_hash() else { return Ok(None) };
        let right = self.hash(secret, hash, metrics).await?;
        Ok(right.then_some(record))
    }

    /// Hashes a secret, one at a time.
    async fn hash(&self, secret: &str, hash: &str, metrics: &Metrics) -> Result<bool, Problem> {
        let failed = || Problem::busy("too many new tokens at once; repeat");
        let _place = self.waiting.try_acquire().map_err(|_| failed())?;
        let _turn = self.hashing.acquire().await.map_err(|_| failed())?;
        metrics.tokens_hashed.increment(1);
        let (secret, hash) = (zeroize::Zeroizing::new(secret.to_owned()), hash.to_owned());
        blocking(move || Ok(secret_fits(&secret, &hash))).await
    }

    async fn remember(
        self: &Arc<Self>,
        shown: Shown,
        record: ClientRecord,
    ) -> Result<Arc<Principal>, Problem> {
        let access = match &record.role {
            Role::Terminal(terminal) => {
                let (this, terminal) = (Arc::clone(self), terminal.clone());
                let found = blocking(move || match this.verifier.client(terminal) {
                    Err(ServiceError::NoSuchTerminal) => Ok(None),
                    found => found.map(Some),
                });
                Access::Terminal(found.await?.ok_or_else(Problem::not_authenticated)?)
            }
            Role::Operator => Access::Operator,
            Role::Auditor => Access::Auditor,
            Role::Admin => Access::Admin,
        };
        let principal = Arc::new(Principal { id: record.id.clone(), access });
        let now = Instant::now();
        let entry = Known { principal: Arc::clone(&principal), record, verified: now, checked: now };
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_CACHED {
            known.clear();
        }
        known.insert(shown, entry);
        Ok(principal)
    }

    /// Forgets what is too old to be used.
    pub(crate) fn tidy(&self) {
        let now = Instant::now();
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, entry| now.saturating_duration_since(entry.verified) < FORGET);
    }
}

fn usable(record: &ClientRecord) -> bool {
    record.withdrawn_at.is_none()
}

/// The token of a request, if it has one. Exactly one header, or none.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = all.next() else { return Ok(None) };
    let text = value.to_str().ok().filter(|_| all.next().is_none());
    let (scheme, token) =
        text.and_then(|text| text.split_once(' ')).ok_or_else(Problem::not_authenticated)?;
    if scheme.eq_ignore_ascii_case("bearer") {
        Ok(Some(token.trim()))
    } else {
        Err(Problem::not_authenticated())
    }
}

/// Runs what may block, elsewhere.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ServiceError> + Send + 'static,
) -> Result<T, Problem> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done?),
        Err(error) => {
            tracing::error!(%error, "a task was lost");
            Err(Problem::busy("the server is ending; repeat elsewhere"))
        }
    }
}
