//! APDUs and whole contacts: what this crate writes and reads of them.

use std::collections::BTreeSet;

use onetap_apdu_spec::apdu::{CLA_CHAINING, CommandApdu, Form, ResponseApdu};
use onetap_apdu_spec::command::{self, CardState, CardStatus, Command, CommandSpec, Name};
use onetap_apdu_spec::digest::Subject;
use onetap_apdu_spec::gp::GpCommand;
use onetap_apdu_spec::header::Header;
use onetap_apdu_spec::objects;
use onetap_apdu_spec::signed::SignatureMessage;
use onetap_apdu_spec::suite::Owed;
use onetap_apdu_spec::sw::StatusWord;
use onetap_apdu_spec::tlv::{self, Tag};
use serde_json::Value;

use super::{World, bytes, check_envelope, load, text, valid};

fn state(name: &str) -> CardState {
    serde_json::from_value(Value::from(name)).unwrap()
}

#[test]
fn apdu_forms_and_refusals_in_their_order() {
    for vector in load("apdus.json").vectors {
        let id = text(&vector, "id");
        let data = bytes(&vector, "bytes");
        if let Some(sw) = vector["sw"].as_str() {
            assert_eq!(answer(text(&vector, "state"), &data).to_string(), sw, "{id}");
            assert_eq!(sw == StatusWord::OK.to_string(), valid(&vector), "{id}");
            continue;
        }
        let apdu = CommandApdu::parse(&data).unwrap();
        assert_eq!(hex::encode([apdu.cla, apdu.ins, apdu.p1, apdu.p2]), text(&vector, "head"), "{id}");
        assert_eq!(hex::encode(apdu.data), text(&vector, "data"), "{id}");
        assert_eq!(apdu.ne.map(u64::from), vector["ne"].as_u64(), "{id}");
        let form = if vector["form"] == "short" { Form::Short } else { Form::Extended };
        assert_eq!(apdu.encode(form).unwrap(), data, "{id}");
    }
}

/// What a card in `state` says to one APDU, as far as this crate decides it. Where the application is not selected, the
/// issuer's security domain is, by default; without a name SELECT means it, too.
fn answer(state_name: &str, data: &[u8]) -> StatusWord {
    judge(state_name, data).err().unwrap_or(StatusWord::OK)
}

fn judge(state_name: &str, data: &[u8]) -> Result<(), StatusWord> {
    let apdu = CommandApdu::parse(data).map_err(|_| StatusWord::WRONG_LENGTH)?;
    let is_select = apdu.ins == Name::Select.spec().ins;
    if state_name == "unselected" && !is_select {
        return GpCommand::parse(&apdu).map(drop);
    }
    if (apdu.cla, apdu.p1) == (0, 4) && is_select && apdu.data.is_empty() {
        return Ok(());
    }
    let row = command::recognise(&apdu)?;
    if !is_select && !row.allowed_in(state(state_name)) {
        return Err(StatusWord::CONDITIONS);
    }
    match Command::parse(row, &apdu)? {
        Command::Select(aid) if !command::aid_matches(aid) => Err(StatusWord::NOT_FOUND),
        _ => Ok(()),
    }
}

/// P-04: whole contacts. Commands are what [`CommandSpec::apdu`] writes, responses what the
/// objects of this crate encode to.
#[test]
fn p_04_sessions() {
    let file = load("sessions.json");
    for world in World::of(&file) {
        for vector in &file.vectors {
            check_session(&world, vector);
        }
    }
}

fn check_session(world: &World, vector: &Value) {
    let header = Header::parse(&bytes(vector, "header")).unwrap();
    let t = bytes(vector, "transaction");
    check_envelope(world, vector, &header, &t);
    let (mut chain, mut response) = (Vec::<u8>::new(), Vec::new());
    let mut next = StatusWord::OK;
    let mut seen = BTreeSet::new();
    for step in vector["steps"].as_array().unwrap() {
        let id = format!("{} {}", text(vector, "id"), step["command"]);
        let command = bytes(step, "command");
        let apdu = CommandApdu::parse(&command).unwrap();
        let row = command::recognise(&apdu).unwrap();
        assert_eq!(row.title, text(step, "name"), "{id}");
        check_command(row, &apdu, &command);
        let answered = ResponseApdu::parse(&bytes(step, "response")).unwrap();
        check_transition(row, step, answered.sw);
        if row.name == Name::GetResponse {
            assert_eq!(apdu.ne, next.as_bytes_left(), "{id}: asks for what was announced");
        } else {
            response.clear();
        }
        assert!(apdu.ne.is_none_or(|ne| answered.data.len() <= ne as usize), "{id}");
        response.extend(&answered.data);
        next = answered.sw;
        if row.name == Name::PutTxn && answered.sw == StatusWord::OK {
            chain.extend(apdu.data);
        }
        if answered.sw == StatusWord::OK && !response.is_empty() {
            seen.insert(check_object(world, vector, step, &header, &response));
        }
    }
    assert_eq!(chain, t, "{}", vector["id"]);
    let expected = 4 + usize::from(header.binding.suite.owed().is_some());
    assert_eq!(seen.len(), expected, "{}: FCI, alias, status, signature and what is owed", vector["id"]);
}

/// The command is byte for byte what the table writes.
fn check_command(row: &CommandSpec, apdu: &CommandApdu<'_>, command: &[u8]) {
    let tag = (row.name == Name::GetData).then(|| Tag(u16::from_be_bytes([apdu.p1, apdu.p2])));
    let mut own = row.apdu(tag, apdu.data);
    own.cla |= apdu.cla & CLA_CHAINING;
    assert_eq!(own.ne.is_some(), apdu.ne.is_some());
    own.ne = apdu.ne;
    let forms = [Form::Short, Form::Extended].map(|form| own.encode(form).ok());
    assert!(forms.contains(&Some(command.to_vec())), "{}", hex::encode(command));
}

/// The state afterwards is one that the table names; a refusal changes none.
fn check_transition(row: &CommandSpec, step: &Value, sw: StatusWord) {
    let (before, after) = (state(text(step, "state")), state(text(step, "after")));
    let refused = sw != StatusWord::OK && sw.as_bytes_left().is_none();
    let part_of_chain = row.chaining && before == after;
    if refused || part_of_chain {
        assert_eq!(before, after);
        assert!(!refused || row.status.contains(&sw) || command::COMMON_STATUS.contains(&sw));
        return;
    }
    let (_, follow) = row.states.iter().find(|(from, _)| *from == before).unwrap();
    assert!(follow.contains(&after), "{} {before:?} → {after:?}", row.title);
}

/// A whole response: the object that this crate makes of the same values. Returns its tag.
fn check_object(world: &World, vector: &Value, step: &Value, header: &Header, response: &[u8]) -> Tag {
    let suite = header.binding.suite;
    let signature = bytes(vector, "signature");
    let message = SignatureMessage { header: *header, signature }.encode();
    let alias = world.keys.alias(world.crypto, header.counter);
    let alias = tlv::object(objects::PAYER_ALIAS, alias.as_str().as_bytes());
    let unconfirmed = u8::from(text(step, "state") == "delivered");
    let status =
        CardStatus { state: state(text(step, "state")), unconfirmed, pin_blocked: false, worn_out: false };
    let status = tlv::object(objects::CARD_STATUS, &status.to_bytes());
    let known = [
        (objects::FCI, command::fci()),
        (objects::PAYER_ALIAS, alias),
        (objects::CARD_STATUS, status),
        (objects::SIGNATURE_MESSAGE, message),
        owed_object(world, vector, header),
    ];
    let found = known.into_iter().find(|(_, object)| object == response);
    let Some((tag, _)) = found else { panic!("{} {suite}: {}", vector["id"], hex::encode(response)) };
    tag
}

fn owed_object(world: &World, vector: &Value, header: &Header) -> (Tag, Vec<u8>) {
    let suite = header.binding.suite;
    let envelope = vector["envelope"].as_str().map(|e| hex::decode(e).unwrap()).unwrap_or_default();
    let header_bytes = header.to_bytes();
    let digester = world.digester(&header_bytes, header.counter, suite.digest());
    let (tag, value) = match suite.owed() {
        None | Some(Owed::Encrypted) => (objects::ENCRYPTED_PASSWORD, envelope),
        Some(Owed::EncryptedDigest) => {
            (objects::ENCRYPTED_PASSWORD_DIGEST, digester.digest(Subject::Envelope, &envelope))
        }
        Some(Owed::PasswordDigest) => (
            objects::PASSWORD_DIGEST,
            digester.digest(Subject::Password, text(vector, "password").as_bytes()),
        ),
    };
    (tag, tlv::object(tag, &value))
}
