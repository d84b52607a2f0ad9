//! One case of the suite.

use std::fmt;

use onetap_apdu_spec::command::CardState;
use onetap_apdu_spec::suite::Suite;
use serde::Serialize;

use super::precondition::Precondition;
use super::tester::{Outcome, Tester};
use crate::target::Capability;

type Run = Box<dyn Fn(&mut Tester<'_>) -> Outcome + Send + Sync>;

/// One case.
#[derive(Serialize)]
pub struct Case {
    /// Stable, never used again for something else.
    pub id: String,
    /// What is tested, in a line.
    pub title: String,
    /// Where it is specified.
    pub clause: String,
    /// How the card stands before.
    pub precondition: Precondition,
    /// What the target must be able to do.
    pub needs: Vec<Capability>,
    /// What the card must have been personalised to do.
    pub suite: Suite,
    #[serde(skip)]
    run: Run,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.id, self.title)
    }
}

impl Case {
    /// A case that begins with a selected application in state Idle and the default suite.
    pub(super) fn new(
        id: impl Into<String>,
        title: impl Into<String>,
        clause: impl Into<String>,
        run: impl Fn(&mut Tester<'_>) -> Outcome + Send + Sync + 'static,
    ) -> Self {
        Self {
            id: id.into(),
            title: title.into(),
            clause: clause.into(),
            precondition: Precondition::State(CardState::Idle),
            needs: Vec::new(),
            suite: Suite::default(),
            run: Box::new(run),
        }
    }

    /// Begins elsewhere.
    pub(super) fn from(mut self, precondition: Precondition) -> Self {
        self.precondition = precondition;
        self.needing(precondition.needs())
    }

    /// Begins in another state.
    pub(super) fn in_state(self, state: CardState) -> Self {
        self.from(Precondition::State(state))
    }

    /// Needs more of the target.
    pub(super) fn needing(mut self, needs: &[Capability]) -> Self {
        self.needs.extend(needs);
        self.needs.dedup();
        self
    }

    /// Needs a card of another suite.
    pub(super) fn with_suite(mut self, suite: Suite) -> Self {
        self.suite = suite;
        self.needing(&[Capability::Fresh])
    }

    /// Plays it. The tester has brought the card to the precondition.
    pub(super) fn play(&self, tester: &mut Tester<'_>) -> Outcome {
        (self.run)(tester)
    }
}
