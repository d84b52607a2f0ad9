//! Runs cases.

use onetap_pcsc_host::trace::StageError;

use super::case::Case;
use super::cases::cases;
use super::report::{Failure, Report, Summary, Verdict};
use super::tester::{Stop, Tester};
use crate::target::{Capability, CardUnderTest};

/// Which cases to run: whole ids, or their beginnings up to a slash. None at all means every case.
#[derive(Debug, Clone, Default)]
pub struct Filter(Vec<String>);

/// A filter that fits no case.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no case is named {0}, nor begins with it; `onetap conform list` shows all")]
pub struct NoSuchCase(pub String);

impl Filter {
    /// Takes beginnings of ids, such as `select`, `select/unknown` or `select/partial-aid`.
    ///
    /// # Errors
    /// [`NoSuchCase`], so that a typing error does not pass as a success.
    pub fn new<P: AsRef<str>>(patterns: &[P]) -> Result<Self, NoSuchCase> {
        let patterns: Vec<_> = patterns.iter().map(|p| p.as_ref().to_owned()).collect();
        let all = cases();
        match patterns.iter().find(|pattern| all.iter().all(|case| !case.id.starts_with(pattern.as_str()))) {
            Some(unknown) => Err(NoSuchCase(unknown.clone())),
            None => Ok(Self(patterns)),
        }
    }

    /// True if the case is wanted.
    #[must_use]
    pub fn wants(&self, case: &Case) -> bool {
        self.0.is_empty() || self.0.iter().any(|pattern| case.id.starts_with(pattern.as_str()))
    }
}

/// Runs every case that `filter` wants against `card`, in the order of the list, and tells each report.
pub fn run(filter: &Filter, card: &mut dyn CardUnderTest, tell: &mut dyn FnMut(&Report)) -> Summary {
    let mut summary = Summary::default();
    for case in cases().iter().filter(|case| filter.wants(case)) {
        let report = run_case(case, card);
        summary.count(&report.verdict);
        tell(&report);
    }
    summary
}

fn run_case(case: &Case, card: &mut dyn CardUnderTest) -> Report {
    let verdict = match case.needs.iter().find_map(|need| card.lacks(*need)) {
        Some(reason) => Verdict::NotPerformed { reason: reason.to_owned() },
        None => perform(case, card),
    };
    let (id, title, clause) = (case.id.clone(), case.title.clone(), case.clause.clone());
    Report { id, title, clause, target: card.name().to_owned(), verdict }
}

fn perform(case: &Case, card: &mut dyn CardUnderTest) -> Verdict {
    if card.lacks(Capability::Fresh).is_none()
        && let Err(why) = card.fresh(case.suite)
    {
        return cannot_begin(&why);
    }
    let mut tester = Tester::new(card, case.suite);
    let outcome = tester.prepare(case.precondition).and_then(|()| case.play(&mut tester));
    let log = tester.into_log();
    // The next case begins with a new card or a new contact, whatever became of this one.
    let _ = card.field_out();
    match outcome {
        Ok(()) => Verdict::Passed,
        Err(Stop::NotApplicable(reason)) => Verdict::NotApplicable { reason },
        Err(Stop::NotPerformed(reason)) => Verdict::NotPerformed { reason },
        Err(Stop::Failed { step, expected, got }) => {
            Verdict::Failed(Box::new(Failure { step, expected, got, log }))
        }
    }
}

/// A target that cannot even make a card says so as a failure: nothing was tested.
fn cannot_begin(why: &StageError) -> Verdict {
    Verdict::Failed(Box::new(Failure {
        step: "make a new card".into(),
        expected: "a card of the case's suite".into(),
        got: why.to_string(),
        log: Vec::new(),
    }))
}
