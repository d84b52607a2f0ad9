//! How the service is run.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use super::doors::Room;
use super::limits::{Rate, Rates};

/// How the service is run. [`Config::default`] listens on any free port of the loopback, without TLS.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen; port 0 takes any free one.
    pub listen: SocketAddr,
    /// The server's certificate and key; without, plain HTTP.
    pub tls: Option<TlsFiles>,
    /// Allows plain HTTP beyond the loopback: tokens and passwords can then be read on the way.
    pub insecure_plain_http: bool,
    /// Requests of one client; no limit if left out.
    pub client_rate: Option<Rate>,
    /// Requests for one card at one client; no limit if left out.
    pub card_rate: Option<Rate>,
    /// Largest body of a request, in bytes.
    pub max_body: usize,
    /// Longest time that a body may take to come.
    pub body_time: Duration,
    /// Longest time that a TLS handshake or a head may take to come, and that a connection may idle.
    pub head_time: Duration,
    /// Most connections at a time. In a full house the oldest silent connection makes room for a new one.
    pub max_connections: usize,
    /// Most connections of one source: an IPv4 address, or the /64 network of an IPv6 address.
    pub source_connections: usize,
    /// Most silent connections of one source, over which no head has come yet. The oldest makes room for a new one.
    pub source_silent: usize,
    /// Wrong credentials of one source in a minute, and at once; more are told to wait. Right ones are never refused.
    pub wrong_per_minute: NonZeroU32,
    /// Operations at the private key at a time; by default as many as there are processors.
    pub private_key_parallel: usize,
    /// Most operations that wait for the private key; more are refused.
    pub private_key_queue: usize,
    /// Threads of the runtime; by default as many as there are processors.
    pub threads: usize,
    /// Longest time that a shutdown waits for what is under way.
    pub shutdown_time: Duration,
    /// Counts the lines that whoever writes the log could not write; told in the metrics.
    pub lost_log_lines: Arc<AtomicU64>,
}

/// PEM files for TLS.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The certificate chain, the server's own first.
    pub certificates: PathBuf,
    /// Its private key (PKCS #8).
    pub key: PathBuf,
    /// CA certificates that clients' certificates are verified against; without, none is asked for.
    pub client_ca: Option<PathBuf>,
    /// Ends connections of clients that show no certificate.
    pub require_client_certificate: bool,
}

impl Config {
    /// How often clients may ask.
    pub(super) fn rates(&self) -> Rates {
        Rates { client: self.client_rate, card: self.card_rate, wrong_per_minute: self.wrong_per_minute }
    }

    /// How many connections there may be.
    pub(super) fn room(&self) -> Room {
        Room {
            total: self.max_connections.max(1),
            per_source: self.source_connections.max(1),
            silent_per_source: self.source_silent.max(1),
        }
    }
}

const fn rate(per_second: u32, burst: u32) -> Option<Rate> {
    match (NonZeroU32::new(per_second), NonZeroU32::new(burst)) {
        (Some(per_second), Some(burst)) => Some(Rate::new(per_second, burst)),
        _ => None,
    }
}

impl Default for Config {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            tls: None,
            insecure_plain_http: false,
            client_rate: rate(100, 200),
            card_rate: rate(1, 10),
            max_body: 16 * 1024,
            body_time: Duration::from_secs(5),
            head_time: Duration::from_secs(10),
            max_connections: 1024,
            source_connections: 512,
            source_silent: 256,
            wrong_per_minute: NonZeroU32::MIN.saturating_add(9),
            private_key_parallel: processors,
            private_key_queue: 256,
            threads: processors,
            shutdown_time: Duration::from_secs(10),
            lost_log_lines: Arc::default(),
        }
    }
}
