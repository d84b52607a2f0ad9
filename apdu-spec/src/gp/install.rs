//! INSTALL and DELETE (GPCS §11.5, §11.2).

use super::keys::KeyVersion;
use super::life_cycle::Privileges;
use super::{Aid, take_lv, write_lv};
use crate::sw::StatusWord;
use crate::tlv::{self, Tag, Template};

/// Application specific parameters inside INSTALL.
const APPLICATION_PARAMETERS: Tag = Tag(0xC9);
/// AID, inside DELETE and GET STATUS.
pub(super) const AID: Tag = Tag(0x4F);
/// Key version number, inside DELETE.
const KEY_VERSION: Tag = Tag(0xD2);
/// Most application specific parameters, so that INSTALL fits a secured command of the short form.
pub const MAX_PARAMETERS: usize = 64;

/// INSTALL, by what it is for (P1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Install {
    /// For install and make selectable: an application of a package that is on the card.
    MakeSelectable(NewApplication),
    /// For personalisation: the STORE DATA that follow are for this application.
    Personalization(Aid),
}

/// What to install.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewApplication {
    /// Executable load file.
    pub package: Aid,
    /// Executable module within it.
    pub module: Aid,
    /// The name that the application is selected by.
    pub instance: Aid,
    /// Its privileges.
    pub privileges: Privileges,
    /// Application specific parameters, at most [`MAX_PARAMETERS`] bytes.
    pub parameters: Vec<u8>,
}

/// Bit of P1: for load, alone or with what follows.
const P1_LOAD: u8 = 0x02;
const P1_MAKE_SELECTABLE: u8 = 0x0C;
const P1_PERSONALIZATION: u8 = 0x20;

impl Install {
    /// P1 and data field. Parameters beyond [`MAX_PARAMETERS`] are a caller's mistake and refused by the card.
    pub(super) fn encode(&self) -> (u8, Vec<u8>) {
        let mut out = Vec::new();
        match self {
            Self::MakeSelectable(new) => {
                for aid in [&new.package, &new.module, &new.instance] {
                    write_lv(aid.as_bytes(), &mut out);
                }
                write_lv(&new.privileges.to_bytes(), &mut out);
                write_lv(&tlv::object(APPLICATION_PARAMETERS, &new.parameters), &mut out);
                write_lv(&[], &mut out);
                (P1_MAKE_SELECTABLE, out)
            }
            Self::Personalization(aid) => {
                for value in [&[], &[], aid.as_bytes(), &[], &[], &[]] {
                    write_lv(value, &mut out);
                }
                (P1_PERSONALIZATION, out)
            }
        }
    }

    /// A card loads no code: 6A81 to whatever is for load.
    pub(super) fn parse(p1: u8, data: &[u8]) -> Result<Self, StatusWord> {
        let read = match p1 {
            _ if p1 & P1_LOAD != 0 => return Err(StatusWord::NOT_SUPPORTED),
            P1_MAKE_SELECTABLE => Self::read_new,
            P1_PERSONALIZATION => Self::read_personalization,
            _ => return Err(StatusWord::WRONG_P1P2),
        };
        let mut input = data;
        read(&mut input).filter(|_| input.is_empty()).ok_or(StatusWord::WRONG_DATA)
    }

    fn read_new(input: &mut &[u8]) -> Option<Self> {
        let new = NewApplication {
            package: Aid::new(take_lv(input)?)?,
            module: Aid::new(take_lv(input)?)?,
            instance: Aid::new(take_lv(input)?)?,
            privileges: Privileges::from_bytes(take_lv(input)?)?,
            parameters: read_parameters(take_lv(input)?)?,
        };
        take_lv(input)?.is_empty().then_some(Self::MakeSelectable(new))
    }

    fn read_personalization(input: &mut &[u8]) -> Option<Self> {
        let absent = |input: &mut &[u8]| take_lv(input)?.is_empty().then_some(());
        absent(input)?;
        absent(input)?;
        let aid = Aid::new(take_lv(input)?)?;
        absent(input)?;
        absent(input)?;
        absent(input)?;
        Some(Self::Personalization(aid))
    }
}

/// The value of C9; other parameters (of the system, of a contactless interface) are not taken.
fn read_parameters(field: &[u8]) -> Option<Vec<u8>> {
    let [parameters] = read_objects(field, [APPLICATION_PARAMETERS])?;
    (parameters.len() <= MAX_PARAMETERS).then_some(parameters)
}

/// DELETE (GPCS §11.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delete {
    /// An application or package.
    Content {
        /// Which.
        aid: Aid,
        /// With a package, also the applications made of it.
        related: bool,
    },
    /// A key set.
    Keys(KeyVersion),
}

const P2_RELATED: u8 = 0x80;

impl Delete {
    /// P2 and data field.
    pub(super) fn encode(self) -> (u8, Vec<u8>) {
        match self {
            Self::Content { aid, related } => {
                (if related { P2_RELATED } else { 0 }, tlv::object(AID, aid.as_bytes()))
            }
            Self::Keys(version) => (0, tlv::object(KEY_VERSION, &[version.get()])),
        }
    }

    pub(super) fn parse(p1: u8, p2: u8, data: &[u8]) -> Result<Self, StatusWord> {
        if p1 != 0 || p2 & !P2_RELATED != 0 {
            return Err(StatusWord::WRONG_P1P2);
        }
        let related = p2 == P2_RELATED;
        let content = read_objects(data, [AID]).and_then(|[aid]| Aid::new(&aid));
        let version = read_objects(data, [KEY_VERSION]).and_then(|[version]| match version[..] {
            [version] => KeyVersion::new(version),
            _ => None,
        });
        match (content, version) {
            (Some(aid), _) => Ok(Self::Content { aid, related }),
            (_, Some(version)) if !related => Ok(Self::Keys(version)),
            _ => Err(StatusWord::WRONG_DATA),
        }
    }
}

/// The values of a data field that is exactly these primitive objects. Read as the content of a
/// template, so that the one TLV parser serves here too.
pub(super) fn read_objects<const N: usize>(data: &[u8], tags: [Tag; N]) -> Option<[Vec<u8>; N]> {
    const OUTER: Tag = Tag(0xE1);
    Template::parse(&tlv::object(OUTER, data), OUTER).ok()?.into_exactly(tags)
}
