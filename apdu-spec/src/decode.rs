//! APDUs in words, from the command table: for `trace show`, the demo's narration and the panel's log.

use crate::apdu::{CLA_CHAINING, CommandApdu, ResponseApdu, for_log, reference_data};
use crate::command::{COMMANDS, CardStatus, CommandSpec, Name, fci};
use crate::header::Header;
use crate::objects::{self, DATA_OBJECTS, DataObject};
use crate::signed::SignatureMessage;
use crate::sw::StatusWord;
use crate::tlv::{self, Tag, Template};
use crate::txn::{Transaction, TransactionMessage, TransactionType};

/// Most bytes of a value that are written out.
const MAX_HEX: usize = 16;

/// The row of the table that a command names by CLA and INS, chaining bit aside.
#[must_use]
pub fn command_row(command: &CommandApdu<'_>) -> Option<&'static CommandSpec> {
    let class = command.cla & !CLA_CHAINING;
    COMMANDS.iter().find(|row| (row.cla, row.ins) == (class, command.ins))
}

/// A command in one line: its name and what its data field holds.
#[must_use]
pub fn describe_command(bytes: &[u8]) -> String {
    let Ok(command) = CommandApdu::parse(bytes) else {
        return format!("not a command APDU: {}", unread(bytes));
    };
    let Some(row) = command_row(&command) else {
        return format!("unknown command {}", unread(bytes));
    };
    let title = row.title;
    if command.cla & CLA_CHAINING != 0 {
        return format!("{title}, part of a chain, {} bytes", command.data.len());
    }
    match row.name {
        Name::Select => format!("{title} application {}", hex::encode_upper(command.data)),
        Name::GetData => {
            let tag = Tag(u16::from_be_bytes([command.p1, command.p2]));
            format!("{title} {}", object_name(tag))
        }
        Name::PutTxn => match TransactionMessage::parse(command.data) {
            Ok(message) => format!("{title} {}", describe_transaction(message.transaction())),
            Err(error) => format!("{title}, {} bytes that are no whole message: {error}", command.data.len()),
        },
        Name::GetSignature | Name::GetEncPassword | Name::GetResponse => title.to_owned(),
    }
}

/// The bytes of a command that the table does not have, but for what may be a PIN.
fn unread(command: &[u8]) -> String {
    let shown = short_hex(&for_log(command));
    match reference_data(command) {
        Some(secret) => format!("{shown} without {} bytes that may be a PIN", secret.len()),
        None => shown,
    }
}

/// A response in one line: the meaning of its status word and what its data field holds. `command`
/// is what it answers, if that is known.
#[must_use]
pub fn describe_response(command: Option<Name>, bytes: &[u8]) -> String {
    let Ok(response) = ResponseApdu::parse(bytes) else {
        return format!("no status word: {}", short_hex(bytes));
    };
    let status = describe_status(response.sw);
    let data = &response.data;
    match command {
        _ if data.is_empty() => status,
        Some(Name::Select) if *data == fci() => format!("{status}; the signing application, version 1"),
        Some(Name::GetSignature) => format!("{status}; {}", describe_signature(data)),
        Some(Name::GetData | Name::GetEncPassword) => format!("{status}; {}", describe_object(data)),
        _ => format!("{status}; {}", short_hex(data)),
    }
}

/// A status word and its meaning.
#[must_use]
pub fn describe_status(sw: StatusWord) -> String {
    match sw.meaning() {
        Some(row) => format!("{sw} {}", row.meaning),
        None => format!("{sw} (no meaning here)"),
    }
}

/// A transaction as the holder would read it.
#[must_use]
pub fn describe_transaction(transaction: &Transaction) -> String {
    let kind = match transaction.kind {
        TransactionType::Payment => "payment",
        TransactionType::TopUp => "top-up",
    };
    let details = transaction.details.as_ref().map(|details| format!(", \"{details}\"")).unwrap_or_default();
    format!(
        "{kind} of {} to \"{}\" ({}), reference \"{}\"{details}, {}, payer {}, terminal {}",
        transaction.amount,
        transaction.payee_name,
        transaction.payee_account,
        transaction.reference,
        transaction.at,
        transaction.payer,
        transaction.terminal.as_str(),
    )
}

fn describe_signature(data: &[u8]) -> String {
    match SignatureMessage::parse(data) {
        Ok(message) => {
            let binding = message.header.binding;
            format!(
                "signature message: counter {}, suite {}, card {}, operator {}, signature of {} bytes",
                message.header.counter,
                binding.suite,
                binding.card,
                binding.server,
                message.signature.len()
            )
        }
        Err(_) => format!("part of a signature message, {} bytes", data.len()),
    }
}

/// One primitive data object by name and value.
fn describe_object(data: &[u8]) -> String {
    let object = Template::parse(&tlv::object(objects::TRANSACTION, data), objects::TRANSACTION);
    match object.as_ref().map(Template::objects) {
        Ok([(tag, value)]) => format!("{}: {}", object_name(*tag), describe_value(*tag, value)),
        _ => short_hex(data),
    }
}

fn describe_value(tag: Tag, value: &[u8]) -> String {
    match tag {
        objects::PAYER_ALIAS => String::from_utf8_lossy(value).escape_debug().to_string(),
        objects::CARD_STATUS => match CardStatus::from_bytes(value) {
            Some(status) => format!(
                "{:?}, {} unconfirmed{}{}",
                status.state,
                status.unconfirmed,
                if status.pin_blocked { ", PIN blocked" } else { "" },
                if status.worn_out { ", counter used up" } else { "" },
            ),
            None => short_hex(value),
        },
        _ => short_hex(value),
    }
}

/// A place in a data field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Tags in hex from the outermost, with `/` between them.
    pub path: String,
    /// The names of the innermost object and of the field in it.
    pub name: String,
}

/// Where byte `offset` of a data field lies, if the field is BER-TLV of at most [`tlv::MAX_TEMPLATE`] bytes.
#[must_use]
pub fn place_in(data: &[u8], offset: usize) -> Option<Place> {
    let path = tlv::path_to(data, offset)?;
    let tags: Vec<_> = path.iter().map(|step| hex::encode_upper(step.tag)).collect();
    let last = path.last()?;
    let (path, known) = (tags.join("/"), name_of_tags(tags.last()?));
    let name = known.unwrap_or_else(|| format!("data object {}", hex::encode_upper(last.tag)));
    let part = match offset.checked_sub(last.value) {
        None => Some("tag or length"),
        Some(within) => place_in_object(&path, within),
    };
    Some(Place { name: part.map_or_else(|| name.clone(), |part| format!("{name}, {part}")), path })
}

/// The name of the innermost data object of a path such as `E2/DF22`, if it is one of ours.
#[must_use]
pub fn name_of_tags(path: &str) -> Option<String> {
    let row = row_of_tags(path)?;
    Some(row.name.to_owned())
}

/// The field that byte `offset` of that object's value belongs to, if it has fields.
#[must_use]
pub fn place_in_object(path: &str, offset: usize) -> Option<&'static str> {
    let fields: &[(&str, usize)] = match row_of_tags(path)?.tag {
        objects::HEADER => &Header::FIELDS,
        objects::CARD_STATUS => &[("state", 1), ("unconfirmed transactions", 1), ("flags", 1)],
        _ => return None,
    };
    let mut end = 0;
    fields.iter().find_map(|(name, len)| {
        end += len;
        (offset < end).then_some(*name)
    })
}

fn row_of_tags(path: &str) -> Option<&'static DataObject> {
    let last = path.rsplit('/').next()?;
    let tag = Tag(u16::from_str_radix(last, 16).ok()?);
    DATA_OBJECTS.iter().find(|row| row.tag == tag)
}

fn object_name(tag: Tag) -> String {
    DATA_OBJECTS
        .iter()
        .find(|row| row.tag == tag)
        .map_or_else(|| format!("data object {tag}"), |row| row.name.to_owned())
}

fn short_hex(bytes: &[u8]) -> String {
    match bytes.get(..MAX_HEX) {
        Some(head) if bytes.len() > MAX_HEX => {
            format!("{}… ({} bytes)", hex::encode_upper(head), bytes.len())
        }
        _ => hex::encode_upper(bytes),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn command(name: Name, tag: Option<Tag>, data: &[u8]) -> String {
        let apdu = CommandApdu { ne: None, ..name.spec().apdu(tag, data) };
        describe_command(&apdu.encode(crate::apdu::Form::Extended).unwrap())
    }

    #[test]
    fn commands_are_told_by_name() {
        assert_eq!(command(Name::GetSignature, None, &[]), "GET SIGNATURE");
        assert_eq!(
            command(Name::GetData, Some(objects::CARD_STATUS), &[]),
            "GET DATA card status: state, unconfirmed transactions, flags"
        );
        assert_eq!(command(Name::Select, None, b"\xF0ONET"), "SELECT application F04F4E4554");
        assert!(command(Name::PutTxn, None, &[1]).starts_with("PUT TXN, 1 bytes that are no whole message"));
        assert_eq!(describe_command(b"\x00\x11\x22\x33"), "unknown command 00112233");
        assert_eq!(describe_command(b"\x00"), "not a command APDU: 00");
        let told = "unknown command 0020000104 without 4 bytes that may be a PIN";
        assert_eq!(describe_command(b"\x00\x20\x00\x01\x042580"), told);
        let told = "not a command APDU: 0020000108 without 4 bytes that may be a PIN";
        assert_eq!(describe_command(b"\x00\x20\x00\x01\x082580"), told);
    }

    #[test]
    fn responses_are_told_by_meaning() {
        let ok = |data| ResponseApdu::ok(data).to_bytes();
        assert!(describe_response(Some(Name::Select), &ok(fci())).contains("the signing application"));
        let alias = tlv::object(objects::PAYER_ALIAS, b"MZXW6YTBOJTG633C");
        let told = describe_response(Some(Name::GetData), &ok(alias));
        assert!(told.ends_with("payer alias (payment account reference): MZXW6YTBOJTG633C"), "{told}");
        let status = tlv::object(objects::CARD_STATUS, &[4, 2, 1]);
        let told = describe_response(Some(Name::GetData), &ok(status));
        assert!(told.ends_with("Showing, 2 unconfirmed, PIN blocked"), "{told}");
        let refused = ResponseApdu::from(StatusWord::CONDITIONS).to_bytes();
        assert!(describe_response(None, &refused).starts_with("6985 not in this state"));
        assert_eq!(describe_response(None, &[0]), "no status word: 00");
    }

    #[test]
    fn a_place_in_a_data_field_has_a_name() {
        let header = tlv::object(objects::HEADER, &[0; 39]);
        let message = tlv::object(
            objects::SIGNATURE_MESSAGE,
            &[header, tlv::object(objects::SIGNATURE, &[0; 256])].concat(),
        );
        let name = |offset| place_in(&message, offset).map(|place| (place.path, place.name));
        let is = |path: &str, name: &str| Some((path.to_owned(), name.to_owned()));
        assert_eq!(name(0), is("E2", "signature message (template), tag or length"));
        assert_eq!(name(5), is("E2/DF22", "header H, tag or length"));
        assert_eq!(name(7), is("E2/DF22", "header H, domain tag"));
        assert_eq!(name(7 + 38), is("E2/DF22", "header H, counter C"));
        assert_eq!(name(7 + 39 + 5), is("E2/5F3D", "digital signature"));
        assert_eq!(name(message.len()), None);
        assert_eq!(place_in(b"\x70\x03\x5A\x01\x00", 4).unwrap().name, "data object 5A");
        assert_eq!(place_in(b"words", 1), None);
    }

    proptest! {
        #[test]
        fn any_place_can_be_named(bytes in proptest::collection::vec(any::<u8>(), 0..300), offset in 0..320usize) {
            let _ = place_in(&bytes, offset);
        }

        #[test]
        fn any_bytes_can_be_described(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(!describe_command(&bytes).is_empty());
            for row in COMMANDS {
                prop_assert!(!describe_response(Some(row.name), &bytes).is_empty());
            }
        }
    }
}
