//! One card lives through whatever the bytes say, and must keep its promises.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use onetap_apdu_spec::account::Alias;
use onetap_apdu_spec::apdu::{CLA_CHAINING, CommandApdu, Form, ResponseApdu};
use onetap_apdu_spec::class::Class;
use onetap_apdu_spec::command::{AID, CardState, CardStatus, MAX_UNCONFIRMED, Name, recognise};
use onetap_apdu_spec::crypto::{Key256, RsaBits, SigningKeyType};
use onetap_apdu_spec::gp::GpCommand;
use onetap_apdu_spec::header::{Binding, CardId, ServerId};
use onetap_apdu_spec::objects;
use onetap_apdu_spec::password::PasswordPolicy;
use onetap_apdu_spec::personal::Personalisation;
use onetap_apdu_spec::rng::SeededRng;
use onetap_apdu_spec::signed::SignatureMessage;
use onetap_apdu_spec::suite::{EncryptionMethod, Suite};
use onetap_apdu_spec::sw::StatusWord;
use onetap_apdu_spec::tlv::Tag;
use onetap_apdu_spec::txn::{Transaction, TransactionMessage, TransactionType};
use onetap_applet::card::{Millis, VirtualClock};
use onetap_applet::nvm::MemoryImage;
use onetap_applet::{Card, DEAD_TIME_MS, DEBOUNCE_MS, Environment, Key, PENDING_MS, REVEALED_MS};

use super::stand_in::StandIn;
use onetap_conformance::target::samples;

const START: Millis = Millis(1_000_000);
/// Times that may pass: around each of the card's own.
const TIMES: [u64; 7] = [1, DEBOUNCE_MS - 1, DEBOUNCE_MS, DEAD_TIME_MS, 5_000, REVEALED_MS, PENDING_MS];
/// In cents: what takes the key, the PIN, and both.
const AMOUNTS: [u64; 3] = [samples::KEY_UP_TO, samples::PIN_UP_TO, samples::PIN_UP_TO + 1];
/// The commands of the table, GET DATA twice.
const COMMANDS: [(Name, Option<Tag>); 6] = [
    (Name::Select, None),
    (Name::GetData, Some(objects::PAYER_ALIAS)),
    (Name::GetData, Some(objects::CARD_STATUS)),
    (Name::GetSignature, None),
    (Name::GetEncPassword, None),
    (Name::GetResponse, None),
];
const KEYS: [Key; 5] = [Key::Confirm, Key::Cancel, Key::Next, Key::Previous, Key::Clear];

/// Any that owes something besides S will do.
const DEFAULT_SUITE: u8 = 20;

/// Bytes that stand for something happening; any other stands for one of these too.
mod op {
    pub(super) const RAW: u8 = 0;
    pub(super) const COMMAND: u8 = 1;
    pub(super) const PUT_TXN: u8 = 2;
    pub(super) const FIELD_IN: u8 = 3;
    pub(super) const FIELD_OUT: u8 = 4;
    pub(super) const POWER_OFF: u8 = 5;
    pub(super) const POWER_ON: u8 = 6;
    pub(super) const RESET: u8 = 7;
    pub(super) const KEY: u8 = 8;
    pub(super) const PASS: u8 = 9;
    pub(super) const RESTART: u8 = 10;
    pub(super) const BATTERY: u8 = 11;
    pub(super) const TAP: u8 = 12;
    pub(super) const CONFIRM: u8 = 13;
    pub(super) const COUNT: u8 = 14;
}

/// The bytes as the life of one card: the first says which suite it has, then one operation after
/// another, some with an operand. Says how many APDUs went in.
///
/// # Panics
/// If the card breaks a promise.
pub fn process(bytes: &[u8]) -> u64 {
    let mut input = bytes.iter().copied();
    let mut play = Play::new(usize::from(input.next().unwrap_or(0)));
    while let Some(op) = input.next() {
        play.step(op % op::COUNT, &mut input);
        play.check_screen();
    }
    play.apdus
}

/// Lives to begin with: for each suite a whole payment, and each of `apdus` in each state.
pub(super) fn flows(apdus: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let suites = u8::try_from(CARDS.len()).unwrap_or(u8::MAX);
    let payments = (0..suites).map(|suite| vec![suite, op::TAP, suite, op::CONFIRM, op::TAP, 0]);
    let lives = (0..suites).map(|suite| {
        let steps = [op::FIELD_IN, op::COMMAND, 0, op::PUT_TXN, 1, op::COMMAND, 3, op::COMMAND, 4];
        let rest = [op::FIELD_OUT, op::PASS, 2, op::KEY, 12, op::RESTART, op::CONFIRM, op::RESET];
        [&[suite][..], &steps, &rest].concat()
    });
    // Contacts broken off after the signature, one more than there may be; and a PIN wrong too often.
    let broken = [op::FIELD_IN, op::COMMAND, 0, op::PUT_TXN, 0, op::COMMAND, 3, op::POWER_OFF];
    let worn = [&[DEFAULT_SUITE][..], &broken.repeat(usize::from(MAX_UNCONFIRMED) + 1)].concat();
    let wrong_pin = [op::KEY, 0, op::KEY, 0, op::KEY, 0, op::KEY, 0, op::KEY, 10].repeat(3);
    let read = [op::TAP, 1, op::KEY, 12, op::KEY, 12, op::KEY, 12, op::KEY, 12, op::PASS, 3];
    let blocked = [&[DEFAULT_SUITE][..], &read, &wrong_pin, &broken].concat();
    let states: [&[u8]; 4] = [
        &[op::FIELD_IN, op::COMMAND, 0],
        &[op::FIELD_IN, op::COMMAND, 0, op::PUT_TXN, 0],
        &[op::FIELD_IN, op::COMMAND, 0, op::PUT_TXN, 0, op::COMMAND, 3],
        &[op::TAP, 0, op::FIELD_IN, op::COMMAND, 0],
    ];
    let raw = apdus.iter().filter(|apdu| apdu.len() <= usize::from(u8::MAX)).zip(0_u8..=255);
    let raw = raw.map(|(apdu, i)| {
        let len = u8::try_from(apdu.len()).unwrap_or(u8::MAX);
        [&[i], states[usize::from(i) % states.len()], &[op::RAW, len], apdu, &[op::COMMAND, 2]].concat()
    });
    payments.chain(lives).chain([worn, blocked]).chain(raw).collect()
}

/// A personalised card of each suite, as it lies in memory.
static CARDS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| Suite::all().filter_map(image).collect());

fn image(suite: Suite) -> Option<Vec<u8>> {
    let rsa = suite.encryption() == EncryptionMethod::RsaOaep;
    let order = Personalisation {
        binding: Binding {
            server: ServerId(*b"fuzzbank"),
            card: CardId(*b"fuzzcard"),
            suite,
            signing_key: 1,
            server_key: u16::from(rsa),
            issuer_key: 1,
        },
        key_type: SigningKeyType::of(suite.signature(), RsaBits::B2048),
        card_key: Key256::new([7; 32]),
        server_public_key: if rsa { vec![2] } else { Vec::new() },
        password: PasswordPolicy::default(),
        confirmation: samples::confirmation(),
    };
    let nvm = MemoryImage::default();
    let env = environment(&VirtualClock::at(START));
    Card::personalise(order, samples::PIN.parse().ok()?, Box::new(nvm.clone()), env).ok()?;
    Some(nvm.bytes().to_vec())
}

fn environment(clock: &VirtualClock) -> Environment {
    Environment {
        crypto: &StandIn,
        rng: Box::new(SeededRng::new(1)),
        clock: Box::new(clock.clone()),
        ..Environment::default()
    }
}

struct Play {
    card: Card,
    nvm: MemoryImage,
    clock: VirtualClock,
    powered: bool,
    /// Everything the card said since it was new.
    responses: Vec<u8>,
    /// What it signed, by C.
    signed: BTreeMap<u32, Vec<u8>>,
    apdus: u64,
}

impl Play {
    #[allow(clippy::expect_used, reason = "a card that does not open is a finding")]
    fn new(suite: usize) -> Self {
        let nvm = MemoryImage::from_bytes(CARDS[suite % CARDS.len()].clone());
        let clock = VirtualClock::at(START);
        let card = Card::open(Box::new(nvm.clone()), environment(&clock)).expect("a card opens");
        let (responses, signed) = (Vec::new(), BTreeMap::new());
        Self { card, nvm, clock, powered: false, responses, signed, apdus: 0 }
    }

    #[allow(clippy::expect_used, reason = "a card that does not open again is a finding")]
    fn step(&mut self, op: u8, input: &mut impl Iterator<Item = u8>) {
        match op {
            op::RAW => {
                let len = input.next().unwrap_or(0);
                let apdu: Vec<u8> = input.take(len.into()).collect();
                self.transmit(&apdu);
            }
            op::COMMAND => self.command(input.next().unwrap_or(0)),
            op::PUT_TXN => self.put_txn(input.next().unwrap_or(0)),
            op::FIELD_IN => self.field_in(),
            op::FIELD_OUT => self.field_out(),
            op::POWER_OFF => {
                self.card.power_off();
                self.powered = false;
            }
            op::POWER_ON => self.power_on(),
            op::RESET => {
                self.card.reset();
                self.powered = self.card.in_field();
            }
            op::KEY => self.key(input.next().unwrap_or(0)),
            op::PASS => self.pass(input.next().unwrap_or(0)),
            op::RESTART => {
                self.card =
                    Card::open(Box::new(self.nvm.clone()), environment(&self.clock)).expect("reopens");
                self.powered = false;
            }
            op::BATTERY => self.clock.set(START),
            op::TAP => self.tap(input.next().unwrap_or(0)),
            _ => self.confirm(),
        }
    }

    fn field_in(&mut self) {
        self.card.enter_field();
        self.power_on();
    }

    fn power_on(&mut self) {
        self.card.power_on();
        self.powered = self.card.in_field();
    }

    fn field_out(&mut self) {
        self.card.leave_field();
        self.powered = false;
    }

    /// 7 takes the battery out.
    fn pass(&mut self, which: u8) {
        match TIMES.get(usize::from(which % 8)) {
            Some(millis) => self.clock.advance(*millis),
            None => self.clock.lose(),
        }
        self.card.tick();
    }

    /// 15 types the PIN.
    fn key(&mut self, which: u8) {
        match which % 16 {
            15 => self.type_pin(),
            digit @ 0..10 => drop(self.card.press(Key::Digit(digit))),
            other => drop(self.card.press(KEYS[usize::from(other - 10)])),
        }
    }

    fn type_pin(&mut self) {
        for digit in samples::PIN.bytes() {
            let _ = self.card.press(Key::Digit(digit - b'0'));
        }
    }

    fn tap(&mut self, amount: u8) {
        self.field_in();
        self.command(0);
        self.put_txn(amount);
        self.command(3);
        self.command(4);
        self.field_out();
        self.clock.advance(DEBOUNCE_MS);
    }

    /// Reads all pages and confirms with whatever it takes.
    fn confirm(&mut self) {
        for _ in 0..self.card.screen().pages() {
            let _ = self.card.press(Key::Next);
        }
        self.clock.advance(DEAD_TIME_MS);
        if self.card.press(Key::Confirm).is_err() {
            self.type_pin();
            let _ = self.card.press(Key::Confirm);
            if self.card.state() == CardState::Showing {
                self.clock.advance(DEAD_TIME_MS);
                let _ = self.card.press(Key::Confirm);
            }
        }
    }

    /// A command of the table; the high bit makes it short.
    fn command(&mut self, which: u8) {
        let (name, tag) = COMMANDS[usize::from(which & 0x7F) % COMMANDS.len()];
        let form = if which & 0x80 == 0 { Form::Extended } else { Form::Short };
        let response = self.send(name, tag, if name == Name::Select { &AID } else { &[] }, form);
        if tag == Some(objects::CARD_STATUS) && response.sw == StatusWord::OK {
            let told = response.data.get(3..).and_then(CardStatus::from_bytes);
            assert_eq!(told, Some(self.card.status()), "the card status tells the truth");
        }
    }

    /// A transaction message as it should be. Says nothing if the card is not asked for one now.
    fn put_txn(&mut self, amount: u8) {
        let alias = self.send(Name::GetData, Some(objects::PAYER_ALIAS), &[], Form::Extended);
        let text = alias.data.get(3..).and_then(|text| std::str::from_utf8(text).ok());
        let alias = text.and_then(|text| text.parse::<Alias>().ok());
        let status = self.card.status();
        let wanted = alias.is_some()
            && status.state == CardState::Idle
            && status.unconfirmed < MAX_UNCONFIRMED
            && !status.pin_blocked
            && onetap_applet::card::CardTime::now(&self.clock).is_some();
        let message = alias.and_then(|alias| transaction(alias, amount));
        let bytes = message.as_ref().map_or(&[0][..], TransactionMessage::bytes);
        let response = self.send(Name::PutTxn, None, bytes, Form::Extended);
        assert_eq!(response.sw == StatusWord::OK, wanted, "{} to a transaction in {status:?}", response.sw);
    }

    #[allow(clippy::expect_used, reason = "commands of the table always encode")]
    fn send(&mut self, name: Name, tag: Option<Tag>, data: &[u8], form: Form) -> ResponseApdu {
        let mut apdu = name.spec().apdu(tag, data);
        apdu.ne = apdu.ne.map(|ne| if form == Form::Short { ne.min(256) } else { ne });
        self.transmit(&apdu.encode(form).expect("encodes"))
    }

    #[allow(clippy::expect_used, reason = "a response without a status word is a finding")]
    fn transmit(&mut self, bytes: &[u8]) -> ResponseApdu {
        self.apdus += 1;
        self.card.tick();
        let before = self.card.state();
        let response = ResponseApdu::parse(&self.card.transmit(bytes)).expect("two bytes at least");
        let sw = response.sw;
        assert!(sw.meaning().is_some(), "{sw} is not in the table of status words");
        let failed = sw == StatusWord::INTERNAL || sw == StatusWord::MEMORY_FAILURE;
        assert_eq!(failed, !self.powered, "{sw}: a card with power fails at nothing, one without at all");
        if self.powered {
            check_transition(bytes, sw, before, self.card.state());
        }
        self.remember(&response);
        response
    }

    /// C never goes back, and one C has one S.
    fn remember(&mut self, response: &ResponseApdu) {
        self.responses.extend(&response.data);
        let Ok(message) = SignatureMessage::parse(&response.data) else {
            return;
        };
        let counter = message.header.counter;
        let highest = self.signed.keys().next_back().copied().unwrap_or(0);
        assert!(counter >= highest, "C went back from {highest} to {counter}");
        let first = self.signed.entry(counter).or_insert_with(|| response.data.clone());
        assert_eq!(*first, response.data, "two signatures for one C");
    }

    /// P-20: nothing is shown in the field. And the joint password never went over the air.
    fn check_screen(&mut self) {
        let screen = self.card.screen();
        let state = self.card.state();
        if screen.is_blank() {
            return;
        }
        assert!(!self.card.in_field(), "the screen is blank in the field");
        assert!(matches!(state, CardState::Showing | CardState::Revealed), "a screen in {state:?}");
        if state == CardState::Revealed {
            let password = screen.lines().last().map(|line| line.replace(' ', "")).unwrap_or_default();
            assert!(password.len() >= 6, "a joint password is shown");
            let told = self.responses.windows(password.len()).any(|window| window == password.as_bytes());
            assert!(!told, "the joint password was in a response");
        }
    }
}

/// A refusal changes nothing; what is accepted leads where the command table says.
fn check_transition(bytes: &[u8], sw: StatusWord, before: CardState, after: CardState) {
    let accepted = sw == StatusWord::OK || sw.as_bytes_left().is_some();
    let apdu = CommandApdu::parse(bytes).ok().filter(|_| accepted).and_then(|apdu| as_applied(&apdu));
    let allowed = match apdu {
        // Closing a channel deselects, and so does SELECT of the issuer's domain; that voids what was not delivered.
        Some(apdu) if apdu.ins == MANAGE_CHANNEL || selects_the_domain(&apdu) => {
            before == after || after == CardState::Idle
        }
        Some(apdu) if apdu.cla & CLA_CHAINING == 0 => match recognise(&apdu) {
            Ok(row) => row.states.iter().any(|(from, to)| *from == before && to.contains(&after)),
            // The issuer's domain, which is selected by default, has commands of its own.
            Err(_) => before == after && GpCommand::parse(&apdu).is_ok(),
        },
        _ => before == after,
    };
    assert!(allowed, "{sw}: from {before:?} to {after:?}");
}

/// A SELECT by no name means the issuer's domain.
fn selects_the_domain(apdu: &CommandApdu<'_>) -> bool {
    apdu.cla == 0 && apdu.ins == Name::Select.spec().ins && apdu.data.is_empty()
}

/// The command as the application sees it: whichever its channel, and whichever occurrence and answer SELECT
/// asks for.
fn as_applied<'a>(apdu: &CommandApdu<'a>) -> Option<CommandApdu<'a>> {
    let class = Class::parse(apdu.cla).ok()?;
    let cla = class.base | (apdu.cla & CLA_CHAINING);
    let by_name = class.base == 0 && apdu.ins == Name::Select.spec().ins;
    Some(CommandApdu { cla, p2: if by_name { 0 } else { apdu.p2 }, ..*apdu })
}

/// INS of MANAGE CHANNEL.
const MANAGE_CHANNEL: u8 = 0x70;

/// The high bit makes it a top-up.
fn transaction(payer: Alias, amount: u8) -> Option<TransactionMessage> {
    let kind = if amount & 0x80 == 0 { TransactionType::Payment } else { TransactionType::TopUp };
    let sample = samples::payment(AMOUNTS[usize::from(amount) % AMOUNTS.len()], samples::CURRENCY);
    Transaction { kind, payer, ..sample }.encode().ok()
}
