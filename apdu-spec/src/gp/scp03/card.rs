//! The card's end.

use subtle::ConstantTimeEq as _;

use super::super::apdu::OwnedApdu;
use super::super::command::Ins;
use super::super::keys::{DataKey, Derivation, KeySet, derive_challenge};
use super::messaging::{Messaging, SecurityError, SessionKeys, is_secured_status};
use super::{
    Challenge, DiversificationData, Drawing, Identity, InitializeUpdateAnswer, Responses, SCP_ID,
    SecurityLevel, SequenceCounter, Variant,
};
use crate::apdu::{CommandApdu, ResponseApdu};
use crate::class::{is_secured, unsecured};
use crate::crypto::Crypto;
use crate::rng::Rng;
use crate::sw::StatusWord;

/// Why the card does not open a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthenticationError {
    /// Not EXTERNAL AUTHENTICATE, or secured in another way.
    #[error("EXTERNAL AUTHENTICATE was expected")]
    NotExpected,
    /// P1 is no security level, or none that the card's variant has; or P2 is not 00.
    #[error("P1 is no security level that this card has")]
    UnknownLevel,
    /// The data field is not a cryptogram and a MAC.
    #[error("the data field is not a cryptogram and a MAC")]
    WrongLength,
    /// The MAC is wrong.
    #[error("the MAC of EXTERNAL AUTHENTICATE is wrong")]
    BadMac,
    /// The terminal does not hold the keys.
    #[error("the host cryptogram is wrong: the terminal holds other keys")]
    WrongHostCryptogram,
}

impl AuthenticationError {
    /// What the card answers.
    #[must_use]
    pub fn status(self) -> StatusWord {
        match self {
            Self::NotExpected => StatusWord::CONDITIONS,
            Self::UnknownLevel => StatusWord::WRONG_P1P2,
            Self::WrongLength => StatusWord::WRONG_LENGTH,
            Self::BadMac => StatusWord::SECURITY_STATUS,
            Self::WrongHostCryptogram => StatusWord::AUTHENTICATION_FAILED,
        }
    }
}

/// What a card answers INITIALIZE UPDATE with, beside what its keys and the terminal's challenge say. With the length of
/// that challenge it is the card's [`Variant`].
pub struct Offer<'a> {
    /// Key diversification data: from it an issuer knows the keys. A number of the card in it is one that it can be
    /// recognised by.
    pub diversification: DiversificationData,
    /// Where the card's challenge comes from.
    pub challenge: CardChallenge<'a>,
    /// What the card can do for responses.
    pub responses: Responses,
}

impl<'a> Offer<'a> {
    /// That of [`Variant::USUAL`], with diversification data of zeros.
    #[must_use]
    pub fn usual(sequence: SequenceCounter, aid: &'a [u8]) -> Self {
        let challenge = CardChallenge::PseudoRandom { sequence, aid };
        Self { diversification: [0; 10], challenge, responses: Responses::Encrypted }
    }
}

/// Where a card's challenge comes from, with what it takes.
pub enum CardChallenge<'a> {
    /// Random bytes.
    Random(&'a mut dyn Rng),
    /// [`Drawing::PseudoRandom`].
    PseudoRandom {
        /// Persisted before, and never used before with these keys.
        sequence: SequenceCounter,
        /// The selected application's.
        aid: &'a [u8],
    },
}

/// INITIALIZE UPDATE is answered; EXTERNAL AUTHENTICATE is expected.
pub struct CardHandshake {
    crypto: &'static dyn Crypto,
    data_key: DataKey,
    session: SessionKeys,
    responses: Responses,
    host_cryptogram: Challenge,
}

/// Not printed: the cryptogram that is awaited.
impl std::fmt::Debug for CardHandshake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CardHandshake(redacted)")
    }
}

impl CardHandshake {
    /// Answers INITIALIZE UPDATE: session keys, the card's challenge and cryptogram. The terminal's challenge has the length
    /// of the card's mode, which the caller has seen to.
    #[must_use]
    pub fn answer(
        crypto: &'static dyn Crypto,
        keys: &KeySet,
        offer: Offer<'_>,
        host_challenge: Challenge,
    ) -> (Self, Vec<u8>) {
        let (mode, responses) = (host_challenge.mode(), offer.responses);
        let (drawing, card_challenge, sequence) = match offer.challenge {
            CardChallenge::Random(rng) => (Drawing::Random, Challenge::draw(mode, rng), None),
            CardChallenge::PseudoRandom { sequence, aid } => {
                let (sequence, [enc, ..]) = (sequence.to_bytes(), keys.keys());
                let context: [&[u8]; 2] = [&sequence, aid];
                let drawn = derive_challenge(crypto, enc, Derivation::CardChallenge, mode, &context);
                (Drawing::PseudoRandom, drawn, Some(sequence))
            }
        };
        let session = SessionKeys::derive(crypto, keys, &host_challenge, &card_challenge);
        let [card_cryptogram, host_cryptogram] =
            session.cryptograms(crypto, &host_challenge, &card_challenge);
        let identity = Identity {
            diversification: offer.diversification,
            key_version: keys.version().get(),
            scp: SCP_ID,
            variant: Variant { mode, drawing, responses }.code(),
        };
        let answer = InitializeUpdateAnswer { identity, card_challenge, card_cryptogram, sequence };
        let data_key = keys.data_key(crypto);
        (Self { crypto, data_key, session, responses, host_cryptogram }, answer.to_bytes())
    }

    /// Verifies EXTERNAL AUTHENTICATE. One try: the handshake is used up either way.
    ///
    /// # Errors
    /// [`AuthenticationError`], with the status word to answer.
    pub fn authenticate(self, apdu: &CommandApdu<'_>) -> Result<CardSession, AuthenticationError> {
        if apdu.ins != Ins::ExternalAuthenticate.code() || !is_secured(apdu.cla) {
            return Err(AuthenticationError::NotExpected);
        }
        let level = SecurityLevel::from_code(apdu.p1).filter(|_| apdu.p2 == 0);
        let level = level.filter(|level| self.responses.offer(*level));
        let level = level.ok_or(AuthenticationError::UnknownLevel)?;
        let mode = self.host_cryptogram.mode();
        if apdu.data.len() != 2 * mode.bytes() {
            return Err(AuthenticationError::WrongLength);
        }
        let (cryptogram, mac) = apdu.data.split_at(mode.bytes());
        let mut messaging = Messaging::new(self.crypto, level, mode, self.data_key, self.session);
        messaging
            .verify_command([apdu.cla, apdu.ins, apdu.p1, apdu.p2], cryptogram, mac)
            .map_err(|_| AuthenticationError::BadMac)?;
        if bool::from(self.host_cryptogram.as_bytes().ct_eq(cryptogram)) {
            Ok(CardSession(messaging))
        } else {
            Err(AuthenticationError::WrongHostCryptogram)
        }
    }
}

/// An open channel.
#[derive(Debug)]
pub struct CardSession(Messaging);

impl CardSession {
    /// Verifies and decrypts a command.
    ///
    /// # Errors
    /// [`SecurityError`]: the channel is gone; the card answers 6982 ([`StatusWord::SECURITY_STATUS`]).
    pub fn unwrap(mut self, apdu: &CommandApdu<'_>) -> Result<(Self, OwnedApdu), SecurityError> {
        if !is_secured(apdu.cla) {
            return Err(SecurityError::NotSecured);
        }
        let (data, mac) = self.0.mac_apart(apdu.data).ok_or(SecurityError::NotSecured)?;
        self.0.count_command();
        self.0.verify_command([apdu.cla, apdu.ins, apdu.p1, apdu.p2], data, mac)?;
        let data = self.0.decrypt_command(data)?;
        let header = [unsecured(apdu.cla), apdu.ins, apdu.p1, apdu.p2];
        Ok((self, OwnedApdu { header, data, ne: apdu.ne }))
    }

    /// Secures the response to the command unwrapped last. An error goes out as its status word alone.
    #[must_use]
    pub fn wrap(&self, response: ResponseApdu) -> ResponseApdu {
        let ResponseApdu { data, sw } = response;
        if !is_secured_status(sw) {
            return sw.into();
        }
        let mut data = self.0.encrypt_response(data);
        if self.0.level.authenticates_responses() {
            let mac = self.0.response_mac(&data, sw);
            data.extend(mac.as_bytes());
        }
        ResponseApdu { data, sw }
    }

    /// The channel's security level.
    #[must_use]
    pub fn level(&self) -> SecurityLevel {
        self.0.level
    }

    /// The key that decrypts secrets inside commands.
    #[must_use]
    pub fn data_key(&self) -> &DataKey {
        &self.0.data_key
    }
}
