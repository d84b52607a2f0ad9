//! Replays a trace against a card, its field and its holder, and tells the first difference.

use std::fmt;
use std::time::Duration;

use onetap_apdu_spec::account::Alias;
use onetap_apdu_spec::apdu::{CLA_CHAINING, CommandApdu, ResponseApdu};
use onetap_apdu_spec::command::Name;
use onetap_apdu_spec::foreign::Shown;
use onetap_apdu_spec::objects;
use onetap_apdu_spec::password::Password;
use onetap_apdu_spec::sw::StatusWord;

use super::record::put_txn_command;
use super::{BytePattern, Captures, Event, Key, PutTxn, ResponsePattern, Screen, ServerStep, Trace};
use crate::decode::{command_row, describe_command};
use crate::error::ReaderError;
use crate::session::read_object;

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

/// The first difference between trace and card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Divergence {
    /// Line of the trace, from 1.
    pub line: usize,
    /// What the line says, in words.
    pub event: String,
    /// The command that was answered, in words, if it is about a response.
    pub command: Option<String>,
    /// What the trace expects.
    pub expected: String,
    /// What came.
    pub got: String,
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "line {}: {}", self.line, Shown(&self.event))?;
        if let Some(command) = &self.command {
            writeln!(f, "  command   {}", Shown(command))?;
        }
        writeln!(f, "  expected  {}", Shown(&self.expected))?;
        write!(f, "  got       {}", Shown(&self.got))
    }
}

impl std::error::Error for Divergence {}

/// Acts the whole trace out on `stage`.
///
/// # Errors
/// The first [`Divergence`]; nothing is done after it.
pub fn replay(
    trace: &Trace,
    stage: &mut dyn Stage,
    predicates: &mut dyn Predicates,
) -> Result<Evidence, Box<Divergence>> {
    let mut replay = Replay { stage, predicates, evidence: Evidence::default(), open: Open::default() };
    let mut answering = None;
    for (i, event) in trace.events.iter().enumerate() {
        let words = super::show::describe(event, &mut answering);
        replay.step(event).map_err(|difference| {
            let about_response = matches!(event, Event::Response(_) | Event::NoResponse {});
            Box::new(Divergence {
                line: i + 2,
                event: words.split_whitespace().collect::<Vec<_>>().join(" "),
                command: about_response.then(|| describe_command(&replay.open.command)),
                expected: difference.expected,
                got: difference.got,
            })
        })?;
    }
    Ok(replay.evidence)
}

struct Difference {
    expected: String,
    got: String,
}

fn differ(expected: impl Into<String>, got: impl Into<String>) -> Difference {
    Difference { expected: expected.into(), got: got.into() }
}

impl From<StageError> for Difference {
    fn from(error: StageError) -> Self {
        differ("that it can be done", error.to_string())
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
                let bytes = pattern.bytes(captures).ok_or_else(|| {
                    differ("a command whose slots were captured before", pattern.to_string())
                })?;
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
            Err(differ(format!("answer to reset {expected}"), hex::encode_upper(got)))
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
            Some(Err(error)) => return Err(differ("a response", error.to_string())),
            None => return Err(differ("a command before", "none")),
        };
        let compared = pattern.compare(&response, &mut self.evidence.captures);
        compared.map_err(|(expected, got)| Difference { expected, got })?;
        self.open.response.extend(&response.data);
        if response.sw == StatusWord::OK && !self.open.chained {
            self.note();
        }
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
        if !screen.matches(expected) {
            return Err(differ(expected.join(" | "), screen.lines().join(" | ")));
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
