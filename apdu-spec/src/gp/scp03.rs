//! Secure Channel Protocol 03 (GPCS Amendment D v1.2) in all its variants ([`Variant`]). Both ends, without I/O.
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
//! use onetap_apdu_spec::gp::scp03::{CardHandshake, InitializeUpdate, Mode, Offer, SecurityLevel, SequenceCounter};
//! use onetap_apdu_spec::rng::OsRng;
//! use onetap_apdu_spec::sw::StatusWord;
//!
//! let crypto = default_provider();
//! let (keys, aid) = (KeySet::TEST, onetap_apdu_spec::gp::ISD_AID);
//!
//! // INITIALIZE UPDATE: the card answers with its challenge and cryptogram.
//! let initialize = InitializeUpdate::new(&mut OsRng, keys.version(), Mode::S8);
//! let counter = SequenceCounter::default().next().unwrap();
//! let (card, answer) =
//!     CardHandshake::answer(crypto, &keys, Offer::usual(counter, &aid), initialize.host_challenge());
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
mod variant;

pub use card::{AuthenticationError, CardChallenge, CardHandshake, CardSession, Offer};
pub use host::{AwaitingResponse, ExternalAuthenticate, HandshakeError, HostSession, InitializeUpdate};
pub use messaging::SecurityError;
pub use variant::{Challenge, Drawing, Mode, Responses, SecurityLevel, Variant};

/// Number of the protocol.
pub const SCP_ID: u8 = 0x03;

/// Key diversification data in the answer to INITIALIZE UPDATE.
pub type DiversificationData = [u8; 10];

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

/// The answer to INITIALIZE UPDATE (Amendment D table 7-3): 29 bytes or, with a sequence counter, 32; in S16 mode 45 or 48.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct InitializeUpdateAnswer {
    identity: Identity,
    card_challenge: Challenge,
    card_cryptogram: Challenge,
    /// Present if the challenge is pseudo-random.
    sequence: Option<[u8; 3]>,
}

/// The beginning of the answer, which says how the rest is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    diversification: DiversificationData,
    key_version: u8,
    scp: u8,
    /// Parameter "i".
    variant: u8,
}

impl Identity {
    /// And what follows.
    fn parse(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (diversification, rest) = bytes.split_first_chunk()?;
        let (&[key_version, scp, variant], rest) = rest.split_first_chunk()?;
        Some((Self { diversification: *diversification, key_version, scp, variant }, rest))
    }
}

impl InitializeUpdateAnswer {
    fn to_bytes(self) -> Vec<u8> {
        let Identity { diversification, key_version, scp, variant } = self.identity;
        let mut out = diversification.to_vec();
        out.extend([key_version, scp, variant]);
        out.extend(self.card_challenge.as_bytes());
        out.extend(self.card_cryptogram.as_bytes());
        out.extend(self.sequence.iter().flatten());
        out
    }

    /// What follows an identity, in the form that its variant has.
    fn parse(identity: Identity, variant: Variant, rest: &[u8]) -> Option<Self> {
        let (card_challenge, rest) = rest.split_at_checked(variant.mode.bytes())?;
        let (card_cryptogram, rest) = rest.split_at_checked(variant.mode.bytes())?;
        let sequence = match variant.drawing {
            Drawing::Random => rest.is_empty().then_some(None)?,
            Drawing::PseudoRandom => Some(rest.try_into().ok()?),
        };
        Some(Self {
            identity,
            card_challenge: Challenge::new(card_challenge)?,
            card_cryptogram: Challenge::new(card_cryptogram)?,
            sequence,
        })
    }
}
