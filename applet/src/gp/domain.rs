//! The applet: opens the secure channel, takes commands off it, and secures what is answered.

use std::collections::BTreeMap;

use onetap_apdu_spec::apdu::{CommandApdu, ResponseApdu};
use onetap_apdu_spec::class::is_secured;
use onetap_apdu_spec::gp::command::IsdObject;
use onetap_apdu_spec::gp::registry::GetStatus;
use onetap_apdu_spec::gp::scp03::{
    CardChallenge, CardHandshake, CardSession, Challenge, DiversificationData, Drawing, Offer, SCP_ID,
    Variant,
};
use onetap_apdu_spec::gp::{self, GpCommand, ISD_AID, Ins};
use onetap_apdu_spec::sw::StatusWord;

use super::{keys, manager};
use crate::runtime::{Aid, Applet, CardLifeCycle, Context, Fault, Field, Reply};

/// Nothing that tells one card from another: anybody in reach can ask for it.
const DIVERSIFICATION: DiversificationData = [0; 10];

/// Parameter "i" of the card's secure channels. Absent on cards that were made before it could be chosen.
const VARIANT: Field<u8> = Field::new(keys::FIELDS);
/// Installation parameter: secure channel protocol and its "i".
const PROTOCOL: u8 = 0x81;

/// The installation parameters of a domain that speaks this variant.
#[must_use]
pub fn parameters(variant: Variant) -> [u8; 4] {
    [PROTOCOL, 2, SCP_ID, variant.code()]
}

fn read_parameters(parameters: &[u8]) -> Result<Variant, StatusWord> {
    match *parameters {
        [] => Ok(Variant::USUAL),
        [PROTOCOL, 2, SCP_ID, code] => Variant::from_code(code).ok_or(StatusWord::WRONG_DATA),
        _ => Err(StatusWord::WRONG_DATA),
    }
}

fn variant(cx: &Context<'_>) -> Result<Variant, StatusWord> {
    let code = cx.find(&VARIANT)?.unwrap_or(Variant::USUAL.code());
    Variant::from_code(code).ok_or(StatusWord::INTERNAL)
}

/// The issuer security domain. Keys and their counters are in persistent memory. What a host does with it on one logical
/// channel is a session of its own: a secure channel opened on one says nothing on another.
#[derive(Debug, Default)]
pub struct IssuerDomain {
    /// By logical channel, since the first command there.
    sessions: BTreeMap<u8, Session>,
}

/// One logical channel's. All of it is gone with power, deselection, or a wrong MAC.
#[derive(Debug, Default)]
pub(super) struct Session {
    channel: Channel,
    pub(super) begun: Begun,
}

/// What the next command on the channel goes on with. Any other one ends it, also where it is refused.
#[derive(Debug, Default)]
pub(super) enum Begun {
    #[default]
    Nothing,
    /// INSTALL for personalization, or a block that is not the last: STORE DATA.
    Personalising(Personalising),
    /// An answer with some of the entries: GET STATUS for those that follow.
    Listing(Listing),
}

/// What INSTALL for personalization began. It begins with block 0, so that nobody goes on with what another
/// channel left.
#[derive(Debug, Clone, Copy)]
pub(super) struct Personalising {
    pub(super) instance: Aid,
    /// Number of the next block.
    pub(super) next: u8,
}

/// Where the next GET STATUS goes on.
#[derive(Debug)]
pub(super) struct Listing {
    /// What the first one asked for.
    pub(super) asked: GetStatus,
    pub(super) at: usize,
}

#[derive(Debug, Default)]
enum Channel {
    #[default]
    Closed,
    Handshake(Box<CardHandshake>),
    Open(Box<CardSession>),
}

impl IssuerDomain {
    /// True if the keys are those that every card leaves its manufacturer with.
    pub(crate) fn is_blank(cx: &Context<'_>) -> Result<bool, Fault> {
        keys::are_initial(cx)
    }
}

impl Session {
    fn close(&mut self) {
        *self = Self::default();
    }

    /// INITIALIZE UPDATE; the channel that was open is closed.
    fn initialize_update(
        &mut self,
        cx: &mut Context<'_>,
        version: u8,
        challenge: Challenge,
        reply: &mut Reply,
    ) -> Result<(), StatusWord> {
        let variant = variant(cx)?;
        if challenge.mode() != variant.mode {
            return Err(StatusWord::WRONG_LENGTH);
        }
        let (slot, crypto) = (keys::find(cx, version)?, cx.crypto());
        let card_challenge = match variant.drawing {
            Drawing::Random => CardChallenge::Random(cx.rng()),
            Drawing::PseudoRandom => {
                let sequence = keys::next_sequence(cx, &slot)?;
                CardChallenge::PseudoRandom { sequence, aid: &ISD_AID }
            }
        };
        let responses = variant.responses;
        let offer = Offer { diversification: DIVERSIFICATION, challenge: card_challenge, responses };
        let (handshake, answer) = CardHandshake::answer(crypto, &slot.set, offer, challenge);
        self.channel = Channel::Handshake(Box::new(handshake));
        reply.send(&answer);
        Ok(())
    }

    /// EXTERNAL AUTHENTICATE: one try for each INITIALIZE UPDATE.
    fn external_authenticate(&mut self, command: &CommandApdu<'_>) -> Result<(), StatusWord> {
        let channel = std::mem::take(&mut self.channel);
        self.close();
        let Channel::Handshake(handshake) = channel else { return Err(StatusWord::CONDITIONS) };
        let session = handshake.authenticate(command).map_err(|error| error.status())?;
        self.channel = Channel::Open(Box::new(session));
        Ok(())
    }

    /// A command on the open channel. If it is not secured as it must be, the channel is gone.
    fn secured(
        &mut self,
        cx: &mut Context<'_>,
        session: CardSession,
        command: &CommandApdu<'_>,
        reply: &mut Reply,
    ) -> Result<(), StatusWord> {
        let Ok((session, plain)) = session.unwrap(command) else {
            self.close();
            return Err(StatusWord::SECURITY_STATUS);
        };
        let mut inner = Reply::default();
        let begun = std::mem::take(&mut self.begun);
        let done = GpCommand::parse(&plain.borrow())
            .and_then(|command| self.execute(cx, command, begun, &session, &mut inner));
        let sw = done.err().unwrap_or(StatusWord::OK);
        let response = session.wrap(ResponseApdu { data: inner.as_bytes().to_vec(), sw });
        self.channel = Channel::Open(Box::new(session));
        reply.send(&response.data);
        done
    }

    fn execute(
        &mut self,
        cx: &mut Context<'_>,
        command: GpCommand,
        begun: Begun,
        session: &CardSession,
        reply: &mut Reply,
    ) -> Result<(), StatusWord> {
        if changes_content(&command) && manager(cx)?.card_life() == CardLifeCycle::Locked {
            return Err(StatusWord::CONDITIONS);
        }
        match command {
            GpCommand::Install(install) => self.install(cx, &install, reply),
            GpCommand::Delete(delete) => Self::delete(cx, delete, reply),
            GpCommand::StoreData(block) => self.store_data(cx, &block, &begun, session.data_key(), reply),
            GpCommand::GetStatus(get) => self.get_status(cx, get, begun, reply),
            GpCommand::SetStatus(set) => Self::set_status(cx, set),
            GpCommand::PutKey(put) => {
                reply.send(&keys::put(cx, &put, session.data_key())?);
                Ok(())
            }
            GpCommand::GetData(object) => get_data(cx, object, reply),
            // These come without secure messaging, or begin a channel.
            GpCommand::Select(_) | GpCommand::InitializeUpdate { .. } => Err(StatusWord::CONDITIONS),
        }
    }
}

/// True for what a locked card does not do (GPCS §5.1.1.4).
fn changes_content(command: &GpCommand) -> bool {
    matches!(
        command,
        GpCommand::Install(_) | GpCommand::Delete(_) | GpCommand::StoreData(_) | GpCommand::PutKey(_)
    )
}

fn get_data(cx: &Context<'_>, object: IsdObject, reply: &mut Reply) -> Result<(), StatusWord> {
    match object {
        IsdObject::CardData => reply.send(&gp::card_data(variant(cx)?)),
        IsdObject::KeyInformation => reply.send(&keys::information(cx)?),
    }
    Ok(())
}

/// A command without a channel: what is open to everybody, or why not.
fn without_channel(cx: &Context<'_>, command: &CommandApdu<'_>, reply: &mut Reply) -> Result<(), StatusWord> {
    match Ins::from_code(command.ins) {
        Some(name) if !name.spec().open || is_secured(command.cla) => Err(StatusWord::SECURITY_STATUS),
        _ => match GpCommand::parse(command)? {
            GpCommand::GetData(object) => get_data(cx, object, reply),
            _ => Err(StatusWord::CONDITIONS),
        },
    }
}

impl Applet for IssuerDomain {
    /// Parameters: none, or [`parameters`].
    fn install(cx: &mut Context<'_>, parameters: &[u8]) -> Result<Self, StatusWord> {
        cx.set(&VARIANT, &read_parameters(parameters)?.code())?;
        keys::initialise(cx)?;
        Ok(Self::default())
    }

    fn load(_: &mut Context<'_>) -> Result<Self, StatusWord> {
        Ok(Self::default())
    }

    fn select(&mut self, cx: &mut Context<'_>, reply: &mut Reply) -> Result<(), StatusWord> {
        self.sessions.remove(&cx.channel());
        reply.send(&gp::isd_fci());
        Ok(())
    }

    fn deselect(&mut self, cx: &mut Context<'_>) {
        self.sessions.remove(&cx.channel());
    }

    fn reset(&mut self) {
        self.sessions.clear();
    }

    fn admit(&mut self, _: &mut Context<'_>, part: &CommandApdu<'_>) -> Result<usize, StatusWord> {
        let known = Ins::from_code(part.ins).is_some();
        Err(if known { StatusWord::NO_CHAINING } else { StatusWord::WRONG_INS })
    }

    fn process(
        &mut self,
        cx: &mut Context<'_>,
        command: &CommandApdu<'_>,
        reply: &mut Reply,
    ) -> Result<(), StatusWord> {
        self.sessions.entry(cx.channel()).or_default().process(cx, command, reply)
    }
}

impl Session {
    fn process(
        &mut self,
        cx: &mut Context<'_>,
        command: &CommandApdu<'_>,
        reply: &mut Reply,
    ) -> Result<(), StatusWord> {
        match Ins::from_code(command.ins) {
            Some(Ins::InitializeUpdate) if !is_secured(command.cla) => {
                self.close();
                match GpCommand::parse(command)? {
                    GpCommand::InitializeUpdate { version, challenge } => {
                        self.initialize_update(cx, version, challenge, reply)
                    }
                    _ => Err(StatusWord::CONDITIONS),
                }
            }
            Some(Ins::ExternalAuthenticate) => self.external_authenticate(command),
            _ => match std::mem::take(&mut self.channel) {
                Channel::Open(session) => self.secured(cx, *session, command, reply),
                // A handshake is for EXTERNAL AUTHENTICATE, at once.
                Channel::Closed | Channel::Handshake(_) => without_channel(cx, command, reply),
            },
        }
    }
}
