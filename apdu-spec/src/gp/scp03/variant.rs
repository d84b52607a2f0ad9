//! What secure channels are like: security levels, and parameter "i" (Amendment D v1.2 table 5-1).

use crate::crypto::Block;
use crate::rng::Rng;

/// How messages are secured, P1 of EXTERNAL AUTHENTICATE (Amendment D table 7-5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum SecurityLevel {
    /// Commands are authenticated.
    CMac = 0x01,
    /// Commands are encrypted and authenticated.
    CEncCMac = 0x03,
    /// Commands and responses are authenticated.
    CMacRMac = 0x11,
    /// Commands are encrypted; both are authenticated.
    CEncCMacRMac = 0x13,
    /// Commands and responses are encrypted and authenticated.
    Full = 0x33,
}

impl SecurityLevel {
    /// All levels, rising.
    pub const ALL: [Self; 5] = [Self::CMac, Self::CEncCMac, Self::CMacRMac, Self::CEncCMacRMac, Self::Full];

    /// The byte in P1.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The level with this byte.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.code() == code)
    }

    /// Command data is encrypted.
    #[must_use]
    pub fn encrypts_commands(self) -> bool {
        self.code() & 0x02 != 0
    }

    /// Responses carry a MAC.
    #[must_use]
    pub fn authenticates_responses(self) -> bool {
        self.code() & 0x10 != 0
    }

    /// Response data is encrypted.
    #[must_use]
    pub fn encrypts_responses(self) -> bool {
        self.code() & 0x20 != 0
    }

    /// Most plain data that fits a wrapped command of the short form.
    #[must_use]
    pub fn max_short_data(self, mode: Mode) -> usize {
        let room = crate::apdu::MAX_SHORT_DATA - mode.bytes();
        if self.encrypts_commands() { room / 16 * 16 - 1 } else { room }
    }
}

/// How long challenges, cryptograms and MACs are (Amendment D v1.2 §6.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Mode {
    /// Eight bytes, as in all versions of the protocol.
    #[default]
    S8,
    /// Sixteen bytes.
    S16,
}

impl Mode {
    /// Both.
    pub const ALL: [Self; 2] = [Self::S8, Self::S16];

    /// Bytes of a challenge, cryptogram or MAC.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::S8 => 8,
            Self::S16 => 16,
        }
    }

    /// The same length in bits, as key derivation has it.
    pub(in super::super) const fn bits(self) -> u16 {
        match self {
            Self::S8 => 64,
            Self::S16 => 128,
        }
    }

    fn of(bytes: usize) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.bytes() == bytes)
    }
}

/// Where a card's challenge comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Drawing {
    /// The card's random number generator.
    Random,
    /// ENC key, sequence counter and AID, so that who knows these can say it beforehand; the counter follows in the
    /// answer to INITIALIZE UPDATE.
    PseudoRandom,
}

/// What a card can do for its responses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Responses {
    /// Nothing.
    Plain,
    /// A MAC.
    Authenticated,
    /// A MAC, and encryption.
    Encrypted,
}

/// The parameter, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Variant {
    /// How long challenges, cryptograms and MACs are.
    pub mode: Mode,
    /// Where the card's challenge comes from.
    pub drawing: Drawing,
    /// What can be done for responses.
    pub responses: Responses,
}

const S16: u8 = 0x01;
const PSEUDO_RANDOM: u8 = 0x10;
const R_MAC: u8 = 0x20;
const R_ENCRYPTION: u8 = 0x40;

impl Variant {
    /// i = 70: S8, pseudo-random card challenge, R-MAC and R-ENCRYPTION. What cards of this project speak unless they are made
    /// otherwise.
    pub const USUAL: Self =
        Self { mode: Mode::S8, drawing: Drawing::PseudoRandom, responses: Responses::Encrypted };

    /// The twelve that there are.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..=u8::MAX).filter_map(Self::from_code)
    }

    /// The byte "i".
    #[must_use]
    pub const fn code(self) -> u8 {
        let mode = match self.mode {
            Mode::S8 => 0,
            Mode::S16 => S16,
        };
        let drawing = match self.drawing {
            Drawing::Random => 0,
            Drawing::PseudoRandom => PSEUDO_RANDOM,
        };
        let responses = match self.responses {
            Responses::Plain => 0,
            Responses::Authenticated => R_MAC,
            Responses::Encrypted => R_MAC | R_ENCRYPTION,
        };
        mode | drawing | responses
    }

    /// The variant of this byte; `None` for reserved bits, and for encryption of responses without a MAC.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        let responses = match code & !(S16 | PSEUDO_RANDOM) {
            0 => Responses::Plain,
            R_MAC => Responses::Authenticated,
            both if both == R_MAC | R_ENCRYPTION => Responses::Encrypted,
            _ => return None,
        };
        let mode = if code & S16 == 0 { Mode::S8 } else { Mode::S16 };
        let drawing = if code & PSEUDO_RANDOM == 0 { Drawing::Random } else { Drawing::PseudoRandom };
        Some(Self { mode, drawing, responses })
    }

    /// True if a channel of this level can be opened.
    #[must_use]
    pub fn offers(self, level: SecurityLevel) -> bool {
        self.responses.offer(level)
    }

    /// The highest level that can be opened.
    #[must_use]
    pub fn highest_level(self) -> SecurityLevel {
        match self.responses {
            Responses::Plain => SecurityLevel::CEncCMac,
            Responses::Authenticated => SecurityLevel::CEncCMacRMac,
            Responses::Encrypted => SecurityLevel::Full,
        }
    }
}

impl Responses {
    pub(super) fn offer(self, level: SecurityLevel) -> bool {
        match self {
            Self::Plain => !level.authenticates_responses(),
            Self::Authenticated => !level.encrypts_responses(),
            Self::Encrypted => true,
        }
    }
}

/// A challenge, a cryptogram or a MAC: as many bytes as its [`Mode`] says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Challenge {
    mode: Mode,
    /// Zeros beyond the mode's length.
    block: Block,
}

impl Challenge {
    /// These bytes; `None` unless there are 8 or 16.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mode = Mode::of(bytes.len())?;
        let mut block = Block::default();
        block[..bytes.len()].copy_from_slice(bytes);
        Some(Self { mode, block })
    }

    /// Random bytes.
    #[must_use]
    pub fn draw(mode: Mode, rng: &mut dyn Rng) -> Self {
        let mut block = Block::default();
        rng.fill(&mut block[..mode.bytes()]);
        Self { mode, block }
    }

    /// The first bytes of a block.
    pub(in super::super) fn head(mode: Mode, mut block: Block) -> Self {
        block[mode.bytes()..].fill(0);
        Self { mode, block }
    }

    /// Its mode.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.block[..self.mode.bytes()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_is_one_variant_or_none() {
        let codes: Vec<u8> = Variant::all().map(Variant::code).collect();
        assert_eq!(codes, [0x00, 0x01, 0x10, 0x11, 0x20, 0x21, 0x30, 0x31, 0x60, 0x61, 0x70, 0x71]);
        for code in codes {
            assert_eq!(Variant::from_code(code).map(Variant::code), Some(code));
        }
        assert_eq!(Variant::USUAL.code(), 0x70);
        for reserved in [0x02, 0x04, 0x08, 0x40, 0x50, 0x80, 0xF0] {
            assert_eq!(Variant::from_code(reserved), None, "{reserved:02X}");
        }
    }

    #[test]
    fn a_variant_offers_what_its_responses_can() {
        for variant in Variant::all() {
            let offered: Vec<_> =
                SecurityLevel::ALL.into_iter().filter(|level| variant.offers(*level)).collect();
            let expected: &[u8] = match variant.code() & 0x60 {
                0 => &[0x01, 0x03],
                0x20 => &[0x01, 0x03, 0x11, 0x13],
                _ => &[0x01, 0x03, 0x11, 0x13, 0x33],
            };
            assert_eq!(offered.iter().map(|level| level.code()).collect::<Vec<_>>(), expected);
            assert_eq!(offered.last(), Some(&variant.highest_level()));
        }
    }

    #[test]
    fn a_challenge_has_eight_or_sixteen_bytes() {
        for len in 0..40 {
            let challenge = Challenge::new(&vec![7; len]);
            assert_eq!(challenge.map(|it| it.as_bytes().len()), [8, 16].contains(&len).then_some(len));
        }
        assert_eq!(Challenge::head(Mode::S8, [7; 16]), Challenge::new(&[7; 8]).unwrap());
    }
}
