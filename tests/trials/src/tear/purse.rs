//! The example applets under the sweep: a purse must neither make nor lose money, and an instance is there
//! with all that it stored, or not at all.

use onetap_apdu_spec::apdu::{CommandApdu, Form, ResponseApdu};
use onetap_apdu_spec::sw::StatusWord;
use onetap_applet::applets::Purse;
use onetap_applet::card::VirtualClock;
use onetap_applet::nvm::{Image, MemoryImage, Nvm, TearingImage};
use onetap_applet::runtime::{Aid, Applet, Context, Module, Reply, Runtime, SECURITY_DOMAIN};

use super::engine::{Case, Subject};
use super::memory::Watched;
use crate::rig::{START, Spy, Surprise, environment, fresh};

/// A card with a purse and an issuer.
pub(super) struct PurseCard {
    spy: &'static Spy,
}

const PIN: &[u8] = b"1234";
const WRONG_PIN: &[u8] = b"4321";
const PURSE_2: Aid = aid(b"\xF0PURSE\x02");
const PURSE_3: Aid = aid(b"\xF0PURSE\x03");
const ISSUER: Aid = aid(b"\xF0ISSUER");

#[allow(clippy::expect_used, reason = "checked when this is compiled")]
const fn aid(name: &[u8]) -> Aid {
    Aid::new(name).expect("5 to 16 bytes")
}

/// Makes and deletes purses when told so: 80 E6 and 80 E4, each with a name.
struct Issuer;

const INSTALL: u8 = 0xE6;
const DELETE: u8 = 0xE4;

impl Applet for Issuer {
    fn install(_: &mut Context<'_>, _: &[u8]) -> Result<Self, StatusWord> {
        Ok(Self)
    }

    fn load(_: &mut Context<'_>) -> Result<Self, StatusWord> {
        Ok(Self)
    }

    fn process(
        &mut self,
        cx: &mut Context<'_>,
        apdu: &CommandApdu<'_>,
        _: &mut Reply,
    ) -> Result<(), StatusWord> {
        let mut manager = cx.manager().ok_or(StatusWord::CONDITIONS)?;
        let name = Aid::new(apdu.data).ok_or(StatusWord::WRONG_DATA)?;
        match apdu.ins {
            INSTALL => manager.install(&Purse::name(), name, [0; 3], PIN),
            DELETE => manager.delete(&name),
            _ => Err(StatusWord::WRONG_INS),
        }
    }
}

const VERIFY: u8 = 0x20;
const CREDIT: u8 = 0x30;
const DEBIT: u8 = 0x32;
const GET_BALANCE: u8 = 0x50;
/// What the purses hold at first, and what is taken out at once.
const CREDITED: u32 = 1_000;
const DEBITED: u32 = 30;

/// A command of either applet.
struct Apdu(&'static str, u8, &'static [u8]);

const STEPS: &[Apdu] = &[
    Apdu("VERIFY, right", VERIFY, PIN),
    Apdu("VERIFY, wrong", VERIFY, WRONG_PIN),
    Apdu("CREDIT", CREDIT, &[0, 0, 0, 100]),
    Apdu("CREDIT of too much", CREDIT, &[1, 0, 0, 0]),
    Apdu("DEBIT", DEBIT, &[0, 0, 0, 30]),
    Apdu("DEBIT of too much", DEBIT, &[0, 1, 0, 0]),
    Apdu("GET BALANCE", GET_BALANCE, &[]),
    Apdu("INSTALL of another purse", INSTALL, b"\xF0PURSE\x03"),
    Apdu("DELETE of a purse", DELETE, b"\xF0PURSE\x02"),
];

/// Each with the name of the selected applet and the PINs typed before.
const SITUATIONS: &[(&str, Aid, &[&[u8]])] = &[
    ("purse, no PIN", Purse::name(), &[]),
    ("purse, PIN verified", Purse::name(), &[PIN]),
    ("purse, two wrong PINs", Purse::name(), &[WRONG_PIN, WRONG_PIN]),
    ("purse, PIN blocked", Purse::name(), &[WRONG_PIN, WRONG_PIN, WRONG_PIN]),
    ("issuer", ISSUER, &[]),
];

/// What a purse is, seen from outside.
#[derive(Debug, PartialEq, Eq)]
struct Money {
    name: Aid,
    balance: u32,
    debits: u32,
    tries: u8,
}

/// What may have been paid into a purse: all at first, and one more credit.
const PAID_IN: [u32; 2] = [CREDITED, CREDITED + 100];

impl Money {
    fn credited(&self) -> u32 {
        self.balance + self.debits * DEBITED
    }
}

/// What the card is, seen from outside, and which objects are in its memory.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct State {
    purses: Vec<Money>,
    objects: Vec<(u8, u8)>,
}

/// Owners of objects that there can be.
const OWNERS: std::ops::RangeInclusive<u8> = 0..=64;

impl PurseCard {
    pub(super) fn new() -> Self {
        Self { spy: Spy::new() }
    }

    fn open(&self, image: impl Image + 'static) -> Result<Runtime, Surprise> {
        let nvm = Nvm::open(Box::new(image)).map_err(onetap_applet::CardError::from)?;
        let env = environment(self.spy, &VirtualClock::at(START), 1);
        Ok(Runtime::open(nvm, &modules(), env).map_err(onetap_applet::CardError::from)?)
    }

    /// Balance, number of debits, tries: the last by wrong PINs, until the card has no more.
    fn look(&self, memory: &[u8], name: Aid) -> Result<Money, Surprise> {
        let mut card = self.open(MemoryImage::from_bytes(memory.to_vec()))?;
        select(&mut card, &name)?;
        let told = send(&mut card, GET_BALANCE, &[])?.data;
        let (balance, debits) = told.split_at_checked(4).ok_or(Surprise::Harness("a balance"))?;
        let number = |bytes: &[u8]| bytes.try_into().map_or(u32::MAX, u32::from_be_bytes);
        let wrong =
            |_: &u8| send(&mut card, VERIFY, WRONG_PIN).is_ok_and(|told| told.sw != StatusWord::PIN_BLOCKED);
        let tries = (0..=u8::MAX).take_while(wrong).count();
        Ok(Money {
            name,
            balance: number(balance),
            debits: number(debits),
            tries: u8::try_from(tries).unwrap_or(u8::MAX),
        })
    }

    /// The card goes on: money goes in and out, a purse comes and goes.
    fn go_on(&self, memory: &[u8], purses: &[Money]) -> Result<(), Surprise> {
        let mut card = self.open(MemoryImage::from_bytes(memory.to_vec()))?;
        for purse in purses {
            select(&mut card, &purse.name)?;
            must(&mut card, CREDIT, &[0, 0, 0, 1])?;
            if purse.tries > 0 {
                must(&mut card, VERIFY, PIN)?;
                must(&mut card, DEBIT, &[0, 0, 0, 1])?;
            }
        }
        select(&mut card, &ISSUER)?;
        let there = purses.iter().any(|purse| purse.name == PURSE_3);
        let order = if there { [DELETE, INSTALL] } else { [INSTALL, DELETE] };
        order.into_iter().try_for_each(|ins| must(&mut card, ins, PURSE_3.as_bytes()))
    }
}

fn modules() -> [Module; 2] {
    [Purse::module(), Module::new::<Issuer>(ISSUER)]
}

fn send(card: &mut Runtime, ins: u8, data: &[u8]) -> Result<ResponseApdu, Surprise> {
    let apdu = CommandApdu { cla: 0x80, ins, p1: 0, p2: 0, data, ne: Some(256) };
    transmit(card, &apdu)
}

fn transmit(card: &mut Runtime, apdu: &CommandApdu<'_>) -> Result<ResponseApdu, Surprise> {
    let mut response = Vec::new();
    card.transmit(&apdu.encode(Form::Short).unwrap_or_default(), &mut response);
    ResponseApdu::parse(&response).map_err(|_| Surprise::NoStatus)
}

fn select(card: &mut Runtime, name: &Aid) -> Result<(), Surprise> {
    let apdu = CommandApdu { cla: 0, ins: 0xA4, p1: 4, p2: 0, data: name.as_bytes(), ne: Some(256) };
    ok("SELECT", transmit(card, &apdu)?.sw)
}

fn must(card: &mut Runtime, ins: u8, data: &[u8]) -> Result<(), Surprise> {
    let command = STEPS.iter().find(|step| step.1 == ins).map_or("?", |step| step.0);
    ok(command, send(card, ins, data)?.sw)
}

fn ok(command: &'static str, sw: StatusWord) -> Result<(), Surprise> {
    if sw == StatusWord::OK { Ok(()) } else { Err(Surprise::Refused { command, sw }) }
}

impl Subject for PurseCard {
    type Live = Runtime;
    type Past = ();
    type State = State;
    type Future = ();

    fn name(&self) -> String {
        "two purses".to_owned()
    }

    fn situations(&self) -> Vec<&'static str> {
        SITUATIONS.iter().map(|(name, ..)| *name).collect()
    }

    fn steps(&self) -> Vec<String> {
        STEPS.iter().map(|step| step.0.to_owned()).collect()
    }

    fn base(&self, _: usize) -> Result<Vec<u8>, Surprise> {
        let image = fresh();
        let nvm = Nvm::format(Box::new(image.clone())).map_err(onetap_applet::CardError::from)?;
        let env = environment(self.spy, &VirtualClock::at(START), 1);
        let card = Runtime::format(nvm, &modules(), env);
        let mut card = card.map_err(onetap_applet::CardError::from)?;
        let refused = |sw| Surprise::Refused { command: "INSTALL", sw };
        card.install(&ISSUER, ISSUER, [SECURITY_DOMAIN, 0, 0], &[]).map_err(refused)?;
        for name in [Purse::name(), PURSE_2] {
            card.install(&Purse::name(), name, [0; 3], PIN).map_err(refused)?;
            select(&mut card, &name)?;
            must(&mut card, CREDIT, &CREDITED.to_be_bytes())?;
            must(&mut card, VERIFY, PIN)?;
            must(&mut card, DEBIT, &DEBITED.to_be_bytes())?;
        }
        drop(card);
        Ok(image.bytes().to_vec())
    }

    fn ready(&self, situation: usize, image: TearingImage) -> Result<Runtime, Surprise> {
        let mut card = self.open(image)?;
        let (_, name, pins) = SITUATIONS.get(situation).ok_or(Surprise::Harness("a situation"))?;
        select(&mut card, name)?;
        pins.iter().try_for_each(|pin| send(&mut card, VERIFY, pin).map(drop))?;
        Ok(card)
    }

    fn perform(&self, card: &mut Runtime, step: usize) -> Result<(), Surprise> {
        STEPS.get(step).map_or(Ok(()), |step| send(card, step.1, step.2).map(drop))
    }

    fn end(&self, _: Runtime) {}

    fn moment(&self, (): &()) -> u64 {
        START.0
    }

    fn recover(&self, image: Watched, _: u64) -> Result<(), Surprise> {
        self.open(image).map(drop)
    }

    fn wake(&self, memory: &[u8], _: u64) -> Result<(State, ()), Surprise> {
        let card = self.open(MemoryImage::from_bytes(memory.to_vec()))?;
        let names: Vec<Aid> =
            card.instances().map(|instance| instance.aid).filter(|aid| *aid != ISSUER).collect();
        drop(card);
        let nvm = Nvm::open(Box::new(MemoryImage::from_bytes(memory.to_vec())));
        let nvm = nvm.map_err(onetap_applet::CardError::from)?;
        let objects = OWNERS.flat_map(|owner| nvm.objects_of(owner).map(move |number| (owner, number)));
        let objects = objects.collect();
        let purses = names.into_iter().map(|name| self.look(memory, name)).collect::<Result<Vec<_>, _>>()?;
        self.go_on(memory, &purses)?;
        Ok((State { purses, objects }, ()))
    }

    /// Money leaves a purse by debits of one amount only, and comes in by credits of another.
    fn judge(&self, case: &Case<'_, Self>) -> Result<(), String> {
        // A purse that is new holds nothing yet.
        let mut sums = case.state.purses.iter().map(Money::credited);
        let made = sums.find(|sum| *sum != 0 && !PAID_IN.contains(sum));
        made.map_or(Ok(()), |sum| Err(format!("{sum} were paid into a purse in all")))
    }
}
