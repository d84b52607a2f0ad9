//! `onetap conform`: the conformance suite against any card.

mod lend;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use onetap_conformance::conform::{self, Filter, NoSuchCase, Plan, Report, run_plan};
use onetap_conformance::judge::{Grade, Judgement, KnownFailures, Lent, junit, page, probe};
use onetap_conformance::target::{CardUnderTest, Claims};
use serde_json::json;

use crate::args::{self, Target};
use crate::exit::Failure;
use crate::files::{self, NewFile, Secrecy};
use crate::interrupt;
use crate::output::Output;
use crate::progress::Progress;
use crate::targets;

/// Longest list of known failures, in bytes.
const MAX_KNOWN: usize = 1 << 20;
/// Longest run in JSON, in bytes.
const MAX_RUN: usize = 64 << 20;

pub(crate) fn run(command: &args::Conform, out: Output) -> Result<(), Failure> {
    match command {
        args::Conform::List { selection } => list(&filter(selection)?, out),
        args::Conform::Run(options) => Run::new(options, out)?.begin(),
        args::Conform::Probe { target, order } => probe_card(target, order.as_deref(), out),
    }
}

fn filter(selection: &args::Selection) -> Result<Filter, Failure> {
    let filter = Filter::new(&selection.cases).and_then(|filter| filter.of_clauses(&selection.clause));
    let filter = filter.map_err(|error: NoSuchCase| Failure::Usage(error.to_string()))?;
    Ok(filter.of_suite(selection.suite))
}

fn list(filter: &Filter, out: Output) -> Result<(), Failure> {
    for case in conform::cases().iter().filter(|case| filter.wants(case)) {
        let value = json!({ "id": case.id, "title": case.title, "clause": case.clause });
        out.result(&value, format!("{:<52} {}  [{}]", case.id, case.title, case.clause))?;
    }
    Ok(())
}

/// Signs nothing, and changes nothing on the card.
fn probe_card(target: &Target, order: Option<&Path>, out: Output) -> Result<(), Failure> {
    let order = order.map(lend::order_in).transpose()?;
    let proposed = Claims { suites: Vec::new(), ..lend::proposed(None) };
    let proposed = order.map_or(proposed, |order| lend::proposed(Some(&order.personalisation)));
    targets::with(target, |card| {
        let claims = probe(card, proposed).map_err(|stop| Failure::NotAsExpected(lend::words(stop)))?;
        out.json_line(&claims)
    })
}

/// The reports of another run, which ends with its verdict.
fn other_run(path: &Path) -> Result<Vec<Report>, Failure> {
    let text = String::from_utf8_lossy(&files::read_bytes(path, MAX_RUN)?).into_owned();
    let content = |source| Failure::Content { what: "a run in JSON", path: path.to_owned(), source };
    let values = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).map_err(content));
    let mut reports = Vec::new();
    for value in values {
        let value = value?;
        if value.get("result").is_none() {
            reports.push(serde_json::from_value(value).map_err(content)?);
        }
    }
    Ok(reports)
}

/// One run, as it was asked for.
struct Run<'o> {
    options: &'o args::ConformRun,
    plan: Plan,
    judgement: Judgement,
    reports: Vec<Report>,
    junit: Option<NewFile<'o>>,
    html: Option<NewFile<'o>>,
    /// Other runs, for the page.
    beside: Vec<Vec<Report>>,
    out: Output,
}

impl<'o> Run<'o> {
    fn new(options: &'o args::ConformRun, out: Output) -> Result<Self, Failure> {
        let filter = filter(&options.selection)?;
        let known = match &options.known {
            Some(path) => KnownFailures::parse(&files::read_bytes(path, MAX_KNOWN)?)
                .map_err(|why| Failure::Usage(format!("{}: {why}", path.display())))?,
            None => KnownFailures::default(),
        };
        let judgement = Judgement::new(known, !filter.is_everything());
        let within = Some(Duration::from_secs(options.minutes.saturating_mul(60)));
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        interrupt::watch(move || flag.store(true, Ordering::Relaxed))?;
        let plan = Plan { filter, seed: options.seed, within, stop };
        let beside = options.beside.iter().map(|path| other_run(path)).collect::<Result<_, _>>()?;
        let [junit, html] = [&options.junit, &options.html]
            .map(|path| path.as_deref().map(|path| NewFile::create(path, Secrecy::Public)).transpose());
        Ok(Self { options, plan, judgement, reports: Vec::new(), junit: junit?, html: html?, beside, out })
    }

    fn begin(mut self) -> Result<(), Failure> {
        let options = self.options;
        match &options.target {
            Target::InProcess => targets::with(&options.target, |card| self.cases(card))?,
            Target::Pcsc(part) => {
                let loan = lend::loan(&options.loan)?;
                lend::announce(&self.plan, &loan)?;
                let reader = targets::reader(part)?;
                let mut card = Lent::new(&format!("pcsc:{part}"), reader, loan)
                    .map_err(|why| Failure::Usage(why.to_string()))?;
                let done = self.cases(&mut card);
                let given_back = card.give_back();
                done?;
                // A card that is gone has been told by its case.
                if let Err(why) = given_back {
                    self.out.say(format!("the card could not be given back as it was: {why}"))?;
                }
            }
        }
        let interrupted = self.plan.stop.load(Ordering::Relaxed);
        let told = self.tell();
        if interrupted { Err(Failure::Interrupted) } else { told }
    }

    fn cases(&mut self, card: &mut dyn CardUnderTest) -> Result<(), Failure> {
        let mut written = Ok(());
        let total = self.plan.cases().len() as u64;
        let progress = Progress::begin("testing the card");
        let (judgement, reports, out) = (&mut self.judgement, &mut self.reports, self.out);
        run_plan(&self.plan, card, &mut |report| {
            let more = judgement.hear(report);
            if written.is_ok() {
                written = progress.aside(|| {
                    out.result(report, report.to_string())?;
                    more.map_or(Ok(()), |line| out.say(line))
                });
            }
            reports.push(report.clone());
            progress.one_of(total);
        });
        drop(progress);
        written
    }

    /// The verdict, and the reports for other programs.
    fn tell(self) -> Result<(), Failure> {
        let (grade, target) = (self.judgement.grade(), self.options.target.to_string());
        if let Some(file) = self.junit {
            file.write_text(&junit(&target, &self.reports).map_err(Failure::NotAsExpected)?)?;
        }
        if let Some(file) = self.html {
            let mut runs = vec![self.reports.as_slice()];
            runs.extend(self.beside.iter().map(Vec::as_slice));
            file.write_text(&page(&self.judgement, &runs))?;
        }
        let value = json!({
            "result": grade,
            "summary": self.judgement.summary(),
            "missing": self.judgement.missing(),
        });
        self.out.result(&value, self.judgement.to_string())?;
        let summary = self.judgement.summary();
        match grade {
            Grade::Conforming | Grade::Selected | Grade::AsKnown => Ok(()),
            Grade::NotShown => Err(Failure::NotShown(format!("{target}: {summary}"))),
            Grade::NotConforming => Err(Failure::NotAsExpected(format!("{target}: {summary}"))),
        }
    }
}
