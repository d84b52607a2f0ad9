//! The server over HTTPS: JSON over HTTP/1.1 and TLS 1.3, on connections that are kept (docs/spec/http.md).
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use onetap_pcsc_host::deadline::Deadline;
//! use onetap_pcsc_host::http::{Credentials, HttpConfig, HttpService, Roots};
//! use onetap_pcsc_host::service::Service as _;
//!
//! let token = std::fs::read_to_string("till-1.token")?;
//! let mut config = HttpConfig::new("https://bank.example:8443", Credentials::token(&token)?);
//! config.roots = Roots::from_pem(&std::fs::read("ca.pem")?)?;
//! let service = HttpService::new(config)?;
//! let standing = service.standing(&Deadline::after(Duration::from_secs(5)))?;
//! println!("the server knows this terminal as {}", standing.client);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod answer;
mod reach;
mod trust;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use onetap_apdu_spec::service::{
    AUTHORISATIONS, Answer, AuthorisationRequest, CANCELLATIONS, Cancellation, IDEMPOTENCY_KEY,
    IdempotencyKey, JSON, ME, ProblemKind, Resolution, Standing, TRANSACTIONS, TransactionId,
    TransactionRecord,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use ureq::http::{Uri, header};
use ureq::tls::{TlsConfig, TlsProvider};
use zeroize::Zeroizing;

use crate::deadline::Deadline;
use crate::service::{Service, ServiceError};

pub use rustls::crypto::CryptoProvider;
pub(crate) use trust::aws_lc;
pub use trust::{Credentials, CredentialsError, Roots};

/// Pooled connections are dropped after this, before the server drops them (10 seconds, docs/spec/http.md).
const MAX_IDLE: Duration = Duration::from_secs(8);
/// The status of an answer that tells or decides something.
const TOLD: &[u16] = &[200];
/// That of one to an act, which may have made something.
const DONE: &[u16] = &[200, 201];
/// Room for the JSON of a request, so that the buffer with the password is not moved, and can be wiped.
const REQUEST_ROOM: usize = 4096;

/// Which server, and how it is asked.
pub struct HttpConfig {
    /// Such as `https://bank.example:8443`; `http` is for this machine only.
    pub url: String,
    /// Whom to trust for the server's certificate.
    pub roots: Roots,
    /// What proves who this terminal is.
    pub credentials: Credentials,
    /// Time to connect, the server's name and TLS included.
    pub connect: Duration,
    /// Time from the request sent to the head of its answer.
    pub answer: Duration,
    /// Time for one request in all.
    pub whole: Duration,
    /// The cryptography of TLS.
    pub provider: Arc<CryptoProvider>,
    /// Whether `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` are followed.
    pub proxy_from_environment: bool,
}

impl HttpConfig {
    /// The system's roots, the proxy of the environment, 5 seconds to connect, 10 for an answer, 15 in all; AWS-LC.
    #[must_use]
    pub fn new(url: &str, credentials: Credentials) -> Self {
        Self::with_provider(url, credentials, trust::aws_lc())
    }

    /// The same with other cryptography, for a program that has no AWS-LC in it.
    #[must_use]
    pub fn with_provider(url: &str, credentials: Credentials, provider: Arc<CryptoProvider>) -> Self {
        Self {
            provider,
            url: url.to_owned(),
            roots: Roots::System,
            credentials,
            connect: Duration::from_secs(5),
            answer: Duration::from_secs(10),
            whole: Duration::from_secs(15),
            proxy_from_environment: true,
        }
    }

    /// TLS 1.3 with these roots and this certificate, for a program that keeps connections of its own.
    ///
    /// # Errors
    /// The system's roots cannot be read, or certificate and key do not fit each other.
    pub fn tls(&self) -> Result<rustls::ClientConfig, rustls::Error> {
        trust::client_config(&self.roots, &self.credentials, &self.provider)
    }
}

/// A URL that no service can be asked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadUrl {
    /// Not a URL with a host and nothing behind it.
    #[error("the server's URL cannot be read; give one such as https://bank.example:8443")]
    Form,
    /// Plain HTTP beyond this machine.
    #[error("a server beyond this machine needs https: others could read token and password")]
    Plain,
}

/// The server over HTTPS. Threads may share one.
pub struct HttpService {
    agent: ureq::Agent,
    base: String,
    bearer: Option<Zeroizing<String>>,
    timing: Timing,
}

#[derive(Clone, Copy)]
struct Timing {
    connect: Duration,
    answer: Duration,
    whole: Duration,
}

impl HttpService {
    /// Connects with the first request.
    ///
    /// # Errors
    /// [`BadUrl`].
    pub fn new(config: HttpConfig) -> Result<Self, BadUrl> {
        let base = checked(&config.url)?;
        let Credentials { token, identity } = config.credentials;
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .root_certs(config.roots.into_ureq())
            .client_cert(identity)
            .unversioned_rustls_crypto_provider(config.provider)
            .build();
        let mut agent = ureq::Agent::config_builder()
            .tls_config(tls)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .max_idle_age(MAX_IDLE)
            .user_agent(concat!("onetap/", env!("CARGO_PKG_VERSION")));
        if !config.proxy_from_environment {
            agent = agent.proxy(None);
        }
        let timing = Timing { connect: config.connect, answer: config.answer, whole: config.whole };
        let bearer = token.map(|token| Zeroizing::new(format!("Bearer {}", &*token)));
        Ok(Self { agent: reach::agent(agent.build()), base, bearer, timing })
    }

    /// Asks for what [`Service`] has no method for.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub fn get<T: DeserializeOwned + Send + 'static>(
        &self,
        path: &str,
        deadline: &Deadline,
    ) -> Result<T, ServiceError> {
        let call = Call { path: format!("{}{path}", self.base), key: None, body: None, statuses: TOLD };
        self.call(call, deadline)
    }

    /// Asks for an act that [`Service`] has no method for; under a key it is done once, however often it is asked for.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub fn post<T: DeserializeOwned + Send + 'static>(
        &self,
        path: &str,
        key: Option<&IdempotencyKey>,
        body: &impl Serialize,
        deadline: &Deadline,
    ) -> Result<T, ServiceError> {
        self.send(path, key, body, DONE, deadline)
    }

    fn send<T: DeserializeOwned + Send + 'static>(
        &self,
        path: &str,
        key: Option<&IdempotencyKey>,
        body: &impl Serialize,
        statuses: &'static [u16],
        deadline: &Deadline,
    ) -> Result<T, ServiceError> {
        let mut json = Zeroizing::new(Vec::with_capacity(REQUEST_ROOM));
        // These types have no value that JSON lacks, and a Vec takes every byte.
        serde_json::to_writer(&mut *json, body)
            .map_err(|error| ServiceError::NotTheService(error.to_string()))?;
        let path = format!("{}{path}", self.base);
        self.call(Call { path, key: key.cloned(), body: Some(json), statuses }, deadline)
    }

    /// On this thread if only time ends the call; else on one of its own, so that a cancellation need not wait for it.
    fn call<T: DeserializeOwned + Send + 'static>(
        &self,
        call: Call,
        deadline: &Deadline,
    ) -> Result<T, ServiceError> {
        deadline.check()?;
        let whole = self.timing.whole.min(deadline.remaining());
        let timing = Timing { whole, ..self.timing };
        let (agent, bearer) = (self.agent.clone(), self.bearer.clone());
        let run = move || call.run(&agent, bearer.as_deref().map(String::as_str), timing);
        let answer = if deadline.can_be_cancelled() {
            deadline.wait(move |reply| {
                // Nobody waits any more for what comes later.
                std::thread::spawn(move || drop(reply.send(run())));
            })?
        } else {
            run()
        };
        // The library may notice first that the time is up.
        match (answer, deadline.check()) {
            (Err(ServiceError::Lost(_)), Err(stopped)) => Err(stopped.into()),
            (answer, _) => answer,
        }
    }
}

/// One request.
struct Call {
    path: String,
    key: Option<IdempotencyKey>,
    body: Option<Zeroizing<Vec<u8>>>,
    /// Those of an answer that is no problem.
    statuses: &'static [u16],
}

impl Call {
    fn run<T: DeserializeOwned>(
        &self,
        agent: &ureq::Agent,
        bearer: Option<&str>,
        timing: Timing,
    ) -> Result<T, ServiceError> {
        let answer = match &self.body {
            Some(body) => {
                let mut request = agent.post(&self.path).header(header::CONTENT_TYPE, JSON);
                if let Some(key) = &self.key {
                    request = request.header(IDEMPOTENCY_KEY, key.as_str());
                }
                timing.apply(authorised(request, bearer)).send(&body[..])
            }
            None => timing.apply(authorised(agent.get(&self.path), bearer)).call(),
        };
        answer::read(answer.map_err(answer::of_transport)?, self.statuses)
    }
}

fn authorised<B>(request: ureq::RequestBuilder<B>, bearer: Option<&str>) -> ureq::RequestBuilder<B> {
    match bearer {
        Some(bearer) => request.header(header::AUTHORIZATION, bearer),
        None => request,
    }
}

impl Timing {
    fn apply<B>(self, request: ureq::RequestBuilder<B>) -> ureq::RequestBuilder<B> {
        request
            .config()
            .timeout_global(Some(self.whole))
            .timeout_connect(Some(self.connect))
            .timeout_recv_response(Some(self.answer))
            .build()
    }
}

impl Service for HttpService {
    fn standing(&self, deadline: &Deadline) -> Result<Standing, ServiceError> {
        self.get(ME, deadline)
    }

    fn authorise(
        &self,
        key: &IdempotencyKey,
        request: &AuthorisationRequest,
        deadline: &Deadline,
    ) -> Result<Answer, ServiceError> {
        self.send(AUTHORISATIONS, Some(key), request, TOLD, deadline)
    }

    fn cancel(&self, cancellation: &Cancellation, deadline: &Deadline) -> Result<Resolution, ServiceError> {
        self.send(CANCELLATIONS, None, cancellation, TOLD, deadline)
    }

    fn transaction(
        &self,
        id: &TransactionId,
        deadline: &Deadline,
    ) -> Result<Option<TransactionRecord>, ServiceError> {
        match self.get(&format!("{TRANSACTIONS}/{id}"), deadline) {
            Err(error) if error.problem() == Some(ProblemKind::NotFound) => Ok(None),
            found => found.map(Some),
        }
    }
}

impl fmt::Debug for HttpService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpService({})", self.base)
    }
}

/// The URL without a slash at its end, if it says which server and nothing else.
fn checked(url: &str) -> Result<String, BadUrl> {
    let uri: Uri = url.parse().map_err(|_| BadUrl::Form)?;
    let (Some(scheme), Some(host)) = (uri.scheme_str(), uri.host()) else {
        return Err(BadUrl::Form);
    };
    let only_server = matches!(uri.path_and_query().map(|rest| rest.as_str()), None | Some("/" | ""));
    let no_password = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    match scheme {
        _ if host.is_empty() || !only_server || !no_password => Err(BadUrl::Form),
        "https" => Ok(url.trim_end_matches('/').to_owned()),
        "http" if is_this_machine(host) => Ok(url.trim_end_matches('/').to_owned()),
        "http" => Err(BadUrl::Plain),
        _ => Err(BadUrl::Form),
    }
}

/// Whether a URL's host is this machine, so that plain HTTP is no risk.
pub(crate) fn is_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}
