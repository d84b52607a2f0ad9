//! The registry as GET STATUS shows it, SET STATUS, and the key information template (GPCS §11.4,
//! §11.10, §11.3.3.1).

use super::install::AID;
use super::keys::KeyVersion;
use super::life_cycle::{ApplicationLifeCycle, CardLifeCycle, Privileges};
use super::{Aid, take_object};
use crate::aid::AID_MAX;
use crate::crypto::AesBits;
use crate::sw::StatusWord;
use crate::tlv::{self, Tag, Template};

/// GlobalPlatform registry related data (template).
const ENTRY: Tag = Tag(0xE3);
/// Life cycle state.
const LIFE_CYCLE: Tag = Tag(0x9F70);
/// Privileges.
const PRIVILEGES: Tag = Tag(0xC5);
/// AID of the package.
const PACKAGE: Tag = Tag(0xC4);
/// AID of a module in a package.
const MODULE: Tag = Tag(0x84);
/// Tag list in GET STATUS.
const TAG_LIST: Tag = Tag(0x5C);
/// Key information data.
const KEY_DATA: Tag = Tag(0xC0);
/// Life cycle state of every package on a card: LOADED.
const LOADED: u8 = 0x01;
/// Key type AES.
pub(super) const KEY_TYPE_AES: u8 = 0x88;

/// Which part of the registry, P1 of GET STATUS and SET STATUS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Scope {
    /// The issuer security domain.
    IssuerDomain = 0x80,
    /// Applications and other security domains.
    Applications = 0x40,
    /// Packages (executable load files).
    Packages = 0x20,
    /// Packages, each with its modules. Not in SET STATUS.
    Modules = 0x10,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::IssuerDomain, Self::Applications, Self::Packages, Self::Modules];

    /// P1.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.code() == code)
    }
}

/// GET STATUS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetStatus {
    /// Which part.
    pub scope: Scope,
    /// Entries whose AID begins so; empty for all.
    pub aid: Vec<u8>,
    /// What the answer holds of each.
    pub format: Format,
    /// False for the first entries, true for those that follow after 6310.
    pub next: bool,
}

/// What an answer to GET STATUS holds of each entry (GPCS §11.4.2.2, §11.4.3.1).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Format {
    /// A template E3 with all that there is.
    #[default]
    Whole,
    /// A template E3 with those of these objects that there are, in its own order: a tag list (5C).
    Only(Vec<Tag>),
    /// The older form, without tags: length, AID, life cycle state, first byte of the privileges; for a package with its
    /// modules their number, and length and AID of each.
    Untagged,
}

/// Bit of P2: those that follow.
const P2_NEXT: u8 = 0x01;
/// Bit of P2: with tags.
const P2_TAGGED: u8 = 0x02;

impl GetStatus {
    /// The first entries of a part, whole.
    #[must_use]
    pub fn first(scope: Scope) -> Self {
        Self { scope, aid: Vec::new(), format: Format::Whole, next: false }
    }

    /// P1, P2 and data field.
    pub(super) fn encode(&self) -> ([u8; 2], Vec<u8>) {
        let mut data = tlv::object(AID, &self.aid);
        let tagged = match &self.format {
            Format::Whole => P2_TAGGED,
            Format::Only(tags) => {
                tlv::write(TAG_LIST, &Tag::write_list(tags), &mut data);
                P2_TAGGED
            }
            Format::Untagged => 0,
        };
        ([self.scope.code(), tagged | if self.next { P2_NEXT } else { 0 }], data)
    }

    pub(super) fn parse(p1: u8, p2: u8, data: &[u8]) -> Result<Self, StatusWord> {
        let scope = Scope::from_code(p1).ok_or(StatusWord::WRONG_P1P2)?;
        if p2 & !(P2_NEXT | P2_TAGGED) != 0 {
            return Err(StatusWord::WRONG_P1P2);
        }
        let (aid, format) = Self::read(p2 & P2_TAGGED != 0, data).ok_or(StatusWord::WRONG_DATA)?;
        Ok(Self { scope, aid, format, next: p2 & P2_NEXT != 0 })
    }

    /// The search criterion and, with tags, a tag list. An empty one asks for all (ISO/IEC 7816-4 §8.4.2).
    fn read(tagged: bool, data: &[u8]) -> Option<(Vec<u8>, Format)> {
        let (aid, list) = match super::install::read_objects(data, [AID]) {
            Some([aid]) => (aid, Vec::new()),
            None => super::install::read_objects(data, [AID, TAG_LIST]).filter(|_| tagged)?.into(),
        };
        let tags = Tag::read_list(&list)?;
        let format = match (tagged, tags.is_empty()) {
            (true, true) => Format::Whole,
            (true, false) => Format::Only(tags),
            (false, _) => Format::Untagged,
        };
        Some((aid, format)).filter(|(aid, _)| aid.len() <= AID_MAX)
    }
}

/// What a registry entry is, with its life cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// The issuer security domain, whose life cycle is the card's.
    IssuerDomain(CardLifeCycle),
    /// An application.
    Application(ApplicationLifeCycle),
    /// A package.
    Package,
}

/// One entry of the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryEntry {
    /// Its name.
    pub aid: Aid,
    /// What it is.
    pub entry: Entry,
    /// Its privileges; none for a package.
    pub privileges: Privileges,
    /// The package that an application is of.
    pub package: Option<Aid>,
    /// The modules in a package, where they are asked for.
    pub modules: Vec<Aid>,
}

impl RegistryEntry {
    /// The entry, as an answer to GET STATUS holds it.
    #[must_use]
    pub fn encode(&self, format: &Format) -> Vec<u8> {
        let wanted = |tag: Tag| match format {
            Format::Whole => true,
            Format::Only(tags) => tags.contains(&tag),
            Format::Untagged => false,
        };
        if *format == Format::Untagged {
            return self.encode_untagged();
        }
        let mut inner = Vec::new();
        for (tag, value) in self.objects().iter().filter(|(tag, _)| wanted(*tag)) {
            tlv::write(*tag, value, &mut inner);
        }
        tlv::object(ENTRY, &inner)
    }

    fn life_cycle(&self) -> u8 {
        match self.entry {
            Entry::IssuerDomain(state) => state.code(),
            Entry::Application(state) => state.code(),
            Entry::Package => LOADED,
        }
    }

    fn objects(&self) -> Vec<(Tag, Vec<u8>)> {
        let mut objects = vec![(AID, self.aid.as_bytes().to_vec()), (LIFE_CYCLE, vec![self.life_cycle()])];
        if self.entry != Entry::Package {
            objects.push((PRIVILEGES, self.privileges.to_bytes().to_vec()));
        }
        objects.extend(self.package.iter().map(|aid| (PACKAGE, aid.as_bytes().to_vec())));
        objects.extend(self.modules.iter().map(|aid| (MODULE, aid.as_bytes().to_vec())));
        objects
    }

    fn encode_untagged(&self) -> Vec<u8> {
        let mut out = Vec::new();
        super::write_lv(self.aid.as_bytes(), &mut out);
        let [first, ..] = self.privileges.to_bytes();
        out.extend([self.life_cycle(), first]);
        if !self.modules.is_empty() {
            // One byte: a card has far fewer.
            out.push(u8::try_from(self.modules.len()).unwrap_or(u8::MAX));
            self.modules.iter().for_each(|aid| super::write_lv(aid.as_bytes(), &mut out));
        }
        out
    }

    /// Reads the whole answer to GET STATUS of `scope`: templates E3, one after another. Objects that this
    /// specification does not know are passed over. `None` if it is anything else.
    #[must_use]
    pub fn parse_all(scope: Scope, mut answer: &[u8]) -> Option<Vec<Self>> {
        let mut entries = Vec::new();
        while !answer.is_empty() {
            let (template, _) = take_object(&mut answer)?;
            entries.push(Self::read(scope, &Template::parse(template, ENTRY).ok()?)?);
        }
        Some(entries)
    }

    fn read(scope: Scope, template: &Template) -> Option<Self> {
        let find = |tag| template.objects().iter().find(|(t, _)| *t == tag).map(|(_, value)| &value[..]);
        let &[code] = find(LIFE_CYCLE)? else { return None };
        let entry = match scope {
            Scope::IssuerDomain => Entry::IssuerDomain(CardLifeCycle::from_code(code)?),
            Scope::Applications => Entry::Application(ApplicationLifeCycle::from_code(code)?),
            Scope::Packages | Scope::Modules => Entry::Package,
        };
        let privileges = match find(PRIVILEGES) {
            Some(bytes) => Privileges::from_bytes(bytes)?,
            None => Privileges::NONE,
        };
        let package = match find(PACKAGE) {
            Some(bytes) => Some(Aid::new(bytes)?),
            None => None,
        };
        let modules = template.objects().iter().filter(|(tag, _)| *tag == MODULE);
        let modules = modules.map(|(_, value)| Aid::new(value)).collect::<Option<_>>()?;
        Some(Self { aid: Aid::new(find(AID)?)?, entry, privileges, package, modules })
    }
}

/// SET STATUS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetStatus {
    /// Moves the card to a state: see [`CardLifeCycle::may_become`].
    Card(CardLifeCycle),
    /// Locks an application, or gives it back the state that it had.
    Application {
        /// Which.
        aid: Aid,
        /// True to lock.
        lock: bool,
    },
}

const P2_LOCK: u8 = 0x80;

impl SetStatus {
    /// P1, P2 and data field.
    pub(super) fn encode(self) -> ([u8; 2], Vec<u8>) {
        match self {
            Self::Card(state) => ([Scope::IssuerDomain.code(), state.code()], Vec::new()),
            Self::Application { aid, lock } => {
                ([Scope::Applications.code(), if lock { P2_LOCK } else { 0 }], aid.as_bytes().to_vec())
            }
        }
    }

    /// The data field of [`SetStatus::Card`] is ignored, as GPCS §11.10.2.3 has it.
    pub(super) fn parse(p1: u8, p2: u8, data: &[u8]) -> Result<Self, StatusWord> {
        match Scope::from_code(p1) {
            Some(Scope::IssuerDomain) => {
                CardLifeCycle::from_code(p2).map(Self::Card).ok_or(StatusWord::WRONG_P1P2)
            }
            Some(Scope::Applications) => {
                let aid = Aid::new(data).ok_or(StatusWord::WRONG_DATA)?;
                Ok(Self::Application { aid, lock: p2 & P2_LOCK != 0 })
            }
            Some(Scope::Packages | Scope::Modules) | None => Err(StatusWord::WRONG_P1P2),
        }
    }
}

/// One key, as the key information template names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyInformation {
    /// Key identifier: 1 encryption, 2 MAC, 3 data encryption.
    pub id: u8,
    /// Key version number.
    pub version: KeyVersion,
    /// Length of the AES key.
    pub bits: AesBits,
}

impl KeyInformation {
    /// The three keys of a key set.
    #[must_use]
    pub fn of_set(version: KeyVersion, bits: AesBits) -> [Self; 3] {
        [1, 2, 3].map(|id| Self { id, version, bits })
    }

    /// The template E0.
    #[must_use]
    pub fn encode_all(keys: &[Self]) -> Vec<u8> {
        let mut inner = Vec::new();
        for key in keys {
            let len = u8::try_from(key.bits.bytes()).unwrap_or(u8::MAX);
            tlv::write(KEY_DATA, &[key.id, key.version.get(), KEY_TYPE_AES, len], &mut inner);
        }
        tlv::object(super::KEY_INFORMATION, &inner)
    }

    /// Reads the template E0; `None` if it holds anything but AES keys.
    #[must_use]
    pub fn parse_all(template: &[u8]) -> Option<Vec<Self>> {
        let template = Template::parse(template, super::KEY_INFORMATION).ok()?;
        template.objects().iter().map(Self::read).collect()
    }

    fn read((tag, value): &(Tag, Vec<u8>)) -> Option<Self> {
        match value[..] {
            [id, version, KEY_TYPE_AES, len] if *tag == KEY_DATA => Some(Self {
                id,
                version: KeyVersion::new(version)?,
                bits: AesBits::from_bytes(usize::from(len))?,
            }),
            _ => None,
        }
    }
}
