//! The connection cut at every byte of request and answer, and copies of the request that arrive late.

use std::thread;

use onetap_apdu_spec::service::{AuthorisationRequest, TransactionId};
use onetap_apdu_spec::signed::SignatureMessage;
use onetap_pcsc_host::Deadline;
use onetap_pcsc_host::attempt::End;

use super::relay::{Fate, How, Relay};
use super::report::{Plan, Report, Told, WORKERS, shares};
use super::terminal::{PATIENCE, Terminal, only};
use crate::fire::Fallible;
use crate::fire::scene::Scene;
use crate::fire::town::Payment;
use onetap_conformance::dice::Dice;
use onetap_conformance::load::api::EXECUTED;

/// A copy of one in so many arrives while the terminal resolves, the others after it.
const RACING: usize = 4;

/// One terminal behind its network.
struct Worker {
    relay: Relay,
    terminal: Terminal,
    dice: Dice,
    report: Report,
    told: Vec<Told>,
}

/// Loses the `cuts` and `held` of `plan`.
pub(super) fn run(
    scene: &mut Scene,
    dice: &mut Dice,
    plan: Plan,
    report: &mut Report,
    told: &mut Vec<Told>,
) -> Fallible<()> {
    // One more each tells how long requests and answers are.
    let shares = shares(scene, plan.cuts + plan.held + WORKERS)?;
    let serving = scene.serve()?;
    let mut workers = Vec::new();
    for (number, share) in shares.into_iter().enumerate() {
        let relay = Relay::start()?;
        relay.lead_to(Some(serving.address()));
        let terminal = open(scene, &relay.url(), &format!("cuts-{number}"))?;
        let dice = Dice::new(dice.below(usize::MAX) as u64);
        workers.push((Worker { relay, terminal, dice, report: Report::default(), told: vec![] }, share));
    }
    thread::scope(|scope| {
        let start = |(number, (mut worker, share)): (usize, (Worker, Vec<Payment>))| {
            scope.spawn(move || worker.work(share, plan, number).map(|()| worker))
        };
        let working: Vec<_> = workers.into_iter().enumerate().map(start).collect();
        for worker in working {
            let worker = worker.join().map_err(|_| "a terminal panicked")??;
            told.extend(worker.told);
            report.cuts += worker.report.cuts;
            report.held += worker.report.held;
            report.duplicates += worker.report.duplicates;
            report.violations.extend(worker.report.violations);
        }
        Ok(())
    })
}

/// A terminal of that name in `scene`.
pub(super) fn open(scene: &Scene, url: &str, name: &str) -> Fallible<Terminal> {
    let client = scene.town.terminals().first().ok_or("no terminal")?;
    Terminal::open(url, scene.tokens.of(client), &scene.books.folder.join("terminals").join(name))
}

impl Worker {
    /// The losses that are this worker's by turns, the first of which has this number.
    fn work(&mut self, share: Vec<Payment>, plan: Plan, first: usize) -> Fallible<()> {
        let mut share = share.into_iter();
        let measured = share.next().ok_or("a terminal without payments")?;
        self.lose(&measured.request, Fate::Pass)?;
        let (request, answer) = self.relay.lengths();
        for (number, payment) in (first..plan.cuts + plan.held).step_by(WORKERS).zip(share) {
            let fate = if number < plan.cuts {
                self.report.cuts += 1;
                point(number, plan.cuts, request, answer)
            } else {
                self.report.held += 1;
                Fate::CutRequest(0, how(number))
            };
            self.lose(&payment.request, fate)?;
        }
        Ok(())
    }

    /// Pays under `fate`, resolves what is not known then, and has a copy of the request delivered.
    fn lose(&mut self, request: &AuthorisationRequest, fate: Fate) -> Fallible<()> {
        let id = id(request)?;
        self.relay.decide(fate);
        self.terminal.pay(request)?;
        let Some(copy) = self.relay.copy() else {
            return self.resolve(&id);
        };
        self.report.duplicates += 1;
        if self.dice.below(RACING) == 0 {
            let relay = &self.relay;
            let terminal = &self.terminal;
            let resolved = thread::scope(|scope| {
                let delivered = scope.spawn(|| relay.deliver(&copy));
                let resolved = terminal.resolve(&Deadline::after(PATIENCE));
                delivered.join().map_err(|_| "a courier panicked")??;
                resolved
            })?;
            return self.take(&id, resolved);
        }
        self.resolve(&id)?;
        let executed = self.relay.deliver(&copy)?.starts_with(EXECUTED);
        let broken = match self.told.last().and_then(|told| told.end.as_ref()) {
            Some(End::Cancelled) if executed => "a copy executes what was cancelled",
            Some(End::Executed(_)) if !executed => "a copy is refused what was executed",
            _ => return Ok(()),
        };
        self.report.violations.push(format!("{id}: {broken}"));
        Ok(())
    }

    fn resolve(&mut self, id: &TransactionId) -> Fallible<()> {
        let resolved = self.terminal.resolve(&Deadline::after(PATIENCE))?;
        self.take(id, resolved)
    }

    fn take(&mut self, id: &TransactionId, resolved: Vec<Told>) -> Fallible<()> {
        self.told.push(only(id, resolved)?);
        Ok(())
    }
}

/// Where the connection of a cut is cut: all bytes of request and answer by turns, or as many as there are cuts, evenly.
fn point(number: usize, cuts: usize, request: usize, answer: usize) -> Fate {
    let points = request + 1 + answer + 1;
    let point = if cuts < points { number * points / cuts } else { number % points };
    let how = how(point + number / points);
    match point.checked_sub(request + 1) {
        None => Fate::CutRequest(point, how),
        Some(point) => Fate::CutAnswer(point, how),
    }
}

fn how(number: usize) -> How {
    if number.is_multiple_of(2) { How::End } else { How::Reset }
}

/// The id that the transaction of `request` has at the server.
pub(super) fn id(request: &AuthorisationRequest) -> Fallible<TransactionId> {
    let header = SignatureMessage::parse(&request.signature_message)?.header;
    Ok(TransactionId::of(header.binding.card, header.counter))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn cuts_meet_every_byte_of_request_and_answer_in_both_ways() {
        let (request, answer) = (7, 4);
        let seen: BTreeSet<_> =
            (0..26).map(|number| format!("{:?}", point(number, 26, request, answer))).collect();
        assert_eq!(seen.len(), 2 * (8 + 5));
        let few: Vec<_> = (0..3).map(|number| point(number, 3, request, answer)).collect();
        assert_eq!(
            few,
            [Fate::CutRequest(0, How::End), Fate::CutRequest(4, How::End), Fate::CutAnswer(0, How::End)]
        );
    }
}
