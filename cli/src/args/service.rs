//! The command line of the verifier as a service.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use onetap_apdu_spec::txn::TerminalId;
use onetap_server_verifier::Timestamp;
use onetap_server_verifier::domain::client::{ClientId, RoleName};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Why;

/// How the service is run: options over variables over a file.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Configuration file (TOML); its keys are the names of the options below without the dashes before them, and each option has
    /// a variable, too: ONETAP_LISTEN for --listen. An option outranks a variable, a variable the file
    #[arg(long, value_name = "FILE", env = "ONETAP_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) settings: Settings,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Configuration {
    /// Read everything that `serve` would, and say what cannot be used
    Check(Box<Serve>),
    /// Show each setting, and where it comes from
    Show(Box<Serve>),
}

/// Each setting once: the option, the key of the file, the variable.
macro_rules! settings {
    ($($(#[$attribute:meta])* $name:ident: $kind:ty,)*) => {
        /// What is set in one place.
        #[derive(Debug, Clone, Default, Args, Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
        pub(crate) struct Settings {
            $($(#[$attribute])* pub(crate) $name: Option<$kind>,)*
        }

        impl Settings {
            /// These, and where they are silent, those of `below`.
            pub(crate) fn over(self, below: Self) -> Self {
                Self { $($name: self.$name.or(below.$name),)* }
            }

            /// All of them, by the names of their options.
            pub(crate) fn entries(&self) -> Vec<(String, Option<Value>)> {
                vec![$((stringify!($name).replace('_', "-"), self.$name.as_ref().map(shown)),)*]
            }
        }
    };
}

settings! {
    /// The server's folder
    #[arg(long, value_name = "FOLDER")]
    db: PathBuf,
    /// Where to listen; port 0 takes any free one [default: 127.0.0.1:0]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    /// The server's certificate chain (PEM)
    #[arg(long, value_name = "FILE")]
    tls_cert: PathBuf,
    /// Its private key (PKCS #8, PEM)
    #[arg(long, value_name = "FILE")]
    tls_key: PathBuf,
    /// CA that verifies clients' certificates (PEM)
    #[arg(long, value_name = "FILE")]
    client_ca: PathBuf,
    /// End connections of clients that show no certificate
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    require_client_cert: bool,
    /// Allow plain HTTP beyond this machine: tokens and passwords can be read on the way
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    insecure_plain_http: bool,
    /// Requests a second of one client; 0 for no limit [default: 100]
    #[arg(long, value_name = "N")]
    client_rate: u32,
    /// Requests a second for one card at one client; 0 for no limit [default: 1]
    #[arg(long, value_name = "N")]
    card_rate: u32,
    /// Most connections at a time [default: 1024]
    #[arg(long, value_name = "N")]
    max_connections: usize,
    /// Most connections of one source, an IPv4 address or an IPv6 /64; half of all if left out. Raise it behind a proxy or NAT
    #[arg(long, value_name = "N")]
    source_connections: usize,
    /// Most connections of one source over which no request has come yet; a quarter of all if left out
    #[arg(long, value_name = "N")]
    source_silent: usize,
    /// Wrong credentials of one source a minute, and at once; right ones are never refused [default: 10]
    #[arg(long, value_name = "N")]
    wrong_credentials: NonZeroU32,
    /// Threads that answer; as many as there are processors if left out
    #[arg(long, value_name = "N")]
    threads: usize,
    /// Seconds that a shutdown waits for what is under way [default: 10]
    #[arg(long, value_name = "SECONDS")]
    shutdown_time: u64,
    /// Tell this URL of executed transactions and locked accounts, at least once each (docs/spec/http.md)
    #[arg(long, value_name = "URL")]
    webhook: String,
    /// CA of the webhook's receiver (PEM); public authorities if left out
    #[arg(long, value_name = "FILE")]
    webhook_ca: PathBuf,
    /// Write a checkpoint of the audit log into this folder every hour
    #[arg(long, value_name = "FOLDER")]
    checkpoints: PathBuf,
    /// What to log to standard error, as JSON lines [default: info]
    #[arg(long, value_enum)]
    log: LogLevel,
    /// File with the passphrase of the key file
    #[arg(long, value_name = "FILE")]
    passphrase_file: PathBuf,
    /// File of 32 random bytes that seals the key file
    #[arg(long, value_name = "FILE")]
    key_file: PathBuf,
    /// File with the user PIN of the PKCS#11 token
    #[arg(long, value_name = "FILE")]
    pkcs11_pin_file: PathBuf,
}

/// A value as it is shown: a path that is not UTF-8 with marks where it is not.
fn shown<T: serde::Serialize + std::fmt::Debug>(value: &T) -> Value {
    serde_json::to_value(value).unwrap_or_else(|_| format!("{value:?}").into())
}

/// How much is logged.
#[derive(Debug, Clone, Copy, Default, ValueEnum, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LogLevel {
    /// What failed
    Error,
    /// What failed or was turned away
    Warn,
    /// As warn, and what operators and admins did
    #[default]
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
    /// Make a client one more token, and show it, this once
    AddToken(AddToken),
    /// End one token of a client now
    EndToken {
        /// The server's folder
        #[arg(long)]
        db: PathBuf,
        /// Which client
        id: ClientId,
        /// Number of the token, as `list` shows it
        token: u32,
        #[command(flatten)]
        why: Why,
    },
    /// Let a client speak for one more terminal
    Link(LinkClient),
    /// Let a client not speak for a terminal any more
    Unlink(LinkClient),
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
    /// For which terminal; given again, for several
    #[arg(long, required_if_eq("role", "terminal"), value_parser = super::terminal_id)]
    pub(crate) terminal: Vec<TerminalId>,
    /// Until when its token is good, in UTC, such as 2027-03-31T00:00:00Z; without, until it is withdrawn
    #[arg(long, value_name = "MOMENT", value_parser = moment)]
    pub(crate) expires: Option<Timestamp>,
    /// Its certificate (PEM), which it must show
    #[arg(long, value_name = "FILE")]
    pub(crate) cert: Option<PathBuf>,
    /// Make a token besides the certificate; it must show both then
    #[arg(long, requires = "cert")]
    pub(crate) token: bool,
    #[command(flatten)]
    pub(crate) why: Why,
}

/// A moment in UTC.
fn moment(text: &str) -> Result<Timestamp, String> {
    let quoted = serde_json::Value::from(text);
    serde_json::from_value(quoted)
        .map_err(|_| "give a moment in UTC, such as 2027-03-31T00:00:00Z".to_owned())
}

#[derive(Debug, Args)]
pub(crate) struct AddToken {
    /// The server's folder
    #[arg(long)]
    pub(crate) db: PathBuf,
    /// Which client
    pub(crate) id: ClientId,
    /// Until when the token is good, in UTC, such as 2027-03-31T00:00:00Z; without, until the client is withdrawn
    #[arg(long, value_name = "MOMENT", value_parser = moment)]
    pub(crate) expires: Option<Timestamp>,
    /// The client's older tokens are good for so long more, and no longer; without, they stay as they are
    #[arg(long, value_name = "SECONDS")]
    pub(crate) overlap: Option<u32>,
    #[command(flatten)]
    pub(crate) why: Why,
}

#[derive(Debug, Args)]
pub(crate) struct LinkClient {
    /// The server's folder
    #[arg(long)]
    pub(crate) db: PathBuf,
    /// Which client
    pub(crate) id: ClientId,
    /// Which terminal
    #[arg(long, value_parser = super::terminal_id)]
    pub(crate) terminal: TerminalId,
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
