//! What a run showed, in one word, and what it did not.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::known_failures::KnownFailures;
use crate::conform::{Report, Summary, Verdict};

/// The verdict over a card, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grade {
    /// Every case that the claims demand was performed and passed.
    Conforming,
    /// Every case that was selected was performed and passed; others were not asked for.
    Selected,
    /// Nothing failed, and something that the claims demand was not performed.
    NotShown,
    /// Nothing failed but what is known to fail.
    AsKnown,
    /// A case failed.
    NotConforming,
}

impl fmt::Display for Grade {
    /// As in JSON.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Conforming => "conforming",
            Self::Selected => "selected",
            Self::NotShown => "not-shown",
            Self::AsKnown => "as-known",
            Self::NotConforming => "not-conforming",
        })
    }
}

/// A run, counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Judgement {
    summary: Summary,
    selected: bool,
    known: KnownFailures,
    failed_as_known: usize,
    missing: BTreeMap<String, usize>,
}

impl Judgement {
    /// Before the first case; `selected` if not all cases are asked for.
    #[must_use]
    pub fn new(known: KnownFailures, selected: bool) -> Self {
        Self { known, selected, ..Self::default() }
    }

    /// Counts a report. Gives a line that is worth saying besides: a known failure, or one that is none any more.
    pub fn hear(&mut self, report: &Report) -> Option<String> {
        self.summary.count(&report.verdict);
        let known = self.known.reason(&report.id);
        match (&report.verdict, known) {
            (Verdict::NotPerformed { reason }, _) => {
                *self.missing.entry(reason.clone()).or_default() += 1;
                None
            }
            (Verdict::Failed(_), Some(why)) => {
                self.failed_as_known += 1;
                Some(format!("known          {}: {why}", report.id))
            }
            (Verdict::Passed, Some(_)) => {
                Some(format!("passes now     {}: take it off the list of known failures", report.id))
            }
            _ => None,
        }
    }

    /// How many of each.
    #[must_use]
    pub fn summary(&self) -> Summary {
        self.summary
    }

    /// Why cases were not performed, and how many for each reason.
    #[must_use]
    pub fn missing(&self) -> &BTreeMap<String, usize> {
        &self.missing
    }

    /// The verdict.
    #[must_use]
    pub fn grade(&self) -> Grade {
        let Summary { passed, failed, not_performed, .. } = self.summary;
        if failed > self.failed_as_known {
            Grade::NotConforming
        } else if not_performed > 0 || passed == 0 {
            Grade::NotShown
        } else if failed > 0 {
            Grade::AsKnown
        } else if self.selected {
            Grade::Selected
        } else {
            Grade::Conforming
        }
    }
}

impl fmt::Display for Judgement {
    /// The verdict, the counts, and what is missing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = match self.grade() {
            Grade::Conforming => "conforming: every case that the claims demand was performed and passed",
            Grade::Selected => "selected cases passed; whether the card conforms takes all of them",
            Grade::NotShown => {
                "not shown: nothing failed, but not every case that the claims demand was performed"
            }
            Grade::AsKnown => "as known: nothing failed but what is on the list of known failures",
            Grade::NotConforming => "not conforming",
        };
        write!(f, "{words}\n{}", self.summary)?;
        self.missing.iter().try_for_each(|(why, count)| write!(f, "\n  {count} not performed: {why}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conform::Failure;

    fn report(id: &str, verdict: Verdict) -> Report {
        let [id, title, clause, target] = [id, "title", "clause", "in-process"].map(str::to_owned);
        Report { id, title, clause, target, lent: Vec::new(), verdict }
    }

    fn failed() -> Verdict {
        let [step, expected, got] = ["step", "expected", "got"].map(str::to_owned);
        Verdict::Failed(Box::new(Failure { step, expected, got, log: Vec::new() }))
    }

    fn grade(known: &str, selected: bool, verdicts: &[Verdict]) -> Grade {
        let mut judgement = Judgement::new(KnownFailures::parse(known.as_bytes()).unwrap(), selected);
        for verdict in verdicts {
            judgement.hear(&report("select/answer", verdict.clone()));
        }
        judgement.grade()
    }

    #[test]
    fn only_a_run_in_which_all_that_is_demanded_passed_says_conforming() {
        let lacking = Verdict::NotPerformed { reason: "no holder".into() };
        let foreign = Verdict::NotApplicable { reason: "no such suite".into() };
        let known = r#"[{"case": "select/answer", "reason": "our issuer wants a serial number"}]"#;
        let passed = Verdict::Passed;
        assert_eq!(grade("[]", false, &[passed.clone(), foreign.clone()]), Grade::Conforming);
        assert_eq!(grade("[]", true, &[passed.clone(), foreign]), Grade::Selected);
        assert_eq!(grade("[]", false, &[passed.clone(), lacking.clone()]), Grade::NotShown);
        assert_eq!(grade("[]", false, &[]), Grade::NotShown);
        assert_eq!(grade("[]", false, &[passed.clone(), lacking.clone(), failed()]), Grade::NotConforming);
        assert_eq!(grade(known, false, &[passed.clone(), failed()]), Grade::AsKnown);
        assert_eq!(grade(known, false, &[passed, lacking, failed()]), Grade::NotShown);
    }

    #[test]
    fn a_known_failure_that_passes_is_told() {
        let known = KnownFailures::parse(br#"[{"case": "select/answer", "reason": "because"}]"#).unwrap();
        let mut judgement = Judgement::new(known, false);
        let told = judgement.hear(&report("select/answer", Verdict::Passed)).unwrap();
        assert!(told.contains("select/answer") && told.contains("take it off"), "{told}");
        for bad in [
            r#"[{"case": "select/answer", "reason": " "}]"#,
            r#"[{"case": "no/such", "reason": "because"}]"#,
            r#"[{"case": "select/answer", "reason": "a"}, {"case": "select/answer", "reason": "b"}]"#,
            r#"{"select/answer": "because"}"#,
        ] {
            assert!(KnownFailures::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
