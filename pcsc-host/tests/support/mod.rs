//! A scripted card: it answers as told, and notes what it was sent. Shared by several test files,
//! each of which uses a part.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used, reason = "support for tests")]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use onetap_apdu_spec::apdu::CommandApdu;
use onetap_apdu_spec::command::{Name, fci};
use onetap_apdu_spec::crypto::{RsaBits, SigningKeyType};
use onetap_apdu_spec::header::{Binding, CardId, Header, ServerId};
use onetap_apdu_spec::objects;
use onetap_apdu_spec::signed::SignatureMessage;
use onetap_apdu_spec::suite::{Owed, Suite};
use onetap_apdu_spec::tlv;
use onetap_pcsc_host::{Atr, Deadline, Disposition, Fields, Reader, ReaderError, Transport};

pub const ALIAS: &str = "MZXW6YTBOJTG633C";

/// What happened, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    Connect,
    Command(Vec<u8>),
    Release(Disposition),
}

pub type Log = Arc<Mutex<Vec<Seen>>>;

/// Answers in the order of a script; when that is over, the card is gone.
pub struct Scripted {
    pub answers: VecDeque<Result<Vec<u8>, ReaderError>>,
    pub log: Log,
    pub extended: bool,
}

impl Scripted {
    pub fn new(answers: &[&str]) -> Self {
        let answers = answers.iter().map(|answer| Ok(hex::decode(answer).unwrap())).collect();
        Self { answers, log: Log::default(), extended: false }
    }

    pub fn extended(mut self) -> Self {
        self.extended = true;
        self
    }

    pub fn sent(&self) -> Vec<String> {
        commands(&self.log)
    }
}

pub fn commands(log: &Log) -> Vec<String> {
    let hex = |seen: &Seen| match seen {
        Seen::Command(bytes) => Some(hex::encode(bytes)),
        _ => None,
    };
    log.lock().unwrap().iter().filter_map(hex).collect()
}

impl Transport for Scripted {
    fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, ReaderError> {
        self.log.lock().unwrap().push(Seen::Command(command.to_vec()));
        self.answers.pop_front().unwrap_or(Err(ReaderError::CardRemoved))
    }

    fn atr(&self) -> &Atr {
        static EMPTY: std::sync::LazyLock<Atr> = std::sync::LazyLock::new(Atr::default);
        &EMPTY
    }

    fn supports_extended(&self) -> bool {
        self.extended
    }

    fn release(self: Box<Self>, disposition: Disposition) -> Result<(), ReaderError> {
        self.log.lock().unwrap().push(Seen::Release(disposition));
        Ok(())
    }
}

/// A reader for one contact with a scripted card.
pub struct ScriptedReader(pub Option<Scripted>);

impl Reader for ScriptedReader {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn connect(&mut self, _: &Deadline) -> Result<Box<dyn Transport>, ReaderError> {
        let card = self.0.take().ok_or(ReaderError::NoCard)?;
        card.log.lock().unwrap().push(Seen::Connect);
        Ok(Box::new(card))
    }
}

pub fn header(suite: Suite, counter: u32) -> Header {
    let (server, card) = (ServerId([1; 8]), CardId([2; 8]));
    Header { binding: Binding { server, card, suite, signing_key: 1, server_key: 1, issuer_key: 1 }, counter }
}

/// A signature message in form: the signature itself is none.
pub fn signature_message(suite: Suite, counter: u32) -> Vec<u8> {
    let length = SigningKeyType::of(suite.signature(), RsaBits::B2048).signature_len();
    SignatureMessage { header: header(suite, counter), signature: vec![7; length] }.encode()
}

pub fn owed_object(owed: Owed) -> Vec<u8> {
    tlv::object(onetap_pcsc_host::session::owed_tag(owed), &[9; 32])
}

pub fn with_sw(mut data: Vec<u8>, sw: [u8; 2]) -> Vec<u8> {
    data.extend(sw);
    data
}

pub fn ok(data: Vec<u8>) -> Vec<u8> {
    with_sw(data, [0x90, 0x00])
}

/// A card in form: right answers to every command, no cryptography.
pub fn formal_card(suite: Suite) -> impl FnMut(&[u8]) -> Vec<u8> {
    let mut counter = 0;
    move |command: &[u8]| {
        let command = CommandApdu::parse(command).unwrap();
        let row = onetap_pcsc_host::decode::command_row(&command).unwrap();
        ok(match row.name {
            Name::Select => fci(),
            Name::GetData => tlv::object(objects::PAYER_ALIAS, ALIAS.as_bytes()),
            Name::PutTxn => {
                counter += 1;
                Vec::new()
            }
            Name::GetSignature => signature_message(suite, counter),
            Name::GetEncPassword => owed_object(suite.owed().unwrap()),
            Name::GetResponse => unreachable!(),
        })
    }
}

pub fn fields() -> Fields {
    Fields {
        kind: onetap_apdu_spec::txn::TransactionType::Payment,
        payee_account: "DE89370400440532013000".into(),
        payee_name: "Coffee Shop".into(),
        amount: "12.34".into(),
        currency: "EUR".into(),
        reference: "Order 17".into(),
        details: None,
    }
}
