//! The server, as a terminal reaches it: four questions, and what can go wrong between asking and knowing.
//!
//! `http::HttpService` (feature `http`) asks over the network; an app that embeds the server implements
//! [`Service`] itself.

use std::time::Duration;

use onetap_apdu_spec::foreign::Shown;
use onetap_apdu_spec::header::ServerId;
use onetap_apdu_spec::service::{
    Answer, AuthorisationRequest, Cancellation, IdempotencyKey, Problem, ProblemKind, Resolution, Role,
    Standing, Timestamp, TransactionId, TransactionRecord,
};
use onetap_apdu_spec::txn::TerminalId;

use crate::deadline::{Deadline, Stopped};

/// The server, as a terminal reaches it. Every call ends by its deadline.
pub trait Service: Send + Sync {
    /// Who this terminal is to the server, and the server's clock. Changes nothing.
    ///
    /// # Errors
    /// [`ServiceError`].
    fn standing(&self, deadline: &Deadline) -> Result<Standing, ServiceError>;

    /// Asks for a transaction to be executed (P-17). The same key and request again get the same answer.
    ///
    /// # Errors
    /// [`ServiceError`]; whether the request may have been decided, [`ServiceError::may_have_arrived`] tells.
    fn authorise(
        &self,
        key: &IdempotencyKey,
        request: &AuthorisationRequest,
        deadline: &Deadline,
    ) -> Result<Answer, ServiceError>;

    /// Learns or makes the final state of a transaction.
    ///
    /// # Errors
    /// [`ServiceError`].
    fn cancel(&self, cancellation: &Cancellation, deadline: &Deadline) -> Result<Resolution, ServiceError>;

    /// A transaction of this terminal that was executed; none if there is none of that id.
    ///
    /// # Errors
    /// [`ServiceError`].
    fn transaction(
        &self,
        id: &TransactionId,
        deadline: &Deadline,
    ) -> Result<Option<TransactionRecord>, ServiceError>;
}

/// No answer of the server's that decides.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ServiceError {
    /// No connection, so nothing was sent.
    #[error("the server cannot be reached: {0}")]
    Unreachable(String),
    /// What answers cannot prove to be the server, so nothing was sent.
    #[error("the server's certificate is not trusted: {0}")]
    Untrusted(String),
    /// The request was sent, wholly or in part, and no whole answer came.
    #[error("the connection was lost before the answer came: {0}")]
    Lost(String),
    /// Something answered that is not this service, such as a proxy, or a page.
    #[error("something else than the verifier answered: {0}")]
    NotTheService(String),
    /// The server answered with a problem.
    #[error("the server answers {} ({}): {}", .problem.status, Shown(&.problem.title), Shown(&.problem.detail))]
    Problem {
        /// What it said.
        problem: Box<Problem>,
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// The deadline passed, or the app cancelled.
    #[error("no answer of the server: {0}")]
    Stopped(Stopped),
}

impl ServiceError {
    /// The kind of problem that the server answered with, if it did.
    #[must_use]
    pub fn problem(&self) -> Option<ProblemKind> {
        match self {
            Self::Problem { problem, .. } => problem.kind(),
            _ => None,
        }
    }

    /// Whether the request may have reached a decision: then only the same request again, or a cancellation, tells.
    #[must_use]
    pub fn may_have_arrived(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Untrusted(_) => false,
            Self::Lost(_) | Self::NotTheService(_) | Self::Stopped(_) => true,
            // Only what is surely this server's own word tells that nothing was decided.
            Self::Problem { problem, .. } => {
                problem.kind().is_none_or(|kind| problem.status >= 500 || kind.status() != problem.status)
            }
        }
    }

    /// Whether the same request may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Lost(_) | Self::NotTheService(_) => true,
            Self::Untrusted(_) | Self::Stopped(_) => false,
            Self::Problem { problem, .. } => match problem.kind() {
                Some(kind) => matches!(
                    kind,
                    ProblemKind::TooSlow | ProblemKind::TooMany | ProblemKind::Internal | ProblemKind::Busy
                ),
                None => problem.status >= 500,
            },
        }
    }

    /// How long the server asks to be left alone.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Problem { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// What to do next.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "check the network, the proxy and the server's address, and try again",
            Self::Untrusted(_) => {
                "give the certificate of the authority that issued the server's, or check the address"
            }
            Self::Lost(_) | Self::Stopped(_) => "resolve the payment before trying again",
            Self::NotTheService(_) => "check the server's address and what stands between, such as a proxy",
            Self::Problem { .. } => match self.problem() {
                Some(ProblemKind::NotAuthenticated) => {
                    "give the token or certificate that the server's operator made"
                }
                Some(ProblemKind::NotAllowed) => "use a client of the role `terminal`",
                Some(ProblemKind::TooMany | ProblemKind::Busy) => "try again in a moment",
                Some(ProblemKind::Internal) => {
                    "give the server's operator the request's id, and try again later"
                }
                _ => "update this terminal, or ask the server's operator",
            },
        }
    }
}

impl From<Stopped> for ServiceError {
    fn from(stopped: Stopped) -> Self {
        Self::Stopped(stopped)
    }
}

/// Why no payment can be made now. Nobody has done anything yet.
#[derive(Debug, thiserror::Error)]
pub enum NotReady {
    /// The server does not answer as it should.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// The client is no terminal.
    #[error("the server knows this client as {0:?}, not as a terminal")]
    NotATerminal(Role),
    /// The client is another terminal.
    #[error("the server knows this client as terminal {}, not {}", .theirs.as_str(), .ours.as_str())]
    OtherTerminal {
        /// The terminal id that this terminal writes into transactions.
        ours: TerminalId,
        /// The terminal id that the server has on record.
        theirs: TerminalId,
    },
    /// The clocks differ by more than the server allows.
    #[error("this terminal's clock says {ours}, the server's {theirs}: a payment would be refused")]
    Clock {
        /// This terminal's clock.
        ours: Timestamp,
        /// The server's clock.
        theirs: Timestamp,
    },
}

impl NotReady {
    /// What to do next.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Service(error) => error.advice(),
            Self::NotATerminal(_) => "use the token or certificate of a client with the role `terminal`",
            Self::OtherTerminal { .. } => "use the token or certificate that was made for this terminal",
            Self::Clock { .. } => "set this terminal's clock, best by the network, and try again",
        }
    }
}

/// Whether a payment can be made now: the server knows this terminal, and agrees on the time (REQ-H-20). Returns the
/// operator whose cards it takes.
///
/// # Errors
/// [`NotReady`].
pub fn check_standing(
    standing: &Standing,
    terminal: &TerminalId,
    now: Timestamp,
) -> Result<ServerId, NotReady> {
    check_terminal(standing, Some(terminal))?;
    check_clock(standing, now)?;
    Ok(standing.server)
}

/// The terminal that this client is to the server: `ours`, or any if there is none.
///
/// # Errors
/// [`NotReady::OtherTerminal`], [`NotReady::NotATerminal`].
pub fn check_terminal<'s>(
    standing: &'s Standing,
    ours: Option<&'s TerminalId>,
) -> Result<&'s TerminalId, NotReady> {
    let theirs = standing.terminal.as_ref().or_else(|| standing.terminals.first());
    match (ours, theirs) {
        (Some(ours), _) if standing.speaks_for(ours) => Ok(ours),
        (_, None) => Err(NotReady::NotATerminal(standing.role)),
        (None, Some(theirs)) => Ok(theirs),
        (Some(ours), Some(theirs)) => {
            Err(NotReady::OtherTerminal { ours: ours.clone(), theirs: theirs.clone() })
        }
    }
}

/// Whether the server takes payments that are dated by this clock now.
///
/// # Errors
/// [`NotReady::Clock`].
pub fn check_clock(standing: &Standing, ours: Timestamp) -> Result<(), NotReady> {
    let ahead = ours.0.saturating_sub(standing.time.0);
    if ahead > i64::from(standing.max_ahead) || -ahead > i64::from(standing.max_age) {
        return Err(NotReady::Clock { ours, theirs: standing.time });
    }
    Ok(())
}
