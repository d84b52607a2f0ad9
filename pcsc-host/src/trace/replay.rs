//! Replays a trace against a card, its field and its holder, and tells the first difference.

use std::ops::ControlFlow;
use std::time::Duration;

use onetap_apdu_spec::account::Alias;
use onetap_apdu_spec::apdu::{CLA_CHAINING, CommandApdu, ResponseApdu};
use onetap_apdu_spec::command::Name;
use onetap_apdu_spec::objects;
use onetap_apdu_spec::password::Password;
use onetap_apdu_spec::sw::StatusWord;

use super::difference::{Difference, Divergence, Spot, differ};
use super::record::put_txn_command;
use super::{BytePattern, Captures, Event, Key, PutTxn, ResponsePattern, Screen, ServerStep, Trace};
use crate::decode::{command_row, describe_command};
use crate::error::ReaderError;
use crate::session::read_object;

/// Events before a difference that are told.
const BEFORE: usize = 4;

/// What a trace acts on: a card, the field that it is moved in and out of, its keys, its display and
/// its clock.
pub trait Stage {
    /// Puts the card there; returns its answer to reset.
    ///
    /// # Errors
    /// [`StageError`].
    fn field_in(&mut self) -> Result<Vec<u8>, StageError>;
    /// Takes it away.
    ///
    /// # Errors
    /// [`StageError`].
    fn field_out(&mut self) -> Result<(), StageError>;
    /// Powers it off and on where it is; returns its answer to reset.
    ///
    /// # Errors
    /// [`StageError`].
    fn reset(&mut self) -> Result<Vec<u8>, StageError>;
    /// One APDU.
    ///
    /// # Errors
    /// [`ReaderError`] if no response comes.
    fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, ReaderError>;
    /// Presses a key. The stage knows the PIN that [`Key::Digit`] goes through.
    ///
    /// # Errors
    /// [`StageError`].
    fn key(&mut self, key: Key) -> Result<(), StageError>;
    /// Lets time pass on the card's clock.
    ///
    /// # Errors
    /// [`StageError`].
    fn tick(&mut self, time: Duration) -> Result<(), StageError>;
    /// What the display shows.
    ///
    /// # Errors
    /// [`StageError`].
    fn screen(&mut self) -> Result<Screen, StageError>;
}

/// The stage cannot do what the trace wants.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StageError {
    /// The reader or the contact failed.
    #[error(transparent)]
    Reader(#[from] ReaderError),
    /// Not on this stage, such as keys on a card that only a reader reaches.
    #[error("this card cannot be made to {0} from here")]
    Unsupported(&'static str),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

/// What was seen so far: the ground for predicates.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// The last alias that the card gave.
    pub alias: Option<Alias>,
    /// T, as the card accepted it last.
    pub transaction: Option<Vec<u8>>,
    /// The last signature message.
    pub signature_message: Option<Vec<u8>>,
    /// The last response to GET ENC-PASSWORD: one data object.
    pub password_object: Option<Vec<u8>>,
    /// The joint password that the display showed last.
    pub joint_password: Option<Password>,
    /// What the trace captured.
    pub captures: Captures,
}

/// Judges what cannot be compared byte by byte, such as `signature-valid`.
pub trait Predicates {
    /// True if the predicate `name` holds; the error says why not, or that there is none of that name.
    ///
    /// # Errors
    /// The reason, for a person.
    fn check(&mut self, name: &str, evidence: &Evidence) -> Result<(), String>;

    /// Sends the request that `name` stands for, made of the evidence, to the server; what comes of it,
    /// in a word. Without a server, as by default, a trace that has one diverges.
    ///
    /// # Errors
    /// The reason, for a person.
    fn server(&mut self, name: &str, evidence: &Evidence) -> Result<String, String> {
        let _ = evidence;
        Err(format!("no server takes {name} here"))
    }
}

/// Acts the whole trace out on `stage`.
///
/// # Errors
/// The first [`Divergence`]; nothing is done after it.
pub fn replay(
    trace: &Trace,
    stage: &mut dyn Stage,
    predicates: &mut dyn Predicates,
) -> Result<Evidence, Box<Divergence>> {
    let mut first = None;
    let evidence = replay_on(trace, stage, predicates, &mut |divergence| {
        first = Some(Box::new(divergence));
        ControlFlow::Break(())
    });
    first.map_or(Ok(evidence), Err)
}

/// Acts the whole trace out on `stage` and tells each difference; goes on after it as long as `tell` says so and the card
/// is there.
pub fn replay_on(
    trace: &Trace,
    stage: &mut dyn Stage,
    predicates: &mut dyn Predicates,
    tell: &mut dyn FnMut(Divergence) -> ControlFlow<()>,
) -> Evidence {
    let mut replay = Replay { stage, predicates, evidence: Evidence::default(), open: Open::default() };
    for (i, event) in trace.events.iter().enumerate() {
        let Err(difference) = replay.step(event) else { continue };
        let is_the_end = difference.is_the_end;
        let about_response = matches!(event, Event::Response(_) | Event::NoResponse {});
        let command = about_response.then(|| describe_command(&replay.open.command));
        if tell(trace.divergence(i, command, difference)).is_break() || is_the_end {
            break;
        }
    }
    replay.evidence
}

impl Trace {
    /// The difference at this event, with what led to it.
    pub(super) fn divergence(&self, event: usize, command: Option<String>, found: Difference) -> Divergence {
        let mut words = super::show::last_of(&self.events, event, BEFORE + 1);
        let this = words.pop().unwrap_or_default();
        let first = event - words.len();
        let before = words.into_iter().enumerate();
        Divergence {
            line: self.line(event),
            event: this,
            before: before.map(|(n, words)| format!("line {}: {words}", self.line(first + n))).collect(),
            command,
            expected: found.expected,
            got: found.got,
            spot: found.spot,
        }
    }
}

impl From<StageError> for Difference {
    /// Without its reader nothing goes on.
    fn from(error: StageError) -> Self {
        let is_the_end = matches!(error, StageError::Reader(_));
        Self { is_the_end, ..differ("that it can be done", error.to_string()) }
    }
}

/// The command under way: parts of a chain and of a response are put together here.
#[derive(Default)]
struct Open {
    command: Vec<u8>,
    name: Option<Name>,
    data: Vec<u8>,
    chained: bool,
    response: Vec<u8>,
    result: Option<Result<ResponseApdu, ReaderError>>,
}

struct Replay<'a> {
    stage: &'a mut dyn Stage,
    predicates: &'a mut dyn Predicates,
    evidence: Evidence,
    open: Open,
}

impl Replay<'_> {
    fn step(&mut self, event: &Event) -> Result<(), Difference> {
        match event {
            Event::FieldIn { atr } => {
                let got = self.stage.field_in()?;
                self.compare_atr(atr, &got)
            }
            Event::FieldOut {} => Ok(self.stage.field_out()?),
            Event::Reset { atr } => {
                let got = self.stage.reset()?;
                self.compare_atr(atr, &got)
            }
            Event::Command(pattern) => {
                let captures = &self.evidence.captures;
                let bytes = pattern.bytes(captures).ok_or_else(|| unknown_bytes(pattern))?;
                self.transmit(bytes);
                Ok(())
            }
            Event::PutTxn(put) => self.put_txn(put),
            Event::Response(pattern) => self.response(pattern),
            Event::NoResponse {} => match self.open.result.take() {
                Some(Ok(response)) => Err(differ("no response", format!("status word {}", response.sw))),
                _ => Ok(()),
            },
            Event::Screen(lines) => self.screen(lines),
            Event::Key(key) => Ok(self.stage.key(*key)?),
            Event::TickMs(ms) => Ok(self.stage.tick(Duration::from_millis(*ms))?),
            Event::Check(names) => self.check(names),
            Event::Server(step) => self.server(step),
        }
    }

    fn compare_atr(&mut self, expected: &BytePattern, got: &[u8]) -> Result<(), Difference> {
        if expected.matches(got, &mut self.evidence.captures) {
            Ok(())
        } else {
            let spot = Spot::in_bytes(expected, got, &self.evidence.captures);
            let found = differ(
                format!("answer to reset {expected}"),
                format!("answer to reset {}", hex::encode_upper(got)),
            );
            Err(Difference { spot: spot.map(Box::new), ..found })
        }
    }

    fn put_txn(&mut self, put: &PutTxn) -> Result<(), Difference> {
        let alias = put.payer.clone().or_else(|| self.evidence.alias.clone());
        let payer = alias.ok_or_else(|| differ("a payer alias, fetched before", "none"))?;
        let transaction = put.transaction(payer).map_err(|e| differ("right fields", e.to_string()))?;
        let message = transaction.encode().map_err(|e| differ("an encodable message", e.to_string()))?;
        let command = put_txn_command(&message)
            .ok_or_else(|| differ("a message that fits one APDU", "a longer one"))?;
        self.transmit(command);
        Ok(())
    }

    fn transmit(&mut self, command: Vec<u8>) {
        let apdu = CommandApdu::parse(&command).ok();
        let name = apdu.and_then(|apdu| Some(command_row(&apdu)?.name));
        if name != Some(Name::GetResponse) {
            self.open.response.clear();
            if !self.open.chained {
                self.open.data.clear();
            }
            self.open.data.extend(apdu.map(|apdu| apdu.data).unwrap_or_default());
            self.open.chained = apdu.is_some_and(|apdu| apdu.cla & CLA_CHAINING != 0);
            self.open.name = name;
        }
        let response = self.stage.transmit(&command);
        let parsed = response.and_then(|r| ResponseApdu::parse(&r).map_err(|_| ReaderError::CardRemoved));
        self.open.command = command;
        self.open.result = Some(parsed);
    }

    fn response(&mut self, pattern: &ResponsePattern) -> Result<(), Difference> {
        let response = match self.open.result.take() {
            Some(Ok(response)) => response,
            Some(Err(error)) => {
                return Err(Difference { is_the_end: true, ..differ("a response", error.to_string()) });
            }
            None => return Err(differ("a command before", "none")),
        };
        let compared = pattern.compare(&response, &mut self.evidence.captures);
        // It came, as expected or not: who goes on after a difference goes on with it.
        self.open.response.extend(&response.data);
        if response.sw == StatusWord::OK && !self.open.chained {
            self.note();
        }
        compared?;
        self.check(&pattern.predicates)
    }

    /// Keeps what a finished command gave.
    fn note(&mut self) {
        let response = self.open.response.clone();
        let evidence = &mut self.evidence;
        match self.open.name {
            Some(Name::GetData) => {
                let value = read_object(&response, objects::PAYER_ALIAS).ok();
                let alias = value.and_then(|value| String::from_utf8(value).ok()?.parse().ok());
                evidence.alias = alias.or(evidence.alias.take());
            }
            Some(Name::PutTxn) => evidence.transaction = Some(self.open.data.clone()),
            Some(Name::GetSignature) => evidence.signature_message = Some(response),
            Some(Name::GetEncPassword) => evidence.password_object = Some(response),
            Some(Name::Select | Name::GetResponse) | None => {}
        }
    }

    fn screen(&mut self, expected: &[String]) -> Result<(), Difference> {
        let screen = self.stage.screen()?;
        if let Some((expected, got)) = screen.difference(expected) {
            return Err(differ(expected, got));
        }
        if let Some(password) = screen.joint_password() {
            self.evidence.joint_password = Some(password.clone());
        }
        Ok(())
    }

    fn server(&mut self, step: &ServerStep) -> Result<(), Difference> {
        let outcome = self.predicates.server(&step.request, &self.evidence);
        let got = outcome.map_err(|why| differ(&step.outcome, why))?;
        if got == step.outcome { Ok(()) } else { Err(differ(&step.outcome, got)) }
    }

    fn check(&mut self, names: &[String]) -> Result<(), Difference> {
        names.iter().try_for_each(|name| {
            let checked = self.predicates.check(name, &self.evidence);
            checked.map_err(|why| differ(format!("{name} holds"), why))
        })
    }
}

/// A command cannot be sent whose bytes the trace does not have.
fn unknown_bytes(pattern: &BytePattern) -> Difference {
    let got = pattern.to_string();
    if pattern.is_open() {
        differ(
            "a command with all its bytes; they were left out when it was recorded, as those of a PIN are",
            got,
        )
    } else {
        differ("a command whose slots were captured before", got)
    }
}
