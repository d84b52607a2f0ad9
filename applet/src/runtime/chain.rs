//! Command chaining (ISO/IEC 7816-4 §5.3.3).

use onetap_apdu_spec::apdu::{CLA_CHAINING, CommandApdu};
use onetap_apdu_spec::command::{CommandSpec, DataField};
use onetap_apdu_spec::sw::StatusWord;

/// The parts of a chain that came so far.
#[derive(Debug)]
pub(super) struct Chain {
    header: [u8; 4],
    data: Vec<u8>,
}

impl Chain {
    /// A chain whose first part this is.
    pub(super) fn begin(apdu: &CommandApdu<'_>) -> Self {
        Self { header: header(apdu), data: Vec::new() }
    }

    /// True if `apdu` is of the same command.
    pub(super) fn continues_with(&self, apdu: &CommandApdu<'_>) -> bool {
        self.header == header(apdu)
    }

    /// Appends a part.
    ///
    /// # Errors
    /// [`StatusWord::WRONG_LENGTH`] if the whole exceeds what the command takes.
    pub(super) fn push(&mut self, row: &CommandSpec, part: &[u8]) -> Result<(), StatusWord> {
        let max = match row.data {
            DataField::Required { max, .. } => max,
            DataField::Absent => 0,
        };
        if self.data.len() + part.len() > max {
            return Err(StatusWord::WRONG_LENGTH);
        }
        self.data.extend(part);
        Ok(())
    }

    /// All parts.
    pub(super) fn data(&self) -> &[u8] {
        &self.data
    }
}

fn header(apdu: &CommandApdu<'_>) -> [u8; 4] {
    [apdu.cla & !CLA_CHAINING, apdu.ins, apdu.p1, apdu.p2]
}
