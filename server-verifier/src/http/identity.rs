//! Who is asking: from a token or a certificate to a client, once in a while from the table, mostly from memory.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, header};
use onetap_apdu_spec::txn::TerminalId;

use super::problem::Problem;
use super::work::OffThread;
use crate::domain::client::{ClientId, ClientKey, ClientRecord, Fingerprint, Token};
use crate::service::Client;
use crate::service::cache::Cache;

/// How long a client in memory is let in without a look at the table: so long one that another process has withdrawn may
/// go on.
pub const RECHECK: Duration = Duration::from_secs(5);
/// Clients kept in memory.
const REMEMBERED: usize = 20_000;

/// An authenticated client.
#[derive(Debug)]
pub(crate) struct Principal {
    pub(crate) record: ClientRecord,
    /// The terminals that it speaks for.
    pub(crate) terminals: Vec<Client>,
}

/// Where a request comes from.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) address: IpAddr,
    /// Of the certificate that TLS has verified.
    pub(crate) certificate: Option<Fingerprint>,
}

/// What a request shows.
enum Shown<'a> {
    Token { id: ClientId, secret: &'a str, certificate: Option<Fingerprint> },
    Certificate(Fingerprint),
}

#[derive(Clone)]
struct Known {
    principal: Arc<Principal>,
    /// When the row began to be read.
    read: Instant,
}

/// Finds out who is asking.
pub(crate) struct Authenticator {
    verifier: Arc<OffThread>,
    known: Cache<ClientKey, Known>,
    /// Counts withdrawals, so that a row that was read before one is not remembered after it.
    withdrawals: AtomicU64,
    /// Clients with an outdated token that the log has told of.
    outdated: Mutex<HashSet<ClientId>>,
}

impl Authenticator {
    pub(crate) fn new(verifier: Arc<OffThread>) -> Self {
        let (known, outdated) = (Cache::new(REMEMBERED), Mutex::default());
        Self { verifier, known, withdrawals: AtomicU64::new(0), outdated }
    }

    /// The client that shows this token, this certificate, or both; for the log, why it is nobody's.
    pub(crate) async fn identify(
        &self,
        headers: &HeaderMap,
        peer: &Peer,
    ) -> Result<Result<Arc<Principal>, String>, Problem> {
        let Some(shown) = Shown::read(headers, peer)? else {
            return Ok(Err("what is shown has not the form of a token".to_owned()));
        };
        let key = shown.key();
        let Some(found) = self.find(key.clone()).await? else {
            return Ok(Err(format!("there is no {key}, or it is withdrawn")));
        };
        let fits = self.fits(&shown, &found.record);
        Ok(if fits { Ok(found) } else { Err(format!("this is not what client {} shows", found.record.id)) })
    }

    /// From memory, or from the table.
    async fn find(&self, key: ClientKey) -> Result<Option<Arc<Principal>>, Problem> {
        if let Some(known) = self.known.get(&key)
            && known.read.elapsed() < RECHECK
        {
            return Ok(Some(known.principal));
        }
        let (withdrawals, read) = (self.withdrawals.load(Ordering::SeqCst), Instant::now());
        let asked = key.clone();
        let Some((record, terminals)) = self.verifier.at_once(move |it| it.admitted_client(&asked)).await?
        else {
            self.known.forget(&key);
            return Ok(None);
        };
        let principal = Arc::new(Principal { record, terminals });
        self.known.put(key.clone(), Known { principal: Arc::clone(&principal), read });
        if self.withdrawals.load(Ordering::SeqCst) != withdrawals {
            self.known.forget(&key);
        }
        Ok(Some(principal))
    }

    /// Whether what is shown is what this client must show.
    fn fits(&self, shown: &Shown<'_>, record: &ClientRecord) -> bool {
        match shown {
            Shown::Certificate(_) => record.tokens.is_empty(),
            Shown::Token { secret, certificate, .. } => {
                if record.needs_new_token() {
                    self.tell_outdated(&record.id);
                }
                let now = self.verifier.now();
                let certificate_fits = record.certificate.is_none_or(|it| Some(it) == *certificate);
                // All of them are compared, whichever fits.
                let shown =
                    record.tokens.iter().filter(|token| token.is_good(now) & token.secret.fits(secret));
                certificate_fits && shown.count() > 0
            }
        }
    }

    /// Tells the operator, once for each client, why its token is refused and what helps.
    fn tell_outdated(&self, id: &ClientId) {
        if self.outdated.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone()) {
            let cure = "make it a new one: `onetap verifier client add-token`";
            tracing::warn!(client = %id, cure, "its token was made by an earlier version and is refused");
        }
    }

    /// Shuts a withdrawn client out at once.
    pub(crate) fn forget_client(&self, id: &ClientId) {
        self.forget(|record| record.id == *id);
    }

    /// Shuts the clients of a withdrawn terminal out at once.
    pub(crate) fn forget_terminal(&self, terminal: &TerminalId) {
        self.forget(|record| record.role.terminals().contains(terminal));
    }

    fn forget(&self, withdrawn: impl Fn(&ClientRecord) -> bool) {
        self.withdrawals.fetch_add(1, Ordering::SeqCst);
        self.known.retain(|known| !withdrawn(&known.principal.record));
    }
}

impl<'a> Shown<'a> {
    /// None if nothing is shown that could be a client's.
    ///
    /// # Errors
    /// Neither token nor certificate: that is no wrong credential.
    fn read(headers: &'a HeaderMap, peer: &Peer) -> Result<Option<Self>, Problem> {
        let certificate = peer.certificate;
        match (bearer(headers), certificate) {
            (Bearer::Token(token), _) => {
                Ok(Token::split(token).map(|(id, secret)| Self::Token { id, secret, certificate }))
            }
            (Bearer::Absent, Some(certificate)) => Ok(Some(Self::Certificate(certificate))),
            (Bearer::Absent, None) | (Bearer::Unreadable, _) => Err(Problem::not_authenticated()),
        }
    }

    fn key(&self) -> ClientKey {
        match self {
            Self::Token { id, .. } => ClientKey::Name(id.clone()),
            Self::Certificate(fingerprint) => ClientKey::Certificate(*fingerprint),
        }
    }
}

/// What the header `Authorization` holds.
enum Bearer<'a> {
    Absent,
    Token(&'a str),
    /// Another scheme, no text, or more than one header.
    Unreadable,
}

fn bearer(headers: &HeaderMap) -> Bearer<'_> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = all.next() else { return Bearer::Absent };
    let text = value.to_str().ok().filter(|_| all.next().is_none());
    match text.and_then(|text| text.split_once(' ')) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Bearer::Token(token.trim()),
        _ => Bearer::Unreadable,
    }
}
