//! `onetap conform`: the conformance suite against any card.

use onetap_conformance::conform::{self, Filter, NoSuchCase};
use onetap_conformance::target::CardUnderTest;
use serde_json::json;

use crate::args;
use crate::exit::Failure;
use crate::output::Output;
use crate::progress::Progress;
use crate::targets;

pub(crate) fn run(command: &args::Conform, out: Output) -> Result<(), Failure> {
    match command {
        args::Conform::List { cases } => list(&filter(cases)?, out),
        args::Conform::Run { cases, target } => {
            let filter = filter(cases)?;
            targets::with(target, |card| test(&filter, card, out))
        }
    }
}

fn filter(cases: &[String]) -> Result<Filter, Failure> {
    Filter::new(cases).map_err(|error: NoSuchCase| Failure::Usage(error.to_string()))
}

fn list(filter: &Filter, out: Output) -> Result<(), Failure> {
    for case in conform::cases().iter().filter(|case| filter.wants(case)) {
        let value = json!({ "id": case.id, "title": case.title, "clause": case.clause });
        out.result(&value, format!("{:<52} {}  [{}]", case.id, case.title, case.clause))?;
    }
    Ok(())
}

fn test(filter: &Filter, card: &mut dyn CardUnderTest, out: Output) -> Result<(), Failure> {
    let mut written = Ok(());
    let total = conform::cases().iter().filter(|case| filter.wants(case)).count() as u64;
    let progress = Progress::begin("testing the card");
    let summary = conform::run(filter, card, &mut |report| {
        if written.is_ok() {
            written = progress.aside(|| out.result(report, report.to_string()));
        }
        progress.one_of(total);
    });
    drop(progress);
    written?;
    let word = if summary.is_conforming() { "conforming" } else { "not-conforming" };
    out.result(&json!({ "result": word, "summary": summary }), summary.to_string())?;
    if summary.is_conforming() {
        Ok(())
    } else {
        Err(Failure::NotAsExpected(format!("{}: {summary}", card.name())))
    }
}
