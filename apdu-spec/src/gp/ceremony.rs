//! The issuer's whole conversation with a card, without I/O: the caller brings a function that sends one
//! APDU and returns the answer.
//!
//! [`personalise`] does all that makes a card; [`Issuer`] does it step by step, and what comes later in a
//! card's life: a new PIN, locks, other keys.

use super::command::IsdObject;
use super::install::{Delete, Install, NewApplication};
use super::keys::{KeySet, KeyVersion};
use super::life_cycle::Privileges;
use super::order::{self, Order};
use super::put_key::PutKey;
use super::registry::{GetStatus, KeyInformation, RegistryEntry, Scope, SetStatus};
use super::scp03::{HandshakeError, HostSession, InitializeUpdate, Mode, SecurityError, SecurityLevel};
use super::status;
use super::store_data::{StoreData, TooLong};
use super::{Aid, GpCommand, ISD, Ins, OwnedApdu, SIGNING_APPLET, SIGNING_PACKAGE};
use crate::apdu::{CommandApdu, Form, MAX_EXTENDED_DATA, MAX_SHORT_LE, Malformed, ResponseApdu};
use crate::command::Name;
use crate::crypto::{Crypto, CryptoError};
use crate::personal::{EnrolmentStatement, Personalisation, Pin};
use crate::rng::Rng;
use crate::sw::StatusWord;

/// Sends one command APDU, returns one response APDU.
pub type Transmit<'t, E> = &'t mut dyn FnMut(&[u8]) -> Result<Vec<u8>, E>;

/// Why the conversation ended. `E` is the transport's error.
#[derive(Debug, thiserror::Error)]
pub enum CeremonyError<E> {
    /// The transport failed.
    #[error("{0}")]
    Transport(E),
    /// The card refused a command.
    #[error("the card refused {} with {sw}", .command.spec().title)]
    Refused {
        /// Which command.
        command: Ins,
        /// Its answer.
        sw: StatusWord,
    },
    /// No secure channel was opened.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// The secure channel broke.
    #[error(transparent)]
    Channel(#[from] SecurityError),
    /// The secure channel is gone after an earlier error.
    #[error("the secure channel is closed; open it again")]
    Closed,
    /// A command or response that is no APDU.
    #[error(transparent)]
    Apdu(#[from] Malformed),
    /// The order is too long for a card.
    #[error(transparent)]
    OrderTooLong(#[from] TooLong),
    /// The answer is not what the command answers.
    #[error("the card's answer to {} is malformed", .0.spec().title)]
    BadAnswer(Ins),
    /// The card's statement does not hold: its signature, or its key.
    #[error("the card's enrolment statement does not hold: {0}")]
    Statement(CryptoError),
    /// The card's statement is about another card than ordered.
    #[error("the card's enrolment statement names another card or suite than the order")]
    OtherBinding,
}

impl<E> CeremonyError<E> {
    /// What to do next; for [`CeremonyError::Transport`] the transport's error knows better.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Transport(_) => "put the card back on the reader and start again",
            Self::Refused { sw, .. } => status::advice(*sw)
                .or_else(|| sw.meaning().map(|row| row.advice))
                .unwrap_or("this card does not follow GlobalPlatform as it should; try another"),
            Self::Handshake(HandshakeError::WrongCardCryptogram | HandshakeError::Refused(_)) => {
                "check the key set before trying again: a card may block after a few wrong ones"
            }
            Self::Handshake(HandshakeError::OtherProtocol { .. }) => {
                "name a security level that the card has, or take another card"
            }
            Self::Handshake(_) => "check that the card and its key set are the ones meant",
            Self::Channel(_) | Self::Closed => "open the channel again; if it persists, suspect the line",
            Self::OrderTooLong(_) => "correct the order",
            Self::Apdu(_) | Self::BadAnswer(_) | Self::Statement(_) | Self::OtherBinding => {
                "do not issue this card; try another"
            }
        }
    }
}

/// What a card is to become.
#[derive(Debug)]
pub struct Issue<'a> {
    /// The key set that the card has now: [`KeySet::TEST`] if it is blank.
    pub keys: &'a KeySet,
    /// How the messages are secured. A card whose variant has no such level is refused.
    pub level: SecurityLevel,
    /// The order.
    pub order: &'a Personalisation,
    /// The holder's first PIN.
    pub pin: &'a Pin,
    /// The card's own key set, which takes the place of `keys`; `None` leaves them (tests only).
    pub new_keys: Option<&'a KeySet>,
}

/// Makes a card: opens a secure channel, installs the signing applet if it is not there, personalises
/// it, replaces the keys. The card makes its signing key; the statement about it is verified.
///
/// # Errors
/// [`CeremonyError`]. The statement is lost if putting the new keys fails: then the card is not issued.
pub fn personalise<E>(
    crypto: &'static dyn Crypto,
    issue: &Issue<'_>,
    rng: &mut dyn Rng,
    transmit: Transmit<'_, E>,
) -> Result<EnrolmentStatement, CeremonyError<E>> {
    let mut issuer = Issuer::open(crypto, issue.keys, issue.level, rng, transmit)?;
    let statement = issuer.personalise(issue.order, issue.pin)?;
    if let Some(keys) = issue.new_keys {
        issuer.put_keys(keys)?;
    }
    Ok(statement)
}

/// The keys that the card has, without their values, as it tells anybody: which key set will open it. No
/// try at the keys is spent.
///
/// # Errors
/// [`CeremonyError`].
pub fn key_information<E>(
    crypto: &'static dyn Crypto,
    transmit: Transmit<'_, E>,
) -> Result<Vec<KeyInformation>, CeremonyError<E>> {
    let mut anybody = Issuer { crypto, transmit, session: None, version: KeyVersion::INITIAL };
    anybody.select()?;
    let answer = anybody.plain(&GpCommand::GetData(IsdObject::KeyInformation).encode())?;
    let answer = accept(Ins::GetData, answer)?;
    KeyInformation::parse_all(&answer).ok_or(CeremonyError::BadAnswer(Ins::GetData))
}

/// The issuer, with a secure channel to a card's issuer security domain.
pub struct Issuer<'t, E> {
    crypto: &'static dyn Crypto,
    transmit: Transmit<'t, E>,
    /// `None` once it broke.
    session: Option<HostSession>,
    version: KeyVersion,
}

impl<'t, E> Issuer<'t, E> {
    /// Selects the issuer security domain and opens a channel of this level, in the mode that the card has.
    ///
    /// # Errors
    /// [`CeremonyError`].
    pub fn open(
        crypto: &'static dyn Crypto,
        keys: &KeySet,
        level: SecurityLevel,
        rng: &mut dyn Rng,
        transmit: Transmit<'t, E>,
    ) -> Result<Self, CeremonyError<E>> {
        let mut issuer = Self { crypto, transmit, session: None, version: keys.version() };
        issuer.select()?;
        let (initialize, answer) = issuer.initialize(rng)?;
        let answer = accept(Ins::InitializeUpdate, answer)?;
        let authenticate = initialize.check(crypto, keys, level, &answer)?;
        let answer = issuer.plain(authenticate.command())?;
        issuer.session = Some(authenticate.confirm(answer.sw)?);
        Ok(issuer)
    }

    /// INITIALIZE UPDATE: a card of S16 mode refuses a challenge of 8 bytes for its length, and is sent another one.
    fn initialize(
        &mut self,
        rng: &mut dyn Rng,
    ) -> Result<(InitializeUpdate, ResponseApdu), CeremonyError<E>> {
        let short = InitializeUpdate::new(rng, self.version, Mode::S8);
        let answer = self.plain(&short.command())?;
        if answer.sw != StatusWord::WRONG_LENGTH {
            return Ok((short, answer));
        }
        let long = InitializeUpdate::new(rng, self.version, Mode::S16);
        let answer = self.plain(&long.command())?;
        Ok((long, answer))
    }

    /// Installs the signing applet if it is not there, and personalises it.
    ///
    /// # Errors
    /// [`CeremonyError`]; [`CeremonyError::Refused`] with 6985 if it has been personalised before.
    pub fn personalise(
        &mut self,
        order: &Personalisation,
        pin: &Pin,
    ) -> Result<EnrolmentStatement, CeremonyError<E>> {
        let installed = self.list(Scope::Applications)?.iter().any(|entry| entry.aid == SIGNING_APPLET);
        if !installed {
            self.install(&signing_applet())?;
        }
        let answer = self.tell(&Order::Personalise(Box::new(order.clone()), pin.clone()))?;
        let statement = order::parse_statement(&answer).ok_or(CeremonyError::BadAnswer(Ins::StoreData))?;
        statement.verify(self.crypto).map_err(CeremonyError::Statement)?;
        if statement.binding == order.binding { Ok(statement) } else { Err(CeremonyError::OtherBinding) }
    }

    /// Gives the signing applet a new PIN with all its tries.
    ///
    /// # Errors
    /// [`CeremonyError`].
    pub fn unblock_pin(&mut self, pin: &Pin) -> Result<(), CeremonyError<E>> {
        self.tell(&Order::UnblockPin(pin.clone())).map(|_| ())
    }

    /// Replaces the key set that this channel was opened with. The channel stays open.
    ///
    /// # Errors
    /// [`CeremonyError`]; [`CeremonyError::BadAnswer`] if the card holds other keys than sent.
    pub fn put_keys(&mut self, keys: &KeySet) -> Result<(), CeremonyError<E>> {
        let data_key = self.session.as_ref().ok_or(CeremonyError::Closed)?.data_key();
        let put = PutKey::seal(self.crypto, data_key, self.version, keys);
        let expected = put.answer();
        if self.command(&GpCommand::PutKey(put))? == expected {
            Ok(())
        } else {
            Err(CeremonyError::BadAnswer(Ins::PutKey))
        }
    }

    /// Installs an application of a package that is on the card, and makes it selectable.
    ///
    /// # Errors
    /// [`CeremonyError`].
    pub fn install(&mut self, new: &NewApplication) -> Result<(), CeremonyError<E>> {
        self.command(&GpCommand::Install(Install::MakeSelectable(new.clone()))).map(|_| ())
    }

    /// Deletes an application, with all that it holds.
    ///
    /// # Errors
    /// [`CeremonyError`].
    pub fn delete(&mut self, aid: Aid) -> Result<(), CeremonyError<E>> {
        self.command(&GpCommand::Delete(Delete::Content { aid, related: false })).map(|_| ())
    }

    /// Deletes a key set; not the last one.
    ///
    /// # Errors
    /// [`CeremonyError`].
    pub fn delete_keys(&mut self, version: KeyVersion) -> Result<(), CeremonyError<E>> {
        self.command(&GpCommand::Delete(Delete::Keys(version))).map(|_| ())
    }

    /// Locks, unlocks or terminates.
    ///
    /// # Errors
    /// [`CeremonyError`].
    pub fn set_status(&mut self, set: SetStatus) -> Result<(), CeremonyError<E>> {
        self.command(&GpCommand::SetStatus(set)).map(|_| ())
    }

    /// The registry, as far as `scope`. Empty where the card says that there is nothing.
    ///
    /// # Errors
    /// [`CeremonyError`].
    pub fn list(&mut self, scope: Scope) -> Result<Vec<RegistryEntry>, CeremonyError<E>> {
        /// More than a card of 65 535 bytes of registry would take.
        const MAX_ANSWERS: usize = 256;
        let mut entries = Vec::new();
        for turn in 0..MAX_ANSWERS {
            let get = GpCommand::GetStatus(GetStatus { next: turn > 0, ..GetStatus::first(scope) });
            let ResponseApdu { data, sw } = self.exchange(&get)?;
            let more = sw == status::MORE_DATA;
            if sw == StatusWord::NO_SUCH_OBJECT {
                return Ok(entries);
            }
            if sw != StatusWord::OK && !more {
                return Err(CeremonyError::Refused { command: Ins::GetStatus, sw });
            }
            let bad = CeremonyError::BadAnswer(Ins::GetStatus);
            entries.extend(RegistryEntry::parse_all(scope, &data).ok_or(bad)?);
            if !more {
                return Ok(entries);
            }
        }
        Err(CeremonyError::BadAnswer(Ins::GetStatus))
    }

    /// The keys that the card has, without their values.
    ///
    /// # Errors
    /// [`CeremonyError`].
    pub fn key_information(&mut self) -> Result<Vec<KeyInformation>, CeremonyError<E>> {
        let answer = self.command(&GpCommand::GetData(IsdObject::KeyInformation))?;
        KeyInformation::parse_all(&answer).ok_or(CeremonyError::BadAnswer(Ins::GetData))
    }

    /// INSTALL [for personalization] of the signing applet, then the order in blocks; the last one's answer.
    fn tell(&mut self, order: &Order) -> Result<Vec<u8>, CeremonyError<E>> {
        let session = self.session.as_ref().ok_or(CeremonyError::Closed)?;
        let payload = order.encode(session.data_key());
        let blocks = StoreData::split(&payload, session.max_short_data())?;
        self.command(&GpCommand::Install(Install::Personalization(SIGNING_APPLET)))?;
        let mut answer = Vec::new();
        for block in blocks {
            answer = self.command(&GpCommand::StoreData(block))?;
        }
        Ok(answer)
    }

    /// One command, which must succeed.
    fn command(&mut self, command: &GpCommand) -> Result<Vec<u8>, CeremonyError<E>> {
        let response = self.exchange(command)?;
        accept(command.name(), response)
    }

    /// One command over the secure channel.
    fn exchange(&mut self, command: &GpCommand) -> Result<ResponseApdu, CeremonyError<E>> {
        let session = self.session.take().ok_or(CeremonyError::Closed)?;
        // Every answer holds at least a MAC, whether the plain command would be answered with data or not.
        let command = OwnedApdu { ne: Some(MAX_SHORT_LE), ..command.encode() };
        let (waiting, bytes) = session.wrap(&command.borrow())?;
        let response = self.transceive(&bytes)?;
        let (session, response) = waiting.unwrap(&response)?;
        // A card that refuses for security has closed the channel.
        self.session = (response.sw != StatusWord::SECURITY_STATUS).then_some(session);
        Ok(response)
    }

    /// Selects the issuer security domain, which answers on a locked card too.
    fn select(&mut self) -> Result<(), CeremonyError<E>> {
        let selected = self.plain(&GpCommand::Select(ISD).encode())?;
        if selected.sw == StatusWord::CARD_LOCKED {
            return Ok(());
        }
        accept(Ins::Select, selected).map(drop)
    }

    fn plain(&mut self, command: &OwnedApdu) -> Result<ResponseApdu, CeremonyError<E>> {
        self.transceive(&command.to_bytes()?)
    }

    /// Sends one command and fetches the rest of the response as long as the card announces some (61xx).
    fn transceive(&mut self, command: &[u8]) -> Result<ResponseApdu, CeremonyError<E>> {
        let mut response = self.transmit(command)?;
        while let Some(left) = response.sw.as_bytes_left() {
            let part = self.transmit(&get_response(left)?)?;
            let endless = part.data.is_empty() || response.data.len() + part.data.len() > MAX_EXTENDED_DATA;
            if endless && part.sw.as_bytes_left().is_some() {
                return Err(Malformed(response.data.len()).into());
            }
            response.data.extend(part.data);
            response.sw = part.sw;
        }
        Ok(response)
    }

    fn transmit(&mut self, command: &[u8]) -> Result<ResponseApdu, CeremonyError<E>> {
        let answer = (self.transmit)(command).map_err(CeremonyError::Transport)?;
        Ok(ResponseApdu::parse(&answer)?)
    }
}

/// The signing applet, as it is installed.
#[must_use]
pub fn signing_applet() -> NewApplication {
    NewApplication {
        package: SIGNING_PACKAGE,
        module: SIGNING_APPLET,
        instance: SIGNING_APPLET,
        privileges: Privileges::NONE,
        parameters: Vec::new(),
    }
}

fn accept<E>(command: Ins, response: ResponseApdu) -> Result<Vec<u8>, CeremonyError<E>> {
    match response.sw {
        StatusWord::OK => Ok(response.data),
        sw => Err(CeremonyError::Refused { command, sw }),
    }
}

fn get_response(ne: u32) -> Result<Vec<u8>, Malformed> {
    let row = Name::GetResponse.spec();
    CommandApdu { cla: row.cla, ins: row.ins, p1: 0, p2: 0, data: &[], ne: Some(ne) }.encode(Form::Short)
}
