//! Runs cases.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use onetap_apdu_spec::suite::Suite;
use onetap_pcsc_host::trace::StageError;

use super::case::Case;
use super::cases::cases;
use super::report::{Failure, Report, Summary, Verdict};
use super::tester::{Stop, Tester};
use crate::dice::Dice;
use crate::target::{Capability, CardUnderTest, Claims};

/// Which cases to run: by the beginnings of their ids, by clause, by suite. None at all means every case.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    ids: Vec<String>,
    clauses: Vec<String>,
    suite: Option<Suite>,
}

/// A filter that fits no case.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoSuchCase {
    /// By its id.
    #[error("no case is named {0}, nor begins with it; `onetap conform list` shows all")]
    Id(String),
    /// By its clause.
    #[error("no case has the clause {0}; `onetap conform list` shows all")]
    Clause(String),
}

impl Filter {
    /// Takes beginnings of ids, such as `select`, `select/unknown` or `select/partial-aid`.
    ///
    /// # Errors
    /// [`NoSuchCase`], so that a typing error does not pass as a success.
    pub fn new<P: AsRef<str>>(patterns: &[P]) -> Result<Self, NoSuchCase> {
        let ids: Vec<_> = patterns.iter().map(|p| p.as_ref().to_owned()).collect();
        let all = cases();
        match ids.iter().find(|pattern| all.iter().all(|case| !case.id.starts_with(pattern.as_str()))) {
            Some(unknown) => Err(NoSuchCase::Id(unknown.clone())),
            None => Ok(Self { ids, ..Self::default() }),
        }
    }

    /// Of those, the ones that cite one of these clauses.
    ///
    /// # Errors
    /// [`NoSuchCase`].
    pub fn of_clauses(mut self, clauses: &[String]) -> Result<Self, NoSuchCase> {
        let all = cases();
        if let Some(unknown) = clauses.iter().find(|clause| all.iter().all(|case| !cites(case, clause))) {
            return Err(NoSuchCase::Clause(unknown.clone()));
        }
        self.clauses = clauses.to_vec();
        Ok(self)
    }

    /// Of those, the ones about this suite.
    #[must_use]
    pub fn of_suite(self, suite: Option<Suite>) -> Self {
        Self { suite, ..self }
    }

    /// True if every case is wanted.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.ids.is_empty() && self.clauses.is_empty() && self.suite.is_none()
    }

    /// True if the case is wanted.
    #[must_use]
    pub fn wants(&self, case: &Case) -> bool {
        let id = self.ids.is_empty() || self.ids.iter().any(|pattern| case.id.starts_with(pattern.as_str()));
        let clause = self.clauses.is_empty() || self.clauses.iter().any(|clause| cites(case, clause));
        id && clause && self.suite.is_none_or(|suite| case.suite == Some(suite))
    }
}

/// Whether the case cites the clause, as a whole word or the beginning of one that goes on otherwise.
fn cites(case: &Case, clause: &str) -> bool {
    let goes_on = |rest: &str| rest.starts_with(|next: char| next.is_ascii_alphanumeric());
    case.clause
        .match_indices(clause)
        .any(|(at, found)| !case.clause.get(at + found.len()..).is_some_and(goes_on))
}

/// Which cases to run, in which order, and for how long.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Those that are wanted.
    pub filter: Filter,
    /// Seed of a random order; without, the order is that of the list.
    pub seed: Option<u64>,
    /// When the run ends, whatever is left; no case is begun after it.
    pub within: Option<Duration>,
    /// Set by whoever wants the run to end; no case is begun after it.
    pub stop: Arc<AtomicBool>,
}

impl Plan {
    /// The cases, in the order of the run.
    #[must_use]
    pub fn cases(&self) -> Vec<Case> {
        let mut cases: Vec<_> = cases().into_iter().filter(|case| self.filter.wants(case)).collect();
        if let Some(seed) = self.seed {
            let mut dice = Dice::new(seed);
            for last in (1..cases.len()).rev() {
                cases.swap(last, dice.below(last + 1));
            }
        }
        cases
    }

    /// Most signatures that the run makes on a card of these claims, those between the cases among them: a payment with the
    /// PIN before every case that confirms.
    #[must_use]
    pub fn most_signatures(&self, claims: &Claims) -> u32 {
        let demanded = self.cases().into_iter().filter(|case| case.not_demanded(claims).is_none());
        demanded.fold(0, |sum: u32, case| {
            let settling = u32::from(case.needs.contains(&Capability::Holder));
            sum.saturating_add(case.most_signatures(claims)).saturating_add(settling)
        })
    }
}

/// Runs every case that `filter` wants against `card`, in the order of the list, and tells each report.
pub fn run(filter: &Filter, card: &mut dyn CardUnderTest, tell: &mut dyn FnMut(&Report)) -> Summary {
    run_plan(&Plan { filter: filter.clone(), ..Plan::default() }, card, tell)
}

/// Runs the cases of `plan` against `card` and tells each report. A card or reader that is gone ends the run: the cases
/// left are told as not performed.
pub fn run_plan(plan: &Plan, card: &mut dyn CardUnderTest, tell: &mut dyn FnMut(&Report)) -> Summary {
    let begun = Instant::now();
    let mut summary = Summary::default();
    let mut over: Option<String> = None;
    for case in plan.cases() {
        if over.is_none() && plan.within.is_some_and(|within| begun.elapsed() >= within) {
            over = Some("the time of the run was up".to_owned());
        }
        if over.is_none() && plan.stop.load(Ordering::Relaxed) {
            over = Some("the run was interrupted".to_owned());
        }
        let verdict = match (case.not_demanded(card.claims()), &over) {
            (Some(reason), _) => Verdict::NotApplicable { reason },
            (None, Some(reason)) => Verdict::NotPerformed { reason: reason.clone() },
            (None, None) => run_case(&case, card, &mut over),
        };
        let report = report_of(&case, card, verdict);
        summary.count(&report.verdict);
        tell(&report);
    }
    summary
}

fn run_case(case: &Case, card: &mut dyn CardUnderTest, over: &mut Option<String>) -> Verdict {
    if let Some(reason) = case.needs.iter().find_map(|need| card.lacks(*need)) {
        return Verdict::NotPerformed { reason: reason.to_owned() };
    }
    let wanted = case.wanted(card.claims());
    if card.lacks(Capability::Fresh).is_none()
        && let Err(why) = card.fresh(&wanted)
    {
        return cannot_begin(&why);
    }
    let mut tester = Tester::new(card, wanted.suite);
    let outcome = tester.prepare(case.precondition).and_then(|()| case.play(&mut tester));
    let (log, gone) = tester.into_log();
    *over = gone.map(|why| format!("the run ended in {}: {why}", case.id));
    card.rest();
    match outcome {
        Ok(()) => Verdict::Passed,
        Err(Stop::NotApplicable(reason)) => Verdict::NotApplicable { reason },
        Err(Stop::NotPerformed(reason)) => Verdict::NotPerformed { reason },
        Err(Stop::Failed { step, expected, got }) => {
            Verdict::Failed(Box::new(Failure { step, expected, got, log }))
        }
    }
}

fn report_of(case: &Case, card: &dyn CardUnderTest, verdict: Verdict) -> Report {
    let (id, title, clause) = (case.id.clone(), case.title.clone(), case.clause.clone());
    Report { id, title, clause, target: card.name().to_owned(), lent: card.lent().to_vec(), verdict }
}

/// A target that cannot bring its card to the beginning says so as a failure, for nothing was tested; unless it cannot be
/// done from here.
fn cannot_begin(why: &StageError) -> Verdict {
    if let StageError::Unsupported(_) = why {
        return Verdict::NotPerformed { reason: why.to_string() };
    }
    Verdict::Failed(Box::new(Failure {
        step: "bring the card to the beginning".into(),
        expected: "a card of the case's suite, idle, which may sign".into(),
        got: why.to_string(),
        log: Vec::new(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conform::command::CommandBuilder;
    use crate::conform::tester::Outcome;
    use crate::target::{InProcess, samples};

    fn sign(tester: &mut Tester<'_>) -> Outcome {
        tester.reset()?;
        tester.select()?;
        tester.load(&samples::transaction())?;
        tester.fetch("sign", &CommandBuilder::get_signature()).map(drop)
    }

    #[test]
    fn a_case_signs_no_more_than_the_run_may_whatever_it_said() {
        let mut card = InProcess::new().unwrap();
        card.spent().most = Some(2);
        let mut tester = Tester::new(&mut card, Suite::default());
        tester.field_in().unwrap();
        sign(&mut tester).unwrap();
        sign(&mut tester).unwrap();
        assert!(matches!(sign(&mut tester), Err(Stop::NotPerformed(why)) if why.contains("are spent")));
        assert_eq!(card.spent().signatures, 2);
    }

    #[test]
    fn what_the_claims_decide_is_told_before() {
        let mut claims = Claims::of_our_card();
        claims.confirmation.key_only_count = 300;
        let plan = Plan { filter: Filter::new(&["confirm/key-only-count"]).unwrap(), ..Plan::default() };
        assert_eq!(plan.most_signatures(&claims), 303, "300, two more, and one that settles the count");
    }
}
