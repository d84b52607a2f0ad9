//! Holders' cards in PC/SC readers.

use super::Cards;
use crate::deadline::Deadline;
use crate::error::ReaderError;
use crate::pcsc::{Wanted, wait_for_card, wait_for_removal};
use crate::transport::Reader;

/// Takes the cards that are wanted from PC/SC readers.
#[derive(Debug)]
pub struct PcscCards {
    wanted: Wanted,
    /// The reader of the last card, until that card is known to have left.
    occupied: Option<String>,
}

impl PcscCards {
    /// Takes these cards.
    #[must_use]
    pub fn new(wanted: Wanted) -> Self {
        Self { wanted, occupied: None }
    }
}

impl Cards for PcscCards {
    /// A card that lies there since a contact that failed has to leave first: it would fail again at once.
    fn wait(&mut self, deadline: &Deadline) -> Result<Box<dyn Reader>, ReaderError> {
        self.wait_for_removal(deadline)?;
        let reader = wait_for_card(&self.wanted, deadline)?;
        self.occupied = Some(reader.name().to_owned());
        Ok(Box::new(reader))
    }

    fn wait_for_removal(&mut self, deadline: &Deadline) -> Result<(), ReaderError> {
        if let Some(reader) = &self.occupied {
            wait_for_removal(reader, deadline)?;
            self.occupied = None;
        }
        Ok(())
    }
}
