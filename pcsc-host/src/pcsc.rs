//! Real readers, through PC/SC (pcsclite, WinSCard, macOS' PCSC framework).
//!
//! The contact is exclusive: by an exclusive connection, or, if other programs are connected too, by
//! a shared connection and a transaction. Connecting and beginning a transaction block for as long as
//! another program holds the card, and PC/SC has no time limit for either, so a thread of its own
//! waits, until the deadline at most. The contact ends with a disposition that is said
//! explicitly. Responses always go into the largest buffer: after a too small one the card has
//! already executed the command.

use std::ffi::{CStr, CString};
use std::thread;
use std::time::Duration;

use ::pcsc::{Card, Context, MAX_ATR_SIZE, MAX_BUFFER_SIZE_EXTENDED, PNP_NOTIFICATION, Protocol, Protocols};
use ::pcsc::{ReaderState, Scope, ShareMode, State};

use crate::atr::Atr;
use crate::deadline::{Deadline, Stopped};
use crate::error::ReaderError;
use crate::transport::{Disposition, Reader, Transport, check_command, check_response};

/// Pause between two attempts to get at a card that another program has to itself.
const LOCK_POLL: Duration = Duration::from_millis(100);
/// Waits look up from time to time whether they were cancelled.
const LONGEST_WAIT: Duration = Duration::from_millis(50);
/// Longest reader name.
const MAX_NAME: usize = 256;

/// Names of the connected readers; empty if there are none.
///
/// # Errors
/// [`ReaderError::NoService`] and other failures of PC/SC.
pub fn readers() -> Result<Vec<String>, ReaderError> {
    let context = establish()?;
    match context.list_readers_owned() {
        Ok(names) => Ok(names.iter().map(|name| name.to_string_lossy().into_owned()).collect()),
        Err(::pcsc::Error::NoReadersAvailable) => Ok(Vec::new()),
        Err(error) => Err(reader_error(error)),
    }
}

/// Which card is waited for.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    reader: Option<String>,
}

impl Wanted {
    /// Any card in any reader.
    #[must_use]
    pub fn any() -> Self {
        Self::default()
    }

    /// A card in the reader of this name.
    pub fn in_reader(name: impl Into<String>) -> Self {
        Self { reader: Some(name.into()) }
    }
}

/// Waits until a card that is wanted lies in a reader, and opens that reader. Readers may be plugged in while it
/// waits.
///
/// # Errors
/// [`ReaderError::Timeout`], [`ReaderError::Cancelled`], [`ReaderError::UnknownReader`] if no reader of that name came
/// in time, [`ReaderError::NoService`] and other failures of PC/SC.
pub fn wait_for_card(wanted: &Wanted, deadline: &Deadline) -> Result<PcscReader, ReaderError> {
    let context = establish()?;
    let name = wanted.reader.as_deref();
    let mut known: Vec<ReaderState> = vec![ReaderState::new(PNP_NOTIFICATION(), State::UNAWARE)];
    loop {
        update_readers(&context, &mut known, name)?;
        match context.get_status_change(deadline.remaining().min(LONGEST_WAIT), &mut known) {
            Ok(()) => {}
            Err(::pcsc::Error::Timeout) => match deadline.check() {
                Err(Stopped::TimedOut) if known.len() == 1 => {
                    let unknown = |name: &str| ReaderError::UnknownReader(name.to_owned());
                    return Err(name.map_or(ReaderError::NoReaders, unknown));
                }
                checked => checked?,
            },
            // A reader that was unplugged in between: look at the list again.
            Err(::pcsc::Error::UnknownReader) => {}
            Err(error) => return Err(reader_error(error)),
        }
        if let Some(found) = known.iter().skip(1).find(|state| has_card(state.event_state())) {
            return Ok(PcscReader::in_context(context.clone(), found.name().to_owned()));
        }
        for state in &mut known {
            state.sync_current_state();
        }
    }
}

/// Waits until the reader has noticed that no card lies in it. Polling readers take a moment, and take
/// a card that comes back within it for the one that left.
///
/// # Errors
/// [`ReaderError::Timeout`] if the card is still there, [`ReaderError::Cancelled`], [`ReaderError::NoService`] and other failures of
/// PC/SC.
pub fn wait_for_removal(name: &str, deadline: &Deadline) -> Result<(), ReaderError> {
    let context = establish()?;
    let name = CString::new(name).map_err(|_| ReaderError::UnknownReader(name.to_owned()))?;
    let mut state = [ReaderState::new(name, State::UNAWARE)];
    loop {
        match context.get_status_change(deadline.remaining().min(LONGEST_WAIT), &mut state) {
            Ok(()) => {}
            Err(::pcsc::Error::Timeout) => deadline.check()?,
            // With the reader the card is gone as well.
            Err(::pcsc::Error::UnknownReader) => return Ok(()),
            Err(error) => return Err(reader_error(error)),
        }
        if state.iter().all(|state| !state.event_state().contains(State::PRESENT)) {
            return Ok(());
        }
        state.iter_mut().for_each(ReaderState::sync_current_state);
    }
}

/// Brings the list of watched readers up to date, keeping what is known of those that stay.
fn update_readers(
    context: &Context,
    known: &mut Vec<ReaderState>,
    wanted: Option<&str>,
) -> Result<(), ReaderError> {
    let names = match context.list_readers_owned() {
        Ok(names) => names,
        Err(::pcsc::Error::NoReadersAvailable) => Vec::new(),
        Err(error) => return Err(reader_error(error)),
    };
    let wanted = |name: &CStr| wanted.is_none_or(|wanted| name.to_bytes() == wanted.as_bytes());
    let pnp = PNP_NOTIFICATION();
    known.retain(|state| state.name() == pnp || names.iter().any(|name| name.as_c_str() == state.name()));
    for name in names {
        if wanted(&name) && known.iter().all(|state| state.name() != name.as_c_str()) {
            known.push(ReaderState::new(name, State::UNAWARE));
        }
    }
    Ok(())
}

fn has_card(state: State) -> bool {
    state.contains(State::PRESENT) && !state.intersects(State::MUTE)
}

pub(crate) fn establish() -> Result<Context, ReaderError> {
    Context::establish(Scope::User).map_err(reader_error)
}

/// What PC/SC reports, in this crate's words.
pub(crate) fn reader_error(error: ::pcsc::Error) -> ReaderError {
    use ::pcsc::Error as E;
    match error {
        E::NoService | E::ServiceStopped | E::Shutdown | E::SystemCancelled => ReaderError::NoService,
        E::NoReadersAvailable => ReaderError::NoReaders,
        E::NoSmartcard => ReaderError::NoCard,
        // pcscd says NotTransacted until its next poll sees the removal.
        E::RemovedCard | E::NotTransacted | E::ReaderUnavailable | E::InvalidHandle => {
            ReaderError::CardRemoved
        }
        E::ResetCard => ReaderError::CardReset,
        E::UnresponsiveCard | E::UnpoweredCard | E::ProtoMismatch | E::CommError => ReaderError::Unresponsive,
        E::SharingViolation => ReaderError::InUse,
        E::Timeout => ReaderError::Timeout,
        E::Cancelled => ReaderError::Cancelled,
        E::InsufficientBuffer => ReaderError::ResponseTooLong,
        other => ReaderError::Other(other.to_string()),
    }
}

/// One PC/SC reader.
pub struct PcscReader {
    context: Context,
    name: String,
    c_name: CString,
}

impl PcscReader {
    /// Opens the reader of this name, whether or not a card is in it.
    ///
    /// # Errors
    /// [`ReaderError::UnknownReader`], [`ReaderError::NoService`] and other failures of PC/SC.
    pub fn open(name: &str) -> Result<Self, ReaderError> {
        let context = establish()?;
        let unknown = || ReaderError::UnknownReader(name.to_owned());
        let c_name = CString::new(name).map_err(|_| unknown())?;
        match context.list_readers_owned() {
            Ok(names) if names.contains(&c_name) => Ok(Self::in_context(context, c_name)),
            Ok(_) | Err(::pcsc::Error::NoReadersAvailable) => Err(unknown()),
            Err(error) => Err(reader_error(error)),
        }
    }

    fn in_context(context: Context, c_name: CString) -> Self {
        let name = c_name.to_string_lossy().into_owned();
        Self { context, name, c_name }
    }
}

impl Reader for PcscReader {
    fn name(&self) -> &str {
        &self.name
    }

    fn connect(&mut self, deadline: &Deadline) -> Result<Box<dyn Transport>, ReaderError> {
        let (context, name, until) = (self.context.clone(), self.c_name.clone(), deadline.clone());
        let connected = deadline.wait(move |reply| {
            thread::spawn(move || {
                let result = connect_until(&until, &context, &name);
                if let Err(Ok(mut late)) = reply.send(result) {
                    // Nobody waits any more: give back at once what was not even used.
                    let _ = late.disconnect(::pcsc::Disposition::LeaveCard);
                }
            });
        });
        let connected = connected.map_err(|stopped| match stopped {
            Stopped::TimedOut => ReaderError::InUse,
            Stopped::Cancelled => ReaderError::Cancelled,
        });
        match connected? {
            Ok(contact) => Ok(Box::new(contact)),
            Err(::pcsc::Error::UnknownReader) => Err(ReaderError::UnknownReader(self.name.clone())),
            // Before the contact there is nothing to remove.
            Err(::pcsc::Error::RemovedCard) => Err(ReaderError::NoCard),
            Err(error) => Err(reader_error(error)),
        }
    }
}

/// Tries again while another program has the card to itself.
fn connect_until(deadline: &Deadline, context: &Context, name: &CStr) -> Result<Contact, ::pcsc::Error> {
    loop {
        match connect_exclusively(context, name) {
            Err(::pcsc::Error::SharingViolation) if deadline.check().is_ok() => {
                wait_for_change(context, name)?;
            }
            result => return result,
        }
    }
}

/// A connection that no other program can disturb.
fn connect_exclusively(context: &Context, name: &CStr) -> Result<Contact, ::pcsc::Error> {
    match context.connect(name, ShareMode::Exclusive, Protocols::ANY) {
        Ok(card) => Contact::new(card),
        Err(::pcsc::Error::SharingViolation) => {
            let mut card = context.connect(name, ShareMode::Shared, Protocols::ANY)?;
            begin_transaction(&mut card)?;
            Contact::new(card)
        }
        Err(error) => Err(error),
    }
}

/// Waits until something changes at the reader, or for the time that pcsclite itself lets pass
/// between two looks at a lock.
fn wait_for_change(context: &Context, name: &CStr) -> Result<(), ::pcsc::Error> {
    let mut states = [ReaderState::new(name.to_owned(), State::UNAWARE)];
    context.get_status_change(Duration::ZERO, &mut states)?;
    states.iter_mut().for_each(ReaderState::sync_current_state);
    match context.get_status_change(LOCK_POLL, &mut states) {
        Ok(()) | Err(::pcsc::Error::Timeout) => Ok(()),
        Err(error) => Err(error),
    }
}

/// The transaction ends with the connection, so its guard, which borrows the card, is let go of.
/// A reset before it began, by whoever held the card, voids nothing of ours: connect anew.
fn begin_transaction(card: &mut Card) -> Result<(), ::pcsc::Error> {
    let begun = match card.transaction2() {
        Ok(transaction) => Ok(transaction),
        Err((card, ::pcsc::Error::ResetCard)) => {
            card.reconnect(ShareMode::Shared, Protocols::ANY, ::pcsc::Disposition::LeaveCard)?;
            card.transaction()
        }
        Err((_, error)) => Err(error),
    };
    std::mem::forget(begun?);
    Ok(())
}

/// A connected card. `card` is `None` once it was disconnected.
struct Contact {
    card: Option<Card>,
    atr: Atr,
    block_protocol: bool,
    buffer: Vec<u8>,
}

impl Contact {
    fn new(card: Card) -> Result<Self, ::pcsc::Error> {
        let (mut names, mut atr) = ([0; MAX_NAME], [0; MAX_ATR_SIZE]);
        let status = card.status2(&mut names, &mut atr)?;
        let block_protocol = status.protocol2() == Some(Protocol::T1);
        let atr = Atr::new(status.atr());
        Ok(Self { card: Some(card), atr, block_protocol, buffer: vec![0; MAX_BUFFER_SIZE_EXTENDED] })
    }

    fn disconnect(&mut self, disposition: ::pcsc::Disposition) -> Result<(), ReaderError> {
        let Some(card) = self.card.take() else {
            return Ok(());
        };
        // A card that could not be disconnected is gone, with its reader or its service.
        card.disconnect(disposition).map_err(|(card, error)| {
            drop(card);
            reader_error(error)
        })
    }
}

impl Transport for Contact {
    fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, ReaderError> {
        check_command(command)?;
        let card = self.card.as_ref().ok_or(ReaderError::CardRemoved)?;
        let response = card.transmit(command, &mut self.buffer).map_err(|error| match error {
            ::pcsc::Error::InvalidParameter | ::pcsc::Error::InvalidValue => {
                ReaderError::NotAccepted(command.len())
            }
            error => reader_error(error),
        })?;
        check_response(response.to_vec())
    }

    fn atr(&self) -> &Atr {
        &self.atr
    }

    /// T=0 carries no extended length fields as they stand (ISO/IEC 7816-3 §12.2).
    fn supports_extended(&self) -> bool {
        self.block_protocol && self.atr.supports_extended()
    }

    fn release(mut self: Box<Self>, disposition: Disposition) -> Result<(), ReaderError> {
        self.disconnect(match disposition {
            Disposition::Leave => ::pcsc::Disposition::LeaveCard,
            Disposition::Unpower => ::pcsc::Disposition::UnpowerCard,
        })
    }
}

impl Drop for Contact {
    /// A contact that was not released was broken off: the card voids what was loaded.
    fn drop(&mut self) {
        let _ = self.disconnect(::pcsc::Disposition::UnpowerCard);
    }
}
