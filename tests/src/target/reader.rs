//! Any card in any reader: APDUs and resets, nothing else.

use std::time::Duration;

use onetap_pcsc_host::trace::{Key, Screen, Stage, StageError};
use onetap_pcsc_host::{Deadline, Disposition, Reader, ReaderError, Transport};

use super::{Capability, CardUnderTest, Claims, Known, Spent, Start};

/// How long one contact may take, unless said otherwise. A case has one or a few.
const CONTACT: Duration = Duration::from_secs(600);

/// A card that only a reader reaches.
pub struct ReaderTarget {
    name: String,
    reader: Box<dyn Reader>,
    contact: Option<Box<dyn Transport>>,
    limit: Duration,
    claims: Claims,
    spent: Spent,
}

impl ReaderTarget {
    /// The card in `reader`; `name` is what `--target` calls it.
    pub fn new(name: impl Into<String>, reader: Box<dyn Reader>) -> Self {
        Self {
            name: name.into(),
            reader,
            contact: None,
            limit: CONTACT,
            claims: Claims::of_our_card(),
            spent: Spent::default(),
        }
    }

    /// With another time limit for each contact: a card that hangs is then given up.
    #[must_use]
    pub fn within(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// With what the card in it claims.
    #[must_use]
    pub fn claiming(self, claims: Claims) -> Self {
        Self { claims, ..self }
    }

    /// The contact, while there is one.
    pub(crate) fn contact(&mut self) -> Option<&mut (dyn Transport + 'static)> {
        self.contact.as_deref_mut()
    }

    /// Ends the contact and leaves the card's power as said.
    ///
    /// # Errors
    /// [`ReaderError`].
    pub fn release(&mut self, disposition: Disposition) -> Result<(), ReaderError> {
        self.contact.take().map_or(Ok(()), |contact| contact.release(disposition))
    }

    fn connect(&mut self) -> Result<Vec<u8>, ReaderError> {
        let contact = match self.contact.take() {
            Some(contact) => contact,
            None => self.reader.connect(&Deadline::after(self.limit))?,
        };
        Ok(self.contact.insert(contact).atr().bytes().to_vec())
    }
}

impl Stage for ReaderTarget {
    fn field_in(&mut self) -> Result<Vec<u8>, StageError> {
        Ok(self.connect()?)
    }

    /// The card stays in the reader, without power.
    fn field_out(&mut self) -> Result<(), StageError> {
        Ok(self.release(Disposition::Unpower)?)
    }

    fn reset(&mut self) -> Result<Vec<u8>, StageError> {
        self.release(Disposition::Unpower)?;
        Ok(self.connect()?)
    }

    fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, ReaderError> {
        self.contact.as_mut().ok_or(ReaderError::NoCard)?.transmit(command)
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

    fn claims(&self) -> &Claims {
        &self.claims
    }

    fn fresh(&mut self, _: &Start) -> Result<(), StageError> {
        Err(StageError::Unsupported("become a new card"))
    }

    fn known(&self) -> Option<&Known> {
        None
    }

    fn spent(&mut self) -> &mut Spent {
        &mut self.spent
    }
}
