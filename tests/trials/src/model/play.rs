//! One life of a card beside the model: after each operation both must agree.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::OnceLock;

use onetap_apdu_spec::apdu::{CLA_CHAINING, CommandApdu, Form, ResponseApdu};
use onetap_apdu_spec::command::CardState;
use onetap_apdu_spec::signed::SignatureMessage;
use onetap_apdu_spec::suite::Suite;
use onetap_apdu_spec::sw::StatusWord;
use onetap_applet::card::{CardTime as _, Millis, VirtualClock};
use onetap_applet::nvm::{Cut, MemoryImage, TearSwitch, TearingImage};
use onetap_applet::{Card, CardError, KeyRefused, Screen as Display};

use super::op::{Op, What};
use super::reference::{Model, Pressed, Screen};
use super::wire::{Body, Fixed, Part, Wire};
use crate::rig::{Rig, START, Signatures, Spy, Surprise, environment, fresh};
use onetap_conformance::holder::joint_password;

/// How far card and model went together.
#[derive(Debug, Default)]
pub struct Agreement {
    /// Operations.
    pub operations: u64,
    /// How often the power was cut meanwhile.
    pub tears: u64,
    /// How often each state, answer, outcome of a key and kind of screen was met.
    pub met: BTreeMap<String, u64>,
}

impl Agreement {
    pub(super) fn add(&mut self, life: &Self) {
        self.operations += life.operations;
        self.tears += life.tears;
        life.met.iter().for_each(|(what, times)| *self.met.entry(what.clone()).or_default() += times);
    }
}

/// What was predicted of one operation.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Predicted {
    Nothing,
    Pressed(Pressed),
    Answers(Vec<(StatusWord, Option<Part>)>),
}

/// What was seen.
#[derive(Debug)]
enum Seen {
    Nothing,
    Pressed(Pressed),
    Answers(Vec<ResponseApdu>),
}

/// A card, the memory it lives in, and every card that it may be by what was seen: after a tear the model
/// does not know whether a commit counted.
pub(super) struct Play {
    card: Option<Card>,
    memory: MemoryImage,
    switch: TearSwitch,
    clock: VirtualClock,
    /// What the clock said when it last said something.
    last: Millis,
    spy: &'static Spy,
    models: Vec<Model>,
    /// What it signed, also in the moment of a tear.
    signed: Signatures,
    /// What was said for each C.
    said: HashMap<(u32, bool), Vec<u8>>,
    /// The joint password drawn for each C.
    passwords: HashMap<u32, Vec<u8>>,
    seed: u64,
    /// What was met, all but the number of operations.
    pub(super) agreement: Agreement,
}

/// Suites whose cards are played with: one that owes an object, one that does not.
const SUITES: [&str; 2] = ["a3+sha256+rsa-oaep+pkcs1", "danger-a1+pkcs1"];

/// A new card and how long its answers are.
#[derive(Debug)]
struct Blank {
    memory: Vec<u8>,
    fixed: Fixed,
}

static BLANKS: [OnceLock<Option<Blank>>; 2] = [OnceLock::new(), OnceLock::new()];

fn blank(which: usize) -> Option<&'static Blank> {
    BLANKS.get(which)?.get_or_init(|| make(SUITES.get(which)?.parse().ok()?).ok()).as_ref()
}

fn make(suite: Suite) -> Result<Blank, Surprise> {
    let image = fresh();
    let spy = Spy::new();
    drop(Rig::new(suite, image.clone(), spy)?);
    let mut sample = Rig::open(image.copy(), spy, START, 1)?;
    let (signature, owed) = sample.answers(1)?;
    let fixed = Fixed { signature: signature.len(), owed: owed.map(|owed| owed.len()) };
    Ok(Blank { memory: image.bytes().to_vec(), fixed })
}

impl Play {
    /// A life; none if no card can be made.
    pub(super) fn new(seed: u64, spy: &'static Spy) -> Option<Self> {
        let blank = blank(usize::from(seed % 4 == 3))?;
        let fixed = Fixed { ..blank.fixed };
        let models = vec![Model::new(START.0, Wire::new(Rc::new(fixed)))];
        let mut play = Self {
            card: None,
            memory: MemoryImage::from_bytes(blank.memory.clone()),
            switch: TearSwitch::default(),
            clock: VirtualClock::at(START),
            last: START,
            spy,
            models,
            signed: Signatures::default(),
            said: HashMap::new(),
            passwords: HashMap::new(),
            seed,
            agreement: Agreement::default(),
        };
        play.spy.take();
        play.open(None).ok()?;
        Some(play)
    }

    /// The first of the models, to draw from.
    pub(super) fn model(&self) -> Option<&Model> {
        self.models.first()
    }

    fn open(&mut self, cut: Option<Cut>) -> Result<(), CardError> {
        // A card has one memory: the one that was is gone.
        self.card = None;
        let (image, switch) = TearingImage::new(self.memory.clone());
        cut.iter().for_each(|cut| switch.arm(*cut));
        self.switch = switch;
        self.seed = self.seed.wrapping_mul(31).wrapping_add(7);
        self.card = Some(Card::open(Box::new(image), environment(self.spy, &self.clock, self.seed))?);
        Ok(())
    }

    /// One operation on both; what they do not agree on.
    pub(super) fn step(&mut self, op: &Op) -> Result<(), String> {
        match op {
            Op::Arm(cut) => {
                self.switch.arm(*cut);
                return Ok(());
            }
            Op::Restart => return self.restart(None),
            Op::TornRestart(cut) => return self.restart(Some(*cut)),
            _ => {}
        }
        self.models.iter_mut().for_each(Model::begin);
        let apdus = self.apdus(op);
        let seen = self.apply(op, &apdus)?;
        let display = self.card.as_mut().map(Card::screen).unwrap_or_default();
        let state = self.card.as_ref().map_or(CardState::Idle, Card::state);
        let mut predictions: Vec<_> =
            self.models.iter_mut().map(|model| predict(model, op, &apdus)).collect();
        self.take_down_passwords();
        if let Seen::Answers(answers) = &seen {
            let signed = answers.iter().try_for_each(|answer| self.signed.add(&answer.data));
            signed.map_err(|why| why.to_string())?;
        }
        if self.switch.torn() {
            return self.wake();
        }
        let agrees = |model: &Model, (predicted, screen): &(Predicted, Screen)| {
            model.name() == state && self.same(predicted, &seen) && self.shows(screen, &display)
        };
        let kept: Vec<bool> = self
            .models
            .iter()
            .zip(&predictions)
            .map(|(model, prediction)| agrees(model, prediction))
            .collect();
        if !kept.contains(&true) {
            let (model, prediction) = (self.models.first(), predictions.first());
            return Err(format!("predicted {prediction:?}, seen {seen:?}, {state:?},\n{display}\n{model:?}"));
        }
        retain(&mut self.models, &kept);
        retain(&mut predictions, &kept);
        self.meet(&seen, state, predictions.first().map(|(_, screen)| screen));
        self.remember(&predictions, &seen)
    }

    fn meet(&mut self, seen: &Seen, state: CardState, screen: Option<&Screen>) {
        let mut met = vec![format!("state {state:?}")];
        match seen {
            Seen::Nothing => {}
            Seen::Pressed(pressed) => met.push(format!("key {pressed:?}")),
            Seen::Answers(answers) => {
                let name = |answer: &ResponseApdu| match answer.sw.as_bytes_left() {
                    Some(_) => "answer 61xx".to_owned(),
                    None => format!("answer {}", answer.sw),
                };
                met.extend(answers.iter().map(name));
            }
        }
        let screen = screen.map(|screen| format!("{screen:?}")).unwrap_or_default();
        let kind: String = screen.chars().take_while(|c| c.is_ascii_alphabetic()).collect();
        met.push(format!("screen {kind}"));
        met.into_iter().for_each(|what| *self.agreement.met.entry(what).or_default() += 1);
    }

    /// What goes over for an operation.
    fn apdus(&self, op: &Op) -> Vec<Vec<u8>> {
        match op {
            Op::Apdu(bytes) => vec![bytes.clone()],
            Op::Put { what, chained } => {
                self.models.first().map_or(vec![], |model| put(*what, *chained, model))
            }
            _ => vec![],
        }
    }

    fn apply(&mut self, op: &Op, apdus: &[Vec<u8>]) -> Result<Seen, String> {
        self.pass(op);
        let card = self.card.as_mut().ok_or("there is no card")?;
        match op {
            Op::Key(key) => return Ok(Seen::Pressed(pressed(&card.press(*key)))),
            Op::Apdu(_) | Op::Put { .. } => {
                let answers = apdus.iter().map(|apdu| ResponseApdu::parse(&card.transmit(apdu)));
                return answers.collect::<Result<_, _>>().map(Seen::Answers).map_err(|why| why.to_string());
            }
            Op::Enter => card.enter_field(),
            Op::Leave => card.leave_field(),
            Op::PowerOn => card.power_on(),
            Op::PowerOff => card.power_off(),
            Op::Reset => card.reset(),
            _ => card.tick(),
        }
        Ok(Seen::Nothing)
    }

    fn pass(&mut self, op: &Op) {
        self.last = self.clock.now().unwrap_or(self.last);
        match op {
            Op::Time(millis) if self.clock.now().is_some() => self.clock.advance(*millis),
            Op::BatteryOut => self.clock.lose(),
            Op::BatteryIn => self.clock.set(self.last),
            _ => {}
        }
        let now = self.clock.now().map(|now| now.0);
        self.models.iter_mut().for_each(|model| model.now = now);
    }

    fn restart(&mut self, cut: Option<Cut>) -> Result<(), String> {
        self.models.iter_mut().for_each(Model::begin);
        self.models = self.models.iter().flat_map(|model| model.restarted(false)).collect();
        let opened = self.open(cut);
        if self.switch.torn() {
            return self.wake();
        }
        self.switch.disarm();
        opened.map_err(|why| format!("does not open: {why}"))
    }

    /// After a tear: every model in every state that it passed.
    fn wake(&mut self) -> Result<(), String> {
        self.agreement.tears += 1;
        let mut models: Vec<Model> = Vec::new();
        for model in self.models.iter().flat_map(|model| model.restarted(true)) {
            if !models.contains(&model) {
                models.push(model);
            }
        }
        self.models = models;
        self.open(None).map_err(|why| format!("does not open after a tear: {why}"))
    }

    fn same(&self, predicted: &Predicted, seen: &Seen) -> bool {
        match (predicted, seen) {
            (Predicted::Nothing, Seen::Nothing) => true,
            (Predicted::Pressed(predicted), Seen::Pressed(seen)) => predicted == seen,
            (Predicted::Answers(predicted), Seen::Answers(seen)) => {
                predicted.len() == seen.len()
                    && predicted.iter().zip(seen).all(|((sw, part), answer)| {
                        *sw == answer.sw && self.holds(part.as_ref(), &answer.data)
                    })
            }
            _ => false,
        }
    }

    fn holds(&self, part: Option<&Part>, data: &[u8]) -> bool {
        let Some(Part { body, from, len, .. }) = part else { return data.is_empty() };
        let known = match body {
            Body::Bytes(bytes) => Some(bytes),
            Body::Signature(counter) => self.said.get(&(*counter, true)),
            Body::Owed(counter) => self.said.get(&(*counter, false)),
        };
        data.len() == *len && known.is_none_or(|known| known.get(*from..from + len) == Some(data))
    }

    /// What was said whole for the first time has to be said again for ever.
    fn remember(&mut self, predictions: &[(Predicted, Screen)], seen: &Seen) -> Result<(), String> {
        let (Some((Predicted::Answers(predicted), _)), Seen::Answers(seen)) = (predictions.first(), seen)
        else {
            return Ok(());
        };
        for ((_, part), answer) in predicted.iter().zip(seen) {
            let Some(Part { body, from: 0, len, whole }) = part else { continue };
            match body {
                Body::Signature(counter) if len == whole => {
                    let signed = SignatureMessage::parse(&answer.data).map_err(|why| why.to_string())?;
                    if signed.header.counter != *counter {
                        return Err(format!(
                            "C = {} was signed where {counter} was due",
                            signed.header.counter
                        ));
                    }
                    self.said.entry((*counter, true)).or_insert_with(|| answer.data.clone());
                }
                Body::Owed(counter) if len == whole => {
                    self.said.entry((*counter, false)).or_insert_with(|| answer.data.clone());
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The password that is drawn belongs to the C that is taken.
    fn take_down_passwords(&mut self) {
        let drawn = self.spy.take().passwords;
        let counter = self.models.iter().map(|model| model.kept.counter).max().unwrap_or(0);
        for password in drawn {
            self.passwords.insert(counter, password.to_vec());
        }
    }

    fn shows(&self, screen: &Screen, display: &Display) -> bool {
        let lines = display.lines();
        let last = lines.last().map_or("", String::as_str);
        match screen {
            Screen::Blank => display.is_blank(),
            Screen::Page(page, pages) => {
                (*page, *pages) == (display.page_number(), display.pages()) && !lines.is_empty()
            }
            Screen::AskKey => last == "Press the key",
            Screen::AskKeyAfterPin => last == "PIN right; press key",
            Screen::AskPin { typed, tries } => {
                let stars = lines.iter().rev().nth(1).map(|line| line.matches('*').count());
                stars == Some(*typed) && last == format!("{tries} tries left")
            }
            Screen::Password(counter) => {
                let shown = joint_password(display);
                shown.is_some_and(|shown| {
                    self.passwords.get(counter).is_some_and(|drawn| shown.as_bytes() == drawn)
                })
            }
        }
    }
}

fn retain<T>(all: &mut Vec<T>, keep: &[bool]) {
    let mut keep = keep.iter();
    all.retain(|_| keep.next().is_some_and(|keep| *keep));
}

fn put(what: What, chained: bool, model: &Model) -> Vec<Vec<u8>> {
    let data = what.message(&model.alias());
    let apdu = CommandApdu { cla: 0x80, ins: 0x30, p1: 0, p2: 0, data: &data, ne: None };
    let encode = |apdu: &CommandApdu<'_>| apdu.encode(Form::Extended).unwrap_or_default();
    if !chained {
        return vec![encode(&apdu)];
    }
    let (first, second) = data.split_at(data.len() / 2);
    let part = CommandApdu { cla: apdu.cla | CLA_CHAINING, data: first, ..apdu };
    vec![encode(&part), encode(&CommandApdu { data: second, ..apdu })]
}

fn predict(model: &mut Model, op: &Op, apdus: &[Vec<u8>]) -> (Predicted, Screen) {
    let predicted = match op {
        Op::Apdu(_) | Op::Put { .. } => {
            Predicted::Answers(apdus.iter().map(|apdu| model.transmit(apdu)).collect())
        }
        Op::Key(key) => Predicted::Pressed(model.press(*key)),
        other => {
            match other {
                Op::Enter => model.enter(),
                Op::Leave => model.leave(),
                Op::PowerOn | Op::Reset => model.power_on(),
                Op::PowerOff => model.power_off(),
                _ => model.tick(),
            }
            Predicted::Nothing
        }
    };
    (predicted, model.screen())
}

fn pressed(result: &Result<(), KeyRefused>) -> Pressed {
    match result {
        Ok(()) => Pressed::Done,
        Err(KeyRefused::InField) => Pressed::InField,
        Err(KeyRefused::Asleep) => Pressed::Asleep,
        Err(KeyRefused::NotYet) => Pressed::NotYet,
        Err(KeyRefused::NoPinWanted) => Pressed::NoPinWanted,
        Err(KeyRefused::PinMissing) => Pressed::PinMissing,
        Err(KeyRefused::PinFull) => Pressed::PinFull,
        Err(KeyRefused::WrongPin { left }) => Pressed::WrongPin(*left),
        Err(KeyRefused::PinBlocked) => Pressed::PinBlocked,
        Err(
            KeyRefused::Damaged
            | KeyRefused::OutOfService
            | KeyRefused::Memory(_)
            | KeyRefused::NoKeys
            | KeyRefused::Other(_),
        ) => Pressed::Broken,
    }
}

#[cfg(test)]
mod tests {
    use onetap_apdu_spec::command::{AID, Name};

    use super::*;

    /// What a copy of an old image would do: sign with a C that is used up.
    #[test]
    fn a_memory_from_another_time_is_found_out() {
        let mut play = Play::new(0, Spy::new()).unwrap();
        let old = play.memory.copy();
        let plain =
            |name: Name, data: &[u8]| Op::Apdu(name.spec().apdu(None, data).encode(Form::Extended).unwrap());
        let sign = [
            Op::Enter,
            Op::PowerOn,
            plain(Name::Select, &AID),
            Op::Put { what: What::Cents(1), chained: false },
            plain(Name::GetSignature, &[]),
        ];
        sign.iter().for_each(|op| play.step(op).unwrap());
        play.memory = old;
        play.step(&Op::Restart).unwrap();
        let parted: Vec<_> = sign.iter().map(|op| play.step(op).is_err()).collect();
        assert_eq!(parted, [false, false, false, true, true], "the payer's alias is the old one");
    }
}
