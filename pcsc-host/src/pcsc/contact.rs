//! One contact: a context, a card in it, and the thread that calls PC/SC for them.

use std::ffi::{CStr, CString};
use std::time::{Duration, Instant};

use ::pcsc::{Card, Context, Error as E, MAX_ATR_SIZE, MAX_BUFFER_SIZE_EXTENDED, Protocol, Protocols};
use ::pcsc::{ReaderState, Scope, ShareMode, State};

use super::place::Place;
use super::report::reader_error;
use super::worker::{self, GRACE, Worker};
use crate::atr::Atr;
use crate::deadline::{Deadline, Stopped};
use crate::error::ReaderError;
use crate::transport::{Disposition, Transport, check_command, check_response};

/// Who else may use the card during a contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Share {
    /// Nobody. What is loaded on the card stays what it was between two commands.
    #[default]
    Exclusive,
    /// Other programs, between two commands.
    Shared,
}

/// Opens a context of PC/SC.
pub(crate) fn establish() -> Result<Context, E> {
    Context::establish(Scope::User)
}

/// Pause between two attempts to get at a card that another program has to itself; pcsclite's own.
const LOCK_POLL: Duration = Duration::from_millis(100);
/// Longest reader name.
const MAX_NAME: usize = 256;

/// A contact with the card in one reader.
pub(super) struct Contact {
    reader: String,
    deadline: Deadline,
    /// `None` once the contact is over.
    worker: Option<Worker<Link>>,
    atr: Atr,
    block_protocol: bool,
}

impl Contact {
    /// Waits until the card can be had, and connects.
    pub(super) fn open(reader: &str, share: Share, deadline: &Deadline) -> Result<Self, ReaderError> {
        let name = CString::new(reader).map_err(|_| ReaderError::UnknownReader(reader.to_owned()))?;
        worker::may_start(deadline)?;
        let place = Place::take(reader, deadline).map_err(|stopped| match stopped {
            Stopped::TimedOut => {
                Place::given_up(reader).unwrap_or_else(|| ReaderError::InUse(reader.to_owned()))
            }
            Stopped::Cancelled => ReaderError::Cancelled,
        })?;
        let mut contact = Self {
            reader: reader.to_owned(),
            deadline: deadline.clone(),
            worker: Some(Worker::start(Link::new(place))),
            atr: Atr::default(),
            block_protocol: false,
        };
        contact.connect(name, share)?;
        Ok(contact)
    }

    /// Each call on its own, since each means something else if it does not return in time.
    fn connect(&mut self, name: CString, share: Share) -> Result<(), ReaderError> {
        let reader = self.reader.clone();
        // What waits by itself says more than that the time is up.
        let patience = self.deadline.extended(GRACE);
        let reader_name = name.clone();
        let in_use =
            self.ask(&patience, |_| ReaderError::ServiceSilent, move |link| link.establish(&reader_name))?;
        let until = self.deadline.clone();
        // The service itself waits here for a transaction of another program.
        let held_up =
            |_| if in_use { ReaderError::InUse(reader.clone()) } else { ReaderError::Stuck(reader.clone()) };
        let shared = self.ask(&patience, held_up, move |link| link.connect(&name, share, &until))?;
        if share == Share::Exclusive && shared {
            let deadline = self.deadline.clone();
            self.ask(&deadline, |_| ReaderError::InUse(reader.clone()), Link::begin_transaction)?;
        }
        (self.atr, self.block_protocol) =
            self.ask(&patience, |_| ReaderError::Stuck(reader.clone()), Link::status)?;
        Ok(())
    }

    /// Has the worker do `job`. Given up, the contact is over: the worker lets go of the card as soon as it can.
    fn ask<T: Send + 'static>(
        &mut self,
        deadline: &Deadline,
        timed_out: impl FnOnce(Duration) -> ReaderError,
        job: impl FnOnce(&mut Link) -> Result<T, E> + Send + 'static,
    ) -> Result<T, ReaderError> {
        let worker = self.worker.as_ref().ok_or(ReaderError::Over)?;
        let start = Instant::now();
        let stopped = match worker.ask(deadline, job) {
            Ok(result) => return result.map_err(|error| reader_error(error, &self.reader)),
            Err(stopped) => stopped,
        };
        let error = match stopped {
            Stopped::TimedOut => timed_out(start.elapsed()),
            Stopped::Cancelled => ReaderError::Cancelled,
        };
        let in_the_way = match &error {
            ReaderError::InUse(_) | ReaderError::ServiceSilent => error.clone(),
            _ => ReaderError::Stuck(self.reader.clone()),
        };
        Place::give_up(&self.reader, in_the_way);
        // Only now may the place go on to the next.
        self.worker = None;
        Err(error)
    }

    fn end(&mut self, disposition: Disposition) -> Result<(), ReaderError> {
        let reader = self.reader.clone();
        let deadline = self.deadline.at_least(GRACE);
        let ended = self.ask(
            &deadline,
            |_| ReaderError::Stuck(reader),
            move |link| {
                let ended = link.disconnect(disposition);
                link.context = None;
                ended
            },
        );
        self.worker = None;
        ended
    }
}

impl Transport for Contact {
    fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, ReaderError> {
        check_command(command)?;
        let (deadline, reader, command) = (self.deadline.clone(), self.reader.clone(), command.to_vec());
        let no_answer = |after| ReaderError::NoAnswer { reader, after };
        let length = command.len();
        match self.ask(&deadline, no_answer, move |link| link.transmit(&command)) {
            Err(ReaderError::NotAccepted(_)) => Err(ReaderError::NotAccepted(length)),
            result => check_response(result?),
        }
    }

    fn atr(&self) -> &Atr {
        &self.atr
    }

    /// T=0 carries no extended length fields as they stand (ISO/IEC 7816-3 §12.2).
    fn supports_extended(&self) -> bool {
        self.block_protocol && self.atr.supports_extended()
    }

    fn release(mut self: Box<Self>, disposition: Disposition) -> Result<(), ReaderError> {
        self.end(disposition)
    }
}

impl Drop for Contact {
    /// A contact that was not released was broken off: the card voids what was loaded.
    fn drop(&mut self) {
        let _ = self.end(Disposition::Unpower);
    }
}

/// What the worker works on. Its place is free again only when everything else is given back.
struct Link {
    card: Option<Card>,
    context: Option<Context>,
    /// The card has got a command.
    used: bool,
    buffer: Vec<u8>,
    _place: Place,
}

impl Link {
    /// Responses always go into the largest buffer: after a too small one the card has already executed the command.
    fn new(place: Place) -> Self {
        Self {
            card: None,
            context: None,
            used: false,
            buffer: vec![0; MAX_BUFFER_SIZE_EXTENDED],
            _place: place,
        }
    }

    /// Makes the context. True if a program is connected to the card.
    fn establish(&mut self, name: &CStr) -> Result<bool, E> {
        let context = self.context.insert(establish()?);
        let mut states = [ReaderState::new(name.to_owned(), State::UNAWARE)];
        context.get_status_change(Duration::ZERO, &mut states)?;
        Ok(states.iter().any(|state| state.event_state().intersects(State::INUSE | State::EXCLUSIVE)))
    }

    /// Tries until the deadline while another program has the card to itself. True if others are connected too.
    fn connect(&mut self, name: &CStr, share: Share, until: &Deadline) -> Result<bool, E> {
        let context = self.context.as_ref().ok_or(E::InvalidHandle)?;
        loop {
            match try_connect(context, name, share) {
                Err(E::SharingViolation) if until.check().is_ok() => wait_for_change(context, name, until)?,
                result => {
                    let (card, shared) = result?;
                    self.card = Some(card);
                    return Ok(shared);
                }
            }
        }
    }

    /// The transaction ends with the connection, so its guard, which borrows the card, is let go of.
    /// A reset before it began, by whoever held the card, voids nothing of ours: connect anew.
    fn begin_transaction(&mut self) -> Result<(), E> {
        let card = self.card.as_mut().ok_or(E::InvalidHandle)?;
        let begun = match card.transaction2() {
            Ok(transaction) => Ok(transaction),
            Err((card, E::ResetCard)) => {
                card.reconnect(ShareMode::Shared, Protocols::ANY, ::pcsc::Disposition::LeaveCard)?;
                card.transaction()
            }
            Err((_, error)) => Err(error),
        };
        std::mem::forget(begun?);
        Ok(())
    }

    /// The answer to reset, and whether the card talks T=1.
    fn status(&mut self) -> Result<(Atr, bool), E> {
        let card = self.card.as_ref().ok_or(E::InvalidHandle)?;
        let (mut names, mut atr) = ([0; MAX_NAME], [0; MAX_ATR_SIZE]);
        let status = card.status2(&mut names, &mut atr)?;
        Ok((Atr::new(status.atr()), status.protocol2() == Some(Protocol::T1)))
    }

    fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, E> {
        let card = self.card.as_ref().ok_or(E::InvalidHandle)?;
        self.used = true;
        Ok(card.transmit(command, &mut self.buffer)?.to_vec())
    }

    fn disconnect(&mut self, disposition: Disposition) -> Result<(), E> {
        let Some(card) = self.card.take() else {
            return Ok(());
        };
        let disposition = match disposition {
            Disposition::Leave => ::pcsc::Disposition::LeaveCard,
            Disposition::Unpower => ::pcsc::Disposition::UnpowerCard,
        };
        // A card that could not be disconnected is gone, with its reader or its service.
        card.disconnect(disposition).map_err(|(_, error)| error)
    }
}

impl Drop for Link {
    /// The contact was given up. A card that has got a command voids what was loaded; one that nobody used is left as
    /// it is.
    fn drop(&mut self) {
        let disposition = if self.used { Disposition::Unpower } else { Disposition::Leave };
        let _ = self.disconnect(disposition);
    }
}

/// A connection that no other program can disturb, or one beside others. True if others may be connected.
fn try_connect(context: &Context, name: &CStr, share: Share) -> Result<(Card, bool), E> {
    if share == Share::Exclusive {
        match context.connect(name, ShareMode::Exclusive, Protocols::ANY) {
            Err(E::SharingViolation) => {}
            result => return Ok((result?, false)),
        }
    }
    Ok((context.connect(name, ShareMode::Shared, Protocols::ANY)?, true))
}

/// Waits until something changes at the reader, or for the time that pcsclite itself lets pass
/// between two looks at a lock.
fn wait_for_change(context: &Context, name: &CStr, until: &Deadline) -> Result<(), E> {
    let mut states = [ReaderState::new(name.to_owned(), State::UNAWARE)];
    context.get_status_change(Duration::ZERO, &mut states)?;
    states.iter_mut().for_each(ReaderState::sync_current_state);
    match context.get_status_change(until.remaining().min(LOCK_POLL), &mut states) {
        Ok(()) | Err(E::Timeout) => Ok(()),
        Err(error) => Err(error),
    }
}
