//! One error for all: of which kind, what happened, and what to do about it.

use onetap_pcsc_host::attempt::Unresolved;
use onetap_pcsc_host::http::{BadUrl, CredentialsError};
use onetap_pcsc_host::journal::JournalError;
use onetap_pcsc_host::payment::PaymentError;
use onetap_pcsc_host::service::NotReady;
use onetap_pcsc_host::source::FillError;
use onetap_pcsc_host::{ReaderError, ServiceError, SourceError, Stopped};

/// What a program can tell errors apart by. The numbers and the words stay as they are; kinds may be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, strum::Display, strum::EnumIter, strum::IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
#[repr(i32)]
pub enum Kind {
    /// A value that the caller gave is wrong.
    Argument = 1,
    /// The handle was closed.
    Closed = 2,
    /// Another thread, or another payment, has it at the moment.
    Busy = 3,
    /// The library was used before this process was forked off.
    Forked = 4,
    /// A function of the app's own failed.
    Callback = 5,
    /// A mistake in this library.
    Internal = 6,
    /// The system gives no thread or memory.
    System = 7,
    /// The PC/SC service does not run, does not answer, or refuses this program.
    Service = 10,
    /// There is no reader, not that reader, or none that works.
    Reader = 11,
    /// The card is not there, refuses, or is none of ours.
    Card = 12,
    /// The time was up.
    Timeout = 13,
    /// It was cancelled.
    Cancelled = 14,
    /// The transaction, or what it was to be read from, is wrong.
    Transaction = 20,
    /// The code leaves the amount to the payer.
    AmountMissing = 21,
    /// The trace or log cannot be read or written, or a till did what the trace that it plays does not have.
    Trace = 22,
    /// The journal cannot be written or read.
    Journal = 30,
    /// The server cannot be reached, is not trusted, or does not answer as it should. Nothing was executed.
    Server = 31,
    /// The server does not take payments of this terminal, or not by this clock.
    NotReady = 32,
    /// Whether the transaction was executed is not known: it has to be resolved.
    Unknown = 33,
    /// The final state is not certain yet: resolve it later.
    NotYet = 34,
}

/// A failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// Of which kind.
    pub kind: Kind,
    /// What happened: one sentence, without its full stop.
    pub cause: String,
    /// What to do next.
    pub cure: String,
    /// The transaction that it is about, for [`Kind::Unknown`]; else empty.
    pub transaction: String,
}

/// What every function of this face gives.
pub type Result<T> = std::result::Result<T, Error>;

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}; {}", self.cause, self.cure)
    }
}

impl std::error::Error for Error {}

impl Error {
    /// Puts one together.
    #[allow(clippy::needless_pass_by_value, reason = "errors and texts alike")]
    pub fn new(kind: Kind, cause: impl ToString, cure: impl Into<String>) -> Self {
        Self { kind, cause: cause.to_string(), cure: cure.into(), transaction: String::new() }
    }

    /// A value that the caller gave is wrong.
    pub fn argument(cause: impl ToString, cure: impl Into<String>) -> Self {
        Self::new(Kind::Argument, cause, cure)
    }

    /// A function of the app's own failed.
    pub fn callback(why: &str) -> Self {
        Self::new(Kind::Callback, format!("the app's reader failed: {why}"), "mend the app; nothing was sent")
    }

    /// What came is not what the trace has.
    pub(crate) fn difference(told: impl ToString) -> Self {
        Self::new(
            Kind::Trace,
            told,
            "pay what the trace was recorded with, or record another one; nothing was sent",
        )
    }

    /// The handle was closed.
    pub(crate) fn closed() -> Self {
        Self::new(Kind::Closed, "this was closed before", "open another one")
    }
}

impl From<ReaderError> for Error {
    fn from(error: ReaderError) -> Self {
        Self::new(kind_of_reader(&error), &error, error.advice())
    }
}

fn kind_of_reader(error: &ReaderError) -> Kind {
    use ReaderError as R;
    match error {
        R::NoService | R::ServiceEnded | R::ServiceSilent | R::Denied | R::OtherVersion => Kind::Service,
        R::NoReaders
        | R::UnknownReader(_)
        | R::Ambiguous(_)
        | R::InUse(_)
        | R::Stuck(_)
        | R::NotAccepted(_)
        | R::CommandTooShort(_)
        | R::Other(_) => Kind::Reader,
        R::NoCard
        | R::CardRemoved
        | R::CardReset
        | R::Unresponsive
        | R::NoAnswer { .. }
        | R::NotAResponse(_)
        | R::ResponseTooLong
        | R::Over => Kind::Card,
        R::NoCardCame | R::CardStays | R::Timeout => Kind::Timeout,
        R::Cancelled => Kind::Cancelled,
    }
}

impl From<onetap_pcsc_host::Error> for Error {
    fn from(error: onetap_pcsc_host::Error) -> Self {
        use onetap_pcsc_host::Error as E;
        let kind = match &error {
            E::Reader(error) => kind_of_reader(error),
            E::Card(_) | E::Protocol(_) | E::Attempt(_) => Kind::Card,
            E::Edition(_) | E::Transaction(_) => Kind::Transaction,
        };
        Self::new(kind, &error, error.advice())
    }
}

impl From<Stopped> for Kind {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            Stopped::TimedOut => Self::Timeout,
            Stopped::Cancelled => Self::Cancelled,
        }
    }
}

impl From<ServiceError> for Error {
    fn from(error: ServiceError) -> Self {
        Self::new(kind_of_service(&error), &error, error.advice())
    }
}

fn kind_of_service(error: &ServiceError) -> Kind {
    if let ServiceError::Stopped(why) = error { (*why).into() } else { Kind::Server }
}

impl From<PaymentError> for Error {
    fn from(error: PaymentError) -> Self {
        let (kind, transaction) = match &error {
            PaymentError::NotReady(NotReady::Service(_)) => (Kind::Server, None),
            PaymentError::NotReady(_) => (Kind::NotReady, None),
            PaymentError::Stopped { why, .. } => ((*why).into(), None),
            PaymentError::Journal(_) => (Kind::Journal, None),
            PaymentError::NotExecuted(error) => (kind_of_service(error), None),
            PaymentError::Unknown { attempt, .. } => (Kind::Unknown, Some(attempt.id().to_string())),
            PaymentError::Tap(_) => (Kind::Card, None),
        };
        match error {
            PaymentError::Tap(error) => error.into(),
            error => Self {
                transaction: transaction.unwrap_or_default(),
                ..Self::new(kind, &error, error.advice())
            },
        }
    }
}

impl From<Unresolved> for Error {
    fn from(error: Unresolved) -> Self {
        let kind = match &error {
            Unresolved::Service(error) => kind_of_service(error),
            Unresolved::NotYet { .. } => Kind::NotYet,
            Unresolved::Elsewhere(_) => Kind::NotReady,
        };
        Self::new(kind, &error, error.advice())
    }
}

impl From<SourceError> for Error {
    fn from(error: SourceError) -> Self {
        let kind = match &error {
            SourceError::Fill(FillError::NoAmount(_)) => Kind::AmountMissing,
            _ => Kind::Transaction,
        };
        Self::new(kind, &error, error.advice())
    }
}

impl From<JournalError> for Error {
    fn from(error: JournalError) -> Self {
        Self::new(Kind::Journal, &error, error.advice())
    }
}

impl From<BadUrl> for Error {
    fn from(error: BadUrl) -> Self {
        Self::argument(error, "correct the server's address")
    }
}

impl From<CredentialsError> for Error {
    fn from(error: CredentialsError) -> Self {
        Self::argument(error, "give what the server's operator made for this terminal")
    }
}
