//! One payment, from the tap to the server's decision, event by event.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, TryLockError};
use std::thread;
use std::time::Duration;

use onetap_apdu_spec::service::IdempotencyKey;
use onetap_pcsc_host::payment::{Event as HostEvent, Step as HostStep, Till as HostTill};
use onetap_pcsc_host::{
    Control, Draft, Error as TapError, LineKeyboard, PaymentError, ReaderError, VerificationPassword,
};

use crate::error::{Error, Kind, Result};
use crate::handle::{Handle, Object, entry, internal, object, open};
use crate::source::Transaction;
use crate::till::{self, CardsFrom, Outcome, Till};

/// What an event tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, strum::Display)]
#[strum(serialize_all = "kebab-case")]
#[repr(i32)]
pub enum What {
    /// Nothing happened in the time that was given.
    #[default]
    Nothing = 0,
    /// A step began.
    Began = 1,
    /// A card lies in a reader, and is asked to sign.
    CardFound = 2,
    /// The card left or failed, and has to be tapped again.
    TapAgain = 3,
    /// The card has signed; nothing was sent yet.
    Signed = 4,
    /// The request will be repeated.
    Retrying = 5,
    /// The server has decided; nothing follows.
    Ended = 6,
}

/// What a payment is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, strum::Display)]
#[strum(serialize_all = "kebab-case")]
#[repr(i32)]
pub enum Step {
    /// No step.
    #[default]
    None = 0,
    /// Asks the server whether a payment can be made.
    Check = 1,
    /// Waits for a card, which signs.
    Tap = 2,
    /// Waits for the card to leave: only then its display shows what it signed.
    Removal = 3,
    /// Waits for what the holder types.
    Holder = 4,
    /// Waits for the server's decision.
    Sending = 5,
}

/// What happened in a payment. What does not belong to an event is empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Event {
    /// What.
    pub what: What,
    /// The step that began.
    pub step: Step,
    /// Time left: of the step that began, to tap again, or to repeat.
    pub left: Duration,
    /// The reader that a card was found in.
    pub reader: String,
    /// Why to tap again, or why to repeat.
    pub cause: String,
    /// What to do about it.
    pub cure: String,
    /// The id that the signed transaction has, or will have, at the server.
    pub id: String,
    /// What the card signed, and shows to its holder.
    pub transaction: Option<Transaction>,
    /// How it ended.
    pub outcome: Option<Outcome>,
}

impl From<HostEvent> for Event {
    fn from(event: HostEvent) -> Self {
        match event {
            HostEvent::Began { step, left } => {
                let step = match step {
                    HostStep::Check => Step::Check,
                    HostStep::Tap => Step::Tap,
                    HostStep::Removal => Step::Removal,
                    HostStep::Holder => Step::Holder,
                    HostStep::Sending => Step::Sending,
                };
                Self { what: What::Began, step, left, ..Self::default() }
            }
            HostEvent::CardFound { reader } => Self { what: What::CardFound, reader, ..Self::default() },
            HostEvent::TapAgain { why, left } => {
                let (cause, cure) = (why.to_string(), why.advice().to_owned());
                Self { what: What::TapAgain, left, cause, cure, ..Self::default() }
            }
            HostEvent::Signed { id, transaction } => {
                let (id, transaction) = (id.to_string(), Some(till::of_signed(&transaction)));
                Self { what: What::Signed, id, transaction, ..Self::default() }
            }
            HostEvent::Retrying(retry) => {
                let (cause, cure) = (retry.why.to_string(), retry.why.advice().to_owned());
                Self { what: What::Retrying, left: retry.left, cause, cure, ..Self::default() }
            }
        }
    }
}

/// What the payment's thread tells.
enum Told {
    Event(Box<Event>),
    Ended(Box<Result<Outcome>>),
    /// The handle was closed.
    Closed,
}

/// A payment that was started.
pub(crate) struct Payment {
    till: Arc<Till>,
    control: Control,
    follow: Mutex<Follow>,
    tell: Sender<Told>,
}

/// What the one who follows a payment has.
struct Follow {
    told: Receiver<Told>,
    /// Told again to whoever asks after the end.
    ended: Option<Result<Outcome>>,
}

impl Object for Payment {
    const WHAT: &'static str = "payment";

    fn close(&self) {
        self.control.cancel();
        // Nobody may be waiting.
        let _ = self.tell.send(Told::Closed);
        if let Ok(follow) = self.follow.try_lock()
            && let Some(Ok(outcome)) = &follow.ended
        {
            // An attempt that could not be forgotten is told once more, which is harmless.
            let _ = self.till.forget(&outcome.transaction);
        }
    }
}

pub(crate) fn busy(cause: &str) -> Error {
    Error::new(Kind::Busy, cause, "wait for it, or keep to one thread and one payment at a time")
}

/// Starts a payment on a thread of its own. `key` makes repetitions one payment: an app that keeps books gives its own,
/// never used before; else one is drawn.
///
/// # Errors
/// [`Kind::Transaction`], [`Kind::Argument`]; [`Kind::Busy`] while the till is in another payment.
pub fn start(till: Handle, transaction: Transaction, key: Option<&str>) -> Result<Handle> {
    entry(|| {
        let till = object::<Till>(till)?;
        let draft = transaction.draft()?;
        let key = key.map(str::parse::<IdempotencyKey>).transpose();
        let key = key.map_err(|error| Error::argument(error, "give another key, or none"))?;
        let taken = till.take().ok_or_else(|| busy("the till is in another payment"))?;
        let mut running = Running { till: Arc::clone(&till), taken: Some(taken) };
        let (control, (tell, told)) = (Control::new(), mpsc::channel());
        let (steered, teller) = (control.clone(), tell.clone());
        let run = move || {
            // Nobody hears what comes after the end.
            let hear = |event| drop(teller.send(Told::Event(Box::new(event))));
            let paid = catch_unwind(AssertUnwindSafe(|| running.pay(&draft, key, &steered, &hear)));
            // Whoever hears of the end may start the next one.
            drop(running);
            let ended = paid.unwrap_or_else(|panic| Err(internal(&*panic)));
            let _ = teller.send(Told::Ended(Box::new(ended)));
        };
        let started = thread::Builder::new().name("onetap-payment".to_owned()).spawn(run);
        started.map_err(|error| {
            Error::new(Kind::System, format!("no thread: {error}"), "close what is not needed, and try again")
        })?;
        let follow = Mutex::new(Follow { told, ended: None });
        Ok(open(Payment { till, control, follow, tell }))
    })
}

/// A till while a payment has it. It goes back when this is dropped.
struct Running {
    till: Arc<Till>,
    taken: Option<HostTill>,
}

impl Running {
    fn pay(
        &mut self,
        draft: &Draft,
        key: Option<IdempotencyKey>,
        control: &Control,
        hear: &dyn Fn(Event),
    ) -> Result<Outcome> {
        let taken = self.taken.as_mut().ok_or_else(Error::closed)?;
        let mut id = String::new();
        let ended = taken.pay(draft, key, control, &mut |event| {
            let event = Event::from(event);
            if event.what == What::Signed {
                id.clone_from(&event.id);
            }
            hear(event);
        });
        match ended {
            Ok(answer) => Ok(Outcome::of(id, answer)),
            Err(PaymentError::Tap(TapError::Reader(ReaderError::Other(why)))) => match self.till.cards() {
                CardsFrom::System => Err(ReaderError::Other(why).into()),
                CardsFrom::Port => Err(Error::callback(&why)),
                CardsFrom::Trace => Err(Error::difference(why)),
            },
            Err(error) => Err(error.into()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(taken) = self.taken.take() {
            self.till.put_back(taken);
        }
    }
}

/// Waits for what happens next, so long. After the end it tells the end again, however often it is asked.
///
/// # Errors
/// Why the payment came to no decision; only [`Kind::Unknown`] leaves open whether money moved. [`Kind::Closed`], also
/// if it is closed meanwhile; [`Kind::Busy`] if another thread waits for it.
pub fn next(handle: Handle, timeout: Duration) -> Result<Event> {
    entry(|| {
        let payment = object::<Payment>(handle)?;
        let mut follow = match payment.follow.try_lock() {
            Ok(follow) => follow,
            Err(TryLockError::Poisoned(follow)) => follow.into_inner(),
            Err(TryLockError::WouldBlock) => return Err(busy("another thread waits for this payment")),
        };
        if follow.ended.is_none() {
            match follow.told.recv_timeout(timeout) {
                Ok(Told::Event(event)) => return Ok(*event),
                Ok(Told::Ended(ended)) => follow.ended = Some(*ended),
                Ok(Told::Closed) | Err(RecvTimeoutError::Disconnected) => return Err(Error::closed()),
                Err(RecvTimeoutError::Timeout) => return Ok(Event::default()),
            }
        }
        let ended = follow.ended.clone().unwrap_or_else(|| Err(Error::closed()))?;
        Ok(Event {
            what: What::Ended,
            id: ended.transaction.clone(),
            outcome: Some(ended),
            ..Event::default()
        })
    })
}

/// Hands over what the holder typed on the terminal's keyboard. True if it was taken; false if the payment does not
/// wait for it. Nothing but what a person typed belongs here: it says that the holder has seen what is paid.
///
/// # Errors
/// [`Kind::Argument`] if it cannot be a joint password, so that the holder is asked again.
pub fn type_in(handle: Handle, typed: &str) -> Result<bool> {
    entry(|| {
        let payment = object::<Payment>(handle)?;
        let typed = VerificationPassword::type_in(&mut LineKeyboard(typed.as_bytes()));
        let typed = typed.map_err(|error| Error::argument(&error, error.advice()))?;
        Ok(payment.control.type_in(typed))
    })
}

/// Ends the payment at whatever step it is, within a tenth of a second. Once the request is on its way, it ends with
/// [`Kind::Unknown`].
///
/// # Errors
/// [`Kind::Closed`].
pub fn cancel(handle: Handle) -> Result<()> {
    entry(|| {
        object::<Payment>(handle)?.control.cancel();
        Ok(())
    })
}
