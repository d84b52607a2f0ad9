//! Traces: records whole scenarios against our card and our server, and replays recorded ones
//! in-process or through PC/SC. The format is [`onetap_pcsc_host::trace`]'s; what it leaves to the
//! caller is here:
//!
//! | where | name | meaning |
//! |---|---|---|
//! | predicates | `alias` | the payer alias is this card's |
//! | | `signature-valid` | H is this card's; S verifies over what has travelled so far |
//! | | `password-object-valid` | what is owed is well formed and S covers it |
//! | | `joint-password-valid` | the displayed joint password belongs to S |
//! | server | `as-shown` | the request as it should be |
//! | | `wrong-password` | with another verification password |
//! | | `tampered-amount` | with another amount in T |
//! | | `unlock` | the operator unlocks the account |
//!
//! Outcomes: `executed`, `refused`, `locked` (refused, and the account is now locked), `unlocked`.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use onetap_apdu_spec::suite::Suite;
use onetap_pcsc_host::trace::{self, Divergence, Event, Trace};
use serde::Serialize;

use crate::target::{CardUnderTest, InProcess, Known, Vpcd};

mod judge;
mod operator;
mod play;

use judge::Judge;
use operator::Operator;

/// What can be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scenario {
    /// One payment, from tap to booking.
    Payment,
    /// Three wrong verification passwords lock the account; the operator unlocks it.
    Lockout,
    /// The terminal changes the amount.
    Tamper,
    /// The terminal sends commands in the wrong order.
    WrongOrder,
}

impl Scenario {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Payment, Self::Lockout, Self::Tamper, Self::WrongOrder];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Payment => "payment",
            Self::Lockout => "lockout",
            Self::Tamper => "tamper",
            Self::WrongOrder => "wrong-order",
        }
    }

    fn description(self) -> &'static str {
        match self {
            Self::Payment => "one payment: one contact, confirmed on the card, executed by the server",
            Self::Lockout => "three wrong verification passwords lock the account, the operator unlocks it",
            Self::Tamper => {
                "the terminal changes the amount: the server refuses, and executes what was shown"
            }
            Self::WrongOrder => "commands in the wrong order, and a second tap while the card waits",
        }
    }

    /// Requirements that it is evidence for.
    fn clauses(self) -> &'static [&'static str] {
        match self {
            Self::Payment => &["P-04", "P-17", "P-18", "P-19", "P-20", "P-21"],
            Self::Lockout => &["P-24"],
            Self::Tamper => &["P-18", "P-20"],
            Self::WrongOrder => &["P-06", "P-19"],
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Not the name of a scenario.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no scenario is named {0}; there are payment, lockout, tamper and wrong-order")]
pub struct NoSuchScenario(String);

impl FromStr for Scenario {
    type Err = NoSuchScenario;
    fn from_str(text: &str) -> Result<Self, NoSuchScenario> {
        let found = Self::ALL.into_iter().find(|scenario| scenario.name() == text);
        found.ok_or_else(|| NoSuchScenario(text.to_owned()))
    }
}

/// Where a trace is replayed.
#[derive(Debug, Clone)]
pub enum Place {
    /// In this process.
    InProcess,
    /// Our card in the virtual reader of this name, which listens for cards there.
    Vpcd {
        /// Name of the reader.
        reader: String,
        /// Where the reader listens.
        addr: SocketAddr,
    },
}

/// What a replay went through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Summary {
    /// Events in all.
    pub events: usize,
    /// Commands to the card.
    pub commands: usize,
    /// Contacts of the card.
    pub contacts: usize,
}

/// Why a trace was not recorded or not replayed to its end.
#[derive(Debug, thiserror::Error)]
pub enum TraceFailure {
    /// The card did something else.
    #[error(transparent)]
    Diverged(#[from] Box<Divergence>),
    /// Card, server or terminal could not be made, or failed.
    #[error("{0}")]
    Stage(String),
}

fn stage(why: impl fmt::Display) -> TraceFailure {
    TraceFailure::Stage(why.to_string())
}

/// Plays a scenario in this process with a new card of `suite` and writes down what happens.
///
/// # Errors
/// [`TraceFailure::Stage`].
pub fn record(scenario: Scenario, suite: Suite) -> Result<Trace, TraceFailure> {
    let (operator, card) = cast(suite)?;
    play::play(scenario, suite, card, operator)
}

/// Replays a trace with a new card of the trace's suite and a new server.
///
/// # Errors
/// [`TraceFailure::Diverged`] with the first difference.
pub fn replay(trace: &Trace, place: &Place) -> Result<Summary, TraceFailure> {
    let (operator, card) = cast(trace.header.suite.unwrap_or_default())?;
    let mut judge = Judge::new(operator, card.known_of());
    let mut target: Box<dyn CardUnderTest> = match place {
        Place::InProcess => Box::new(card),
        Place::Vpcd { reader, addr } => Box::new(Vpcd::new(card, reader, *addr)),
    };
    trace::replay(trace, &mut *target, &mut judge)?;
    let count = |wanted: fn(&Event) -> bool| trace.events.iter().filter(|event| wanted(event)).count();
    Ok(Summary {
        events: trace.events.len(),
        commands: count(|event| matches!(event, Event::Command(_) | Event::PutTxn(_))),
        contacts: count(|event| matches!(event, Event::FieldIn { .. })),
    })
}

/// A new operator, and a card that it ordered and enrolled.
fn cast(suite: Suite) -> Result<(Operator, InProcess), TraceFailure> {
    let (operator, order) = Operator::found(suite).map_err(stage)?;
    let card = InProcess::ordered(order).map_err(stage)?;
    operator.enrol(card.statement()).map_err(stage)?;
    Ok((operator, card))
}

/// Predicates share it with the card.
type SharedKnown = std::sync::Arc<Known>;
