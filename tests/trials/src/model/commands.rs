//! What a card answers to any bytes, told a second time from `docs/spec` and ISO/IEC 7816-4.

use onetap_apdu_spec::apdu::{CLA_CHAINING, CommandApdu};
use onetap_apdu_spec::class::Class;
use onetap_apdu_spec::command::{AID, CardStatus, MAX_UNCONFIRMED, fci};
use onetap_apdu_spec::gp::isd_fci;
use onetap_apdu_spec::objects;
use onetap_apdu_spec::sw::StatusWord;
use onetap_apdu_spec::tlv::object;
use onetap_apdu_spec::txn::{MAX_TRANSACTION, TransactionMessage};

use super::reference::{Deal, Kept, Model, State};
use super::wire::{Body, Part};
use crate::rig::alias;

const SELECT: u8 = 0xA4;
const MANAGE_CHANNEL: u8 = 0x70;
const GET_RESPONSE: u8 = 0xC0;
const GET_DATA: u8 = 0xCA;
const PUT_TXN: u8 = 0x30;
const GET_SIGNATURE: u8 = 0x32;
const GET_ENC_PASSWORD: u8 = 0x34;

/// Commands of the issuer's security domain: those that it serves without a secure channel, and the others.
const OPEN_TO_ALL: [u8; 2] = [SELECT, GET_DATA];
const INITIALIZE_UPDATE: u8 = 0x50;
const EXTERNAL_AUTHENTICATE: u8 = 0x82;
const ISSUERS: [u8; 7] = [0xE6, 0xE4, 0xF2, 0xF0, 0xE2, 0xD8, 0xE8];

type Answer = Result<Option<Body>, StatusWord>;

impl Model {
    /// One command.
    pub(super) fn transmit(&mut self, bytes: &[u8]) -> (StatusWord, Option<Part>) {
        if !self.wire.powered {
            return (StatusWord::INTERNAL, None);
        }
        self.tick();
        let Ok(apdu) = CommandApdu::parse(bytes) else {
            (self.wire.chain, self.wire.out) = (None, None);
            return (StatusWord::WRONG_LENGTH, None);
        };
        let chain_was_open = self.wire.chain.is_some();
        let mut warning = None;
        match self.route(&apdu) {
            Ok(Some(body)) => self.wire.out = Some((body, 0)),
            Ok(None) => {}
            Err(sw) if sw.is_warning() => warning = Some(sw),
            Err(sw) => {
                self.wire.out = None;
                if chain_was_open {
                    self.wire.chain = None;
                }
                return (sw, None);
            }
        }
        // REQ-K-20: without a name, SELECT without Le is the one with Le = 00.
        let nameless = apdu.ins == SELECT && apdu.p1 == 4 && apdu.data.is_empty();
        let ne = apdu
            .ne
            .or((nameless && Class::parse(apdu.cla).is_ok_and(|class| class.base == 0)).then_some(256));
        let (sw, part) = self.give(ne.map_or(0, |ne| ne as usize));
        (warning.unwrap_or(sw), part)
    }

    /// As many bytes as are wanted; the rest waits.
    fn give(&mut self, wanted: usize) -> (StatusWord, Option<Part>) {
        let Some((body, sent)) = self.wire.out.take() else { return (StatusWord::OK, None) };
        let whole = self.wire.len(&body);
        let len = wanted.min(whole - sent);
        let part = Part { body: body.clone(), from: sent, len, whole };
        let left = whole - sent - len;
        if left == 0 {
            return (StatusWord::OK, Some(part));
        }
        self.wire.out = Some((body, sent + len));
        (StatusWord::bytes_left(left), Some(part))
    }

    /// In the order of refusal.
    fn route(&mut self, apdu: &CommandApdu<'_>) -> Answer {
        let class = Class::parse(apdu.cla)?;
        // Nothing is selected on a channel that is closed, and so nothing that takes secure messaging.
        if class.secure && self.wire.channel(class.channel) != Some(false) {
            return Err(StatusWord::NO_SECURE_MESSAGING);
        }
        let selected = self.wire.channel(class.channel).ok_or(StatusWord::NO_CHANNELS)?;
        let by_name = apdu.ins == SELECT && apdu.p1 == 4;
        if class.base == 0 && (by_name || [MANAGE_CHANNEL, GET_RESPONSE].contains(&apdu.ins)) {
            if class.chaining {
                return Err(StatusWord::NO_CHAINING);
            }
            if self.wire.chain.is_some() {
                return Err(StatusWord::CHAIN_BROKEN);
            }
            return match apdu.ins {
                SELECT => self.select(class.channel, apdu),
                MANAGE_CHANNEL => self.manage_channel(class.channel, apdu),
                _ => self.get_response(apdu),
            };
        }
        if class.chaining || self.wire.chain.is_some() {
            self.chained(class, selected, apdu)
        } else if selected {
            self.wire.out = None;
            self.command(class.base, apdu)
        } else {
            self.wire.out = None;
            issuer_domain(class.base, apdu)
        }
    }

    fn select(&mut self, channel: u8, apdu: &CommandApdu<'_>) -> Answer {
        let (occurrence, answer) = (apdu.p2 & 3, apdu.p2 & !3);
        if apdu.p1 != 4 || ![0x00, 0x0C].contains(&answer) {
            return Err(StatusWord::WRONG_P1P2);
        }
        if apdu.data.len() > 16 {
            return Err(StatusWord::WRONG_LENGTH);
        }
        // There is one application of each name: none comes before or after it.
        let application = !apdu.data.is_empty();
        let another = occurrence >= 2 && self.wire.channel(channel) == Some(application);
        let ours = apdu.data.len() >= 5 && AID.starts_with(apdu.data);
        if another || (application && !ours) {
            return Err(StatusWord::NOT_FOUND);
        }
        if application {
            self.select_on(channel)?;
        } else {
            self.select_domain_on(channel);
        }
        self.wire.out = None;
        Ok((answer == 0).then(|| Body::Bytes(if application { fci() } else { isd_fci() })))
    }

    /// It is selected on one channel at a time.
    fn select_on(&mut self, channel: u8) -> Result<(), StatusWord> {
        if (0..4).any(|other| other != channel && self.wire.channel(other) == Some(true)) {
            return Err(StatusWord::CONDITIONS);
        }
        self.wire.set_channel(channel, Some(true));
        self.interrupt();
        Ok(())
    }

    fn select_domain_on(&mut self, channel: u8) {
        if self.wire.channel(channel) == Some(true) {
            self.interrupt();
        }
        self.wire.set_channel(channel, Some(false));
    }

    fn manage_channel(&mut self, origin: u8, apdu: &CommandApdu<'_>) -> Answer {
        if !apdu.data.is_empty() {
            return Err(StatusWord::WRONG_LENGTH);
        }
        self.wire.out = None;
        match (apdu.p1, apdu.p2) {
            (0, 0) => {
                let free = (0..4).find(|number| self.wire.channel(*number).is_none());
                let number = free.ok_or(StatusWord::NOT_SUPPORTED)?;
                self.open_channel(origin, number)?;
                Ok(Some(Body::Bytes(vec![number])))
            }
            (0, number @ 1..4) if self.wire.channel(number).is_none() => {
                self.open_channel(origin, number).map(|()| None)
            }
            (0x80, number) => self.close_channel(if number == 0 { origin } else { number }),
            _ => Err(StatusWord::WRONG_P1P2),
        }
    }

    /// A channel that is opened from another one than the basic one starts with what is selected there.
    fn open_channel(&mut self, origin: u8, number: u8) -> Result<(), StatusWord> {
        if origin != 0 && self.wire.channel(origin) == Some(true) {
            return Err(StatusWord::CONDITIONS);
        }
        self.wire.set_channel(number, Some(false));
        Ok(())
    }

    fn close_channel(&mut self, number: u8) -> Answer {
        match number {
            0 => return Err(StatusWord::NOT_SUPPORTED),
            1..4 => {}
            _ => return Err(StatusWord::WRONG_P1P2),
        }
        match self.wire.channel(number) {
            None => return Err(StatusWord::CHANNEL_WAS_CLOSED),
            Some(true) => self.interrupt(),
            Some(false) => {}
        }
        self.wire.set_channel(number, None);
        Ok(None)
    }

    fn get_response(&mut self, apdu: &CommandApdu<'_>) -> Answer {
        match (apdu.p1, apdu.p2) {
            (0, 0) if !apdu.data.is_empty() => Err(StatusWord::WRONG_LENGTH),
            (0, 0) if self.wire.out.is_some() => Ok(None),
            (0, 0) => Err(StatusWord::CONDITIONS),
            _ => Err(StatusWord::WRONG_P1P2),
        }
    }

    fn chained(&mut self, class: Class, selected: bool, apdu: &CommandApdu<'_>) -> Answer {
        let head = [class.base, class.channel, apdu.ins, apdu.p1, apdu.p2];
        let cla = class.base | if class.chaining { CLA_CHAINING } else { 0 };
        let admitted = if selected { self.admit(cla, apdu) } else { Err(no_chain_of_the_issuers(apdu.ins)) };
        if self.wire.chain.as_ref().is_some_and(|(open, _)| *open != head) {
            return Err(match admitted {
                Err(sw @ (StatusWord::WRONG_INS | StatusWord::NO_CHAINING)) => sw,
                _ => StatusWord::CHAIN_BROKEN,
            });
        }
        self.wire.out = None;
        admitted?;
        let mut data = self.wire.chain.take().map(|(_, data)| data).unwrap_or_default();
        data.extend(apdu.data);
        if data.len() > MAX_TRANSACTION {
            return Err(StatusWord::WRONG_LENGTH);
        }
        if class.chaining {
            self.wire.chain = Some((head, data));
            return Ok(None);
        }
        self.command(class.base, &CommandApdu { data: &data, ..*apdu })
    }

    fn command(&mut self, base: u8, apdu: &CommandApdu<'_>) -> Answer {
        self.admit(base, apdu)?;
        match apdu.ins {
            GET_DATA => self.get_data(u16::from_be_bytes([apdu.p1, apdu.p2])).map(Some),
            PUT_TXN => self.put_txn(apdu.data).map(|()| None),
            GET_SIGNATURE => self.get_signature().map(Some),
            _ => self.get_enc_password().map(Some),
        }
    }

    /// INS, chaining, P1-P2, Lc, then state and PIN. Here `cla` holds nothing but class and chaining.
    fn admit(&self, cla: u8, apdu: &CommandApdu<'_>) -> Result<(), StatusWord> {
        let known = match cla & !CLA_CHAINING {
            0x00 => [SELECT, GET_DATA, GET_RESPONSE].contains(&apdu.ins),
            _ => [PUT_TXN, GET_SIGNATURE, GET_ENC_PASSWORD].contains(&apdu.ins),
        };
        if !known {
            return Err(StatusWord::WRONG_INS);
        }
        if cla & CLA_CHAINING != 0 && apdu.ins != PUT_TXN {
            return Err(StatusWord::NO_CHAINING);
        }
        let tags = [objects::PAYER_ALIAS.0.to_be_bytes(), objects::CARD_STATUS.0.to_be_bytes()];
        match apdu.ins {
            GET_DATA if !tags.contains(&[apdu.p1, apdu.p2]) => return Err(StatusWord::NO_SUCH_OBJECT),
            GET_DATA => {}
            // SELECT with any other P1 was told apart before.
            _ if (apdu.p1, apdu.p2) != (0, 0) => return Err(StatusWord::WRONG_P1P2),
            SELECT => return Err(StatusWord::WRONG_P1P2),
            _ => {}
        }
        let lengths = if apdu.ins == PUT_TXN { 1..=MAX_TRANSACTION } else { 0..=0 };
        if !lengths.contains(&apdu.data.len()) {
            return Err(StatusWord::WRONG_LENGTH);
        }
        self.admit_state(apdu.ins)
    }

    fn admit_state(&self, ins: u8) -> Result<(), StatusWord> {
        let allowed = match (ins, self.state) {
            (GET_SIGNATURE, State::Loaded(_) | State::Signed(..) | State::Delivered(_))
            | (GET_ENC_PASSWORD, State::Signed(..) | State::Delivered(_))
            | (GET_DATA, _) => true,
            (PUT_TXN, State::Idle) => self.kept.unconfirmed < MAX_UNCONFIRMED && self.now.is_some(),
            _ => false,
        };
        match ins {
            _ if !allowed => Err(StatusWord::CONDITIONS),
            PUT_TXN if self.blocked() => Err(StatusWord::PIN_BLOCKED),
            _ => Ok(()),
        }
    }

    fn get_data(&self, tag: u16) -> Result<Body, StatusWord> {
        if tag == objects::PAYER_ALIAS.0 {
            return Ok(Body::Bytes(object(objects::PAYER_ALIAS, self.alias().as_bytes())));
        }
        let (state, pin_blocked) = (self.name(), self.blocked());
        let status = CardStatus { state, unconfirmed: self.kept.unconfirmed, pin_blocked, worn_out: false };
        Ok(Body::Bytes(object(objects::CARD_STATUS, &status.to_bytes())))
    }

    /// Under which the payer has to be named next.
    pub(super) fn alias(&self) -> String {
        alias(self.kept.counter + 1).as_str().to_owned()
    }

    fn put_txn(&mut self, data: &[u8]) -> Result<(), StatusWord> {
        let message = TransactionMessage::parse(data).map_err(|_| StatusWord::WRONG_DATA)?;
        if message.transaction().payer.as_str() != self.alias() {
            return Err(StatusWord::WRONG_DATA);
        }
        self.state = State::Loaded(Deal::of(message.transaction()));
        Ok(())
    }

    fn get_signature(&mut self) -> Result<Body, StatusWord> {
        let State::Loaded(deal) = self.state else { return Ok(Body::Signature(self.kept.counter)) };
        let counter = self.kept.counter + 1;
        self.commit(Kept { counter, unconfirmed: self.kept.unconfirmed + 1, ..self.kept });
        if self.wire.fixed.owed.is_some() {
            self.state = State::Signed(counter, deal);
        } else {
            // C is spent, whatever becomes of the delivery.
            self.state = State::Idle;
            self.deliver_now(counter, deal)?;
        }
        Ok(Body::Signature(counter))
    }

    fn get_enc_password(&mut self) -> Result<Body, StatusWord> {
        if self.wire.fixed.owed.is_none() {
            return Err(StatusWord::NO_SUCH_OBJECT);
        }
        if let State::Signed(counter, deal) = self.state {
            self.deliver_now(counter, deal)?;
        }
        Ok(Body::Owed(self.kept.counter))
    }

    /// Without a clock nothing can be delivered.
    fn deliver_now(&mut self, counter: u32, deal: Deal) -> Result<(), StatusWord> {
        match self.now {
            Some(now) => {
                self.deliver(counter, deal, now);
                Ok(())
            }
            None => Err(StatusWord::CONDITIONS),
        }
    }
}

/// What the issuer's security domain answers to a terminal that has no keys for it (docs/spec, personalisation.md). It is
/// selected wherever the application is not. The deck makes no whole INITIALIZE UPDATE.
fn issuer_domain(base: u8, apdu: &CommandApdu<'_>) -> Answer {
    let secured = base & 0x0C == 0x04;
    let (known, open) = (knows(apdu.ins), OPEN_TO_ALL.contains(&apdu.ins));
    match apdu.ins {
        EXTERNAL_AUTHENTICATE => Err(StatusWord::CONDITIONS),
        INITIALIZE_UPDATE if secured => Err(StatusWord::SECURITY_STATUS),
        INITIALIZE_UPDATE if base & 0x80 == 0 => Err(StatusWord::WRONG_CLA),
        INITIALIZE_UPDATE if apdu.p2 != 0 => Err(StatusWord::WRONG_P1P2),
        INITIALIZE_UPDATE => Err(StatusWord::WRONG_LENGTH),
        _ if known && (secured || !open) => Err(StatusWord::SECURITY_STATUS),
        _ if base & 0x80 == 0 && !open => Err(StatusWord::WRONG_CLA),
        GET_DATA => Err(StatusWord::NO_SUCH_OBJECT),
        SELECT if (apdu.p1, apdu.p2) != (4, 0) => Err(StatusWord::WRONG_P1P2),
        SELECT if !(5..=16).contains(&apdu.data.len()) => Err(StatusWord::NOT_FOUND),
        SELECT => Err(StatusWord::CONDITIONS),
        _ => Err(StatusWord::WRONG_INS),
    }
}

fn knows(ins: u8) -> bool {
    OPEN_TO_ALL.contains(&ins)
        || ISSUERS.contains(&ins)
        || [INITIALIZE_UPDATE, EXTERNAL_AUTHENTICATE].contains(&ins)
}

/// None of the issuer's commands is chained.
fn no_chain_of_the_issuers(ins: u8) -> StatusWord {
    if knows(ins) { StatusWord::NO_CHAINING } else { StatusWord::WRONG_INS }
}
