//! One case of the suite.

use std::fmt;

use onetap_apdu_spec::command::CardState;
use onetap_apdu_spec::suite::{SignatureAlgorithm, Suite};
use serde::Serialize;

use super::precondition::Precondition;
use super::tester::{Outcome, Tester};
use crate::target::{Capability, Claims, IssuerDomain, Start};

type Run = Box<dyn Fn(&mut Tester<'_>) -> Outcome + Send + Sync>;

/// Which side of its clauses a case shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shows {
    /// What they allow or demand is done.
    Done,
    /// What they do not allow is refused, or does nothing.
    Refused,
    /// Both.
    Both,
}

/// One case.
#[derive(Serialize)]
pub struct Case {
    /// Stable, never used again for something else.
    pub id: String,
    /// What is tested, in a line.
    pub title: String,
    /// Where it is specified.
    pub clause: String,
    /// Which side of that it shows.
    pub shows: Shows,
    /// How the card stands before.
    pub precondition: Precondition,
    /// What the target must be able to do.
    pub needs: Vec<Capability>,
    /// What the card must have been personalised to do; `None` if any suite will do.
    pub suite: Option<Suite>,
    /// Most signatures that it makes, whatever the card claims.
    pub signatures: u32,
    /// How many more, by what it claims.
    #[serde(skip)]
    more_signatures: Option<fn(&Claims) -> u64>,
    /// Whether it looks at counts that begin at 0, such as that of unconfirmed signatures.
    pub counts_at_zero: bool,
    /// Whether it is about extended length.
    pub extended: bool,
    /// How a reader has to reach the issuer's security domain for it.
    pub issuer_domain: IssuerDomain,
    /// Whether it is about the tries that a display shows.
    pub tries: bool,
    /// Whether it is about the object that a suite owes besides S.
    pub owed: bool,
    /// Whether it is about ECDSA: played with the first suite of the claims that signs by it.
    pub ecdsa: bool,
    #[serde(skip)]
    run: Run,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.id, self.title)
    }
}

impl Case {
    /// A case that begins with a selected application in state Idle and any suite.
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
            shows: Shows::Done,
            precondition: Precondition::State(CardState::Idle),
            needs: Vec::new(),
            suite: None,
            signatures: 0,
            more_signatures: None,
            counts_at_zero: false,
            extended: false,
            issuer_domain: IssuerDomain::None,
            tries: false,
            owed: false,
            ecdsa: false,
            run: Box::new(run),
        }
    }

    /// Shows what its clauses do not allow.
    pub(super) fn refusing(self) -> Self {
        Self { shows: Shows::Refused, ..self }
    }

    /// Shows what its clauses allow, and what not.
    pub(super) fn both_ways(self) -> Self {
        Self { shows: Shows::Both, ..self }
    }

    /// Begins elsewhere.
    pub(super) fn from(mut self, precondition: Precondition) -> Self {
        self.precondition = precondition;
        self.signatures += precondition.signatures();
        self.owed |= precondition == Precondition::State(CardState::Signed);
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
        self.suite = Some(suite);
        self.needing(&[Capability::Fresh])
    }

    /// Makes so many signatures beyond what its precondition takes.
    pub(super) fn signing(mut self, signatures: u32) -> Self {
        self.signatures += signatures;
        self.needing(&[Capability::Fresh])
    }

    /// Makes as many more as the claims have it.
    pub(super) fn signing_by(self, more: fn(&Claims) -> u64) -> Self {
        Self { more_signatures: Some(more), ..self }
    }

    /// Most signatures that it makes on a card of these claims.
    #[must_use]
    pub fn most_signatures(&self, claims: &Claims) -> u32 {
        let more = self.more_signatures.map_or(0, |more| more(claims));
        self.signatures.saturating_add(more.try_into().unwrap_or(u32::MAX))
    }

    /// Looks at counts that begin at 0.
    pub(super) fn counting(self) -> Self {
        Self { counts_at_zero: true, ..self }
    }

    /// Is about extended length.
    pub(super) fn about_extended(self) -> Self {
        Self { extended: true, ..self }
    }

    /// Is about the issuer's security domain, reached so.
    pub(super) fn about_domain(self, issuer_domain: IssuerDomain) -> Self {
        Self { issuer_domain, ..self }
    }

    /// Is about the tries that a display shows.
    pub(super) fn about_tries(self) -> Self {
        Self { tries: true, ..self }
    }

    /// Is about the object that a suite owes besides S.
    pub(super) fn about_owed(self) -> Self {
        Self { owed: true, ..self }
    }

    /// Is about ECDSA.
    pub(super) fn about_ecdsa(self) -> Self {
        Self { ecdsa: true, ..self }
    }

    /// What the card must have been personalised for.
    fn suite_of(&self, claims: &Claims) -> Option<Suite> {
        let ecdsa = |suite: &Suite| suite.signature() == SignatureAlgorithm::EcdsaP256Sha256;
        match self.suite {
            None if self.ecdsa => claims.suites.iter().copied().find(ecdsa),
            None => Some(claims.suite()),
            suite => suite,
        }
    }

    /// Why `claims` do not demand it; `None` if they do.
    #[must_use]
    pub fn not_demanded(&self, claims: &Claims) -> Option<String> {
        if let Some(suite) = self.suite.filter(|suite| !claims.suites.contains(suite)) {
            return Some(format!("the card does not claim the suite {suite}"));
        }
        if self.extended && !claims.extended_length {
            return Some("the card does not claim extended length".into());
        }
        if self.tries && !claims.shows_tries {
            return Some("the card does not claim that its display shows the PIN tries that are left".into());
        }
        if self.issuer_domain > claims.issuer_domain {
            let how = match self.issuer_domain {
                IssuerDomain::Default => "that a reset selects its issuer's security domain",
                IssuerDomain::ByName | IssuerDomain::None => "an issuer's security domain",
            };
            return Some(format!("the card does not claim {how}"));
        }
        match self.suite_of(claims) {
            None => Some("the card claims no suite that signs with ecdsa".into()),
            Some(suite) if self.owed && suite.owed().is_none() => {
                Some("the card's suite owes nothing besides S".into())
            }
            Some(_) => None,
        }
    }

    /// The card that it begins with.
    pub(super) fn wanted(&self, claims: &Claims) -> Start {
        Start {
            suite: self.suite_of(claims).unwrap_or(claims.suite()),
            signatures: self.most_signatures(claims),
            counts_at_zero: self.counts_at_zero,
            confirms: self.needs.contains(&Capability::Holder),
        }
    }

    /// Plays it. The tester has brought the card to the precondition.
    pub(super) fn play(&self, tester: &mut Tester<'_>) -> Outcome {
        (self.run)(tester)
    }
}
