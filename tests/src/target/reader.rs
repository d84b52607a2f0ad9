//! Any card in any reader: APDUs and resets, nothing else.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use onetap_apdu_spec::suite::Suite;
use onetap_pcsc_host::trace::{Key, Screen, Stage, StageError};
use onetap_pcsc_host::{Disposition, Reader, ReaderError, Transport};

use super::{Capability, CardUnderTest, Known, Timing};

/// What the thread that holds the contact is told.
enum Order {
    Connect,
    Transmit(Vec<u8>),
    Release(Disposition),
}

type Answer = Result<Vec<u8>, ReaderError>;

/// A card that only a reader reaches. A contact borrows its reader, so a thread keeps both.
pub struct ReaderTarget {
    name: String,
    orders: Sender<Order>,
    answers: Receiver<Answer>,
}

impl ReaderTarget {
    /// The card in `reader`; `name` is what `--target` calls it.
    pub fn new(name: impl Into<String>, reader: Box<dyn Reader + Send>) -> Self {
        let (orders, inbox) = channel();
        let (outbox, answers) = channel();
        thread::spawn(move || serve(reader, &inbox, &outbox));
        Self { name: name.into(), orders, answers }
    }

    /// Ends the contact and leaves the card's power as said.
    ///
    /// # Errors
    /// [`ReaderError`].
    pub fn release(&mut self, disposition: Disposition) -> Result<(), ReaderError> {
        self.ask(Order::Release(disposition)).map(drop)
    }

    fn ask(&self, order: Order) -> Answer {
        self.orders.send(order).map_err(|_| ReaderError::CardRemoved)?;
        self.answers.recv().map_err(|_| ReaderError::CardRemoved)?
    }
}

/// Ends with the target, whose channels then close.
fn serve(mut reader: Box<dyn Reader + Send>, inbox: &Receiver<Order>, outbox: &Sender<Answer>) {
    while let Ok(order) = inbox.recv() {
        let answer = match order {
            Order::Connect => match reader.connect() {
                Ok(contact) => hold(contact, inbox, outbox),
                Err(error) => Err(error),
            },
            Order::Transmit(_) => Err(ReaderError::NoCard),
            Order::Release(_) => Ok(Vec::new()),
        };
        if outbox.send(answer).is_err() {
            return;
        }
    }
}

/// One contact. Its last answer is sent by the caller.
fn hold(mut contact: Box<dyn Transport + '_>, inbox: &Receiver<Order>, outbox: &Sender<Answer>) -> Answer {
    let mut answer = Ok(contact.atr().bytes().to_vec());
    while outbox.send(answer).is_ok() {
        answer = match inbox.recv() {
            Ok(Order::Transmit(command)) => contact.transmit(&command),
            Ok(Order::Release(disposition)) => return contact.release(disposition).map(|()| Vec::new()),
            Ok(Order::Connect) => Ok(contact.atr().bytes().to_vec()),
            Err(_) => break,
        };
    }
    Err(ReaderError::CardRemoved)
}

impl Stage for ReaderTarget {
    fn field_in(&mut self) -> Result<Vec<u8>, StageError> {
        Ok(self.ask(Order::Connect)?)
    }

    /// The card stays in the reader, without power.
    fn field_out(&mut self) -> Result<(), StageError> {
        Ok(self.release(Disposition::Unpower)?)
    }

    fn reset(&mut self) -> Result<Vec<u8>, StageError> {
        self.release(Disposition::Unpower)?;
        Ok(self.ask(Order::Connect)?)
    }

    fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, ReaderError> {
        self.ask(Order::Transmit(command.to_vec()))
    }

    fn key(&mut self, _: Key) -> Result<(), StageError> {
        Err(StageError::Unsupported("press a key"))
    }

    fn tick(&mut self, _: Duration) -> Result<(), StageError> {
        Err(StageError::Unsupported("advance its clock"))
    }

    fn screen(&mut self) -> Result<Screen, StageError> {
        Err(StageError::Unsupported("show its display"))
    }
}

impl CardUnderTest for ReaderTarget {
    fn name(&self) -> &str {
        &self.name
    }

    fn lacks(&self, capability: Capability) -> Option<&'static str> {
        Some(match capability {
            Capability::Fresh => "a reader cannot make a new card, and each signature counts as unconfirmed",
            Capability::Field => "a reader cannot take the card out",
            Capability::Holder => "a reader reaches neither keys, display nor clock of the card",
            Capability::Keys => "the card's and the server's keys are not known",
        })
    }

    fn fresh(&mut self, _: Suite) -> Result<(), StageError> {
        Err(StageError::Unsupported("become a new card"))
    }

    fn known(&self) -> Option<&Known> {
        None
    }

    fn timing(&self) -> Timing {
        Timing::default()
    }

    fn pin_digits(&self) -> usize {
        0
    }
}
