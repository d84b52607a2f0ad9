//! What can go wrong, what to do about it, and the exit code that says so.

use std::io;
use std::path::{Path, PathBuf};

use onetap_applet::front::vpcd::VpcdError;
use onetap_applet::nvm::NvmError;
use onetap_applet::{CardError, KeyRefused, NotAPin};
use onetap_conformance::holder::HolderError;
use onetap_page::PageError;
use onetap_pcsc_host::gp::{self, IssuerError};
use onetap_pcsc_host::http::{BadUrl, CredentialsError};
use onetap_pcsc_host::journal::JournalError;
use onetap_pcsc_host::service::NotReady;
use onetap_pcsc_host::source::SourceError;
use onetap_pcsc_host::{
    Error as HostError, KeyboardError, PaymentError, ProtocolError, ReaderError, Step, Stopped,
};
use onetap_server_verifier::http::{ServeError, TlsError};
use onetap_server_verifier::outbox::WebhookError;
use onetap_server_verifier::{KeyFileError, ServiceError};

/// Shown by `--help`.
pub(crate) const HELP: &str = "\
Exit codes:
  0  done
  1  the card, the trace or the suite did not do what it should
  2  wrong usage
  3  the server refused the transaction
  4  reader: none there, no card, card gone
  5  card: it answered an error status
  6  protocol: it answered nonsense
  7  server: not reached or not ready for this terminal; database, keys or policy
  8  card image, or a key that the card refuses
  9  file or terminal input/output, the port of the panel or the service
  10  unknown whether it was executed: resolve it (`pay --resolve`)
  11  the suite did not fail, and could not perform all that the card claims
  130  interrupted in the middle (Ctrl-C, SIGTERM)";

/// Interrupted by a signal, as shells count it.
pub(crate) const INTERRUPTED: u8 = 130;

/// Why a command did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("{0}")]
    NotAsExpected(String),
    /// Nothing failed, but not all was performed.
    #[error("{0}")]
    NotShown(String),
    /// The doctor found something; its lines say what.
    #[error("{}", found(*.wrong))]
    NotWell { wrong: usize, code: u8 },
    #[error("{0}")]
    Usage(String),
    #[error("{what}")]
    Refused { what: String, advice: &'static str },
    #[error(transparent)]
    Host(#[from] HostError),
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The server's URL.
    #[error(transparent)]
    Url(#[from] BadUrl),
    #[error("{place}: {why}")]
    Credentials { place: String, why: CredentialsError },
    #[error(transparent)]
    NotReady(#[from] NotReady),
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Nothing was executed.
    #[error(transparent)]
    Payment(PaymentError),
    /// Nobody knows whether it was executed.
    #[error(transparent)]
    Unknown(PaymentError),
    #[error("of {0} payments the outcome is still not known")]
    Unresolved(usize),
    #[error(transparent)]
    Keyboard(#[from] KeyboardError),
    #[error(transparent)]
    Server(#[from] ServiceError),
    #[error(transparent)]
    Serve(#[from] ServeError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Webhook(#[from] WebhookError),
    #[error(transparent)]
    Card(#[from] CardError),
    #[error(transparent)]
    Key(#[from] KeyRefused),
    #[error(transparent)]
    Vpcd(#[from] VpcdError),
    #[error(transparent)]
    Page(#[from] PageError),
    #[error(transparent)]
    Holder(#[from] HolderError),
    #[error(transparent)]
    Issuer(#[from] IssuerError),
    /// One of several cards.
    #[error("{image}: {source}")]
    Among { image: PathBuf, source: Box<Failure> },
    /// By Ctrl-C or SIGTERM.
    #[error("interrupted before anything was paid")]
    Interrupted,
    #[error("cannot {what}: {source}")]
    System { what: &'static str, source: io::Error },
    #[error("cannot {what} {path}: {source}")]
    File { what: &'static str, path: PathBuf, source: io::Error },
    #[error("{path} does not hold {what}: {source}")]
    Content { what: &'static str, path: PathBuf, source: serde_json::Error },
    #[error("nothing can be read from the keyboard: {0}")]
    Input(io::Error),
    #[error("cannot write the output: {0}")]
    Output(io::Error),
}

impl Failure {
    /// For the shell.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::NotAsExpected(_) => 1,
            Self::Interrupted => INTERRUPTED,
            Self::NotShown(_) => 11,
            Self::NotWell { code, .. } => *code,
            Self::Serve(ServeError::Plain(_) | ServeError::OtherKind)
            | Self::Usage(_)
            | Self::Source(_)
            | Self::Url(_)
            | Self::Page(PageError::NotLoopback(_)) => 2,
            Self::Refused { .. } => 3,
            Self::Host(error) => host_code(error),
            Self::Vpcd(_) => 4,
            Self::Issuer(error) => issuer_code(error),
            Self::Among { source, .. } => source.code(),
            Self::Server(_) | Self::NotReady(_) => 7,
            Self::Payment(error) => payment_code(error),
            Self::Unknown(_) | Self::Unresolved(_) => 10,
            Self::Card(_) | Self::Key(_) | Self::Holder(_) => 8,
            Self::Keyboard(_)
            | Self::Serve(ServeError::Listen { .. } | ServeError::Tls(_))
            | Self::Webhook(_)
            | Self::Tls(_)
            | Self::Page(PageError::Listen { .. })
            | Self::Credentials { .. }
            | Self::Journal(_)
            | Self::File { .. }
            | Self::Content { .. }
            | Self::System { .. }
            | Self::Input(_)
            | Self::Output(_) => 9,
        }
    }

    /// What to do next, where the message does not say so itself.
    pub(crate) fn advice(&self) -> Option<String> {
        match self {
            Self::Host(error) => Some(error.advice().to_owned()),
            Self::Source(error) => Some(error.advice().to_owned()),
            Self::NotReady(error) => Some(error.advice().to_owned()),
            Self::Journal(error) => Some(error.advice().to_owned()),
            Self::Payment(error) => Some(error.advice().to_owned()),
            Self::Unknown(_) => Some("onetap pay --resolve, before anything is paid again".to_owned()),
            Self::Unresolved(_) => Some("onetap pay --resolve, when the server answers".to_owned()),
            Self::Keyboard(error) => Some(error.advice()),
            Self::NotShown(_) => {
                Some("lend what is missing: claims, order, holder (docs/conformance.md)".to_owned())
            }
            Self::Refused { advice, .. } => Some((*advice).to_owned()),
            Self::Issuer(error) => Some(gp::advice(error).to_owned()),
            Self::Among { source, .. } => source.advice(),
            Self::System { .. } => {
                Some("close other programs, or run fewer cards; the system has no more to give".to_owned())
            }
            Self::Card(CardError::Nvm(NvmError::InUse(_))) => Some(
                "end it there; while `onetap card run` has it, its issuer can reach it by --reader"
                    .to_owned(),
            ),
            Self::Server(error) => about_server(error).map(str::to_owned),
            Self::File { source, .. } => Some(about_file(source.kind()).to_owned()),
            Self::Content { .. } => Some("give the file that the command before this one wrote".to_owned()),
            Self::Input(_) => {
                Some("type the answer at the terminal, or give it as an option, see --help".to_owned())
            }
            Self::Output(_) => Some("make room where the output goes, then repeat the command".to_owned()),
            _ => None,
        }
    }

    pub(crate) fn file(what: &'static str, path: &Path, source: io::Error) -> Self {
        Self::File { what, path: path.to_owned(), source }
    }
}

fn found(wrong: usize) -> String {
    let things = if wrong == 1 { "1 thing is".to_owned() } else { format!("{wrong} things are") };
    format!("{things} wrong, see above")
}

/// Reader, card, protocol, or the transaction. A card of another operator has other keys.
fn host_code(error: &HostError) -> u8 {
    match error {
        HostError::Reader(_) => 4,
        HostError::Card(_) | HostError::Protocol(ProtocolError::WrongOperator) => 5,
        HostError::Protocol(_) | HostError::Attempt(_) => 6,
        HostError::Transaction(_) | HostError::Edition(_) => 2,
    }
}

/// A payment that came to nothing.
fn payment_code(error: &PaymentError) -> u8 {
    match error {
        PaymentError::Stopped { why: Stopped::Cancelled, .. } => INTERRUPTED,
        PaymentError::Stopped { step: Step::Tap | Step::Removal, .. } => 4,
        PaymentError::Stopped { step: Step::Holder, .. } | PaymentError::Journal(_) => 9,
        PaymentError::Tap(error) => host_code(error),
        PaymentError::Unknown { .. } => 10,
        PaymentError::Stopped { .. } | PaymentError::NotReady(_) | PaymentError::NotExecuted(_) => 7,
    }
}

/// The issuer's errors are those of the reader, the card or the protocol.
fn issuer_code(error: &IssuerError) -> u8 {
    match error {
        IssuerError::Transport(_) => 4,
        IssuerError::Refused { .. } | IssuerError::Handshake(_) => 5,
        IssuerError::OrderTooLong(_) => 2,
        _ => 6,
    }
}

/// What to do about a file.
fn about_file(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::AlreadyExists => {
            "give another name, or move that file away: no file is ever overwritten"
        }
        io::ErrorKind::StorageFull => "make room on the disk, then repeat the command",
        io::ErrorKind::FileTooLarge => "this is too large; give the kind of file that --help names",
        io::ErrorKind::InvalidData => "this is no text file; give the kind of file that --help names",
        io::ErrorKind::InvalidInput => "give a shorter path, for example one from the current folder",
        _ => "check that the path exists and that you may read and write there",
    }
}

/// Which command helps, where the server's message does not name one.
fn about_server(error: &ServiceError) -> Option<&'static str> {
    match error {
        ServiceError::NoSuchTerminal => Some("`onetap verifier account --terminal ID` registers it"),
        ServiceError::NoSuchAccount => Some("`onetap verifier account` lists the accounts"),
        ServiceError::CardNotOrdered => Some("`onetap verifier enroll --account NUMBER` orders one"),
        ServiceError::NoSuchCard => Some("`onetap verifier account` lists the cards of each account"),
        _ => None,
    }
}

impl From<KeyFileError> for Failure {
    fn from(error: KeyFileError) -> Self {
        Self::Server(error.into())
    }
}

impl From<PaymentError> for Failure {
    fn from(error: PaymentError) -> Self {
        match error {
            PaymentError::Unknown { .. } => Self::Unknown(error),
            other => Self::Payment(other),
        }
    }
}

impl From<ReaderError> for Failure {
    fn from(error: ReaderError) -> Self {
        Self::Host(error.into())
    }
}

impl From<NvmError> for Failure {
    fn from(error: NvmError) -> Self {
        Self::Card(error.into())
    }
}

impl From<NotAPin> for Failure {
    fn from(error: NotAPin) -> Self {
        Self::Usage(error.to_string())
    }
}
