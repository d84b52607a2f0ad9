//! The terminal's end.

use subtle::ConstantTimeEq as _;

use super::super::apdu::OwnedApdu;
use super::super::command::{GpCommand, Ins};
use super::super::keys::{DataKey, KeySet, KeyVersion};
use super::messaging::{Messaging, SecurityError, SessionKeys, is_secured_status};
use super::{
    Challenge, DiversificationData, Identity, InitializeUpdateAnswer, Mode, SCP_ID, SecurityLevel, Variant,
};
use crate::apdu::{CommandApdu, Form, MAX_EXTENDED_DATA, MAX_SHORT_DATA, MAX_SHORT_LE, ResponseApdu};
use crate::class::{is_secured, secured};
use crate::crypto::Crypto;
use crate::rng::Rng;
use crate::sw::StatusWord;

/// Why no channel was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// The answer to INITIALIZE UPDATE has another form.
    #[error("the card's answer to INITIALIZE UPDATE is malformed: check that this is a GlobalPlatform card")]
    Malformed,
    /// The card speaks another protocol, or a variant that cannot do what was asked for.
    #[error(
        "the card speaks SCP {scp:02X} with i = {variant:02X}, which has no security level {:02X} with challenges of {} bytes",
        .level.code(), .mode.bytes()
    )]
    OtherProtocol {
        /// Protocol number.
        scp: u8,
        /// Parameter "i".
        variant: u8,
        /// The level that was asked for.
        level: SecurityLevel,
        /// The mode that was asked for.
        mode: Mode,
    },
    /// The card answered with another key set than asked for.
    #[error("the card has key version {0:02X}: use that key set")]
    OtherKeyVersion(u8),
    /// The card does not hold the keys. Repeating this may block a card.
    #[error("the card cryptogram is wrong: the card holds other keys; do not repeat, it may block the card")]
    WrongCardCryptogram,
    /// The card refused EXTERNAL AUTHENTICATE.
    #[error("the card refused EXTERNAL AUTHENTICATE with {0}; check the keys before trying again")]
    Refused(StatusWord),
}

/// INITIALIZE UPDATE, to be sent.
#[derive(Debug)]
pub struct InitializeUpdate {
    version: KeyVersion,
    host_challenge: Challenge,
}

impl InitializeUpdate {
    /// Draws a host challenge for the key set `version`. A card has one mode, and refuses the other with 6700.
    #[must_use]
    pub fn new(rng: &mut dyn Rng, version: KeyVersion, mode: Mode) -> Self {
        Self { version, host_challenge: Challenge::draw(mode, rng) }
    }

    /// The host challenge.
    #[must_use]
    pub fn host_challenge(&self) -> Challenge {
        self.host_challenge
    }

    /// The command (Amendment D §7.1.1).
    #[must_use]
    pub fn command(&self) -> OwnedApdu {
        let (version, challenge) = (self.version.reference(), self.host_challenge);
        GpCommand::InitializeUpdate { version, challenge }.encode()
    }

    /// Checks the card's answer: now the card is known to hold the keys. What the card says of its variant is not
    /// authenticated, so it does not lower the level: the caller decides which one is enough.
    ///
    /// # Errors
    /// [`HandshakeError`].
    pub fn check(
        self,
        crypto: &'static dyn Crypto,
        keys: &KeySet,
        level: SecurityLevel,
        answer: &[u8],
    ) -> Result<ExternalAuthenticate, HandshakeError> {
        let host = self.host_challenge;
        let (identity, rest) = Identity::parse(answer).ok_or(HandshakeError::Malformed)?;
        let variant = variant_for(identity, level, host.mode())?;
        let answer =
            InitializeUpdateAnswer::parse(identity, variant, rest).ok_or(HandshakeError::Malformed)?;
        if identity.key_version != keys.version().get() {
            return Err(HandshakeError::OtherKeyVersion(identity.key_version));
        }
        let session = SessionKeys::derive(crypto, keys, &host, &answer.card_challenge);
        let [card_cryptogram, host_cryptogram] = session.cryptograms(crypto, &host, &answer.card_challenge);
        if !bool::from(card_cryptogram.as_bytes().ct_eq(answer.card_cryptogram.as_bytes())) {
            return Err(HandshakeError::WrongCardCryptogram);
        }
        let mut messaging = Messaging::new(crypto, level, host.mode(), keys.data_key(crypto), session);
        let header = [
            secured(Ins::ExternalAuthenticate.spec().cla),
            Ins::ExternalAuthenticate.code(),
            level.code(),
            0,
        ];
        let mac = messaging.sign_command(header, Form::Short, host_cryptogram.as_bytes());
        let data = [host_cryptogram.as_bytes(), mac.as_bytes()].concat().into();
        let command = OwnedApdu { header, data, ne: None };
        Ok(ExternalAuthenticate { command, messaging, diversification: identity.diversification })
    }
}

/// The card's variant, if it has that level and mode.
fn variant_for(identity: Identity, level: SecurityLevel, mode: Mode) -> Result<Variant, HandshakeError> {
    let Identity { scp, variant, .. } = identity;
    Variant::from_code(variant)
        .filter(|known| scp == SCP_ID && known.mode == mode && known.offers(level))
        .ok_or(HandshakeError::OtherProtocol { scp, variant, level, mode })
}

/// EXTERNAL AUTHENTICATE, to be sent: the card is known, the terminal is not yet.
#[derive(Debug)]
pub struct ExternalAuthenticate {
    command: OwnedApdu,
    messaging: Messaging,
    diversification: DiversificationData,
}

impl ExternalAuthenticate {
    /// The command (Amendment D §7.1.2).
    #[must_use]
    pub fn command(&self) -> &OwnedApdu {
        &self.command
    }

    /// Key diversification data, as the card gave it.
    #[must_use]
    pub fn diversification(&self) -> DiversificationData {
        self.diversification
    }

    /// The card's status word: 9000 opens the channel.
    ///
    /// # Errors
    /// [`HandshakeError::Refused`].
    pub fn confirm(self, sw: StatusWord) -> Result<HostSession, HandshakeError> {
        if sw == StatusWord::OK { Ok(HostSession(self.messaging)) } else { Err(HandshakeError::Refused(sw)) }
    }
}

/// An open channel with nothing under way.
#[derive(Debug)]
pub struct HostSession(Messaging);

impl HostSession {
    /// Secures one command: in the short form if it fits, else in the extended one.
    ///
    /// # Errors
    /// [`SecurityError::CannotSecure`].
    pub fn wrap(mut self, apdu: &CommandApdu<'_>) -> Result<(AwaitingResponse, Vec<u8>), SecurityError> {
        if is_secured(apdu.cla) {
            return Err(SecurityError::CannotSecure);
        }
        self.0.count_command();
        let mut data = self.0.encrypt_command(apdu.data);
        let len = data.len() + self.0.mode.bytes();
        let short = len <= MAX_SHORT_DATA && apdu.ne.is_none_or(|ne| ne <= MAX_SHORT_LE);
        let form = if short { Form::Short } else { Form::Extended };
        if len > MAX_EXTENDED_DATA {
            return Err(SecurityError::CannotSecure);
        }
        let header = [secured(apdu.cla), apdu.ins, apdu.p1, apdu.p2];
        let mac = self.0.sign_command(header, form, &data);
        data.extend(mac.as_bytes());
        let [cla, ..] = header;
        let wrapped = CommandApdu { cla, data: &data, ..*apdu };
        let bytes = wrapped.encode(form).map_err(|_| SecurityError::CannotSecure)?;
        Ok((AwaitingResponse(self.0), bytes))
    }

    /// The channel's security level.
    #[must_use]
    pub fn level(&self) -> SecurityLevel {
        self.0.level
    }

    /// Most plain data that fits a wrapped command of the short form.
    #[must_use]
    pub fn max_short_data(&self) -> usize {
        self.0.level.max_short_data(self.0.mode)
    }

    /// The key that encrypts secrets inside commands.
    #[must_use]
    pub fn data_key(&self) -> &DataKey {
        &self.0.data_key
    }
}

/// An open channel whose last command has not been answered yet.
#[derive(Debug)]
pub struct AwaitingResponse(Messaging);

impl AwaitingResponse {
    /// Verifies and decrypts the response. Errors (anything but 9000 and warnings) come unsecured, as the
    /// protocol has it: they prove nothing.
    ///
    /// # Errors
    /// [`SecurityError`]; the channel is gone.
    pub fn unwrap(self, response: &ResponseApdu) -> Result<(HostSession, ResponseApdu), SecurityError> {
        let sw = response.sw;
        let data = self.verified(response)?;
        Ok((HostSession(self.0), ResponseApdu { data, sw }))
    }

    fn verified(&self, ResponseApdu { data, sw }: &ResponseApdu) -> Result<Vec<u8>, SecurityError> {
        if !self.0.level.authenticates_responses() {
            return Ok(data.clone());
        }
        if !is_secured_status(*sw) {
            return if data.is_empty() { Ok(Vec::new()) } else { Err(SecurityError::NotSecured) };
        }
        let (data, mac) = self.0.mac_apart(data).ok_or(SecurityError::NotSecured)?;
        if !bool::from(self.0.response_mac(data, *sw).as_bytes().ct_eq(mac)) {
            return Err(SecurityError::BadMac);
        }
        self.0.decrypt_response(data)
    }
}
