//! The applet: opens the secure channel, takes commands off it, and secures what is answered.

use std::collections::BTreeMap;

use onetap_apdu_spec::apdu::{CommandApdu, ResponseApdu};
use onetap_apdu_spec::class::is_secured;
use onetap_apdu_spec::gp::command::IsdObject;
use onetap_apdu_spec::gp::registry::Scope;
use onetap_apdu_spec::gp::scp03::{CardHandshake, CardSession, Challenge, DiversificationData};
use onetap_apdu_spec::gp::{self, GpCommand, ISD_AID, Ins};
use onetap_apdu_spec::sw::StatusWord;

use super::{keys, manager};
use crate::runtime::{Aid, Applet, CardLifeCycle, Context, Fault, Reply};

/// Nothing that tells one card from another: anybody in reach can ask for it.
const DIVERSIFICATION: DiversificationData = [0; 10];

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
    /// The application that STORE DATA is for.
    pub(super) personalising: Option<Personalising>,
    /// Where GET STATUS goes on.
    pub(super) cursor: Option<Cursor>,
}

/// What INSTALL for personalization began. It begins with block 0, so that nobody goes on with what another
/// channel left.
#[derive(Debug, Clone, Copy)]
pub(super) struct Personalising {
    pub(super) instance: Aid,
    /// Number of the next block.
    pub(super) next: u8,
}

/// Where the next GET STATUS goes on, after an answer with some of the entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cursor {
    pub(super) scope: Scope,
    pub(super) aid: Vec<u8>,
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
        let (keys, sequence) = keys::next_channel(cx, version)?;
        let (handshake, answer) =
            CardHandshake::answer(cx.crypto(), &keys, DIVERSIFICATION, sequence, &ISD_AID, challenge);
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
        let done = GpCommand::parse(&plain.borrow())
            .and_then(|command| self.execute(cx, command, &session, &mut inner));
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
        session: &CardSession,
        reply: &mut Reply,
    ) -> Result<(), StatusWord> {
        // The next entries follow the first ones at once, or not at all.
        let cursor = self.cursor.take();
        if changes_content(&command) && manager(cx)?.card_life() == CardLifeCycle::Locked {
            return Err(StatusWord::CONDITIONS);
        }
        match command {
            GpCommand::Install(install) => self.install(cx, &install, reply),
            GpCommand::Delete(delete) => self.delete(cx, delete, reply),
            GpCommand::StoreData(block) => self.store_data(cx, &block, session.data_key(), reply),
            GpCommand::GetStatus(get) => self.get_status(cx, &get, cursor, reply),
            GpCommand::SetStatus(set) => self.set_status(cx, set),
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
        IsdObject::CardData => reply.send(&gp::card_data()),
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
    fn install(cx: &mut Context<'_>, _: &[u8]) -> Result<Self, StatusWord> {
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
