//! Command chaining (ISO/IEC 7816-4 §5.3.3).

use onetap_apdu_spec::apdu::CommandApdu;
use onetap_apdu_spec::class::Class;
use onetap_apdu_spec::sw::StatusWord;
use zeroize::Zeroize as _;

/// What all parts of a chain have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    base: u8,
    channel: u8,
    rest: [u8; 3],
}

impl Head {
    pub(super) fn of(class: Class, apdu: &CommandApdu<'_>) -> Self {
        Self { base: class.base, channel: class.channel, rest: [apdu.ins, apdu.p1, apdu.p2] }
    }
}

/// The parts of a chain that came so far.
#[derive(Debug, Default)]
pub(super) struct Chain {
    head: Option<Head>,
    data: Vec<u8>,
}

impl Chain {
    #[inline]
    pub(super) fn is_open(&self) -> bool {
        self.head.is_some()
    }

    /// True if a part with this head is the next one.
    pub(super) fn continues_with(&self, head: Head) -> bool {
        self.head == Some(head)
    }

    /// Appends a part; the first one opens the chain.
    ///
    /// # Errors
    /// [`StatusWord::WRONG_LENGTH`] if the whole exceeds `max`.
    pub(super) fn push(&mut self, head: Head, part: &[u8], max: usize) -> Result<(), StatusWord> {
        if self.data.len() + part.len() > max {
            return Err(StatusWord::WRONG_LENGTH);
        }
        self.head = Some(head);
        self.data.extend_from_slice(part);
        Ok(())
    }

    /// All parts; the chain is at its end.
    pub(super) fn take(&mut self) -> Vec<u8> {
        self.head = None;
        std::mem::take(&mut self.data)
    }

    /// Forgets the parts.
    pub(super) fn drop_parts(&mut self) {
        self.head = None;
        self.data.zeroize();
    }
}
