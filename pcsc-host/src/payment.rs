//! One payment from the tap to the server's decision, as a machine that an app can show.
//!
//! A [`Till`] puts a terminal together: cards, server, journal. [`Till::pay`] goes through the [`Step`]s on the caller's
//! thread, tells an [`Event`] at each, and ends every one by a deadline of its own; a [`Control`] cancels it from any
//! thread, and hands it what the holder typed. [`Payment`] runs the same on a thread of its own and gives its events
//! to whoever waits for them, blocking or as a [`Stream`](futures_core::Stream).
//!
//! P-16 holds by types: a request is made of a [`VerificationPassword`], which only keyboard entry makes. What was not
//! typed cannot be handed over:
//!
//! ```compile_fail,E0308
//! # use onetap_apdu_spec::password::Password;
//! # fn p_16(control: onetap_pcsc_host::Control) {
//! let guessed: Password = "12345678".parse().unwrap();
//! control.type_in(guessed);
//! # }
//! ```
//!
//! And what is stored of an attempt is not taken apart for a request by hand:
//!
//! ```compile_fail,E0616
//! # fn p_16(attempt: onetap_pcsc_host::Attempt) -> Vec<u8> {
//! attempt.signed.signature_message
//! # }
//! ```

#[cfg(feature = "pcsc")]
mod pcsc_cards;
mod running;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use onetap_apdu_spec::rng::OsRng;
use onetap_apdu_spec::service::{Answer, IdempotencyKey, TransactionId};
use onetap_apdu_spec::txn::Transaction;

use crate::attempt::{self, Attempt, Retry, Undecided, Unresolved};
use crate::deadline::{Cancel, Deadline, Reply, Stopped};
use crate::error::{Error, ReaderError};
use crate::journal::{Conclusion, Entry, Journal, JournalError};
use crate::pay::Terminal;
use crate::service::{NotReady, Service, ServiceError, check_standing};
use crate::source::Draft;
use crate::tapped::{Tapped, VerificationPassword};
use crate::transport::Reader;

#[cfg(feature = "pcsc")]
pub use pcsc_cards::PcscCards;
pub use running::{Happened, Payment};

/// Where holders put their cards.
pub trait Cards: Send {
    /// Waits for a card, and opens the reader that it lies in.
    ///
    /// # Errors
    /// [`ReaderError`].
    fn wait(&mut self, deadline: &Deadline) -> Result<Box<dyn Reader>, ReaderError>;

    /// Waits until the card of the last [`Cards::wait`] is gone.
    ///
    /// # Errors
    /// [`ReaderError`].
    fn wait_for_removal(&mut self, deadline: &Deadline) -> Result<(), ReaderError>;
}

impl<C: Cards + ?Sized> Cards for Box<C> {
    fn wait(&mut self, deadline: &Deadline) -> Result<Box<dyn Reader>, ReaderError> {
        (**self).wait(deadline)
    }

    fn wait_for_removal(&mut self, deadline: &Deadline) -> Result<(), ReaderError> {
        (**self).wait_for_removal(deadline)
    }
}

/// How long each step may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// For the server to say that a payment can be made.
    pub check: Duration,
    /// For a card to come and to sign.
    pub tap: Duration,
    /// For the card to be taken away.
    pub removal: Duration,
    /// For the holder to read, confirm and type.
    pub holder: Duration,
    /// For the server to decide, repetitions included.
    pub sending: Duration,
}

impl Default for Limits {
    /// The holder has less time than the server allows a transaction to age (10 minutes by its default policy).
    fn default() -> Self {
        Self {
            check: Duration::from_secs(5),
            tap: Duration::from_secs(60),
            removal: Duration::from_secs(30),
            holder: Duration::from_secs(300),
            sending: Duration::from_secs(60),
        }
    }
}

/// What a payment is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Asks the server whether a payment can be made.
    Check,
    /// Waits for a card, which signs.
    Tap,
    /// Waits for the card to leave, since only then its display shows what it signed (P-20).
    Removal,
    /// Waits for what the holder types (P-16).
    Holder,
    /// Waits for the server's decision.
    Sending,
}

/// What an app may show of a payment.
#[derive(Debug)]
pub enum Event {
    /// A step began, and may take so long.
    Began {
        /// Which.
        step: Step,
        /// Until its deadline.
        left: Duration,
    },
    /// A card lies in this reader, and is asked to sign.
    CardFound {
        /// The reader's name.
        reader: String,
    },
    /// The card left or failed before it had given everything; it has to be tapped again, for which so long is left.
    TapAgain {
        /// What happened.
        why: Error,
        /// Until the step's deadline.
        left: Duration,
    },
    /// The card has signed this. Nothing was sent yet.
    Signed {
        /// The id that it has, or will have, at the server.
        id: TransactionId,
        /// What the card shows to the holder.
        transaction: Box<Transaction>,
    },
    /// The request will be repeated.
    Retrying(Retry),
}

/// Why a payment came to no decision.
#[derive(Debug, thiserror::Error)]
pub enum PaymentError {
    /// No payment can be made now. The holder has done nothing yet.
    #[error(transparent)]
    NotReady(#[from] NotReady),
    /// Reader, card or transaction. Nothing was sent.
    #[error(transparent)]
    Tap(#[from] Error),
    /// A step took too long or the app cancelled it. Nothing was sent.
    #[error("the payment ended while it waited {}: {why}; nothing was sent", what(*.step))]
    Stopped {
        /// Which step.
        step: Step,
        /// Time or app.
        why: Stopped,
    },
    /// The journal cannot be written. Nothing was sent.
    #[error("{0}; nothing was sent")]
    Journal(#[from] JournalError),
    /// The server cannot have decided.
    #[error("nothing was executed: {0}")]
    NotExecuted(ServiceError),
    /// The server may have decided: [`resolve`] tells, or cancels.
    #[error("whether transaction {} was executed is not known: {why}", .attempt.id())]
    Unknown {
        /// What was sent but the password.
        attempt: Box<Attempt>,
        /// What was seen last.
        why: ServiceError,
    },
}

fn what(step: Step) -> &'static str {
    match step {
        Step::Check => "for the server",
        Step::Tap => "for a card",
        Step::Removal => "for the card to be taken away",
        Step::Holder => "for the joint password",
        Step::Sending => "for the decision",
    }
}

impl PaymentError {
    /// What to do next.
    #[must_use]
    pub fn advice(&self) -> &str {
        match self {
            Self::NotReady(error) => error.advice(),
            Self::Tap(error) => error.advice(),
            Self::Stopped { .. } => "start again when ready; the card's holder can cancel what it shows",
            Self::Journal(error) => error.advice(),
            Self::NotExecuted(error) => error.advice(),
            Self::Unknown { .. } => "resolve it before anything is paid again",
        }
    }
}

/// Steers a payment from any thread. Clones steer the same one.
#[derive(Debug, Clone, Default)]
pub struct Control {
    cancel: Cancel,
    keypad: Arc<Mutex<Option<Reply<VerificationPassword>>>>,
}

impl Control {
    /// For one payment.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends the payment at whatever step it is. Once the request is on its way, the payment ends with
    /// [`PaymentError::Unknown`].
    pub fn cancel(&self) {
        self.cancel.cancel();
    }

    /// Hands over what the holder typed. False if the payment does not wait for it, so that nothing was taken.
    pub fn type_in(&self, typed: VerificationPassword) -> bool {
        let waiting = self.lock().take();
        waiting.is_some_and(|reply| reply.send(typed).is_ok())
    }

    /// Waits for what the holder types. `ready` runs once it would be taken.
    fn typed(&self, deadline: &Deadline, ready: impl FnOnce()) -> Result<VerificationPassword, Stopped> {
        let typed = deadline.wait(|reply| {
            *self.lock() = Some(reply);
            ready();
        });
        *self.lock() = None;
        typed
    }

    fn lock(&self) -> MutexGuard<'_, Option<Reply<VerificationPassword>>> {
        self.keypad.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A terminal with all that a payment needs: cards, the server, and a journal.
pub struct Till {
    terminal: Terminal,
    cards: Box<dyn Cards>,
    service: Arc<dyn Service>,
    journal: Arc<dyn Journal>,
    limits: Limits,
}

/// Tells the app.
type Tell<'a> = &'a mut dyn FnMut(Event);

impl Till {
    /// Puts one together, with the default [`Limits`].
    pub fn new(
        terminal: Terminal,
        cards: impl Cards + 'static,
        service: Arc<dyn Service>,
        journal: Arc<dyn Journal>,
    ) -> Self {
        Self { terminal, cards: Box::new(cards), service, journal, limits: Limits::default() }
    }

    /// The same with other limits.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Pays `draft` in one contact with a card. `key` makes repetitions of the request one: an app that keeps books of
    /// its own gives its own, never used before; else one is drawn.
    ///
    /// # Errors
    /// [`PaymentError`]; only [`PaymentError::Unknown`] leaves open whether money moved.
    pub fn pay(
        &mut self,
        draft: &Draft,
        key: Option<IdempotencyKey>,
        control: &Control,
        tell: Tell<'_>,
    ) -> Result<Answer, PaymentError> {
        self.check(control, tell)?;
        let tapped = self.tap(draft, control, tell)?;
        self.removal(control, tell)?;
        let typed = self.holder(control, tell)?;
        let key = key.unwrap_or_else(|| IdempotencyKey::random(&mut OsRng));
        let attempt = tapped.attempt(key, self.terminal.now()).map_err(Error::from)?;
        self.journal.begin(&attempt)?;
        let deadline = began(Step::Sending, self.limits.sending, control, tell);
        let request = tapped.authorise(typed);
        let sent = attempt::send(&*self.service, &attempt, &request, &deadline, &mut |retry| {
            tell(Event::Retrying(retry.clone()));
        });
        self.conclude(attempt, sent)
    }

    /// A server that cannot be reached, or is busy, is asked again to the end of the step.
    fn check(&mut self, control: &Control, tell: Tell<'_>) -> Result<(), PaymentError> {
        let deadline = began(Step::Check, self.limits.check, control, tell);
        let asked = attempt::standing(&*self.service, &deadline, &mut |retry| {
            tell(Event::Retrying(retry.clone()));
        });
        if let (Err(_), Err(why @ Stopped::Cancelled)) = (&asked, deadline.check()) {
            return Err(PaymentError::Stopped { step: Step::Check, why });
        }
        let standing = asked.map_err(|error| match error {
            ServiceError::Stopped(why) => PaymentError::Stopped { step: Step::Check, why },
            error => NotReady::from(error).into(),
        })?;
        let operator = check_standing(&standing, self.terminal.id(), self.terminal.now())?;
        self.terminal.take_cards_of(operator);
        Ok(())
    }

    fn tap(&mut self, draft: &Draft, control: &Control, tell: Tell<'_>) -> Result<Tapped, PaymentError> {
        let deadline = began(Step::Tap, self.limits.tap, control, tell);
        loop {
            let tapped = self.cards.wait(&deadline).map_err(Error::from).and_then(|mut reader| {
                tell(Event::CardFound { reader: reader.name().to_owned() });
                self.terminal.tap(&mut *reader, draft, &deadline)
            });
            match tapped {
                Ok(tapped) => {
                    let transaction = Box::new(tapped.transaction().clone());
                    tell(Event::Signed { id: tapped.id(), transaction });
                    return Ok(tapped);
                }
                Err(why) => {
                    // That no reader came says more than that the time is up.
                    if !matches!(why, Error::Reader(ReaderError::NoReaders | ReaderError::UnknownReader(_))) {
                        deadline.check().map_err(|why| PaymentError::Stopped { step: Step::Tap, why })?;
                    }
                    if !why.wants_another_tap() {
                        return Err(why.into());
                    }
                    tell(Event::TapAgain { why, left: deadline.remaining() });
                }
            }
        }
    }

    fn removal(&mut self, control: &Control, tell: Tell<'_>) -> Result<(), PaymentError> {
        let deadline = began(Step::Removal, self.limits.removal, control, tell);
        self.cards.wait_for_removal(&deadline).map_err(|error| match deadline.check() {
            Err(why) => PaymentError::Stopped { step: Step::Removal, why },
            Ok(()) => Error::from(error).into(),
        })
    }

    /// The app hears of the step once what it hands over would be taken.
    fn holder(&self, control: &Control, tell: Tell<'_>) -> Result<VerificationPassword, PaymentError> {
        let left = self.limits.holder;
        let deadline = Deadline::after(left).cancelled_by(&control.cancel);
        let typed = control.typed(&deadline, || tell(Event::Began { step: Step::Holder, left }));
        typed.map_err(|why| PaymentError::Stopped { step: Step::Holder, why })
    }

    /// A failure to write the end is no failure of the payment: the attempt counts as unresolved, and resolving it
    /// tells the same.
    fn conclude(&self, attempt: Attempt, sent: Result<Answer, Undecided>) -> Result<Answer, PaymentError> {
        match sent {
            Ok(answer) => {
                let _ = self.journal.end(&attempt, &Conclusion::Answered(answer.clone()));
                Ok(answer)
            }
            Err(Undecided::NotExecuted(why)) => {
                let _ = self.journal.forget(&attempt.place());
                Err(PaymentError::NotExecuted(why))
            }
            Err(Undecided::Unknown(why)) => Err(PaymentError::Unknown { attempt: Box::new(attempt), why }),
        }
    }
}

/// Begins a step.
fn began(step: Step, limit: Duration, control: &Control, tell: Tell<'_>) -> Deadline {
    tell(Event::Began { step, left: limit });
    Deadline::after(limit).cancelled_by(&control.cancel)
}

/// Resolves what a journal has of an attempt: its final state is learned or made, and written down.
///
/// # Errors
/// [`Unresolved`]; asking again later is always safe.
pub fn resolve(
    service: &dyn Service,
    journal: &dyn Journal,
    entry: &Entry,
    deadline: &Deadline,
    told: &mut dyn FnMut(&Retry),
) -> Result<Conclusion, Unresolved> {
    match entry {
        Entry::Kept { conclusion: Some(conclusion), .. } => Ok(conclusion.clone()),
        Entry::Kept { attempt, conclusion: None } => {
            let conclusion = attempt::resolve(service, attempt, deadline, told)?.into();
            // What could not be written counts as unresolved, and is resolved alike the next time.
            let _ = journal.end(attempt, &conclusion);
            Ok(conclusion)
        }
        Entry::Damaged { place, written } => {
            let conclusion = attempt::look_up(service, place, *written, deadline, told)?.into();
            let _ = journal.forget(place);
            Ok(conclusion)
        }
    }
}
