//! One contact with one card, whatever carries it: PC/SC, a card in the same process, a recording.

use std::sync::{Arc, Mutex, PoisonError};

use onetap_apdu_spec::apdu::ResponseApdu;

use crate::atr::Atr;
use crate::deadline::Deadline;
use crate::error::ReaderError;

/// Fewest bytes of a command: CLA, INS, P1, P2. Less would mean something else to a virtual reader.
pub const MIN_COMMAND: usize = 4;

/// What becomes of the card's power when the contact ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// Leave it as it is. For a card that has delivered everything: it may go.
    Leave,
    /// Power it off, so that a card left in the middle voids what was loaded (P-06).
    Unpower,
}

/// One contact with one card, from connecting to [`Transport::release`]. Everything in it ends by the deadline that it
/// was connected with.
pub trait Transport: Send {
    /// Sends one command APDU, gets one response APDU of at least two bytes.
    ///
    /// # Errors
    /// [`ReaderError`]; after any of them the contact is over.
    fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, ReaderError>;

    /// The card's answer to reset.
    fn atr(&self) -> &Atr;

    /// True if card and transport take extended Lc and Le.
    fn supports_extended(&self) -> bool {
        self.atr().supports_extended()
    }

    /// Ends the contact.
    ///
    /// # Errors
    /// [`ReaderError`] if the reader could not do as told; the contact is over all the same.
    fn release(self: Box<Self>, disposition: Disposition) -> Result<(), ReaderError>;
}

/// A place that a card can be put on.
pub trait Reader: Send {
    /// Its name.
    fn name(&self) -> &str;

    /// Begins a contact with the card that lies there now. `deadline` is for the whole contact.
    ///
    /// # Errors
    /// [`ReaderError`].
    fn connect(&mut self, deadline: &Deadline) -> Result<Box<dyn Transport>, ReaderError>;
}

impl<R: Reader + ?Sized> Reader for &mut R {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn connect(&mut self, deadline: &Deadline) -> Result<Box<dyn Transport>, ReaderError> {
        (**self).connect(deadline)
    }
}

impl<R: Reader + ?Sized> Reader for Box<R> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn connect(&mut self, deadline: &Deadline) -> Result<Box<dyn Transport>, ReaderError> {
        (**self).connect(deadline)
    }
}

impl<T: Transport + ?Sized> Transport for Box<T> {
    fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, ReaderError> {
        (**self).transmit(command)
    }

    fn atr(&self) -> &Atr {
        (**self).atr()
    }

    fn supports_extended(&self) -> bool {
        (**self).supports_extended()
    }

    fn release(self: Box<Self>, disposition: Disposition) -> Result<(), ReaderError> {
        (*self).release(disposition)
    }
}

/// A reader in the same process: any function from command to response. It knows nothing of
/// contact; whoever plays the holder puts the card there and takes it away.
///
/// ```
/// use std::time::Duration;
///
/// use onetap_pcsc_host::{Atr, Deadline, InProcessReader, Reader};
///
/// let card = |_command: &[u8]| b"\x90\x00".to_vec();
/// let mut reader = InProcessReader::new("in-process", Atr::default(), card);
/// let mut contact = reader.connect(&Deadline::after(Duration::from_secs(1)))?;
/// let response = contact.transmit(b"\x00\xA4\x04\x00\x05\xF0ONET")?;
/// assert_eq!(response, b"\x90\x00");
/// # Ok::<(), onetap_pcsc_host::ReaderError>(())
/// ```
#[derive(Debug)]
pub struct InProcessReader<F> {
    name: String,
    atr: Atr,
    card: Arc<Mutex<F>>,
}

impl<F: FnMut(&[u8]) -> Vec<u8> + Send> InProcessReader<F> {
    /// A reader whose card answers by `card`. An answer of no byte at all means that the card is gone.
    pub fn new(name: impl Into<String>, atr: Atr, card: F) -> Self {
        Self { name: name.into(), atr, card: Arc::new(Mutex::new(card)) }
    }
}

impl<F: FnMut(&[u8]) -> Vec<u8> + Send + 'static> Reader for InProcessReader<F> {
    fn name(&self) -> &str {
        &self.name
    }

    fn connect(&mut self, _: &Deadline) -> Result<Box<dyn Transport>, ReaderError> {
        Ok(Box::new(InProcessContact { atr: self.atr.clone(), card: Arc::clone(&self.card) }))
    }
}

struct InProcessContact<F> {
    atr: Atr,
    card: Arc<Mutex<F>>,
}

impl<F: FnMut(&[u8]) -> Vec<u8> + Send> Transport for InProcessContact<F> {
    fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, ReaderError> {
        check_command(command)?;
        let mut card = self.card.lock().unwrap_or_else(PoisonError::into_inner);
        check_response(card(command))
    }

    fn atr(&self) -> &Atr {
        &self.atr
    }

    fn release(self: Box<Self>, _: Disposition) -> Result<(), ReaderError> {
        Ok(())
    }
}

/// Refuses what no transport may send.
pub(crate) fn check_command(command: &[u8]) -> Result<(), ReaderError> {
    if command.len() < MIN_COMMAND { Err(ReaderError::CommandTooShort(command.len())) } else { Ok(()) }
}

/// Refuses a response without a status word. No byte at all is what some readers pass on from a card that is gone.
pub(crate) fn check_response(response: Vec<u8>) -> Result<Vec<u8>, ReaderError> {
    match ResponseApdu::parse(&response) {
        Ok(_) => Ok(response),
        Err(_) if response.is_empty() => Err(ReaderError::CardRemoved),
        Err(_) => Err(ReaderError::NotAResponse(response.len())),
    }
}
