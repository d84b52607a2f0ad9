//! Secure Channel Protocol 03 (GPCS Amendment D v1.1.2), variant i = 70: S8 mode, pseudo-random card
//! challenge, response MAC and response encryption. Both ends, without I/O.
//!
//! | step | terminal | card |
//! |---|---|---|
//! | INITIALIZE UPDATE | [`InitializeUpdate`] | [`CardHandshake::answer`] |
//! | EXTERNAL AUTHENTICATE | [`ExternalAuthenticate`] | [`CardHandshake::authenticate`] |
//! | a command | [`HostSession::wrap`] | [`CardSession::unwrap`] |
//! | its response | [`AwaitingResponse::unwrap`] | [`CardSession::wrap`] |
//!
//! Each step consumes the one before: a channel that is half open cannot wrap, and one whose MAC was
//! wrong is gone.
//!
//! ```
//! use onetap_apdu_spec::apdu::{CommandApdu, ResponseApdu};
//! use onetap_apdu_spec::crypto::default_provider;
//! use onetap_apdu_spec::gp::KeySet;
//! use onetap_apdu_spec::gp::scp03::{CardHandshake, InitializeUpdate, SecurityLevel, SequenceCounter};
//! use onetap_apdu_spec::rng::OsRng;
//! use onetap_apdu_spec::sw::StatusWord;
//!
//! let crypto = default_provider();
//! let (keys, aid) = (KeySet::TEST, onetap_apdu_spec::gp::ISD_AID);
//!
//! // INITIALIZE UPDATE: the card answers with its challenge and cryptogram.
//! let initialize = InitializeUpdate::new(&mut OsRng, keys.version());
//! let counter = SequenceCounter::default().next().unwrap();
//! let (card, answer) =
//!     CardHandshake::answer(crypto, &keys, [0; 10], counter, &aid, initialize.host_challenge());
//!
//! // EXTERNAL AUTHENTICATE: each has seen that the other holds the keys.
//! let authenticate = initialize.check(crypto, &keys, SecurityLevel::Full, &answer)?;
//! let command = authenticate.command().to_bytes()?;
//! let card = card.authenticate(&CommandApdu::parse(&command)?)?;
//! let host = authenticate.confirm(StatusWord::OK)?;
//!
//! // A command and its response.
//! let (waiting, wrapped) = host.wrap(&CommandApdu::parse(b"\x80\xCA\x00\x66\x00")?)?;
//! let (card, plain) = card.unwrap(&CommandApdu::parse(&wrapped)?)?;
//! assert_eq!(plain.header, *b"\x80\xCA\x00\x66");
//! let response = card.wrap(ResponseApdu::ok(b"card data".to_vec()));
//! let (_host, response) = waiting.unwrap(&response)?;
//! assert_eq!(response.data, b"card data");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod card;
mod host;
mod messaging;

pub use card::{AuthenticationError, CardHandshake, CardSession};
pub use host::{AwaitingResponse, ExternalAuthenticate, HandshakeError, HostSession, InitializeUpdate};
pub use messaging::SecurityError;

/// Number of the protocol.
const SCP_ID: u8 = 0x03;
/// Its variant, parameter "i" (Amendment D table 5-1): S8, pseudo-random challenge, R-MAC, R-ENCRYPTION.
const VARIANT: u8 = 0x70;
/// The card challenge is pseudo-random; the sequence counter follows in the answer.
const VARIANT_PSEUDO_RANDOM: u8 = 0x10;
/// Challenges, cryptograms and MACs of 16 bytes, which this implementation does not speak.
const VARIANT_S16: u8 = 0x01;

/// Bytes of a MAC in S8 mode.
const MAC_LEN: usize = 8;

/// A challenge or cryptogram in S8 mode.
pub type Challenge = [u8; 8];
/// Key diversification data in the answer to INITIALIZE UPDATE.
pub type DiversificationData = [u8; 10];

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
    pub fn max_short_data(self) -> usize {
        let room = crate::apdu::MAX_SHORT_DATA - MAC_LEN;
        if self.encrypts_commands() { room / 16 * 16 - 1 } else { room }
    }
}

/// The card's count of secure channels under one key set, three bytes. It feeds the card challenge: a card
/// persists the next value before it answers with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, PartialOrd, Ord)]
pub struct SequenceCounter(u32);

impl SequenceCounter {
    const MAX: u32 = 0x00FF_FFFF;

    /// A stored value; `None` if it does not fit three bytes.
    #[must_use]
    pub fn new(value: u32) -> Option<Self> {
        (value <= Self::MAX).then_some(Self(value))
    }

    /// The value, for storage.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0
    }

    /// The next value; `None` once the counter is used up: put new keys.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        Self::new(self.0 + 1)
    }

    fn to_bytes(self) -> [u8; 3] {
        let [_, bytes @ ..] = self.0.to_be_bytes();
        bytes
    }
}

/// The answer to INITIALIZE UPDATE (Amendment D table 7-3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct InitializeUpdateAnswer {
    diversification: DiversificationData,
    key_version: u8,
    scp: u8,
    variant: u8,
    card_challenge: Challenge,
    card_cryptogram: Challenge,
    /// Present if the challenge is pseudo-random.
    sequence: Option<[u8; 3]>,
}

impl InitializeUpdateAnswer {
    fn to_bytes(self) -> Vec<u8> {
        let mut out = self.diversification.to_vec();
        out.extend([self.key_version, self.scp, self.variant]);
        out.extend(self.card_challenge);
        out.extend(self.card_cryptogram);
        out.extend(self.sequence.iter().flatten());
        out
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (diversification, rest) = bytes.split_first_chunk()?;
        let (&[key_version, scp, variant], rest) = rest.split_first_chunk()?;
        let (card_challenge, rest) = rest.split_first_chunk()?;
        let (card_cryptogram, rest) = rest.split_first_chunk()?;
        let sequence = match rest {
            [] => None,
            _ => Some(rest.try_into().ok()?),
        };
        Some(Self {
            diversification: *diversification,
            key_version,
            scp,
            variant,
            card_challenge: *card_challenge,
            card_cryptogram: *card_cryptogram,
            sequence,
        })
    }
}
