//! What happens to a card, drawn at random, but so that it gets somewhere: single operations, and runs of them
//! that make a payment.

use std::collections::VecDeque;

use onetap_apdu_spec::account::Alias;
use onetap_apdu_spec::apdu::{CLA_CHAINING, CommandApdu, Form};
use onetap_apdu_spec::command::{AID, Name};
use onetap_apdu_spec::objects;
use onetap_apdu_spec::txn::Transaction;
use onetap_applet::nvm::{Cut, How};
use onetap_applet::{DEAD_TIME_MS, DEBOUNCE_MS, Key, PENDING_MS, REVEALED_MS};

use super::reference::Model;
use onetap_conformance::dice::Dice;
use onetap_conformance::target::samples;

/// Something that happens.
#[derive(Debug, Clone)]
pub(super) enum Op {
    /// A command as it is.
    Apdu(Vec<u8>),
    /// PUT TXN of a transaction, the first bytes of its message as a chain of so many parts.
    Put {
        what: What,
        chained: bool,
    },
    Key(Key),
    Enter,
    Leave,
    PowerOn,
    PowerOff,
    Reset,
    /// So many milliseconds pass.
    Time(u64),
    BatteryOut,
    /// A new battery: the clock goes on from where it once was.
    BatteryIn,
    /// The process ends and starts again.
    Restart,
    /// The power will be cut.
    Arm(Cut),
    /// As [`Op::Restart`], with the power cut while the card recovers.
    TornRestart(Cut),
}

/// Which transaction.
#[derive(Debug, Clone, Copy)]
pub(super) enum What {
    Cents(u64),
    OtherCurrency,
    Wordy,
    WrongAlias,
    Garbage,
}

impl What {
    /// T, for the payer with this alias.
    pub(super) fn message(self, alias: &str) -> Vec<u8> {
        let sample = match self {
            Self::Cents(cents) => samples::payment(cents, samples::CURRENCY),
            Self::OtherCurrency => samples::payment(100, "JPY"),
            Self::Wordy => samples::wordy(),
            Self::WrongAlias => samples::transaction(),
            Self::Garbage => return vec![0x5A; 40],
        };
        let payer = match self {
            Self::WrongAlias => sample.payer.clone(),
            _ => alias.parse().unwrap_or(Alias::from_bits([0; 10])),
        };
        samples::encode(&Transaction { payer, ..sample })
    }
}

const CENTS: [u64; 4] = [1, samples::KEY_UP_TO, samples::PIN_UP_TO, samples::PIN_UP_TO + 1];
const TIMES: [u64; 8] =
    [1, DEBOUNCE_MS - 1, DEBOUNCE_MS, DEAD_TIME_MS - 1, DEAD_TIME_MS, 5_000, REVEALED_MS, PENDING_MS];
const KEYS: [Key; 6] = [Key::Confirm, Key::Cancel, Key::Next, Key::Previous, Key::Clear, Key::Digit(7)];

/// Draws operations.
pub(super) struct Deck {
    dice: Dice,
    queue: VecDeque<Op>,
    holder: Holder,
}

/// Who has the card in this life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holder {
    Careful,
    /// Mistypes the PIN more often than not.
    Clumsy,
    /// Never presses a key.
    Away,
}

impl Deck {
    pub(super) fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let holder =
            *dice.pick(&[Holder::Careful, Holder::Careful, Holder::Careful, Holder::Clumsy, Holder::Away]);
        Self { dice, queue: VecDeque::new(), holder }
    }

    pub(super) fn draw(&mut self, model: &Model) -> Op {
        // Now and then something comes in between.
        if self.dice.below(12) == 0 {
            return self.one();
        }
        if self.queue.is_empty() {
            self.plan(model);
        }
        self.queue.pop_front().unwrap_or(Op::Time(1))
    }

    fn plan(&mut self, model: &Model) {
        if self.dice.below(4) == 0 {
            let cut = self.cut(12);
            self.queue.push_back(Op::Arm(cut));
        }
        let run = match self.dice.below(10) {
            0..4 => self.tap(model),
            4..7 if self.holder == Holder::Away => vec![Op::Time(PENDING_MS)],
            4..7 => self.confirm(),
            // A terminal that tries this and that.
            7 | 8 => {
                let begin = [Op::Enter, Op::PowerOn, plain(Name::Select)];
                let rest: Vec<_> = (0..self.dice.below(16)).map(|_| self.command()).collect();
                begin.into_iter().chain(rest).collect()
            }
            _ => (0..=self.dice.below(6)).map(|_| self.one()).collect(),
        };
        self.queue.extend(run);
    }

    /// A contact. Whatever the holder was doing is over.
    fn tap(&mut self, model: &Model) -> Vec<Op> {
        let mut run = Vec::new();
        if model.now.is_none() {
            run.push(Op::BatteryIn);
        }
        if self.dice.below(3) > 0 && self.holder != Holder::Away {
            run.push(Op::Key(Key::Cancel));
        }
        let put = Op::Put { what: self.what(), chained: self.dice.below(6) == 0 };
        run.extend([Op::Enter, Op::PowerOn, plain(Name::Select), put, plain(Name::GetSignature)]);
        if self.dice.below(8) > 0 {
            run.push(plain(Name::GetEncPassword));
        }
        run.extend([Op::Leave, Op::Time(DEBOUNCE_MS)]);
        run
    }

    fn what(&mut self) -> What {
        match self.dice.below(16) {
            0 => What::WrongAlias,
            1 => What::Garbage,
            2 => What::OtherCurrency,
            3 => What::Wordy,
            _ => What::Cents(*self.dice.pick(&CENTS)),
        }
    }

    /// The holder reads and confirms, perhaps with a PIN, perhaps with a wrong one.
    fn confirm(&mut self) -> Vec<Op> {
        let mut run = vec![Op::Key(Key::Next); 3 + self.dice.below(8)];
        run.push(Op::Time(DEAD_TIME_MS));
        run.push(Op::Key(Key::Confirm));
        let wrong =
            if self.holder == Holder::Clumsy { self.dice.below(4) > 0 } else { self.dice.below(8) == 0 };
        let pin = if self.dice.below(32) == 0 {
            "0000000000000"
        } else if wrong {
            "1357"
        } else {
            samples::PIN
        };
        run.extend(pin.bytes().map(|digit| Op::Key(Key::Digit(digit - b'0'))));
        run.extend([Op::Key(Key::Confirm), Op::Time(DEAD_TIME_MS), Op::Key(Key::Confirm)]);
        run
    }

    fn command(&mut self) -> Op {
        match self.dice.below(4) {
            0 => Op::Put { what: self.what(), chained: self.dice.below(2) == 0 },
            _ => self.apdu(),
        }
    }

    fn one(&mut self) -> Op {
        match self.dice.below(30) {
            0..10 => self.command(),
            10..15 if self.holder == Holder::Away => Op::Time(*self.dice.pick(&TIMES)),
            10..14 => Op::Key(*self.dice.pick(&KEYS)),
            14 => Op::Key(Key::Digit(self.dice.byte() % 12)),
            15 | 16 => Op::Enter,
            17 => Op::Leave,
            18 => Op::PowerOn,
            19 => Op::PowerOff,
            20 => Op::Reset,
            21..24 => Op::Time(*self.dice.pick(&TIMES)),
            24 => {
                if self.dice.below(4) == 0 {
                    Op::BatteryOut
                } else {
                    Op::BatteryIn
                }
            }
            25 => Op::Restart,
            26 => Op::TornRestart(self.cut(40)),
            _ => Op::Arm(self.cut(12)),
        }
    }

    fn cut(&mut self, writes: usize) -> Cut {
        Cut { at: self.dice.below(writes) as u64, how: *self.dice.pick(&How::ALL) }
    }

    /// A command of any kind, right or bent.
    fn apdu(&mut self) -> Op {
        let names =
            [Name::Select, Name::GetData, Name::GetSignature, Name::GetEncPassword, Name::GetResponse];
        let row = self.dice.pick(&names).spec();
        let tag = *self.dice.pick(&[objects::PAYER_ALIAS, objects::CARD_STATUS]);
        let some_len = self.dice.below(AID.len() + 1);
        let aid = AID.get(..some_len).filter(|_| self.dice.below(3) == 0).unwrap_or(&AID);
        let data: &[u8] = if row.name == Name::Select { aid } else { &[] };
        let right = row.apdu(Some(tag), data);
        let channel = self.dice.byte() % 5;
        let bent = match self.dice.below(16) {
            0 => CommandApdu { cla: right.cla | channel, ..right },
            1 => CommandApdu { cla: self.dice.byte(), ..right },
            2 => CommandApdu { ins: self.dice.byte(), ..right },
            3 => CommandApdu { p1: self.dice.byte(), ..right },
            4 => CommandApdu { p2: self.dice.byte() % 20, ..right },
            5 => CommandApdu { cla: right.cla | CLA_CHAINING, ..right },
            6 => CommandApdu { data: &[1, 2, 3], ..right },
            7 => CommandApdu {
                cla: CLA_CHAINING | 0x80,
                ins: 0x30,
                p1: 0,
                p2: 0,
                data: &[0x5A; 200],
                ne: None,
            },
            8 => CommandApdu { ne: None, ..right },
            9 => CommandApdu { ne: Some(1 + u32::from(self.dice.byte())), ..right },
            10 => return Op::Apdu((0..self.dice.below(12)).map(|_| self.dice.byte()).collect()),
            11 | 12 => self.manage_channel(channel),
            _ => right,
        };
        let short = CommandApdu { ne: bent.ne.map(|ne| ne.min(256)), ..bent };
        let form = if self.dice.below(2) == 0 { Form::Short } else { Form::Extended };
        Op::Apdu(if form == Form::Short { &short } else { &bent }.encode(form).unwrap_or_default())
    }

    fn manage_channel(&mut self, channel: u8) -> CommandApdu<'static> {
        let (p1, p2) = match self.dice.below(4) {
            0 => (0, 0),
            1 => (0, channel),
            2 => (0x80, channel),
            _ => (self.dice.byte(), channel),
        };
        let cla = self.dice.byte() % 4;
        CommandApdu { cla, ins: 0x70, p1, p2, data: &[], ne: Some(256) }
    }
}

/// A command of the table as it should be.
fn plain(name: Name) -> Op {
    let data: &[u8] = if name == Name::Select { &AID } else { &[] };
    Op::Apdu(name.spec().apdu(None, data).encode(Form::Extended).unwrap_or_default())
}
