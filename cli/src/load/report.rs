//! What the load has shown.

use std::collections::BTreeMap;

use onetap_conformance::load::{Measured, page};
use onetap_conformance::plot::number;
use serde::Serialize;

use super::bank::Bank;
use super::cards::Payer;
use super::judge::Judge;
use crate::args;
use crate::exit::Failure;
use crate::output::Output;

/// Characters of the longest bar.
const BAR: usize = 40;

/// All figures.
#[derive(Serialize)]
pub(super) struct Report {
    result: &'static str,
    server: String,
    cards: usize,
    connections: u16,
    /// Payments a second that were asked for; none as fast as it goes.
    rate: Option<f64>,
    /// Payments that were signed.
    signed: usize,
    /// Payments that were begun.
    sent: usize,
    executed: usize,
    seconds: f64,
    answers_a_second: f64,
    milliseconds: Percentiles,
    /// Connections that broke before the answer; it was asked for again.
    broken: u64,
    /// Payments of which nobody knows what became of them.
    unknown: usize,
    complaints: BTreeMap<String, u64>,
    wrong_balances: Vec<WrongBalance>,
    /// What stays at a server of others.
    left_behind: Option<String>,
    #[serde(skip)]
    measured: Measured,
}

#[derive(Serialize)]
struct Percentiles {
    p50: f64,
    p90: f64,
    p99: f64,
    #[serde(rename = "p99.9")]
    p999: f64,
    max: f64,
}

/// An account that does not hold what it should, in cents.
#[derive(Serialize)]
struct WrongBalance {
    account: String,
    expected: i64,
    found: i64,
}

impl Report {
    /// `found` are the balances of the payers' accounts.
    pub(super) fn new(
        options: &args::Load,
        bank: &Bank<'_>,
        signed: usize,
        measured: Measured,
        judge: Judge<'_>,
        payers: &[Payer],
        found: &[i64],
    ) -> Self {
        let sent = measured.begun;
        let unknown = judge.unknown(sent).len();
        let wrong = payers.iter().zip(judge.balances(payers)).zip(found);
        let wrong = wrong.filter(|((_, expected), found)| expected != *found);
        let wrong_balances: Vec<_> = wrong
            .map(|((payer, expected), found)| WrongBalance {
                account: payer.account.to_string(),
                expected,
                found: *found,
            })
            .collect();
        let latencies = measured.latencies();
        let [p50, p90, p99, p999, max] = [50.0, 90.0, 99.0, 99.9, 100.0].map(|it| latencies.millis(it));
        let executed = judge.executed();
        let complaints = judge.complaints();
        let right = unknown == 0 && complaints.is_empty() && wrong_balances.is_empty();
        Self {
            result: if right { "right" } else { "wrong" },
            server: bank.url().to_owned(),
            cards: payers.len(),
            connections: options.connections,
            rate: options.rate,
            signed,
            sent,
            executed,
            seconds: measured.elapsed.as_secs_f64(),
            answers_a_second: measured.rate(),
            milliseconds: Percentiles { p50, p90, p99, p999, max },
            broken: measured.broken,
            unknown,
            complaints,
            wrong_balances,
            left_behind: None,
            measured,
        }
    }

    /// The same with what stays at the server.
    pub(super) fn leaving(self, left_behind: String) -> Self {
        Self { left_behind: Some(left_behind), ..self }
    }

    pub(super) fn tell(&self, out: Output) -> Result<(), Failure> {
        let mut lines = vec![format!(
            "{} of {} payments executed in {:.2} s, {:.0} answers a second",
            self.executed, self.sent, self.seconds, self.answers_a_second
        )];
        let Percentiles { p50, p90, p99, p999, max } = &self.milliseconds;
        let [p50, p90, p99, p999, max] = [p50, p90, p99, p999, max].map(|millis| number(*millis));
        lines.push(format!(
            "latency in ms: p50 {p50}, p90 {p90}, p99 {p99}, p99.9 {p999}, max {max}{}",
            if self.rate.is_some() { ", from the moment at which each was due" } else { "" }
        ));
        lines.extend(self.histogram());
        if self.broken > 0 {
            lines
                .push(format!("{} connections broke before the answer; it was asked for again", self.broken));
        }
        lines.extend(self.complaints.iter().map(|(complaint, times)| format!("{times} × {complaint}")));
        lines.extend(self.wrong_balances.iter().map(|wrong| {
            let WrongBalance { account, expected, found } = wrong;
            format!("account {account} holds {found} cents, and should hold {expected}")
        }));
        if self.result == "right" {
            lines.push("every answer and every balance is right".to_owned());
        }
        lines.extend(self.left_behind.as_ref().map(|left| format!("left behind: {left}")));
        out.result(self, lines.join("\n"))
    }

    /// How many answers took how long, as bars.
    fn histogram(&self) -> Vec<String> {
        let ranges = self.measured.latencies().ranges(1);
        let most = ranges.iter().map(|range| range.count).max().unwrap_or(0).max(1);
        let line = |range: &onetap_conformance::load::figures::Range| {
            let bar = "█".repeat((range.count * BAR).div_ceil(most));
            format!("{:>8} – {:<8} {bar} {}", number(range.from), number(range.to), range.count)
        };
        ranges.iter().map(line).collect()
    }

    /// The same as a page with plots.
    pub(super) fn page(&self) -> Result<String, Failure> {
        let rate =
            self.rate.map_or_else(|| "as fast as it goes".to_owned(), |rate| format!("{rate} a second"));
        let Percentiles { p50, p90, p99, p999, max } = &self.milliseconds;
        let latency = [("p50", p50), ("p90", p90), ("p99", p99), ("p99.9", p999), ("max", max)];
        let facts = [
            ("server", self.server.clone()),
            ("payments", format!("{} executed of {} sent, {rate}", self.executed, self.sent)),
            ("cards, connections", format!("{}, {}", self.cards, self.connections)),
            ("answers a second", number(self.answers_a_second)),
            ("answers and balances", self.result.to_owned()),
        ];
        let facts = facts.into_iter().map(|(name, value)| vec![name.to_owned(), value]);
        let latency =
            latency.iter().map(|(name, value)| vec![format!("latency {name}, ms"), number(**value)]);
        let head = std::iter::once(vec![
            "onetap load".to_owned(),
            time::OffsetDateTime::now_utc().date().to_string(),
        ]);
        let facts: Vec<_> = head.chain(facts).chain(latency).collect();
        page::html("Load", &facts, &self.measured).map_err(|why| Failure::NotAsExpected(why.to_string()))
    }

    /// # Errors
    /// An answer or a balance is wrong.
    pub(super) fn verdict(&self) -> Result<(), Failure> {
        if self.result == "right" {
            return Ok(());
        }
        let complaints: u64 = self.complaints.values().sum();
        Err(Failure::NotAsExpected(format!(
            "{complaints} answers are not as they should be, {} balances differ, and of {} payments the outcome is not known",
            self.wrong_balances.len(),
            self.unknown
        )))
    }
}
