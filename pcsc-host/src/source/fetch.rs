//! A transaction from a URL (feature `http`): JSON over HTTPS, bounded in size and time.

use std::fmt;
use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use onetap_apdu_spec::foreign::Shown;
use ureq::http::header::{ACCEPT, LOCATION};
use ureq::http::{HeaderMap, Uri};
use ureq::tls::{TlsConfig, TlsProvider};

use super::{Draft, MAX_JSON, SourceError, json};
use crate::http::{CryptoProvider, Roots, aws_lc, is_this_machine};

/// How long a fetch may take, from looking up the name to the last byte.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why nothing was fetched. What is quoted of others is escaped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// Not a URL with a host.
    #[error("the URL cannot be read")]
    Url,
    /// Plain HTTP beyond this machine.
    #[error("the URL begins with http, so others could change what it gives")]
    Plain,
    /// It took too long.
    #[error("{host} did not give the whole answer within {patience:?}")]
    TooSlow {
        /// The host that was asked.
        host: String,
        /// How long it was waited for.
        patience: Duration,
    },
    /// The connection could not be made, or broke off.
    #[error("nothing could be fetched from {host}: {why}")]
    Broken {
        /// The host that was asked.
        host: String,
        /// The reason.
        why: String,
    },
    /// A status other than success.
    #[error("{host} answers with status {status}")]
    Status {
        /// The host that was asked.
        host: String,
        /// The status of HTTP.
        status: u16,
    },
    /// A redirection, which is not followed.
    #[error("{host} sends on to {to}")]
    Redirected {
        /// The host that was asked.
        host: String,
        /// Where it sends to.
        to: String,
    },
}

impl FetchError {
    pub(super) fn advice(&self) -> &'static str {
        match self {
            Self::Url | Self::Plain => "give a URL such as https://shop.example/order/17",
            Self::TooSlow { .. } | Self::Broken { .. } => {
                "check the network and the URL, then try again; or type the transaction in"
            }
            Self::Status { .. } => "check the URL, or ask the sender for another one",
            Self::Redirected { .. } => "give that URL, if it is the sender's",
        }
    }
}

/// Fetches transactions.
pub struct Fetcher {
    roots: Roots,
    provider: Arc<CryptoProvider>,
    patience: Duration,
}

impl Fetcher {
    /// Trusts `roots` for the certificates of hosts.
    #[must_use]
    pub fn new(roots: Roots) -> Self {
        Self::with_provider(roots, aws_lc())
    }

    /// The same with other cryptography, for a program that has no AWS-LC in it.
    #[must_use]
    pub fn with_provider(roots: Roots, provider: Arc<CryptoProvider>) -> Self {
        Self { roots, provider, patience: PATIENCE }
    }

    /// Waits for less than ten seconds.
    #[must_use]
    pub fn within(self, patience: Duration) -> Self {
        Self { patience: patience.min(PATIENCE), ..self }
    }

    /// Fetches a transaction, as [`json`] takes it. The URL is `https`, or `http` to this machine. Redirections are
    /// not followed: the transaction is from the named host or from nobody.
    ///
    /// # Errors
    /// [`SourceError::Fetch`], [`SourceError::Json`].
    pub fn fetch(&self, url: &str) -> Result<Draft, SourceError> {
        json(&self.get(url)?)
    }

    fn get(&self, url: &str) -> Result<Vec<u8>, FetchError> {
        let url: Uri = url.parse().map_err(|_| FetchError::Url)?;
        let host = url.host().filter(|host| !host.is_empty()).ok_or(FetchError::Url)?.to_owned();
        let local = is_this_machine(&host);
        match url.scheme_str() {
            Some("https") => (),
            Some("http") if local => (),
            Some("http") => return Err(FetchError::Plain),
            _ => return Err(FetchError::Url),
        }
        let answer = self.agent(local).get(url).header(ACCEPT, "application/json").call();
        let answer = answer.map_err(|error| self.failed(&host, &error))?;
        match answer.status().as_u16() {
            200..=299 => (),
            300..=399 => return Err(FetchError::Redirected { host, to: location(answer.headers()) }),
            status => return Err(FetchError::Status { host, status }),
        }
        let mut body = Vec::new();
        // One byte more than is read, so that a text that is too long is seen to be.
        let read = answer.into_body().into_reader().take(MAX_JSON as u64 + 1).read_to_end(&mut body);
        read.map_err(|error| self.failed(&host, &error.into()))?;
        Ok(body)
    }

    fn agent(&self, local: bool) -> ureq::Agent {
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .root_certs(self.roots.clone().into_ureq())
            .unversioned_rustls_crypto_provider(Arc::clone(&self.provider))
            .build();
        let config = ureq::Agent::config_builder()
            .tls_config(tls)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .timeout_global(Some(self.patience))
            .user_agent("onetap-terminal");
        // What is for this machine does not go through a proxy.
        let config = if local { config.proxy(None) } else { config };
        config.build().new_agent()
    }

    fn failed(&self, host: &str, error: &ureq::Error) -> FetchError {
        let host = host.to_owned();
        match error {
            ureq::Error::Timeout(_) => FetchError::TooSlow { host, patience: self.patience },
            other => FetchError::Broken { host, why: Shown(&other.to_string()).to_string() },
        }
    }
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetcher").field("patience", &self.patience).finish_non_exhaustive()
    }
}

fn location(headers: &HeaderMap) -> String {
    let to = headers.get(LOCATION).map(|to| String::from_utf8_lossy(to.as_bytes()));
    Shown(to.as_deref().unwrap_or("nowhere")).to_string()
}
