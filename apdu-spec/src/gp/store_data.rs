//! STORE DATA: one payload of BER-TLV objects, in numbered blocks (GPCS §11.11).

use zeroize::Zeroizing;

use crate::sw::StatusWord;

/// Largest payload that a card puts together.
pub const MAX_PAYLOAD: usize = 2048;

const P1_LAST: u8 = 0x80;
/// Secrets inside are encrypted under the DEK, application dependent.
const P1_ENCRYPTED: u8 = 0x20;
const P1_ENCRYPTION: u8 = 0x60;
const P1_BER_TLV: u8 = 0x10;
const P1_STRUCTURE: u8 = 0x18;
/// The command is of case 4: it may answer.
const P1_ANSWERS: u8 = 0x01;

/// One block.
#[derive(Clone, PartialEq, Eq)]
pub struct StoreData {
    /// P1 bit 8: the last block.
    pub last: bool,
    /// P1 bit 6: data objects inside are encrypted.
    pub encrypted: bool,
    /// P2: counts from 0.
    pub number: u8,
    /// The block's data.
    pub data: Zeroizing<Vec<u8>>,
}

/// Not printed: the data.
impl std::fmt::Debug for StoreData {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StoreData(block {}, {} bytes, last: {})", self.number, self.data.len(), self.last)
    }
}

/// A payload has more bytes than a card takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} bytes of data are more than the {MAX_PAYLOAD} that a card takes")]
pub struct TooLong(pub usize);

impl StoreData {
    /// Splits a payload whose secrets are encrypted into blocks of at most `block` bytes, such as fit the short form
    /// ([`HostSession::max_short_data`](super::scp03::HostSession::max_short_data)).
    ///
    /// # Errors
    /// [`TooLong`].
    pub fn split(payload: &[u8], block: usize) -> Result<Vec<Self>, TooLong> {
        if payload.len() > MAX_PAYLOAD {
            return Err(TooLong(payload.len()));
        }
        let chunks: Vec<_> = payload.chunks(block).collect();
        let count = chunks.len();
        let numbered = |(number, chunk): (u8, &[u8])| Self {
            last: usize::from(number) + 1 == count,
            encrypted: true,
            number,
            data: chunk.to_vec().into(),
        };
        Ok((0..=u8::MAX).zip(chunks).map(numbered).collect())
    }

    /// P1, P2 and data field.
    pub(super) fn encode(&self) -> ([u8; 2], Zeroizing<Vec<u8>>) {
        let last = if self.last { P1_LAST | P1_ANSWERS } else { 0 };
        let encrypted = if self.encrypted { P1_ENCRYPTED } else { 0 };
        ([last | encrypted | P1_BER_TLV, self.number], self.data.clone())
    }

    pub(super) fn parse(p1: u8, p2: u8, data: &[u8]) -> Result<Self, StatusWord> {
        let encrypted = match p1 & P1_ENCRYPTION {
            0 => false,
            P1_ENCRYPTED => true,
            _ => return Err(StatusWord::WRONG_P1P2),
        };
        let known = P1_LAST | P1_ENCRYPTION | P1_STRUCTURE | P1_ANSWERS;
        if p1 & P1_STRUCTURE != P1_BER_TLV || p1 & !known != 0 {
            return Err(StatusWord::WRONG_P1P2);
        }
        Ok(Self { last: p1 & P1_LAST != 0, encrypted, number: p2, data: data.to_vec().into() })
    }
}

/// Puts the blocks together again, on the card.
pub struct Assembler {
    payload: Zeroizing<Vec<u8>>,
    /// The number that the next block must have.
    next: u8,
}

impl Default for Assembler {
    /// All the room at once, so that no part of a payload is left behind in freed memory.
    fn default() -> Self {
        Self { payload: Zeroizing::new(Vec::with_capacity(MAX_PAYLOAD)), next: 0 }
    }
}

/// Not printed: the payload.
impl std::fmt::Debug for Assembler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Assembler({} bytes of {} blocks)", self.payload.len(), self.next)
    }
}

impl Assembler {
    /// Takes one block; gives the payload after the last.
    ///
    /// # Errors
    /// 6A86 if a block is missing or comes twice, 6A84 beyond [`MAX_PAYLOAD`]. Drop the assembler then.
    pub fn push(mut self, block: &StoreData) -> Result<Assembled, StatusWord> {
        if block.number != self.next {
            return Err(StatusWord::WRONG_P1P2);
        }
        if self.payload.len() + block.data.len() > MAX_PAYLOAD {
            return Err(StatusWord::NO_SPACE);
        }
        self.payload.extend_from_slice(&block.data);
        if block.last {
            return Ok(Assembled::Whole(self.payload));
        }
        self.next = self.next.checked_add(1).ok_or(StatusWord::WRONG_P1P2)?;
        Ok(Assembled::Partial(self))
    }
}

/// What is there after one more block.
pub enum Assembled {
    /// More blocks are to come.
    Partial(Assembler),
    /// The whole payload.
    Whole(Zeroizing<Vec<u8>>),
}
