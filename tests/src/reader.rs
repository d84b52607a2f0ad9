//! Our own card as a [`Reader`] of the terminal's, in the same process: the only place where host and
//! card meet without a socket between them.

use onetap_applet::SharedCard;
use onetap_applet::front::InProcess;
use onetap_pcsc_host::{Atr, Deadline, Disposition, Reader, ReaderError, Transport};

/// A reader in this process that the card is laid on for each contact and taken from after it.
#[derive(Debug)]
pub struct InProcessReader {
    card: SharedCard,
}

impl InProcessReader {
    /// For this card.
    #[must_use]
    pub fn new(card: SharedCard) -> Self {
        Self { card }
    }
}

impl Reader for InProcessReader {
    fn name(&self) -> &str {
        "in-process"
    }

    fn connect(&mut self, _: &Deadline) -> Result<Box<dyn Transport>, ReaderError> {
        let contact = InProcess::connect(SharedCard::clone(&self.card));
        let atr = Atr::new(contact.atr());
        Ok(Box::new(Contact { contact, atr }))
    }
}

struct Contact {
    contact: InProcess,
    atr: Atr,
}

impl Transport for Contact {
    fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, ReaderError> {
        Ok(self.contact.transmit(command))
    }

    fn atr(&self) -> &Atr {
        &self.atr
    }

    /// The card is taken away, whatever becomes of its power.
    fn release(self: Box<Self>, _: Disposition) -> Result<(), ReaderError> {
        self.contact.release();
        Ok(())
    }
}
