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

use std::net::SocketAddr;
use std::ops::ControlFlow;

use onetap_apdu_spec::suite::Suite;
use onetap_pcsc_host::trace::{self, Divergence, Event, Trace};
use serde::Serialize;

use crate::target::{CardUnderTest, InProcess, Vpcd};

mod judge;
mod operator;
mod play;
mod scenario;

use judge::Judge;
use operator::Operator;
use scenario::stage;
pub use scenario::{NoSuchScenario, Scenario, TraceFailure};

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

/// Plays a scenario in this process with a new card of `suite` and writes down what happens;
/// with `keep` also what the card answered where that differs each time.
///
/// # Errors
/// [`TraceFailure::Stage`].
pub fn record(scenario: Scenario, suite: Suite, keep: bool) -> Result<Trace, TraceFailure> {
    let (operator, card) = cast(suite)?;
    play::play(scenario, suite, keep, card, operator)
}

/// Replays a trace with a new card of the trace's suite and a new server.
///
/// # Errors
/// [`TraceFailure::Diverged`] with the first difference.
pub fn replay(trace: &Trace, place: &Place) -> Result<Summary, TraceFailure> {
    let mut first = None;
    let summary = replay_on(trace, place, &mut |divergence| {
        first = Some(Box::new(divergence));
        ControlFlow::Break(())
    })?;
    first.map_or(Ok(summary), |divergence| Err(divergence.into()))
}

/// The same, and tells each difference; goes on after it as long as `tell` says so and the card is there.
///
/// # Errors
/// [`TraceFailure::Stage`] if there is no card.
pub fn replay_on(
    trace: &Trace,
    place: &Place,
    tell: &mut dyn FnMut(Divergence) -> ControlFlow<()>,
) -> Result<Summary, TraceFailure> {
    let (operator, card) = cast(trace.header.suite.unwrap_or_default())?;
    let mut judge = Judge::new(operator, card.known_of());
    let mut target: Box<dyn CardUnderTest> = match place {
        Place::InProcess => Box::new(card),
        Place::Vpcd { reader, addr } => Box::new(Vpcd::new(card, reader, *addr)),
    };
    trace::replay_on(trace, &mut *target, &mut judge, tell);
    Ok(Summary::of(trace))
}

impl Summary {
    /// What a replay of this trace goes through.
    #[must_use]
    pub fn of(trace: &Trace) -> Self {
        let count = |wanted: fn(&Event) -> bool| trace.events.iter().filter(|event| wanted(event)).count();
        Self {
            events: trace.events.len(),
            commands: count(|event| matches!(event, Event::Command(_) | Event::PutTxn(_))),
            contacts: count(|event| matches!(event, Event::FieldIn { .. })),
        }
    }
}

/// A new operator, and a card that it ordered and enrolled.
fn cast(suite: Suite) -> Result<(Operator, InProcess), TraceFailure> {
    let (operator, order) = Operator::found(suite).map_err(stage)?;
    let card = InProcess::ordered(&order).map_err(stage)?;
    operator.enrol(card.statement()).map_err(stage)?;
    Ok((operator, card))
}
