//! A card with bugs that can be switched on: a wrapper around our right one, at the level of the
//! contacts and of the holder's hands.

#![allow(clippy::unwrap_used, reason = "part of a test")]

use std::time::Duration;

use onetap_apdu_spec::account::AccountError;
use onetap_apdu_spec::apdu::{CLA_CHAINING, CommandApdu, ResponseApdu};
use onetap_apdu_spec::class::Class;
use onetap_apdu_spec::command::{AID, Name, fci};
use onetap_apdu_spec::crypto::{Crypto, default_provider};
use onetap_apdu_spec::money::MoneyError;
use onetap_apdu_spec::password::Password;
use onetap_apdu_spec::sw::StatusWord;
use onetap_apdu_spec::text::TextError;
use onetap_apdu_spec::txn::{FieldError, TransactionError, TransactionMessage};
use onetap_conformance::conform::CommandBuilder;
use onetap_conformance::target::{Capability, CardUnderTest, Claims, Known, Spent, Start};
use onetap_pcsc_host::ReaderError;
use onetap_pcsc_host::decode::command_row;
use onetap_pcsc_host::trace::{Key, Screen, Stage, StageError};

mod commands;
mod content;
mod ecdsa;
mod holder;
mod rubbish;

pub(crate) use rubbish::RUBBISH;

/// All bugs.
pub(crate) fn all() -> impl Iterator<Item = &'static Bug> {
    [commands::BUGS, content::BUGS, ecdsa::BUGS, holder::BUGS, rubbish::BUGS].into_iter().flatten()
}

/// The right card and what a bug remembers.
pub(crate) struct Inside {
    card: Box<dyn CardUnderTest>,
    /// The last answer to reset.
    atr: Vec<u8>,
    bytes: Option<Vec<u8>>,
    secret: Option<Password>,
    flag: bool,
    count: usize,
}

/// One bug. What it leaves alone is [`NONE`]'s.
pub(crate) struct Bug {
    pub(crate) name: &'static str,
    /// Ids of the cases that must fail.
    pub(crate) caught_by: &'static [&'static str],
    /// What the card computes with; whoever makes the card gives it that.
    pub(crate) crypto: fn() -> &'static dyn Crypto,
    transmit: fn(&mut Inside, &[u8]) -> Vec<u8>,
    key: fn(&mut Inside, Key),
    screen: fn(&mut Inside) -> Screen,
    tick: fn(&mut Inside, Duration),
    field_in: fn(&mut Inside),
    field_out: fn(&mut Inside),
    reset: fn(&mut Inside),
}

/// No bug.
pub(crate) const NONE: Bug = Bug {
    name: "none",
    caught_by: &[],
    crypto: default_provider,
    transmit: send,
    key: press,
    screen: look,
    tick: wait,
    field_in: |inside| drop(inside.card.field_in().unwrap()),
    field_out: |inside| inside.card.field_out().unwrap(),
    reset: |inside| inside.atr = inside.card.reset().unwrap(),
};

fn send(inside: &mut Inside, command: &[u8]) -> Vec<u8> {
    inside.card.transmit(command).unwrap()
}

fn press(inside: &mut Inside, key: Key) {
    inside.card.key(key).unwrap();
}

/// Turns all pages and waits until the confirm key is no longer dead.
fn read_and_wait(inside: &mut Inside) {
    (0..64).for_each(|_| press(inside, Key::Next));
    wait(inside, inside.card.claims().timing().dead_time);
}

/// Leaves the field and waits until the display is awake.
fn leave(inside: &mut Inside) {
    inside.card.field_out().unwrap();
    wait(inside, inside.card.claims().timing().debounce);
}

fn look(inside: &mut Inside) -> Screen {
    inside.card.screen().unwrap()
}

fn wait(inside: &mut Inside, time: Duration) {
    inside.card.tick(time).unwrap();
}

fn name(command: &[u8]) -> Option<Name> {
    Some(command_row(&CommandApdu::parse(command).ok()?)?.name)
}

/// The channel of a command, if its instruction byte is that of `wanted`.
fn is_on(command: &[u8], wanted: Name) -> Option<u8> {
    let is_it = command.get(1) == Some(&wanted.spec().ins);
    Class::parse(command[0]).ok().filter(|_| is_it).map(|class| class.channel)
}

/// Sends it; where the answer is `from`, answers `to`.
fn instead(inside: &mut Inside, command: &[u8], from: StatusWord, to: StatusWord) -> Vec<u8> {
    let response = send(inside, command);
    if response == from.to_bytes() { to.to_bytes().to_vec() } else { response }
}

/// Sends it; changes the data of a successful answer to `wanted`.
fn changed(inside: &mut Inside, command: &[u8], wanted: Name, change: fn(&mut Vec<u8>)) -> Vec<u8> {
    let mut response = ResponseApdu::parse(&send(inside, command)).unwrap();
    if name(command) == Some(wanted) && response.sw == StatusWord::OK {
        change(&mut response.data);
    }
    response.to_bytes()
}

/// Sends it with some bits of CLA cleared.
fn without_class_bits(inside: &mut Inside, command: &[u8], bits: u8) -> Vec<u8> {
    let mut command = command.to_vec();
    command[0] &= !bits;
    send(inside, &command)
}

/// Accepts messages that are wrong in the way that `forgiven` knows.
fn forgiving(inside: &mut Inside, command: &[u8], forgiven: fn(&TransactionError) -> bool) -> Vec<u8> {
    let response = send(inside, command);
    let error = CommandApdu::parse(command).ok().and_then(|apdu| TransactionMessage::parse(apdu.data).err());
    let refused = response == StatusWord::WRONG_DATA.to_bytes();
    if refused && error.is_some_and(|error| forgiven(&error)) {
        StatusWord::OK.to_bytes().to_vec()
    } else {
        response
    }
}

/// Refuses messages that are right, where `wrong` finds fault with them.
fn refusing(inside: &mut Inside, command: &[u8], wrong: fn(&[u8]) -> bool) -> Vec<u8> {
    let at_fault =
        name(command) == Some(Name::PutTxn) && CommandApdu::parse(command).is_ok_and(|apdu| wrong(apdu.data));
    if at_fault { StatusWord::WRONG_DATA.to_bytes().to_vec() } else { send(inside, command) }
}

/// Changes the lines of the display.
fn redrawn(inside: &mut Inside, change: fn(&[String]) -> Vec<String>) -> Screen {
    let screen = look(inside);
    match screen.joint_password() {
        Some(_) => screen,
        None => Screen::new(&change(screen.lines()), None),
    }
}

/// The cases of the default suite's signature and joint password.
const SIGNATURE: &str = "signature/a3+sha256+rsa-oaep+pkcs1";
const PASSWORD: &str = "password/a3+sha256+rsa-oaep+pkcs1";

/// Our card with one bug.
pub(crate) struct Buggy {
    inside: Inside,
    bug: &'static Bug,
}

impl Buggy {
    pub(crate) fn new(card: impl CardUnderTest + 'static, bug: &'static Bug) -> Self {
        let card = Box::new(card);
        Self {
            inside: Inside { card, atr: Vec::new(), bytes: None, secret: None, flag: false, count: 0 },
            bug,
        }
    }
}

impl Stage for Buggy {
    fn field_in(&mut self) -> Result<Vec<u8>, StageError> {
        (self.bug.field_in)(&mut self.inside);
        Ok(Vec::new())
    }

    fn field_out(&mut self) -> Result<(), StageError> {
        (self.bug.field_out)(&mut self.inside);
        Ok(())
    }

    fn reset(&mut self) -> Result<Vec<u8>, StageError> {
        (self.bug.reset)(&mut self.inside);
        Ok(self.inside.atr.clone())
    }

    fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, ReaderError> {
        Ok((self.bug.transmit)(&mut self.inside, command))
    }

    fn key(&mut self, key: Key) -> Result<(), StageError> {
        (self.bug.key)(&mut self.inside, key);
        Ok(())
    }

    fn tick(&mut self, time: Duration) -> Result<(), StageError> {
        (self.bug.tick)(&mut self.inside, time);
        Ok(())
    }

    fn screen(&mut self) -> Result<Screen, StageError> {
        Ok((self.bug.screen)(&mut self.inside))
    }
}

impl CardUnderTest for Buggy {
    fn name(&self) -> &str {
        self.inside.card.name()
    }

    fn lacks(&self, capability: Capability) -> Option<&'static str> {
        self.inside.card.lacks(capability)
    }

    fn claims(&self) -> &Claims {
        self.inside.card.claims()
    }

    /// What a bug remembers is forgotten with the card.
    fn fresh(&mut self, wanted: &Start) -> Result<(), StageError> {
        self.inside.card.fresh(wanted)?;
        (self.inside.bytes, self.inside.secret) = (None, None);
        (self.inside.flag, self.inside.count) = (false, 0);
        Ok(())
    }

    fn rest(&mut self) {
        self.inside.card.rest();
    }

    fn known(&self) -> Option<&Known> {
        self.inside.card.known()
    }

    fn spent(&mut self) -> &mut Spent {
        self.inside.card.spent()
    }
}
