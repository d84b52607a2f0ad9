//! Any card in any reader: APDUs and resets, nothing else.

use std::time::Duration;

use onetap_pcsc_host::trace::{Key, ReaderStage, Screen, Stage, StageError};
use onetap_pcsc_host::{Disposition, Reader, ReaderError, Transport};

use super::{Capability, CardUnderTest, Claims, Known, Spent, Start};

/// A card that only a reader reaches.
pub struct ReaderTarget {
    name: String,
    stage: ReaderStage,
    claims: Claims,
    spent: Spent,
}

impl ReaderTarget {
    /// The card in `reader`; `name` is what `--target` calls it.
    pub fn new(name: impl Into<String>, reader: Box<dyn Reader>) -> Self {
        Self {
            name: name.into(),
            stage: ReaderStage::new(reader),
            claims: Claims::of_our_card(),
            spent: Spent::default(),
        }
    }

    /// With another time limit for each contact: a card that hangs is then given up.
    #[must_use]
    pub fn within(self, limit: Duration) -> Self {
        Self { stage: self.stage.within(limit), ..self }
    }

    /// With what the card in it claims.
    #[must_use]
    pub fn claiming(self, claims: Claims) -> Self {
        Self { claims, ..self }
    }

    /// The contact, while there is one.
    pub(crate) fn contact(&mut self) -> Option<&mut (dyn Transport + 'static)> {
        self.stage.contact()
    }

    /// Ends the contact and leaves the card's power as said.
    ///
    /// # Errors
    /// [`ReaderError`].
    pub fn release(&mut self, disposition: Disposition) -> Result<(), ReaderError> {
        self.stage.release(disposition)
    }
}

impl Stage for ReaderTarget {
    fn field_in(&mut self) -> Result<Vec<u8>, StageError> {
        self.stage.field_in()
    }

    fn field_out(&mut self) -> Result<(), StageError> {
        self.stage.field_out()
    }

    fn reset(&mut self) -> Result<Vec<u8>, StageError> {
        self.stage.reset()
    }

    fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, ReaderError> {
        self.stage.transmit(command)
    }

    fn key(&mut self, key: Key) -> Result<(), StageError> {
        self.stage.key(key)
    }

    fn tick(&mut self, time: Duration) -> Result<(), StageError> {
        self.stage.tick(time)
    }

    fn screen(&mut self) -> Result<Screen, StageError> {
        self.stage.screen()
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
