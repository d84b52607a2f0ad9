//! Real readers, through PC/SC (pcsclite, WinSCard, macOS' PCSC framework).
//!
//! No call of PC/SC has a time limit, so none is made on the thread that asks: a thread of its own serves each contact,
//! with a context of its own, and the caller waits for it until the deadline. What had to be given up is counted
//! ([`abandoned`]); nothing is kept between contacts, so a reader object works again after the service restarted, and
//! the service may exit when it is idle.
//!
//! A contact is exclusive unless it is asked for otherwise ([`Share`]): by an exclusive connection, or, if other programs
//! are connected too, by a shared connection and a transaction. In one process a reader has one contact at a time; who
//! comes second waits. The contact ends with a disposition that is said explicitly.

use std::ffi::CString;

use ::pcsc::{Context, Error as E, ReaderState};

use crate::deadline::{Deadline, Stopped};
use crate::error::ReaderError;
use crate::transport::{Reader, Transport};

mod contact;
mod place;
pub(crate) mod report;
mod wait;
pub(crate) mod worker;

use contact::Contact;
pub use contact::Share;
pub(crate) use contact::establish;
use report::{opening_error, service_error};
pub use wait::{Wanted, wait_for_card, wait_for_removal};
use worker::GRACE;
pub use worker::abandoned;

/// Most readers that pcsclite has, and watches in one call.
const MOST_READERS: usize = 16;

/// Names of the connected readers; empty if there are none.
///
/// # Errors
/// [`ReaderError::NoService`] and other failures of PC/SC.
pub fn readers(deadline: &Deadline) -> Result<Vec<String>, ReaderError> {
    let names = with_context(deadline, list)?;
    Ok(names.iter().map(|name| name.to_string_lossy().into_owned()).collect())
}

/// Does `work` with a context of its own, on a thread of its own.
fn with_context<T: Send + 'static>(
    deadline: &Deadline,
    work: impl FnOnce(&Context) -> Result<T, ReaderError> + Send + 'static,
) -> Result<T, ReaderError> {
    worker::may_start(deadline)?;
    let done = worker::aside(&deadline.extended(GRACE), || work(&establish().map_err(opening_error)?));
    done.unwrap_or_else(|stopped| match stopped {
        Stopped::TimedOut => Err(ReaderError::ServiceSilent),
        Stopped::Cancelled => Err(ReaderError::Cancelled),
    })
}

fn list(context: &Context) -> Result<Vec<CString>, ReaderError> {
    match context.list_readers_owned() {
        Ok(names) => Ok(names),
        Err(E::NoReadersAvailable) => Ok(Vec::new()),
        Err(error) => Err(service_error(error)),
    }
}

/// Those that one call may watch. The first stands for readers that come; where there can be no more, it is left out.
pub(crate) fn watched(states: &mut [ReaderState]) -> &mut [ReaderState] {
    let from = usize::from(states.len() > MOST_READERS);
    let to = states.len().min(from + MOST_READERS);
    states.get_mut(from..to).unwrap_or_default()
}

/// One PC/SC reader, by its name. It holds nothing of the service between contacts.
#[derive(Debug, Clone)]
pub struct PcscReader {
    name: String,
    share: Share,
}

impl PcscReader {
    /// Opens the reader of this name, whether or not a card is in it.
    ///
    /// # Errors
    /// [`ReaderError::UnknownReader`], [`ReaderError::NoService`] and other failures of PC/SC.
    pub fn open(name: &str, deadline: &Deadline) -> Result<Self, ReaderError> {
        if readers(deadline)?.iter().any(|found| found == name) {
            Ok(Self::named(name))
        } else {
            Err(ReaderError::UnknownReader(name.to_owned()))
        }
    }

    /// Sets who else may use the card during the contacts that follow.
    #[must_use]
    pub fn share(mut self, share: Share) -> Self {
        self.share = share;
        self
    }

    fn named(name: &str) -> Self {
        Self { name: name.to_owned(), share: Share::default() }
    }
}

impl Reader for PcscReader {
    fn name(&self) -> &str {
        &self.name
    }

    fn connect(&mut self, deadline: &Deadline) -> Result<Box<dyn Transport>, ReaderError> {
        match Contact::open(&self.name, self.share, deadline) {
            Ok(contact) => Ok(Box::new(contact)),
            // Before the contact there is nothing to remove.
            Err(ReaderError::CardRemoved) => Err(ReaderError::NoCard),
            Err(error) => Err(error),
        }
    }
}
