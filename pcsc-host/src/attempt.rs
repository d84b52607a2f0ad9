//! One attempt to pay, from the moment before anything is sent until its final state is known.
//!
//! An [`Attempt`] holds all that is sent but the password, so it may be stored. [`send`] repeats the same bytes until
//! the server has decided or the deadline has passed; after that [`resolve`] learns the final state or makes it,
//! without the password, however often and whenever it is asked (docs/spec/terminal.md, "An unknown outcome").

use std::time::Duration;

use onetap_apdu_spec::header::ServerId;
use onetap_apdu_spec::rng::{OsRng, Rng as _};
use onetap_apdu_spec::service::{
    Answer, AuthorisationRequest, Cancellation, IdempotencyKey, Receipt, Resolution, Standing, Timestamp,
    TransactionId,
};
use onetap_apdu_spec::signed::{SignatureMessage, SignatureMessageError};
use onetap_apdu_spec::suite::Danger;
use onetap_apdu_spec::txn::{TerminalId, Transaction, TransactionError, TransactionMessage};
use serde::{Deserialize, Serialize};

use crate::deadline::{Deadline, Stopped};
use crate::service::{Service, ServiceError};

/// First pause before a request is repeated; each further one doubles, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause before a request is repeated, unless the server asks for more.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Seconds that the server's clock must be past the last moment at which it executes a transaction, before
/// a transaction that it does not have is taken for one that it never will have.
const MARGIN: i64 = 60;

/// One attempt to pay: everything that is sent but the password, and what makes repetitions one.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct Attempt {
    key: IdempotencyKey,
    begun: Timestamp,
    signed: Cancellation,
    message: TransactionMessage,
    signature: SignatureMessage,
}

/// An attempt as it is stored.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    key: IdempotencyKey,
    begun: Timestamp,
    signed: Cancellation,
}

/// A stored attempt that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BadAttempt {
    /// The transaction message.
    #[error("its transaction message is wrong: {0}")]
    Transaction(#[from] TransactionError),
    /// The signature message.
    #[error("its signature message is wrong: {0}")]
    Signature(#[from] SignatureMessageError),
}

impl Attempt {
    /// An attempt with what a card has signed.
    ///
    /// # Errors
    /// [`BadAttempt`].
    pub fn new(key: IdempotencyKey, begun: Timestamp, signed: Cancellation) -> Result<Self, BadAttempt> {
        let message = TransactionMessage::parse(&signed.transaction)?;
        let signature = SignatureMessage::parse(&signed.signature_message)?;
        Ok(Self { key, begun, signed, message, signature })
    }

    /// The id that the transaction has, or will have, at the server. Known before anything is sent.
    #[must_use]
    pub fn id(&self) -> TransactionId {
        let header = &self.signature.header;
        TransactionId::of(header.binding.card, header.counter)
    }

    /// Where the transaction can be asked for.
    #[must_use]
    pub fn place(&self) -> Place {
        Place {
            server: self.signature.header.binding.server,
            terminal: self.transaction().terminal.clone(),
            id: self.id(),
        }
    }

    /// What makes repetitions of the request one.
    #[must_use]
    pub fn key(&self) -> &IdempotencyKey {
        &self.key
    }

    /// The moment before anything was sent, by the terminal's clock.
    #[must_use]
    pub fn begun(&self) -> Timestamp {
        self.begun
    }

    /// The transaction.
    #[must_use]
    pub fn transaction(&self) -> &Transaction {
        self.message.transaction()
    }

    /// Whether the server can verify the signature without the password, and so cancel.
    fn can_be_cancelled(&self) -> bool {
        self.signature.header.binding.suite.danger() != Some(Danger::Guessable)
    }

    /// The date that the card signed.
    fn dated(&self) -> Timestamp {
        self.transaction().at.assume_utc().into()
    }
}

impl TryFrom<Stored> for Attempt {
    type Error = BadAttempt;
    fn try_from(stored: Stored) -> Result<Self, BadAttempt> {
        Self::new(stored.key, stored.begun, stored.signed)
    }
}

impl From<Attempt> for Stored {
    fn from(attempt: Attempt) -> Self {
        Self { key: attempt.key, begun: attempt.begun, signed: attempt.signed }
    }
}

/// Where a transaction can be asked for: at its server, by its terminal, under its id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The operator that the card signed for.
    pub server: ServerId,
    /// The terminal that sends it.
    pub terminal: TerminalId,
    /// Its id there.
    pub id: TransactionId,
}

/// A request that will be repeated.
#[derive(Debug, Clone)]
pub struct Retry {
    /// Why the last one did not do.
    pub why: ServiceError,
    /// Pause until the next one.
    pub pause: Duration,
    /// Time left until the deadline.
    pub left: Duration,
}

/// The server gave no decision.
#[derive(Debug, thiserror::Error)]
pub enum Undecided {
    /// Nothing was decided, and nothing will be: no request can have arrived.
    #[error("nothing was executed: {0}")]
    NotExecuted(ServiceError),
    /// A request may have arrived: [`resolve`] tells what became of it.
    #[error("whether it was executed is not known: {0}")]
    Unknown(ServiceError),
}

/// Asks what the server says of itself and of this terminal, until it answers, as [`send`] repeats a request.
///
/// # Errors
/// [`ServiceError`]: what it said last.
pub(crate) fn standing(
    service: &dyn Service,
    deadline: &Deadline,
    told: &mut dyn FnMut(&Retry),
) -> Result<Standing, ServiceError> {
    repeat(deadline, told, || service.standing(deadline))
}

/// Sends the request of `attempt` until the server has decided, pausing between repetitions, each twice as long as
/// the one before, with jitter, and as long as the server asks. `told` learns of each.
///
/// # Errors
/// [`Undecided`], once the deadline has passed or the server has said something final.
pub fn send(
    service: &dyn Service,
    attempt: &Attempt,
    request: &AuthorisationRequest,
    deadline: &Deadline,
    told: &mut dyn FnMut(&Retry),
) -> Result<Answer, Undecided> {
    let mut arrived = false;
    let asked = repeat(deadline, told, || {
        let answer = service.authorise(&attempt.key, request, deadline).and_then(|answer| match &answer {
            Answer::Executed { receipt } => own(&attempt.id(), receipt).map(|()| answer),
            _ => Ok(answer),
        });
        answer.inspect_err(|error| arrived |= error.may_have_arrived())
    });
    asked.map_err(|error| if arrived { Undecided::Unknown(error) } else { Undecided::NotExecuted(error) })
}

/// The final state of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// Executed, once.
    Executed(Receipt),
    /// Not executed, and never will be.
    Cancelled,
}

/// The final state is not known yet.
#[derive(Debug, thiserror::Error)]
pub enum Unresolved {
    /// The server gave no answer that tells.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// The server does not cancel this one: it tells for sure once the transaction is too old to be executed.
    #[error("the final state is certain from {from} on, by the server's clock")]
    NotYet {
        /// From when on.
        from: Timestamp,
    },
    /// Another server or terminal was asked than the one it was sent to, or from.
    #[error("transaction {} was sent to server {} by terminal {}", .0.id, .0.server, .0.terminal.as_str())]
    Elsewhere(Place),
}

impl Unresolved {
    /// What to do next.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Service(error) => match error {
                ServiceError::Lost(_) | ServiceError::Stopped(_) => {
                    "resolve it again when the server answers"
                }
                other => other.advice(),
            },
            Self::NotYet { .. } => "resolve it again then",
            Self::Elsewhere(_) => "resolve it there, with that terminal's token or certificate",
        }
    }
}

/// Learns the final state of `attempt`, or makes it: executed, or cancelled for good. `told` learns of repetitions.
///
/// # Errors
/// [`Unresolved`]; asking again later is always safe.
pub fn resolve(
    service: &dyn Service,
    attempt: &Attempt,
    deadline: &Deadline,
    told: &mut dyn FnMut(&Retry),
) -> Result<End, Unresolved> {
    if attempt.can_be_cancelled() {
        let id = attempt.id();
        let asked = repeat(deadline, told, || {
            service.cancel(&attempt.signed, deadline).and_then(|resolution| match &resolution {
                Resolution::Executed { receipt } => own(&id, receipt).map(|()| resolution),
                _ => Ok(resolution),
            })
        });
        match asked? {
            Resolution::Executed { receipt } => return Ok(End::Executed(receipt)),
            Resolution::Cancelled => return Ok(End::Cancelled),
            Resolution::Refused => (),
        }
    }
    look_up(service, &attempt.place(), attempt.dated(), deadline, told)
}

/// Learns the final state of a transaction of which only its place is known, and a moment not before its date.
///
/// # Errors
/// [`Unresolved::NotYet`] before the server's clock is past all that it still executes.
pub fn look_up(
    service: &dyn Service,
    place: &Place,
    dated: Timestamp,
    deadline: &Deadline,
    told: &mut dyn FnMut(&Retry),
) -> Result<End, Unresolved> {
    // The clock is read first: what is asked afterwards is then at least as late.
    let standing = standing(service, deadline, told)?;
    if standing.server != place.server || !standing.speaks_for(&place.terminal) {
        return Err(Unresolved::Elsewhere(place.clone()));
    }
    let found = repeat(deadline, told, || {
        let found = service.transaction(&place.id, deadline)?;
        found.map(|record| own(&place.id, &record.receipt).map(|()| record)).transpose()
    })?;
    if let Some(record) = found {
        return Ok(End::Executed(record.receipt));
    }
    let from = Timestamp(dated.0 + i64::from(standing.max_age) + MARGIN);
    if standing.time >= from { Ok(End::Cancelled) } else { Err(Unresolved::NotYet { from }) }
}

/// A receipt of another transaction, such as one out of a proxy's store, tells nothing of this one.
fn own(id: &TransactionId, receipt: &Receipt) -> Result<(), ServiceError> {
    if receipt.transaction == *id {
        return Ok(());
    }
    let other = &receipt.transaction;
    Err(ServiceError::NotTheService(format!("asked for transaction {id}, it answered for {other}")))
}

/// Asks until there is an answer, or an error that time does not mend, or the deadline. Returns the last error that
/// the service gave, rather than that the time is up.
fn repeat<T>(
    deadline: &Deadline,
    told: &mut dyn FnMut(&Retry),
    mut ask: impl FnMut() -> Result<T, ServiceError>,
) -> Result<T, ServiceError> {
    let mut pause = FIRST_PAUSE;
    loop {
        let error = match ask() {
            Err(error) if error.is_transient() => error,
            settled => return settled,
        };
        let wait = jittered(pause).max(error.retry_after().unwrap_or_default());
        let left = deadline.remaining();
        if wait >= left {
            return Err(error);
        }
        told(&Retry { why: error.clone(), pause: wait, left });
        if let Err(Stopped::Cancelled) = deadline.sleep(wait) {
            return Err(error);
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// The pause and up to half of it more, so that terminals that lost the same server do not return as one.
fn jittered(pause: Duration) -> Duration {
    let mut drawn = [0];
    OsRng.fill(&mut drawn);
    pause + pause * u32::from(drawn[0]) / 512
}
