//! `onetap load`: cards made in memory pay one another at a service, as fast as it goes or at a rate; every answer and every balance
//! is checked.

mod bank;
mod cards;
mod judge;
mod own;
mod report;
mod way;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use onetap_conformance::load::{Load, LoadError};
use serde_json::json;

use crate::args;
use crate::exit::Failure;
use crate::files::{NewFile, Secrecy};
use crate::interrupt;
use crate::online::reach;
use crate::output::Output;
use crate::progress::Progress;
use bank::Bank;
use cards::{Payer, Signed};
use judge::Judge;
use own::Own;
use report::Report;

/// How often what may have been decided is asked for again, under the same key.
const REPETITIONS: u32 = 3;

pub(crate) fn run(options: &args::Load, out: Output) -> Result<(), Failure> {
    let page = options.html.as_deref().map(|path| NewFile::create(path, Secrecy::Public)).transpose()?;
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    interrupt::watch(move || flag.store(true, Ordering::SeqCst))?;
    let Some(server) = &options.server else {
        // It goes with all that was made there.
        let own = Own::start(options.profile, options.connections.into())?;
        let bank = Bank::enter(own.reach()?, "onetap load", &stop)?;
        return tell(&pay(options, &bank, &stop, out)?, page, out);
    };
    let config = reach(server, &options.identity)?;
    let bank = Bank::enter(config, options.reason.as_deref().unwrap_or_default(), &stop)?;
    let done = pay(options, &bank, &stop, out);
    let left = bank.leave();
    match (done, left) {
        (Ok(report), Ok(left)) => tell(&report.leaving(left), page, out),
        (Ok(report), Err(failure)) => tell(&report, page, out).and(Err(failure)),
        (Err(failure), left) => {
            if let Ok(left) = left {
                out.result(&json!({ "left_behind": left }), format!("left behind: {left}"))?;
            }
            Err(failure)
        }
    }
}

/// Tells what the load has shown, and fails where something was wrong.
fn tell(report: &Report, page: Option<NewFile<'_>>, out: Output) -> Result<(), Failure> {
    report.tell(out)?;
    if let Some(page) = page {
        page.write_text(&report.page()?)?;
    }
    report.verdict()
}

/// Makes the cards, has them sign, sends it all and looks at what became of it.
fn pay(options: &args::Load, bank: &Bank<'_>, stop: &AtomicBool, out: Output) -> Result<Report, Failure> {
    let payments = options.payments();
    let mut payers = Payer::make(bank, options.cards, payments, options.profile)?;
    let signed = cards::sign(&mut payers, payments, bank, stop)?;
    bank.still_good(signed.begun.elapsed(), options.sending(signed.len()))?;
    out.say(format!(
        "{} cards have signed {} payments; they are sent to {}",
        payers.len(),
        signed.len(),
        bank.url()
    ))?;
    let mut judge = Judge::new(&signed.payments);
    let progress = Progress::begin("paying");
    let load = Load {
        servers: &[way::to(bank)?],
        connections: options.connections.into(),
        requests: &signed.requests,
        apart: Some(payers.len()),
        repetitions: REPETITIONS,
        rate: options.rate,
        time: options.time(),
        stop: Some(stop),
    };
    let total = signed.len() as u64;
    let measured = load.run(&mut |number, answer| {
        judge.see(number, answer);
        progress.one_of(total);
    });
    let measured = measured.map_err(unfinished)?;
    drop(progress);
    settle(&mut judge, measured.begun, &signed, &load)?;
    let balances = bank.balances(payers.iter().map(|payer| &payer.account))?;
    Ok(Report::new(options, bank, signed.len(), measured, judge, &payers, &balances))
}

/// Asks again, under the same key, for what may have been decided though no answer came.
fn settle(judge: &mut Judge<'_>, begun: usize, signed: &Signed, load: &Load<'_>) -> Result<(), Failure> {
    for _ in 0..REPETITIONS {
        let unknown = judge.unknown(begun);
        if unknown.is_empty() {
            break;
        }
        let requests: Vec<_> = unknown.iter().map(|number| signed.requests[*number].clone()).collect();
        let again = Load { requests: &requests, apart: Some(1), rate: None, time: None, stop: None, ..*load };
        again.run(&mut |number, answer| judge.see(unknown[number], answer)).map_err(unfinished)?;
    }
    Ok(())
}

fn unfinished(error: LoadError) -> Failure {
    match error {
        LoadError::System(source) => Failure::System { what: "open so many connections", source },
        other => Failure::NotAsExpected(other.to_string()),
    }
}
