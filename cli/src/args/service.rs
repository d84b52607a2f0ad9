//! The command line of the verifier as a service.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use onetap_apdu_spec::txn::TerminalId;
use onetap_server_verifier::domain::client::{ClientId, RoleName};

use super::Why;

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// The server's folder
    #[arg(long)]
    pub(crate) db: PathBuf,
    /// Where to listen; port 0 takes any free one
    #[arg(long, default_value = "127.0.0.1:0")]
    pub(crate) listen: SocketAddr,
    /// The server's certificate chain (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// Its private key (PKCS #8, PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    /// CA that verifies clients' certificates (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) client_ca: Option<PathBuf>,
    /// End connections of clients that show no certificate
    #[arg(long, requires = "client_ca")]
    pub(crate) require_client_cert: bool,
    /// Allow plain HTTP beyond this machine: tokens and passwords can be read on the way
    #[arg(long, conflicts_with = "tls_cert")]
    pub(crate) insecure_plain_http: bool,
    /// Requests a second of one client; 0 for no limit
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(crate) client_rate: u32,
    /// Requests a second for one card at one client; 0 for no limit
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) card_rate: u32,
    /// Most connections at a time
    #[arg(long, value_name = "N", default_value_t = 1024)]
    pub(crate) max_connections: usize,
    /// Most connections of one source, an IPv4 address or an IPv6 /64; half of all if left out. Raise it behind a proxy or NAT
    #[arg(long, value_name = "N")]
    pub(crate) source_connections: Option<usize>,
    /// Most connections of one source over which no request has come yet; a quarter of all if left out
    #[arg(long, value_name = "N")]
    pub(crate) source_silent: Option<usize>,
    /// Wrong credentials of one source a minute, and at once; right ones are never refused
    #[arg(long, value_name = "N", default_value = "10")]
    pub(crate) wrong_credentials: NonZeroU32,
    /// Threads that answer; as many as there are processors if left out
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<usize>,
    /// Seconds that a shutdown waits for what is under way
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub(crate) shutdown_time: u64,
    /// Tell this URL of executed transactions and locked accounts, at least once each (docs/spec/http.md)
    #[arg(long, value_name = "URL")]
    pub(crate) webhook: Option<String>,
    /// CA of the webhook's receiver (PEM); public authorities if left out
    #[arg(long, value_name = "FILE", requires = "webhook")]
    pub(crate) webhook_ca: Option<PathBuf>,
    /// Write a checkpoint of the audit log into this folder every hour
    #[arg(long, value_name = "FOLDER")]
    pub(crate) checkpoints: Option<PathBuf>,
    /// What to log to standard error, as JSON lines: error, warn, info or debug
    #[arg(long, value_enum, default_value_t = LogLevel::Info)]
    pub(crate) log: LogLevel,
}

/// How much is logged.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum LogLevel {
    /// What failed
    Error,
    /// What failed or was turned away
    Warn,
    /// As warn, and what operators and admins did
    Info,
    /// As info, and each request
    Debug,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Client {
    /// Add a client of the service, and show its token, this once
    Add(AddClient),
    /// Withdraw a client for good; a running service follows within seconds
    Withdraw {
        /// The server's folder
        #[arg(long)]
        db: PathBuf,
        /// Which client
        id: ClientId,
        #[command(flatten)]
        why: Why,
    },
    /// List the clients
    List {
        /// The server's folder
        #[arg(long)]
        db: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(crate) struct AddClient {
    /// The server's folder
    #[arg(long)]
    pub(crate) db: PathBuf,
    /// Its name: letters, digits, - and _; never used twice
    pub(crate) id: ClientId,
    /// What it may do
    #[arg(long, value_enum)]
    pub(crate) role: Role,
    /// For which terminal
    #[arg(long, required_if_eq("role", "terminal"), value_parser = super::terminal_id)]
    pub(crate) terminal: Option<TerminalId>,
    /// Its certificate (PEM), which it must show
    #[arg(long, value_name = "FILE")]
    pub(crate) cert: Option<PathBuf>,
    /// Make a token besides the certificate; it must show both then
    #[arg(long, requires = "cert")]
    pub(crate) token: bool,
    #[command(flatten)]
    pub(crate) why: Why,
}

/// What a client may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// Send what holders sign at its terminal
    Terminal,
    /// Run accounts and cards, unlock
    Operator,
    /// Read everything
    Auditor,
    /// Say who may ask, move money by hand, make checkpoints
    Admin,
}

impl From<Role> for RoleName {
    fn from(role: Role) -> Self {
        match role {
            Role::Terminal => Self::Terminal,
            Role::Operator => Self::Operator,
            Role::Auditor => Self::Auditor,
            Role::Admin => Self::Admin,
        }
    }
}
