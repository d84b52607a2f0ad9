//! A trace as host: replayed against any card in any reader. The card is asked first who it is; another one than the one
//! recorded is refused, unless whoever replays says so.

use std::fmt;
use std::ops::ControlFlow;
use std::time::Duration;

use onetap_apdu_spec::apdu::{ResponseApdu, WHAT_ARE_YOU, WHO_ARE_YOU};
use onetap_apdu_spec::sw::StatusWord;
use serde::Serialize;

use super::pattern::{BytePattern, Captures};
use super::replay::replay_on;
use super::{
    Answer, Divergence, Event, Evidence, Identity, Key, Predicates, Screen, Stage, StageError, Trace,
};
use crate::deadline::Deadline;
use crate::error::ReaderError;
use crate::transport::{Disposition, Reader, Transport};

/// How long one contact may take, unless said otherwise.
const CONTACT: Duration = Duration::from_secs(600);

impl Identity {
    /// Asks a card who it is: its answer to reset, and what it says to SELECT and GET DATA. Nothing is changed but what is
    /// selected; let go of its power afterwards.
    ///
    /// # Errors
    /// [`ReaderError`].
    pub fn ask(contact: &mut dyn Transport) -> Result<Self, ReaderError> {
        let atr = contact.atr().bytes().to_vec();
        let ask = |command: &[u8; 5]| {
            let response = contact.transmit(command)?;
            Ok(Answer { command: command.to_vec(), response })
        };
        let answers = WHAT_ARE_YOU.iter().chain(&WHO_ARE_YOU).map(ask).collect::<Result<_, ReaderError>>()?;
        Ok(Self { atr, answers })
    }

    /// True if it has said something that no other card says.
    fn is_its_own(&self) -> bool {
        let is_ok = |response: &[u8]| ResponseApdu::parse(response).is_ok_and(|r| r.sw == StatusWord::OK);
        let own = |answer: &&Answer| WHO_ARE_YOU.iter().any(|command| command[..] == answer.command);
        self.answers.iter().filter(own).any(|answer| is_ok(&answer.response))
    }

    /// How another card differs, if it does.
    fn difference(&self, other: &Self) -> Option<String> {
        let hex = |bytes: &[u8]| hex::encode_upper(bytes);
        if self.atr != other.atr {
            return Some(format!("its answer to reset is {}, not {}", hex(&other.atr), hex(&self.atr)));
        }
        self.answers.iter().find_map(|recorded| {
            let now = other.answers.iter().find(|answer| answer.command == recorded.command)?;
            let [command, said, recorded] =
                [&recorded.command, &now.response, &recorded.response].map(|bytes| hex(bytes));
            (said != recorded).then(|| format!("it answers {said} to {command}, not {recorded}"))
        })
    }
}

/// How well a card is known as the one that a trace was recorded with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Recognised {
    /// It says what that card alone says.
    Same,
    /// It says nothing else than that card; others of its kind would, too.
    SameKind,
    /// It is another card, or the trace does not tell; it was to be taken whoever it is.
    Unchecked,
}

impl fmt::Display for Recognised {
    /// For people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Same => "the card that it was recorded with",
            Self::SameKind => "a card of the recorded kind; nothing tells it from others of its kind",
            Self::Unchecked => "whatever card is there",
        })
    }
}

/// Why a trace was not replayed against the card in a reader.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// The reader, or the contact with the card.
    #[error(transparent)]
    Reader(#[from] ReaderError),
    /// It is another card.
    #[error("the card in the reader is not the one that the trace was recorded with: {0}")]
    OtherCard(String),
    /// The trace has no answer to reset.
    #[error("the trace does not tell which card it was recorded with")]
    UnknownCard,
}

/// What was replayed in a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct InReader {
    /// The card.
    pub card: Recognised,
    /// Keys, displays, passing time and the server's answers that were left out: a reader has none of them.
    pub left_out: usize,
    /// Predicates that were not judged: that takes keys.
    pub not_judged: usize,
}

/// Replays `trace` against the card in `reader` and tells each difference; goes on after it as long as `tell` says so.
/// `whoever` takes any card.
///
/// # Errors
/// [`HostError`] before anything is replayed.
pub fn replay_in_reader(
    trace: &Trace,
    reader: Box<dyn Reader>,
    whoever: bool,
    tell: &mut dyn FnMut(Divergence) -> ControlFlow<()>,
) -> Result<InReader, HostError> {
    let mut stage = ReaderStage::new(reader);
    let card = recognise(trace, &mut stage, whoever)?;
    let (trace, left_out, not_judged) = trace.seen_by_a_reader(whoever);
    replay_on(&trace, &mut stage, &mut NoPredicates, tell);
    stage.release(Disposition::Unpower)?;
    Ok(InReader { card, left_out, not_judged })
}

fn recognise(trace: &Trace, stage: &mut ReaderStage, whoever: bool) -> Result<Recognised, HostError> {
    if whoever {
        return Ok(Recognised::Unchecked);
    }
    let atrs = trace.events.iter().filter_map(|event| match event {
        Event::FieldIn { atr } | Event::Reset { atr } => atr.bytes(&Captures::new()),
        _ => None,
    });
    let recorded = trace.header.card.clone().or_else(|| {
        let atr = atrs.into_iter().next()?;
        Some(Identity { atr, answers: Vec::new() })
    });
    let recorded = recorded.ok_or(HostError::UnknownCard)?;
    let there = if recorded.answers.is_empty() {
        Identity { atr: stage.connect()?, answers: Vec::new() }
    } else {
        stage.connect()?;
        Identity::ask(stage.contact().ok_or(ReaderError::NoCard)?)?
    };
    stage.release(Disposition::Unpower)?;
    match recorded.difference(&there) {
        Some(difference) => Err(HostError::OtherCard(difference)),
        None if recorded.is_its_own() => Ok(Recognised::Same),
        None => Ok(Recognised::SameKind),
    }
}

impl Trace {
    /// Without what only the card's holder, its keys or the server can do, and how much of it that was: events, predicates.
    /// Of `whoever`, the answer to reset is not compared either.
    fn seen_by_a_reader(&self, whoever: bool) -> (Self, usize, usize) {
        let mut seen = Self::new(self.header.clone(), Vec::new());
        let (mut left_out, mut not_judged) = (0, 0);
        for (at, event) in self.events.iter().enumerate() {
            let mut event = event.clone();
            match &mut event {
                Event::Screen(_) | Event::Key(_) | Event::TickMs(_) | Event::Check(_) | Event::Server(_) => {
                    left_out += 1;
                    continue;
                }
                Event::Response(pattern) => not_judged += std::mem::take(&mut pattern.predicates).len(),
                Event::FieldIn { atr } | Event::Reset { atr } if whoever => *atr = BytePattern::default(),
                _ => {}
            }
            seen.push(event, self.line(at), self.time(at));
        }
        (seen, left_out, not_judged)
    }
}

/// None were left to judge.
struct NoPredicates;

impl Predicates for NoPredicates {
    fn check(&mut self, name: &str, _: &Evidence) -> Result<(), String> {
        Err(format!("{name} cannot be judged without keys"))
    }
}

/// The card in a reader as a [`Stage`]: APDUs and resets, nothing else.
pub struct ReaderStage {
    reader: Box<dyn Reader>,
    contact: Option<Box<dyn Transport>>,
    limit: Duration,
}

impl ReaderStage {
    /// The card in `reader`.
    #[must_use]
    pub fn new(reader: Box<dyn Reader>) -> Self {
        Self { reader, contact: None, limit: CONTACT }
    }

    /// With another time limit for each contact: a card that hangs is then given up.
    #[must_use]
    pub fn within(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// The contact, while there is one.
    pub fn contact(&mut self) -> Option<&mut (dyn Transport + 'static)> {
        self.contact.as_deref_mut()
    }

    /// Ends the contact and leaves the card's power as said.
    ///
    /// # Errors
    /// [`ReaderError`].
    pub fn release(&mut self, disposition: Disposition) -> Result<(), ReaderError> {
        self.contact.take().map_or(Ok(()), |contact| contact.release(disposition))
    }

    fn connect(&mut self) -> Result<Vec<u8>, ReaderError> {
        let contact = match self.contact.take() {
            Some(contact) => contact,
            None => self.reader.connect(&Deadline::after(self.limit))?,
        };
        Ok(self.contact.insert(contact).atr().bytes().to_vec())
    }
}

impl Stage for ReaderStage {
    fn field_in(&mut self) -> Result<Vec<u8>, StageError> {
        Ok(self.connect()?)
    }

    /// The card stays in the reader, without power.
    fn field_out(&mut self) -> Result<(), StageError> {
        Ok(self.release(Disposition::Unpower)?)
    }

    fn reset(&mut self) -> Result<Vec<u8>, StageError> {
        self.release(Disposition::Unpower)?;
        Ok(self.connect()?)
    }

    fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, ReaderError> {
        self.contact.as_mut().ok_or(ReaderError::NoCard)?.transmit(command)
    }

    fn key(&mut self, _: Key) -> Result<(), StageError> {
        Err(StageError::Unsupported("press a key"))
    }

    fn tick(&mut self, _: Duration) -> Result<(), StageError> {
        Err(StageError::Unsupported("advance its clock"))
    }

    fn screen(&mut self) -> Result<Screen, StageError> {
        Err(StageError::Unsupported("show its display"))
    }
}
