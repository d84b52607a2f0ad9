//! Commands to send, right and wrong ones, made from the rows of the command table.

use onetap_apdu_spec::apdu::{CLA_CHAINING, CommandApdu, Form, MAX_SHORT_DATA, MAX_SHORT_LE};
use onetap_apdu_spec::command::{AID, Name};
use onetap_apdu_spec::gp::CARD_DATA;
use onetap_apdu_spec::objects;
use onetap_apdu_spec::tlv::Tag;

/// A command APDU that can be bent.
#[derive(Debug, Clone)]
pub struct CommandBuilder {
    /// Class byte.
    pub cla: u8,
    /// Instruction byte.
    pub ins: u8,
    /// First parameter byte.
    pub p1: u8,
    /// Second parameter byte.
    pub p2: u8,
    /// Data field.
    pub data: Vec<u8>,
    /// Ne.
    pub ne: Option<u32>,
    /// Extended length even where short would do.
    pub extended: bool,
    /// Bytes behind the end, which make the command malformed.
    pub tail: Vec<u8>,
}

impl CommandBuilder {
    /// The command as its row has it, short, with Le = 00 where a response may come. `data` is its
    /// data field, `tag` the object of GET DATA.
    #[must_use]
    pub fn row(name: Name, tag: Option<Tag>, data: &[u8]) -> Self {
        let CommandApdu { cla, ins, p1, p2, ne, .. } = name.spec().apdu(tag, data);
        let ne = ne.map(|ne| ne.min(MAX_SHORT_LE));
        Self { cla, ins, p1, p2, data: data.to_vec(), ne, extended: false, tail: Vec::new() }
    }

    /// SELECT of the application.
    #[must_use]
    pub fn select() -> Self {
        Self::row(Name::Select, None, &AID)
    }

    /// SELECT without a name: of the issuer's security domain (GPCS §11.9).
    #[must_use]
    pub fn select_issuer() -> Self {
        Self::row(Name::Select, None, &[])
    }

    /// GET DATA, card recognition data: a security domain has them (GPCS §H.2).
    #[must_use]
    pub fn card_data() -> Self {
        Self::row(Name::GetData, Some(CARD_DATA), &[])
    }

    /// GET DATA, card status.
    #[must_use]
    pub fn status() -> Self {
        Self::row(Name::GetData, Some(objects::CARD_STATUS), &[])
    }

    /// GET DATA, payer alias.
    #[must_use]
    pub fn alias() -> Self {
        Self::row(Name::GetData, Some(objects::PAYER_ALIAS), &[])
    }

    /// PUT TXN of any bytes.
    #[must_use]
    pub fn put_txn(bytes: &[u8]) -> Self {
        Self::row(Name::PutTxn, None, bytes)
    }

    /// GET SIGNATURE.
    #[must_use]
    pub fn get_signature() -> Self {
        Self::row(Name::GetSignature, None, &[])
    }

    /// GET ENC-PASSWORD.
    #[must_use]
    pub fn get_enc_password() -> Self {
        Self::row(Name::GetEncPassword, None, &[])
    }

    /// GET RESPONSE with this Ne.
    #[must_use]
    pub fn get_response(ne: u32) -> Self {
        Self::row(Name::GetResponse, None, &[]).with_ne(Some(ne))
    }

    /// With another Ne.
    #[must_use]
    pub fn with_ne(self, ne: Option<u32>) -> Self {
        Self { ne, ..self }
    }

    /// In extended length.
    #[must_use]
    pub fn extended(self) -> Self {
        Self { extended: true, ..self }
    }

    /// As one part of a chain, not the last.
    #[must_use]
    pub fn chained(self) -> Self {
        Self { cla: self.cla | CLA_CHAINING, ..self }
    }

    /// Whether short length cannot hold it.
    #[must_use]
    pub fn is_long(&self) -> bool {
        self.data.len() > MAX_SHORT_DATA || self.ne.is_some_and(|ne| ne > MAX_SHORT_LE)
    }

    /// The same in a chain of commands in short length.
    #[must_use]
    pub fn in_short_parts(&self) -> Vec<Self> {
        let ne = self.ne.map(|ne| ne.min(MAX_SHORT_LE));
        let mut parts: Vec<_> = self
            .data
            .chunks(MAX_SHORT_DATA)
            .map(|part| Self { data: part.to_vec(), ne: None, ..self.clone() }.chained())
            .collect();
        if let Some(last) = parts.last_mut() {
            *last = Self { cla: self.cla, ne, tail: self.tail.clone(), ..last.clone() };
        }
        parts
    }

    /// The bytes; extended where the data or Ne want it.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let Self { cla, ins, p1, p2, ref data, ne, .. } = *self;
        let form = if self.extended || self.is_long() { Form::Extended } else { Form::Short };
        let apdu = CommandApdu { cla, ins, p1, p2, data, ne };
        // Fails only beyond 65 535 bytes of data, which no case has.
        let mut bytes = apdu.encode(form).unwrap_or_default();
        bytes.extend(&self.tail);
        bytes
    }
}
