//! Reports of a run: JUnit for programs, one page for people.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};

use super::grade::Judgement;
use crate::conform::{Report, Verdict};
use crate::html::{self, escaped};

/// The run as JUnit XML: a suite for each first part of the ids. Not applicable and not performed are skipped, with the
/// reason.
///
/// # Errors
/// In words, if it cannot be written.
pub fn junit(target: &str, reports: &[Report]) -> Result<String, String> {
    let mut suites: BTreeMap<&str, TestSuite> = BTreeMap::new();
    for report in reports {
        let group = report.id.split('/').next().unwrap_or_default();
        let suite = suites.entry(group).or_insert_with(|| TestSuite::new(group));
        let mut case = TestCase::new(report.id.clone(), status(report));
        case.set_classname(group);
        case.add_property(("clause", report.clause.as_str()));
        suite.add_test_case(case);
    }
    let mut all = quick_junit::Report::new(target);
    all.add_test_suites(suites.into_values());
    all.to_string().map_err(|why| why.to_string())
}

fn status(report: &Report) -> TestCaseStatus {
    match &report.verdict {
        Verdict::Passed => TestCaseStatus::success(),
        Verdict::Failed(failure) => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status
                .set_message(format!("{}: expected {}, got {}", failure.step, failure.expected, failure.got));
            status.set_type(report.clause.clone());
            status.set_description(report.to_string());
            status
        }
        Verdict::NotApplicable { reason } | Verdict::NotPerformed { reason } => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(reason.clone());
            status
        }
    }
}

/// One page that holds all that it shows: clauses in rows, a column for each implementation, then every failure whole.
/// Each run is its reports.
#[must_use]
pub fn page(judgement: &Judgement, runs: &[&[Report]]) -> String {
    let mut html = String::new();
    for line in judgement.to_string().lines() {
        let _ = write!(html, "<p>{}</p>", escaped(line));
    }
    html.push_str("<h2>Clauses</h2><table><tr><th>Clause");
    for run in runs {
        let _ = write!(html, "<th>{}", escaped(run.first().map_or("", |report| &report.target)));
    }
    let clauses: BTreeSet<_> = runs.iter().copied().flatten().map(|report| &report.clause).collect();
    for clause in clauses {
        let _ = write!(html, "<tr><td>{}", escaped(clause));
        for reports in runs {
            html.push_str(&cell(reports.iter().filter(|report| report.clause == *clause)));
        }
    }
    html.push_str("</table><h2>Failures</h2>");
    for report in runs.iter().copied().flatten() {
        if let Verdict::Failed(_) = report.verdict {
            let text = escaped(&report.to_string());
            let _ = write!(
                html,
                "<details><summary>{}</summary><pre>{text}</pre></details>",
                escaped(&report.id)
            );
        }
    }
    html::page("OneTap conformance", &[html])
}

/// How the cases of one clause ended with one card: the worst word, and how many passed.
fn cell<'r>(reports: impl Iterator<Item = &'r Report>) -> String {
    let (mut counts, mut total) = ([0; 4], 0);
    for report in reports {
        total += 1;
        counts[match report.verdict {
            Verdict::Failed(_) => 0,
            Verdict::NotPerformed { .. } => 1,
            Verdict::Passed => 2,
            Verdict::NotApplicable { .. } => 3,
        }] += 1;
    }
    let [failed, not_performed, passed, _] = counts;
    let word = match (failed, not_performed, passed) {
        (0, 0, 0) => "not-applicable",
        (0, 0, _) => "passed",
        (0, _, _) => "not-performed",
        _ => "failed",
    };
    format!("<td class={word}>{word} <small>{passed} of {total}</small>")
}
