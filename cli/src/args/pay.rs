//! `onetap pay`, and what every terminal that meets a server is told, as clap sees it.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use onetap_apdu_spec::service::IdempotencyKey;
use onetap_apdu_spec::txn::TerminalId;

/// Whom to trust for a server, and how this program proves who it is.
#[derive(Debug, Args)]
pub(crate) struct Identity {
    /// Trust these authorities (PEM) and no others; the system's if left out
    #[arg(long, value_name = "FILE", env = "ONETAP_CA")]
    pub(crate) ca: Option<PathBuf>,
    /// File with the token that `verifier client add` showed; else the variable ONETAP_TOKEN holds it
    #[arg(long, value_name = "FILE", env = "ONETAP_TOKEN_FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// This client's certificate and those that lead to its root (PEM)
    #[arg(long, value_name = "FILE", env = "ONETAP_CERT", requires = "key")]
    pub(crate) cert: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(long, value_name = "FILE", env = "ONETAP_KEY", requires = "cert")]
    pub(crate) key: Option<PathBuf>,
}

/// Which server, and which terminal this is.
#[derive(Debug, Args)]
pub(crate) struct Online {
    /// The server, such as `https://bank.example:8443`
    #[arg(long, value_name = "URL", env = "ONETAP_SERVER")]
    pub(crate) server: String,
    #[command(flatten)]
    pub(crate) identity: Identity,
    /// This terminal's id, 8 letters or digits; what the server has on record if left out
    #[arg(long, value_parser = super::terminal_id)]
    pub(crate) terminal: Option<TerminalId>,
    /// Folder that keeps what was sent until its outcome is known. If left out, a folder of the terminal's id in
    /// $XDG_STATE_HOME/onetap, ~/.local/state/onetap, ~/Library/Application Support/onetap or %LOCALAPPDATA%\onetap
    #[arg(long, value_name = "FOLDER")]
    pub(crate) journal: Option<PathBuf>,
    /// Seconds to ask the server for a decision, before the outcome counts as unknown
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub(crate) patience: u64,
}

/// What is typed in if the transaction comes from elsewhere.
const TYPED: [&str; 6] = ["to", "name", "currency", "reference", "details", "top_up"];

#[derive(Debug, Args)]
pub(crate) struct Pay {
    #[command(flatten)]
    pub(crate) online: Online,
    /// Reader, or a part of its name
    #[arg(long)]
    pub(crate) reader: Option<String>,
    /// Learn or make the final state of every payment whose outcome is not known, instead of paying
    #[arg(long, conflicts_with_all = TYPED, conflicts_with_all = ["amount", "scan", "from", "idempotency_key"])]
    pub(crate) resolve: bool,
    /// What makes repetitions of the request one, never used before; drawn if left out
    #[arg(long, value_name = "KEY")]
    pub(crate) idempotency_key: Option<IdempotencyKey>,
    /// Whom to pay: account
    #[arg(long, required_unless_present_any = ["scan", "from", "resolve"])]
    pub(crate) to: Option<String>,
    /// Whom to pay: name
    #[arg(long, required_unless_present_any = ["scan", "from", "resolve"])]
    pub(crate) name: Option<String>,
    /// How much, in major units, such as 12.34; with --scan, if the code leaves it to the payer
    #[arg(long, allow_negative_numbers = true, required_unless_present_any = ["scan", "from", "resolve"])]
    pub(crate) amount: Option<String>,
    /// Currency
    #[arg(long, default_value = "EUR")]
    pub(crate) currency: String,
    /// The payee's reference
    #[arg(long, default_value = "-")]
    pub(crate) reference: String,
    /// More for the holder to read
    #[arg(long)]
    pub(crate) details: Option<String>,
    /// Load a stored value instead of paying
    #[arg(long)]
    pub(crate) top_up: bool,
    /// What the payer gives on top, in major units, if the scanned code asks for a tip
    #[arg(long, requires = "scan", conflicts_with_all = TYPED)]
    pub(crate) tip: Option<String>,
    /// Take the transaction from a payment code (EPC or EMVCo QR): its text, or a PNG or JPEG picture of it; -
    /// for standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = TYPED, conflicts_with = "from")]
    pub(crate) scan: Option<PathBuf>,
    /// Take the transaction as JSON from a file, a URL (https) or, with -, from standard input
    #[arg(long, value_name = "FILE|URL", conflicts_with_all = TYPED, conflicts_with_all = ["amount", "tip"])]
    pub(crate) from: Option<PathBuf>,
    /// Seconds to wait for a card
    #[arg(long, default_value_t = 60)]
    pub(crate) wait: u64,
}

#[derive(Debug, Args)]
pub(crate) struct Terminal {
    #[command(flatten)]
    pub(crate) online: Online,
    /// Reader, or a part of its name
    #[arg(long)]
    pub(crate) reader: Option<String>,
    /// Serve the page there, on this machine only; port 0 takes any free one
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:0")]
    pub(crate) listen: SocketAddr,
    /// Seconds to wait for a card
    #[arg(long, default_value_t = 60)]
    pub(crate) wait: u64,
}

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Look at this server too, such as `https://bank.example:8443`
    #[arg(long, value_name = "URL", env = "ONETAP_SERVER")]
    pub(crate) server: Option<String>,
    #[command(flatten)]
    pub(crate) identity: Identity,
    /// This terminal's id, 8 letters or digits; what the server has on record if left out
    #[arg(long, value_parser = super::terminal_id)]
    pub(crate) terminal: Option<TerminalId>,
}
