//! The command set: one table, many readings. Documentation, host encoding, the card's dispatch and
//! the generated conformance cases all read [`COMMANDS`].
//!
//! A card refuses in this order, and so each bad APDU has exactly one right status word:
//! form of the APDU (6700) → CLA (6882, 6881, 6E00) → application selected (6985) → INS (6D00) → chaining
//! (6884, 6883) → P1-P2 (6A86, for GET DATA 6A88) → Lc (6700) → state (6985), PIN (6983) → content (6A80, 6A82,
//! 6A88).

use crate::apdu::{CLA_CHAINING, CommandApdu};
use crate::class::Class;
use crate::objects;
use crate::sw::StatusWord;
use crate::tlv::{self, Tag};
use crate::txn::{MAX_TRANSACTION, TransactionMessage};

/// The application identifier: proprietary category F, then `ONETAP`, then the version.
pub const AID: [u8; 8] = [0xF0, b'O', b'N', b'E', b'T', b'A', b'P', 0x01];
/// Version in the answer to SELECT.
pub const APPLICATION_VERSION: [u8; 2] = [0x00, 0x01];

/// Names of the commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Name {
    /// SELECT by name.
    Select,
    /// GET DATA.
    GetData,
    /// GET RESPONSE.
    GetResponse,
    /// PUT TXN: hand over the transaction message.
    PutTxn,
    /// GET SIGNATURE: fetch H and S.
    GetSignature,
    /// GET ENC-PASSWORD: fetch E, D(E) or D(pw).
    GetEncPassword,
}

/// States of the signing application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, strum::Display)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum CardState {
    /// Nothing pending.
    Idle,
    /// A transaction message was accepted.
    Loaded,
    /// It is signed; something is still owed to the terminal.
    Signed,
    /// The terminal has all it needs; the contact is not over.
    Delivered,
    /// The contact is over; the display shows the transaction.
    Showing,
    /// The holder confirmed; the display shows the joint password.
    Revealed,
}

impl CardState {
    /// All states, in the order of the flow.
    pub const ALL: [Self; 6] =
        [Self::Idle, Self::Loaded, Self::Signed, Self::Delivered, Self::Showing, Self::Revealed];

    /// The byte in the card status (data object DF26).
    #[must_use]
    pub fn code(self) -> u8 {
        Self::ALL.iter().position(|s| *s == self).and_then(|i| u8::try_from(i).ok()).unwrap_or(u8::MAX)
    }
}

/// P1-P2 of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parameters {
    /// Exactly these two bytes.
    Exactly(u8, u8),
    /// The tag of one of these data objects.
    Tags(&'static [Tag]),
}

/// The command data field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataField {
    /// Must be absent.
    Absent,
    /// Must be present.
    Required {
        /// Fewest bytes.
        min: usize,
        /// Most bytes, whole chain.
        max: usize,
        /// What it holds.
        content: &'static str,
    },
}

/// One row of the command table.
#[derive(Debug, Clone, Copy)]
pub struct CommandSpec {
    /// Which command.
    pub name: Name,
    /// Its name in the field's terms.
    pub title: &'static str,
    /// Where it is specified.
    pub clause: &'static str,
    /// Class byte without channel and chaining bits.
    pub cla: u8,
    /// Instruction byte.
    pub ins: u8,
    /// P1-P2.
    pub parameters: Parameters,
    /// Command data field.
    pub data: DataField,
    /// Response data: the tags that may come, outermost.
    pub response: &'static [Tag],
    /// True if the data field may come in a chain.
    pub chaining: bool,
    /// States in which it is accepted, each with the states that may follow. Elsewhere: 6985.
    pub states: &'static [(CardState, &'static [CardState])],
    /// Status words that it may answer beside those every command may (see [`COMMON_STATUS`]).
    pub status: &'static [StatusWord],
}

use CardState::{Delivered, Idle, Loaded, Revealed, Showing, Signed};

/// Status words that any command may answer.
pub const COMMON_STATUS: &[StatusWord] = &[
    StatusWord::OK,
    StatusWord::MEMORY_FAILURE,
    StatusWord::WRONG_LENGTH,
    StatusWord::NO_CHANNELS,
    StatusWord::NO_SECURE_MESSAGING,
    StatusWord::CHAIN_BROKEN,
    StatusWord::NO_CHAINING,
    StatusWord::CONDITIONS,
    StatusWord::WRONG_P1P2,
    StatusWord::INTERNAL,
];

/// The command set.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: Name::Select,
        title: "SELECT",
        clause: "ISO/IEC 7816-4 §11.2.2",
        cla: 0x00,
        ins: 0xA4,
        parameters: Parameters::Exactly(0x04, 0x00),
        data: DataField::Required { min: 1, max: 16, content: "AID, whole or its first bytes (at least 5)" },
        response: &[objects::FCI],
        chaining: false,
        states: &[
            (Idle, &[Idle]),
            (Loaded, &[Idle]),
            (Signed, &[Idle]),
            (Delivered, &[Delivered]),
            (Showing, &[Showing]),
            (Revealed, &[Revealed]),
        ],
        status: &[StatusWord::NOT_FOUND],
    },
    CommandSpec {
        name: Name::GetData,
        title: "GET DATA",
        clause: "ISO/IEC 7816-4 §11.4.3",
        cla: 0x00,
        ins: 0xCA,
        parameters: Parameters::Tags(&[objects::PAYER_ALIAS, objects::CARD_STATUS]),
        data: DataField::Absent,
        response: &[objects::PAYER_ALIAS, objects::CARD_STATUS],
        chaining: false,
        states: &[
            (Idle, &[Idle]),
            (Loaded, &[Loaded]),
            (Signed, &[Signed]),
            (Delivered, &[Delivered]),
            (Showing, &[Showing]),
            (Revealed, &[Revealed]),
        ],
        status: &[StatusWord::NO_SUCH_OBJECT],
    },
    CommandSpec {
        name: Name::PutTxn,
        title: "PUT TXN",
        clause: "docs/spec, P-01",
        cla: 0x80,
        ins: 0x30,
        parameters: Parameters::Exactly(0x00, 0x00),
        data: DataField::Required { min: 1, max: MAX_TRANSACTION, content: "transaction message T" },
        response: &[],
        chaining: true,
        states: &[(Idle, &[Loaded])],
        status: &[StatusWord::PIN_BLOCKED, StatusWord::WRONG_DATA],
    },
    CommandSpec {
        name: Name::GetSignature,
        title: "GET SIGNATURE",
        clause: "docs/spec, P-07 … P-13",
        cla: 0x80,
        ins: 0x32,
        parameters: Parameters::Exactly(0x00, 0x00),
        data: DataField::Absent,
        response: &[objects::SIGNATURE_MESSAGE],
        chaining: false,
        states: &[(Loaded, &[Signed, Delivered]), (Signed, &[Signed]), (Delivered, &[Delivered])],
        status: &[],
    },
    CommandSpec {
        name: Name::GetEncPassword,
        title: "GET ENC-PASSWORD",
        clause: "docs/spec, P-09 … P-13",
        cla: 0x80,
        ins: 0x34,
        parameters: Parameters::Exactly(0x00, 0x00),
        data: DataField::Absent,
        response: &[
            objects::ENCRYPTED_PASSWORD,
            objects::ENCRYPTED_PASSWORD_DIGEST,
            objects::PASSWORD_DIGEST,
        ],
        chaining: false,
        states: &[(Signed, &[Delivered]), (Delivered, &[Delivered])],
        status: &[StatusWord::NO_SUCH_OBJECT],
    },
    CommandSpec {
        name: Name::GetResponse,
        title: "GET RESPONSE",
        clause: "ISO/IEC 7816-4 §11.7.1",
        cla: 0x00,
        ins: 0xC0,
        parameters: Parameters::Exactly(0x00, 0x00),
        data: DataField::Absent,
        response: &[],
        chaining: false,
        states: &[
            (Idle, &[Idle]),
            (Loaded, &[Loaded]),
            (Signed, &[Signed]),
            (Delivered, &[Delivered]),
            (Showing, &[Showing]),
            (Revealed, &[Revealed]),
        ],
        status: &[],
    },
];

impl Name {
    /// The command's row.
    #[must_use]
    pub fn spec(self) -> &'static CommandSpec {
        let position = match self {
            Self::Select => 0,
            Self::GetData => 1,
            Self::PutTxn => 2,
            Self::GetSignature => 3,
            Self::GetEncPassword => 4,
            Self::GetResponse => 5,
        };
        &COMMANDS[position]
    }
}

impl CommandSpec {
    /// True if the command is accepted in `state`.
    #[must_use]
    pub fn allowed_in(&self, state: CardState) -> bool {
        self.states.iter().any(|(from, _)| *from == state)
    }
}

/// A command with its content parsed. Handlers never see raw bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command<'a> {
    /// SELECT by this (possibly partial) AID.
    Select(&'a [u8]),
    /// GET DATA of this object.
    GetData(Tag),
    /// PUT TXN.
    PutTxn(Box<TransactionMessage>),
    /// GET SIGNATURE.
    GetSignature,
    /// GET ENC-PASSWORD.
    GetEncPassword,
    /// GET RESPONSE.
    GetResponse,
}

/// Finds the row of a command: CLA, INS, chaining, P1-P2, Lc, in this order.
///
/// # Errors
/// The one right [`StatusWord`].
pub fn recognise(apdu: &CommandApdu<'_>) -> Result<&'static CommandSpec, StatusWord> {
    let class = class(apdu.cla)?;
    let row =
        COMMANDS.iter().find(|row| (row.cla, row.ins) == (class, apdu.ins)).ok_or(StatusWord::WRONG_INS)?;
    if apdu.cla & CLA_CHAINING != 0 && !row.chaining {
        return Err(StatusWord::NO_CHAINING);
    }
    check_parameters(row, apdu)?;
    check_length(row, apdu)?;
    Ok(row)
}

/// CLA without the chaining bit, on channel 0 without secure messaging (ISO/IEC 7816-4 §5.4.1).
fn class(cla: u8) -> Result<u8, StatusWord> {
    match Class::parse(cla)? {
        Class { secure: true, .. } => Err(StatusWord::NO_SECURE_MESSAGING),
        Class { channel: 0, base, .. } => Ok(base),
        _ => Err(StatusWord::NO_CHANNELS),
    }
}

fn check_parameters(row: &CommandSpec, apdu: &CommandApdu<'_>) -> Result<(), StatusWord> {
    match row.parameters {
        Parameters::Exactly(p1, p2) if (p1, p2) == (apdu.p1, apdu.p2) => Ok(()),
        Parameters::Exactly(..) => Err(StatusWord::WRONG_P1P2),
        Parameters::Tags(tags) if tags.contains(&parameter_tag(apdu)) => Ok(()),
        Parameters::Tags(_) => Err(StatusWord::NO_SUCH_OBJECT),
    }
}

fn check_length(row: &CommandSpec, apdu: &CommandApdu<'_>) -> Result<(), StatusWord> {
    let fits = match row.data {
        DataField::Absent => apdu.data.is_empty(),
        DataField::Required { min, max, .. } => (min..=max).contains(&apdu.data.len()),
    };
    if fits { Ok(()) } else { Err(StatusWord::WRONG_LENGTH) }
}

fn parameter_tag(apdu: &CommandApdu<'_>) -> Tag {
    Tag(u16::from_be_bytes([apdu.p1, apdu.p2]))
}

impl<'a> Command<'a> {
    /// Parses the content of a recognised command. The card checks the state in between.
    ///
    /// # Errors
    /// [`StatusWord::WRONG_DATA`].
    pub fn parse(row: &CommandSpec, apdu: &CommandApdu<'a>) -> Result<Self, StatusWord> {
        Ok(match row.name {
            Name::Select => Self::Select(apdu.data),
            Name::GetData => Self::GetData(parameter_tag(apdu)),
            Name::PutTxn => {
                let message = TransactionMessage::parse(apdu.data).map_err(|_| StatusWord::WRONG_DATA)?;
                Self::PutTxn(Box::new(message))
            }
            Name::GetSignature => Self::GetSignature,
            Name::GetEncPassword => Self::GetEncPassword,
            Name::GetResponse => Self::GetResponse,
        })
    }
}

impl CommandSpec {
    /// The command as the host sends it: P1-P2 of the row (or `tag` for GET DATA), `data`, and
    /// Ne = 65 536 where a response may come (the form decides how much of it is asked for).
    #[must_use]
    pub fn apdu<'a>(&self, tag: Option<Tag>, data: &'a [u8]) -> CommandApdu<'a> {
        let [p1, p2] = match (self.parameters, tag) {
            (Parameters::Exactly(p1, p2), _) => [p1, p2],
            (Parameters::Tags(_), Some(tag)) => tag.0.to_be_bytes(),
            (Parameters::Tags(tags), None) => tags.first().map_or([0, 0], |tag| tag.0.to_be_bytes()),
        };
        CommandApdu {
            cla: self.cla,
            ins: self.ins,
            p1,
            p2,
            data,
            ne: (!self.response.is_empty() || self.name == Name::GetResponse)
                .then_some(crate::apdu::MAX_EXTENDED_LE),
        }
    }
}

/// True if `wanted` names the application: its whole AID or the first five bytes and more.
#[must_use]
pub fn aid_matches(wanted: &[u8]) -> bool {
    wanted.len() >= 5 && AID.starts_with(wanted)
}

/// The answer to SELECT: AID and version, nothing that tells one card from another.
#[must_use]
pub fn fci() -> Vec<u8> {
    let proprietary = tlv::object(objects::VERSION, &APPLICATION_VERSION);
    let mut inner = tlv::object(objects::AID_NAME, &AID);
    tlv::write(objects::FCI_PROPRIETARY, &proprietary, &mut inner);
    tlv::object(objects::FCI, &inner)
}

/// Card status, data object DF26: what a terminal may know before it hands over a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct CardStatus {
    /// The state.
    pub state: CardState,
    /// Transactions signed since a key was last pressed on the card; at [`MAX_UNCONFIRMED`] PUT
    /// TXN answers 6985.
    pub unconfirmed: u8,
    /// The PIN is blocked.
    pub pin_blocked: bool,
    /// The counter is used up: the card must be replaced.
    pub worn_out: bool,
}

/// So many unconfirmed transactions since the last key press; then the card wants a key pressed.
pub const MAX_UNCONFIRMED: u8 = 8;

impl CardStatus {
    /// Three bytes: state, unconfirmed transactions, flags (bit 1 PIN blocked, bit 2 worn out).
    #[must_use]
    pub fn to_bytes(self) -> [u8; 3] {
        let flags = u8::from(self.pin_blocked) | u8::from(self.worn_out) << 1;
        [self.state.code(), self.unconfirmed, flags]
    }

    /// Reads the three bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let &[state, unconfirmed, flags] = bytes else {
            return None;
        };
        let state = *CardState::ALL.get(usize::from(state))?;
        (flags & !3 == 0).then_some(Self {
            state,
            unconfirmed,
            pin_blocked: flags & 1 != 0,
            worn_out: flags & 2 != 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apdu::CommandApdu;

    fn refuse(bytes: &[u8]) -> StatusWord {
        recognise(&CommandApdu::parse(bytes).unwrap()).unwrap_err()
    }

    #[test]
    fn rows_stand_where_their_names_say() {
        for row in COMMANDS {
            assert_eq!(row.name.spec().ins, row.ins, "{}", row.title);
        }
    }

    #[test]
    fn one_right_status_word_in_order_of_precedence() {
        // Each line is wrong in all ways from its own down; the first in order decides.
        assert_eq!(refuse(&[0x0C, 0xFF, 9, 9, 0]), StatusWord::NO_SECURE_MESSAGING);
        assert_eq!(refuse(&[0x01, 0xFF, 9, 9, 0]), StatusWord::NO_CHANNELS);
        assert_eq!(refuse(&[0x20, 0xFF, 9, 9, 0]), StatusWord::WRONG_CLA);
        assert_eq!(refuse(&[0xFF, 0xA4, 4, 0, 0]), StatusWord::WRONG_CLA);
        assert_eq!(refuse(&[0x90, 0xFF, 9, 9, 0]), StatusWord::WRONG_INS);
        assert_eq!(refuse(&[0x90, 0x32, 9, 9, 0]), StatusWord::NO_CHAINING);
        assert_eq!(refuse(&[0x80, 0x32, 9, 9, 1, 1]), StatusWord::WRONG_P1P2);
        assert_eq!(refuse(&[0x00, 0xCA, 9, 9, 1, 1]), StatusWord::NO_SUCH_OBJECT);
        assert_eq!(refuse(&[0x80, 0x32, 0, 0, 1, 1]), StatusWord::WRONG_LENGTH);
        assert_eq!(refuse(&[0x80, 0x30, 0, 0]), StatusWord::WRONG_LENGTH);
    }

    #[test]
    fn status_survives_its_bytes() {
        for state in CardState::ALL {
            let status = CardStatus { state, unconfirmed: 3, pin_blocked: true, worn_out: false };
            assert_eq!(CardStatus::from_bytes(&status.to_bytes()), Some(status));
        }
        assert_eq!(CardStatus::from_bytes(&[6, 0, 0]), None);
        assert_eq!(CardStatus::from_bytes(&[0, 0, 4]), None);
        assert_eq!(CardStatus::from_bytes(&[0, 0]), None);
    }

    #[test]
    fn select_answers_version_only() {
        assert_eq!(hex::encode(fci()), "6f118408f04f4e4554415001a5059f08020001");
    }
}
