//! Messages over HTTPS: `POST`, JSON, signed as Standard Webhooks 1.0 has it, so that receivers can verify them with
//! a library.
//!
//! | header | holds |
//! |---|---|
//! | `webhook-id` | the message's id, the same for every copy |
//! | `webhook-timestamp` | when this copy was sent, seconds since 1970 |
//! | `webhook-signature` | `v1,` and base64 of HMAC-SHA-256 over `id.timestamp.body`; while one key follows another, both, apart by a space |
//!
//! Any status 2xx takes the message. To one with the topic `execute` the body may say what became of it:
//! `{"state":"settled"}` or `{"state":"failed","reason":"…"}`; any other body leaves it accepted.

use std::fmt;
use std::io::Read as _;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use onetap_apdu_spec::crypto::Key256;
use sha2::Sha256;
use ureq::http::Uri;
use ureq::tls::{PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem};
use zeroize::Zeroizing;

use super::Deliverer;
use super::DeliveryRules;
use super::Reply;
use super::Round;
use super::Transport;
use super::Undelivered;
use crate::domain::Message;
use crate::domain::{Background, Timestamp, causes};
use crate::service::Verifier;
use crate::service::error::ServiceError;

/// The longest answer that is read.
const MAX_REPLY: u64 = 64 * 1024;
/// How often the outbox is looked at when nothing was due.
const PAUSE: Duration = Duration::from_millis(250);

/// Whom to tell, and how.
#[derive(Debug, Clone)]
pub struct WebhookConfig {
    /// `https`, or `http` to this machine.
    pub url: String,
    /// Sign what is sent; the receiver has one of them at least.
    pub keys: Vec<Key256>,
    /// Who vouches for the receiver (PEM); public authorities if none is given.
    pub ca: Option<PathBuf>,
    /// How messages are sent.
    pub rules: DeliveryRules,
}

impl WebhookConfig {
    /// Public authorities and the default rules.
    #[must_use]
    pub fn new(url: &str, keys: Vec<Key256>) -> Self {
        Self { url: url.to_owned(), keys, ca: None, rules: DeliveryRules::default() }
    }
}

/// Why nobody can be told.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// Not a URL with a host.
    #[error("the webhook's URL cannot be read; give one such as https://bank.example/onetap")]
    Url,
    /// Plain HTTP beyond this machine.
    #[error("a webhook beyond this machine needs https: others could read what it is told")]
    Plain,
    /// The file of the authority.
    #[error("{path} holds no PEM certificate that can be read; give the authority's certificate")]
    Authority {
        /// Which file.
        path: PathBuf,
    },
    /// No thread.
    #[error("no thread could be started; free memory, then start again")]
    Thread(#[source] std::io::Error),
}

/// Sends over HTTPS.
pub struct Webhook {
    agent: ureq::Agent,
    url: Uri,
    keys: Arc<RwLock<Vec<Key256>>>,
}

impl Webhook {
    /// Reads the authority's certificate; connects when there is something to tell.
    ///
    /// # Errors
    /// [`WebhookError`].
    pub fn new(config: &WebhookConfig) -> Result<Self, WebhookError> {
        let url: Uri = config.url.parse().map_err(|_| WebhookError::Url)?;
        let host = url.host().ok_or(WebhookError::Url)?;
        match url.scheme_str() {
            Some("https") => (),
            Some("http") if is_loopback(host) => (),
            Some("http") => return Err(WebhookError::Plain),
            _ => return Err(WebhookError::Url),
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .root_certs(authorities(config.ca.as_ref())?)
            .unversioned_rustls_crypto_provider(provider)
            .build();
        // No redirects, no proxy: what is signed for this URL goes there and nowhere else.
        let agent = ureq::Agent::config_builder()
            .tls_config(tls)
            .proxy(None)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .timeout_global(Some(config.rules.patience))
            .user_agent("onetap-verifier")
            .build()
            .new_agent();
        Ok(Self { agent, url, keys: Arc::new(RwLock::new(config.keys.clone())) })
    }

    /// Sends a message of the topic `test`, which tells of nothing. Returns its id.
    ///
    /// # Errors
    /// [`Undelivered`] if it was not taken.
    pub fn test(&self, verifier: &Verifier) -> Result<String, Undelivered> {
        let (at, id) = (verifier.now(), format!("test-{}", hex::encode(verifier.env.random::<8>())));
        let body = serde_json::json!({"id": id, "topic": "test", "server": verifier.server_id(), "at": at});
        self.post(&id, at, body.to_string().as_bytes())?;
        Ok(id)
    }

    fn signatures(&self, id: &str, at: Timestamp, body: &[u8]) -> String {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.iter().map(|key| signature(key, id, at, body)).collect::<Vec<_>>().join(" ")
    }

    fn post(&self, id: &str, at: Timestamp, body: &[u8]) -> Result<Vec<u8>, Undelivered> {
        let timestamp = at.0.to_string();
        let answer = self
            .agent
            .post(&self.url)
            .header("content-type", "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", &timestamp)
            .header("webhook-signature", self.signatures(id, at, body))
            .send(body);
        let answer = answer.map_err(|error| Undelivered(error.to_string()))?;
        let status = answer.status();
        if !status.is_success() {
            return Err(Undelivered(format!("the receiver answers {status}")));
        }
        let mut reply = Vec::new();
        let read = answer.into_body().into_reader().take(MAX_REPLY).read_to_end(&mut reply);
        read.map_err(|error| Undelivered(format!("the receiver's answer broke off: {error}")))?;
        Ok(reply)
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Webhook({}, redacted)", self.url)
    }
}

impl Transport for Webhook {
    fn send(&self, message: &Message, now: Timestamp) -> Result<Reply, Undelivered> {
        let body = serde_json::to_vec(message).map_err(|error| Undelivered(error.to_string()))?;
        let reply = self.post(&message.id, now, &body)?;
        Ok(Reply { verdict: serde_json::from_slice(&reply).ok() })
    }
}

/// The value of `webhook-signature`.
#[must_use]
pub fn signature(key: &Key256, id: &str, at: Timestamp, body: &[u8]) -> String {
    // A key that is shorter than a block of the hash is padded with zeros (RFC 2104 section 2).
    let mut block = Zeroizing::new([0; 64]);
    block[..32].copy_from_slice(key.expose());
    let mut mac = Hmac::<Sha256>::new((&*block).into());
    mac.update(format!("{id}.{}.", at.0).as_bytes());
    mac.update(body);
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn authorities(path: Option<&PathBuf>) -> Result<RootCerts, WebhookError> {
    let Some(path) = path else {
        return Ok(RootCerts::WebPki);
    };
    let bad = || WebhookError::Authority { path: path.clone() };
    let pem = std::fs::read(path).map_err(|_| bad())?;
    let items = parse_pem(&pem).collect::<Result<Vec<_>, _>>().map_err(|_| bad())?;
    let certificates: Vec<_> = items
        .into_iter()
        .filter_map(
            |item| if let PemItem::Certificate(certificate) = item { Some(certificate) } else { None },
        )
        .collect();
    if certificates.is_empty() { Err(bad()) } else { Ok(certificates.into()) }
}

/// A key as receivers are given it: `whsec_` and base64.
#[must_use]
pub fn secret_text(key: &Key256) -> Zeroizing<String> {
    Zeroizing::new(format!("whsec_{}", STANDARD.encode(key.expose())))
}

/// Starts a thread that tells `config.url` what is in the outbox of `verifier`. Stopped, it first writes down what
/// is under way. Whether executed transactions are written there says [`crate::Desk::announce`].
///
/// # Errors
/// [`WebhookError`].
pub fn spawn(verifier: Arc<Verifier>, config: WebhookConfig) -> Result<Background, WebhookError> {
    let webhook = Webhook::new(&config)?;
    let keys = Arc::clone(&webhook.keys);
    let deliverer = Deliverer::new(Arc::clone(&verifier), webhook, config.rules);
    let round = move || {
        let renewed = verifier.webhook_keys().and_then(|renewed| {
            *keys.write().unwrap_or_else(PoisonError::into_inner) = renewed;
            deliverer.round()
        });
        rest(renewed)
    };
    Background::start("onetap-outbox", Duration::ZERO, round).map_err(WebhookError::Thread)
}

/// How long to wait after a round: not at all while there is something to send.
fn rest(round: Result<Round, ServiceError>) -> Duration {
    match round {
        Ok(Round { delivered: 0, failed: 0 }) => PAUSE,
        Ok(Round { failed: 0, .. }) => Duration::ZERO,
        Ok(Round { delivered, failed }) => {
            tracing::warn!(delivered, failed, "messages were not taken");
            PAUSE
        }
        Err(error) => {
            tracing::error!(error = causes(&error), "the outbox cannot be read or written");
            PAUSE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expected value is from another implementation (Python's hmac).
    #[test]
    fn signatures_are_those_of_hmac_sha_256_over_id_moment_and_body() {
        let key = Key256::new([11; 32]);
        let signed = signature(&key, "ab-17-4", Timestamp(1_790_000_000), b"{\"a\":1}");
        assert_eq!(signed, "v1,dAicxXqAilZ4XadRuR5UO29fky9zkrxyvri/EGW5gm8=");
    }

    #[test]
    fn plain_http_is_for_this_machine_only() {
        let made = |url: &str| Webhook::new(&WebhookConfig::new(url, vec![Key256::new([1; 32])])).map(drop);
        for url in ["https://bank.example/x", "http://127.0.0.1:1/x", "http://[::1]:1/", "http://localhost/"]
        {
            assert!(made(url).is_ok(), "{url}");
        }
        for url in ["http://bank.example/x", "http://10.0.0.1/", "http://127.0.0.1.example/"] {
            assert!(matches!(made(url), Err(WebhookError::Plain)), "{url}");
        }
        for url in ["", "/x", "ftp://bank.example/", "bank.example"] {
            assert!(matches!(made(url), Err(WebhookError::Url)), "{url}");
        }
    }
}
