//! The verifier as a service: HTTP/1.1 and JSON, over TLS, for terminals, operators, auditors and admins.
//! `docs/spec/http.md` says what it promises, `/v1/openapi.json` how each request looks.
//!
//! | module | what it does |
//! |---|---|
//! | [`clients`] | who may ask: roles, tokens, certificates |
//! | `identity`, `caller` | from a request to its client; a handler's argument says which roles may come in |
//! | `limits`, `work` | how often, and how much at the private key |
//! | `json`, `problem` | bodies in and out; errors as problem+json (RFC 9457) |
//! | `authorise`, `cancel`, `routes` | the handlers, and the OpenAPI made of them |
//! | `server`, `tls` | connections: how many, how long, how they end |
//! | `metrics` | numbers for Prometheus and the console |
//! | `inspection` | one verification of the books at a time, and what the last one found |
//! | `console` | the operator's web page |

mod authorise;
mod caller;
mod cancel;
pub mod clients;
mod config;
mod console;
mod identity;
mod inspection;
mod json;
mod limits;
mod metrics;
mod problem;
mod routes;
mod server;
mod tls;
mod work;

use std::io;
use std::sync::Arc;
use std::time::Instant;

use crate::service::Verifier;

pub use config::{Config, TlsFiles};
pub use identity::RECHECK;
pub use limits::Rate;
pub use routes::openapi;
pub use server::{ServeError, Server, Shutdown};
pub use tls::{TlsError, certificate_fingerprint};

/// Everything that handlers share.
pub(crate) struct Hub {
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) clients: Arc<dyn clients::Clients>,
    pub(crate) identity: Arc<identity::Authenticator>,
    pub(crate) limits: limits::Limits,
    pub(crate) private_key: work::PrivateKeyWork,
    pub(crate) metrics: metrics::Metrics,
    pub(crate) inspection: Arc<inspection::Inspection>,
    pub(crate) started: Instant,
    pub(crate) config: Config,
}

impl Hub {
    /// # Errors
    /// No threads are left.
    pub(crate) fn start(
        verifier: Arc<Verifier>,
        clients: Arc<dyn clients::Clients>,
        config: Config,
    ) -> io::Result<Self> {
        let metrics = metrics::Metrics::new();
        let gauge = metrics.private_key_queue.clone();
        Ok(Self {
            identity: Arc::new(identity::Authenticator::new(Arc::clone(&verifier), Arc::clone(&clients))),
            limits: limits::Limits::new(config.client_rate, config.card_rate),
            private_key: work::PrivateKeyWork::start(
                config.private_key_parallel,
                config.private_key_queue,
                gauge,
            )?,
            verifier,
            clients,
            metrics,
            inspection: Arc::default(),
            started: Instant::now(),
            config,
        })
    }
}
