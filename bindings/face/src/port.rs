//! A reader that the app brings, such as a phone's NFC or a reader behind a network.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use onetap_apdu_spec::apdu::ResponseApdu;
use onetap_pcsc_host::{Atr, Cards, Deadline, Disposition, Reader, ReaderError, Stopped, Transport};

use crate::handle::message;

/// So long a port is asked to wait at most; between two waits a cancellation is looked for.
pub const LONGEST_WAIT: Duration = Duration::from_millis(100);

/// Why a port did not do what it was asked to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortError {
    /// The card has left; it may be tapped again.
    CardLeft,
    /// The app's code failed, which ends the payment.
    Failed(String),
}

/// A place where cards are put, driven by the app. Its functions are called on threads of the library, one at a time.
pub trait CardPort: Send {
    /// Waits at most so long for a card; true while one is there.
    ///
    /// # Errors
    /// [`PortError::Failed`].
    fn present(&mut self, wait: Duration) -> Result<bool, PortError>;

    /// Begins a contact; gives the card's answer to reset, or nothing where there is none, as with many phones: then
    /// commands are short.
    ///
    /// # Errors
    /// [`PortError`].
    fn connect(&mut self) -> Result<Vec<u8>, PortError>;

    /// Sends one command APDU, gets one response APDU.
    ///
    /// # Errors
    /// [`PortError`].
    fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, PortError>;

    /// Ends the contact; with `power_off` the card has to lose its power.
    ///
    /// # Errors
    /// [`PortError`], which changes nothing any more.
    fn disconnect(&mut self, power_off: bool) -> Result<(), PortError>;
}

/// A port, shared by the till and its contacts. A failure of the app's code is [`ReaderError::Other`], and nothing else is.
#[derive(Clone)]
struct Port(Arc<Mutex<Box<dyn CardPort>>>);

impl Port {
    fn call<T>(
        &self,
        work: impl FnOnce(&mut dyn CardPort) -> Result<T, PortError>,
    ) -> Result<T, ReaderError> {
        let mut port = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let done = catch_unwind(AssertUnwindSafe(|| work(&mut **port)));
        match done.unwrap_or_else(|panic| Err(PortError::Failed(message(&*panic)))) {
            Ok(value) => Ok(value),
            Err(PortError::CardLeft) => Err(ReaderError::CardRemoved),
            Err(PortError::Failed(why)) => Err(ReaderError::Other(why)),
        }
    }

    /// Waits until a card is there, or until none is.
    fn until(&self, there: bool, deadline: &Deadline) -> Result<(), ReaderError> {
        loop {
            match deadline.check() {
                Ok(()) => {}
                Err(Stopped::Cancelled) => return Err(ReaderError::Cancelled),
                Err(Stopped::TimedOut) if there => return Err(ReaderError::NoCardCame),
                Err(Stopped::TimedOut) => return Err(ReaderError::CardStays),
            }
            let (begun, wait) = (Instant::now(), deadline.remaining().min(LONGEST_WAIT));
            if self.call(|port| port.present(if there { wait } else { Duration::ZERO }))? == there {
                return Ok(());
            }
            // A port that does not wait is not asked without end. The deadline is looked at above.
            let _ = deadline.sleep(wait.saturating_sub(begun.elapsed()));
        }
    }
}

/// The cards that come to a port.
pub(crate) struct PortCards {
    port: Port,
    /// A card that was in contact has not been seen to leave.
    occupied: bool,
}

impl PortCards {
    pub(crate) fn new(port: Box<dyn CardPort>) -> Self {
        Self { port: Port(Arc::new(Mutex::new(port))), occupied: false }
    }
}

impl Cards for PortCards {
    /// A card that lies there since a contact that failed has to leave first: it would fail again at once.
    fn wait(&mut self, deadline: &Deadline) -> Result<Box<dyn Reader>, ReaderError> {
        self.wait_for_removal(deadline)?;
        self.port.until(true, deadline)?;
        self.occupied = true;
        Ok(Box::new(PortReader(self.port.clone())))
    }

    fn wait_for_removal(&mut self, deadline: &Deadline) -> Result<(), ReaderError> {
        if self.occupied {
            self.port.until(false, deadline)?;
            self.occupied = false;
        }
        Ok(())
    }
}

struct PortReader(Port);

impl Reader for PortReader {
    fn name(&self) -> &'static str {
        "the app's reader"
    }

    fn connect(&mut self, deadline: &Deadline) -> Result<Box<dyn Transport>, ReaderError> {
        let atr = Atr::new(self.0.call(|port| port.connect())?);
        Ok(Box::new(PortContact { port: self.0.clone(), atr, deadline: deadline.clone() }))
    }
}

struct PortContact {
    port: Port,
    atr: Atr,
    deadline: Deadline,
}

impl Transport for PortContact {
    fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, ReaderError> {
        self.deadline.check()?;
        let response = self.port.call(|port| port.transmit(command))?;
        match ResponseApdu::parse(&response) {
            Ok(_) => Ok(response),
            Err(_) if response.is_empty() => Err(ReaderError::CardRemoved),
            Err(_) => Err(ReaderError::NotAResponse(response.len())),
        }
    }

    fn atr(&self) -> &Atr {
        &self.atr
    }

    fn release(self: Box<Self>, disposition: Disposition) -> Result<(), ReaderError> {
        self.port.call(|port| port.disconnect(disposition == Disposition::Unpower))
    }
}
