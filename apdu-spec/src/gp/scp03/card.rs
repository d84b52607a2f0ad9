//! The card's end.

use subtle::ConstantTimeEq as _;

use super::super::apdu::OwnedApdu;
use super::super::command::Ins;
use super::super::keys::{DataKey, Derivation, KeySet, derive_8};
use super::messaging::{Messaging, SecurityError, SessionKeys, is_secured_status};
use super::{
    Challenge, DiversificationData, InitializeUpdateAnswer, SCP_ID, SecurityLevel, SequenceCounter, VARIANT,
};
use crate::apdu::{CommandApdu, ResponseApdu};
use crate::class::{is_secured, unsecured};
use crate::crypto::Crypto;
use crate::sw::StatusWord;

/// Why the card does not open a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthenticationError {
    /// Not EXTERNAL AUTHENTICATE, or secured in another way.
    #[error("EXTERNAL AUTHENTICATE was expected")]
    NotExpected,
    /// P1 is no security level, or P2 is not 00.
    #[error("P1 is no security level of this protocol")]
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

/// INITIALIZE UPDATE is answered; EXTERNAL AUTHENTICATE is expected.
pub struct CardHandshake {
    crypto: &'static dyn Crypto,
    data_key: DataKey,
    session: SessionKeys,
    host_cryptogram: Challenge,
}

/// Not printed: the cryptogram that is awaited.
impl std::fmt::Debug for CardHandshake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CardHandshake(redacted)")
    }
}

impl CardHandshake {
    /// Answers INITIALIZE UPDATE: session keys, the card's challenge and cryptogram. The caller has
    /// persisted `sequence`, which was never used before with these keys. `aid` is the selected
    /// application's.
    #[must_use]
    pub fn answer(
        crypto: &'static dyn Crypto,
        keys: &KeySet,
        diversification: DiversificationData,
        sequence: SequenceCounter,
        aid: &[u8],
        host_challenge: Challenge,
    ) -> (Self, Vec<u8>) {
        let sequence = sequence.to_bytes();
        let [enc, ..] = keys.keys();
        let card_challenge = derive_8(crypto, enc, Derivation::CardChallenge, &[&sequence, aid]);
        let session = SessionKeys::derive(crypto, keys, &host_challenge, &card_challenge);
        let [card_cryptogram, host_cryptogram] =
            session.cryptograms(crypto, &host_challenge, &card_challenge);
        let answer = InitializeUpdateAnswer {
            diversification,
            key_version: keys.version().get(),
            scp: SCP_ID,
            variant: VARIANT,
            card_challenge,
            card_cryptogram,
            sequence: Some(sequence),
        };
        let data_key = keys.data_key(crypto);
        (Self { crypto, data_key, session, host_cryptogram }, answer.to_bytes())
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
        let level = level.ok_or(AuthenticationError::UnknownLevel)?;
        let (cryptogram, mac) = apdu
            .data
            .split_last_chunk()
            .and_then(|(head, mac)| Some((Challenge::try_from(head).ok()?, *mac)))
            .ok_or(AuthenticationError::WrongLength)?;
        let mut messaging = Messaging::new(self.crypto, level, self.data_key, self.session);
        messaging
            .verify_command([apdu.cla, apdu.ins, apdu.p1, apdu.p2], &cryptogram, mac)
            .map_err(|_| AuthenticationError::BadMac)?;
        if bool::from(self.host_cryptogram.ct_eq(&cryptogram)) {
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
        let (data, mac) = apdu.data.split_last_chunk().ok_or(SecurityError::NotSecured)?;
        self.0.count_command();
        self.0.verify_command([apdu.cla, apdu.ins, apdu.p1, apdu.p2], data, *mac)?;
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
            data.extend(mac);
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
