//! Processes killed at random instants: the server's under load, the terminal's while it pays.

use std::collections::VecDeque;
use std::thread;
use std::time::Duration;

use onetap_pcsc_host::{Cancel, Deadline};

use super::cuts::{id, open};
use super::relay::Relay;
use super::report::{Report, Told, WORKERS, shares};
use super::terminal::{Orders, PATIENCE, Terminal, only, start};
use crate::fire::Fallible;
use crate::fire::scene::Scene;
use crate::fire::town::Payment;
use onetap_conformance::dice::Dice;

/// Longest time from the first request to the end of the server.
const LONGEST: Duration = Duration::from_millis(60);
/// Signed at a time.
const BATCH: usize = 800;
/// A worker with fewer payments to come needs more.
const LOW: usize = 40;
/// Time from the start of a terminal to its end, at first; then as long as they take.
const TERMINAL: Duration = Duration::from_millis(10);

/// One terminal, whose payments are lost when the server is killed.
struct Worker {
    relay: Relay,
    terminal: Terminal,
    queue: VecDeque<Payment>,
    told: Vec<Told>,
}

/// Kills so many servers under load.
pub(super) fn servers(
    scene: &mut Scene,
    dice: &mut Dice,
    kills: usize,
    report: &mut Report,
    told: &mut Vec<Told>,
) -> Fallible<()> {
    let mut workers = Vec::new();
    for number in 0..WORKERS {
        let relay = Relay::start()?;
        let terminal = open(scene, &relay.url(), &format!("server-{number}"))?;
        workers.push(Worker { relay, terminal, queue: VecDeque::new(), told: vec![] });
    }
    for _ in 0..kills {
        if workers.iter().any(|worker| worker.queue.len() < LOW) {
            for (worker, share) in workers.iter_mut().zip(shares(scene, BATCH)?) {
                worker.queue.extend(share);
            }
        }
        let mut serving = scene.serve()?;
        workers.iter().for_each(|worker| worker.relay.lead_to(Some(serving.address())));
        let instant = LONGEST * u32::try_from(dice.below(1_000))? / 1_000;
        let over = Cancel::new();
        thread::scope(|scope| -> Fallible<()> {
            let over = &over;
            let working: Vec<_> =
                workers.iter_mut().map(|worker| scope.spawn(move || worker.work(over))).collect();
            thread::sleep(instant);
            let killed = serving.kill9();
            over.cancel();
            killed?;
            working.into_iter().try_for_each(|worker| worker.join().map_err(|_| "a terminal panicked")?)
        })?;
        report.server_kills += 1;
    }
    let serving = scene.serve()?;
    for worker in workers {
        worker.relay.lead_to(Some(serving.address()));
        told.extend(worker.terminal.resolve(&Deadline::after(PATIENCE))?);
        told.extend(worker.told);
    }
    Ok(())
}

impl Worker {
    /// Resolves what was lost with the last server, as far as it comes, then pays until this one is gone.
    fn work(&mut self, over: &Cancel) -> Fallible<()> {
        let resolved = self.terminal.resolve(&Deadline::after(PATIENCE).cancelled_by(over))?;
        self.told.extend(resolved.into_iter().filter(|told| told.end.is_some()));
        while !over.is_cancelled() {
            let Some(payment) = self.queue.pop_front() else { return Ok(()) };
            if self.terminal.pay(&payment.request)?.is_none() {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// Kills so many terminals while they pay.
pub(super) fn terminals(
    scene: &mut Scene,
    dice: &mut Dice,
    kills: usize,
    report: &mut Report,
    told: &mut Vec<Told>,
) -> Fallible<()> {
    let serving = scene.serve()?;
    let url = format!("http://{}", serving.address());
    let shares = shares(scene, kills)?;
    let scene = &*scene;
    let mut seeds = || Dice::new(dice.below(usize::MAX) as u64);
    thread::scope(|scope| {
        let start = |(number, share): (usize, Vec<Payment>)| {
            let (mut dice, url, name) = (seeds(), url.as_str(), format!("terminal-{number}"));
            let kills = kills / WORKERS + usize::from(number < kills % WORKERS);
            scope.spawn(move || {
                let mut longest = TERMINAL;
                let killed = share.into_iter().take(kills).map(|payment| {
                    let instant = longest * u32::try_from(dice.below(1_000))? / 1_000;
                    let told = kill_one(scene, url, &name, payment, instant)?;
                    // Most kills should meet a payment on its way.
                    longest = if told.lost { longest } else { longest * 9 / 10 + TERMINAL / 20 };
                    Ok(told)
                });
                killed.collect::<Fallible<Vec<_>>>()
            })
        };
        let working: Vec<_> = shares.into_iter().enumerate().map(start).collect();
        for worker in working {
            let killed = worker.join().map_err(|_| "a thread panicked")??;
            report.terminal_kills += killed.len();
            told.extend(killed);
        }
        Ok(())
    })
}

/// Starts a terminal that pays, kills it, and has another process resolve what it left.
fn kill_one(scene: &Scene, url: &str, name: &str, payment: Payment, instant: Duration) -> Fallible<Told> {
    let id = id(&payment.request)?;
    let orders = Orders {
        url: url.to_owned(),
        token: scene.tokens.of(&payment.terminal).to_owned(),
        folder: scene.books.folder.join("terminals").join(name),
        request: payment.request,
    };
    let mut process = start(scene.program(), &orders)?;
    thread::sleep(instant);
    process.kill9()?;
    only(&id, open(scene, url, name)?.resolve(&Deadline::after(PATIENCE))?)
}
