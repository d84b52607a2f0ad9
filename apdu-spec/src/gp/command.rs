//! The commands of GlobalPlatform that this card knows, as one table and one enum (GPCS §11,
//! Amendment D §7).

use super::install::{Delete, Install};
use super::put_key::PutKey;
use super::registry::{GetStatus, SetStatus};
use super::scp03::Challenge;
use super::store_data::StoreData;
use super::{Aid, CARD_DATA, KEY_INFORMATION, OwnedApdu};
use crate::apdu::{CLA_CHAINING, CommandApdu, MAX_SHORT_LE};
use crate::sw::StatusWord;
use crate::tlv::Tag;

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct GpSpec {
    /// Which command.
    pub name: Ins,
    /// Its name in the field's terms.
    pub title: &'static str,
    /// Where it is specified.
    pub clause: &'static str,
    /// Class byte, unsecured, on channel 0.
    pub cla: u8,
    /// True if it is served without a secure channel.
    pub open: bool,
}

/// Instruction bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Ins {
    /// SELECT.
    Select = 0xA4,
    /// INITIALIZE UPDATE.
    InitializeUpdate = 0x50,
    /// EXTERNAL AUTHENTICATE.
    ExternalAuthenticate = 0x82,
    /// INSTALL.
    Install = 0xE6,
    /// DELETE.
    Delete = 0xE4,
    /// GET STATUS.
    GetStatus = 0xF2,
    /// SET STATUS.
    SetStatus = 0xF0,
    /// STORE DATA.
    StoreData = 0xE2,
    /// PUT KEY.
    PutKey = 0xD8,
    /// GET DATA.
    GetData = 0xCA,
    /// LOAD.
    Load = 0xE8,
}

/// The class byte of GlobalPlatform's own commands.
const CLA: u8 = 0x80;

const fn row(name: Ins, title: &'static str, clause: &'static str, cla: u8, open: bool) -> GpSpec {
    GpSpec { name, title, clause, cla, open }
}

/// The commands.
pub const GP_COMMANDS: &[GpSpec] = &[
    row(Ins::Select, "SELECT", "GPCS §11.9", 0x00, true),
    row(Ins::InitializeUpdate, "INITIALIZE UPDATE", "Amendment D §7.1.1", CLA, true),
    row(Ins::ExternalAuthenticate, "EXTERNAL AUTHENTICATE", "Amendment D §7.1.2", CLA, true),
    row(Ins::Install, "INSTALL", "GPCS §11.5", CLA, false),
    row(Ins::Delete, "DELETE", "GPCS §11.2", CLA, false),
    row(Ins::GetStatus, "GET STATUS", "GPCS §11.4", CLA, false),
    row(Ins::SetStatus, "SET STATUS", "GPCS §11.10", CLA, false),
    row(Ins::StoreData, "STORE DATA", "GPCS §11.11", CLA, false),
    row(Ins::PutKey, "PUT KEY", "GPCS §11.8", CLA, false),
    row(Ins::GetData, "GET DATA", "GPCS §11.3", CLA, true),
    row(Ins::Load, "LOAD", "GPCS §11.6", CLA, false),
];

impl Ins {
    /// The instruction byte.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The command with this instruction byte.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        GP_COMMANDS.iter().map(|row| row.name).find(|name| name.code() == code)
    }

    /// The command's row.
    #[must_use]
    pub fn spec(self) -> &'static GpSpec {
        let position = match self {
            Self::Select => 0,
            Self::InitializeUpdate => 1,
            Self::ExternalAuthenticate => 2,
            Self::Install => 3,
            Self::Delete => 4,
            Self::GetStatus => 5,
            Self::SetStatus => 6,
            Self::StoreData => 7,
            Self::PutKey => 8,
            Self::GetData => 9,
            Self::Load => 10,
        };
        &GP_COMMANDS[position]
    }
}

/// A data object of the issuer security domain, for GET DATA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IsdObject {
    /// 66, [`super::card_data`].
    CardData,
    /// E0, [`super::registry::KeyInformation`].
    KeyInformation,
}

impl IsdObject {
    fn tag(self) -> Tag {
        match self {
            Self::CardData => CARD_DATA,
            Self::KeyInformation => KEY_INFORMATION,
        }
    }
}

/// A command with its content parsed, plain: secure messaging has been taken off. EXTERNAL AUTHENTICATE
/// is not among them, being verified as it stands ([`super::scp03::CardHandshake::authenticate`]), and neither is LOAD,
/// which is always refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GpCommand {
    /// SELECT by name, first occurrence.
    Select(Aid),
    /// INITIALIZE UPDATE.
    InitializeUpdate {
        /// Key version number; 0 for the first that there is.
        version: u8,
        /// Host challenge.
        challenge: Challenge,
    },
    /// INSTALL.
    Install(Install),
    /// DELETE.
    Delete(Delete),
    /// GET STATUS.
    GetStatus(GetStatus),
    /// SET STATUS.
    SetStatus(SetStatus),
    /// STORE DATA.
    StoreData(StoreData),
    /// PUT KEY.
    PutKey(PutKey),
    /// GET DATA.
    GetData(IsdObject),
}

const P1_BY_NAME: u8 = 0x04;

impl GpCommand {
    /// Which command.
    #[must_use]
    pub fn name(&self) -> Ins {
        match self {
            Self::Select(_) => Ins::Select,
            Self::InitializeUpdate { .. } => Ins::InitializeUpdate,
            Self::Install(_) => Ins::Install,
            Self::Delete(_) => Ins::Delete,
            Self::GetStatus(_) => Ins::GetStatus,
            Self::SetStatus(_) => Ins::SetStatus,
            Self::StoreData(_) => Ins::StoreData,
            Self::PutKey(_) => Ins::PutKey,
            Self::GetData(_) => Ins::GetData,
        }
    }

    /// Parses a plain command, whatever its logical channel. Refusals in the order of
    /// [`crate::command::recognise`]: CLA, INS, chaining, P1-P2, data.
    ///
    /// # Errors
    /// The status word to answer.
    pub fn parse(apdu: &CommandApdu<'_>) -> Result<Self, StatusWord> {
        let CommandApdu { cla, ins, p1, p2, data, .. } = *apdu;
        let name = Ins::from_code(ins);
        if cla & CLA == 0 && !matches!(name, Some(Ins::Select | Ins::GetData)) {
            return Err(StatusWord::WRONG_CLA);
        }
        let name = name.ok_or(StatusWord::WRONG_INS)?;
        if cla & CLA_CHAINING != 0 {
            return Err(StatusWord::NO_CHAINING);
        }
        Self::parse_content(name, p1, p2, data)
    }

    fn parse_content(name: Ins, p1: u8, p2: u8, data: &[u8]) -> Result<Self, StatusWord> {
        match name {
            Ins::Select if [p1, p2] != [P1_BY_NAME, 0] => Err(StatusWord::WRONG_P1P2),
            Ins::Select => Aid::new(data).map(Self::Select).ok_or(StatusWord::NOT_FOUND),
            Ins::InitializeUpdate if p2 != 0 => Err(StatusWord::WRONG_P1P2),
            Ins::InitializeUpdate => {
                let challenge = Challenge::new(data).ok_or(StatusWord::WRONG_LENGTH)?;
                Ok(Self::InitializeUpdate { version: p1, challenge })
            }
            Ins::ExternalAuthenticate => Err(StatusWord::CONDITIONS),
            // All that a card of this specification runs is in its ROM.
            Ins::Load => Err(StatusWord::NOT_SUPPORTED),
            Ins::Install if p2 != 0 => Err(StatusWord::WRONG_P1P2),
            Ins::Install => Install::parse(p1, data).map(Self::Install),
            Ins::Delete => Delete::parse(p1, p2, data).map(Self::Delete),
            Ins::GetStatus => GetStatus::parse(p1, p2, data).map(Self::GetStatus),
            Ins::SetStatus => SetStatus::parse(p1, p2, data).map(Self::SetStatus),
            Ins::StoreData => StoreData::parse(p1, p2, data).map(Self::StoreData),
            Ins::PutKey => PutKey::parse(p1, p2, data).map(Self::PutKey),
            Ins::GetData => [IsdObject::CardData, IsdObject::KeyInformation]
                .into_iter()
                .find(|object| object.tag().0 == u16::from_be_bytes([p1, p2]))
                .map(Self::GetData)
                .ok_or(StatusWord::NO_SUCH_OBJECT),
        }
    }

    /// Writes the command, plain, on channel 0.
    #[must_use]
    pub fn encode(&self) -> OwnedApdu {
        let plain = |parameters, data: Vec<u8>| (parameters, data.into());
        let ([p1, p2], data) = match self {
            Self::Select(aid) => plain([P1_BY_NAME, 0], aid.as_bytes().to_vec()),
            Self::InitializeUpdate { version, challenge } => {
                plain([*version, 0], challenge.as_bytes().to_vec())
            }
            Self::Install(install) => {
                let (p1, data) = install.encode();
                plain([p1, 0], data)
            }
            Self::Delete(delete) => {
                let (p2, data) = delete.encode();
                plain([0, p2], data)
            }
            Self::GetStatus(get) => {
                let (parameters, data) = get.encode();
                plain(parameters, data)
            }
            Self::SetStatus(set) => {
                let (parameters, data) = set.encode();
                plain(parameters, data)
            }
            Self::StoreData(block) => block.encode(),
            Self::PutKey(put) => {
                let (parameters, data) = put.encode();
                plain(parameters, data)
            }
            Self::GetData(object) => plain(object.tag().0.to_be_bytes(), Vec::new()),
        };
        let name = self.name();
        let ne = self.may_answer().then_some(MAX_SHORT_LE);
        OwnedApdu { header: [name.spec().cla, name.code(), p1, p2], data, ne }
    }

    /// False for what never answers with data.
    fn may_answer(&self) -> bool {
        match self {
            Self::SetStatus(_) => false,
            Self::StoreData(block) => block.last,
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_where_their_names_say() {
        for row in GP_COMMANDS {
            assert_eq!(row.name.spec().title, row.title);
            assert_eq!(Ins::from_code(row.name.code()), Some(row.name));
        }
    }
}
