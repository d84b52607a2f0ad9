//! A verifier that is killed again and again while it serves: what it acknowledged must be there, once.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use super::Fallible;
use super::client::{Client, is_definite};
use super::scene::{Asked, Scene};
use super::town::OPENING;
use onetap_conformance::dice::Dice;
use onetap_conformance::load::api::EXECUTED;

const WORKERS: usize = 8;
/// Longest time from the first request to the end.
const LONGEST: Duration = Duration::from_millis(100);
/// Signed at a time.
const BATCH: usize = 2_000;
/// A worker with fewer payments to come needs more.
const LOW: usize = 60;
/// So many of a worker's last answers are asked for again after each kill.
const ASKED_AGAIN: usize = 2;
const PATIENCE: Duration = Duration::from_secs(10);

/// What was killed and found.
#[derive(Debug, Default)]
pub struct Report {
    /// Processes killed.
    pub kills: u64,
    /// Payments that were acknowledged.
    pub acknowledged: u64,
    /// Requests that had no answer when a process was killed.
    pub in_flight: u64,
    /// What is wrong.
    pub violations: Vec<String>,
}

/// Kills so many processes that serve `scene`, and compares what they said with what is in the books.
///
/// # Errors
/// A process does not start, or the books cannot be read at all.
pub fn run(scene: &mut Scene, seed: u64, kills: u64) -> Fallible<Report> {
    let mut hunt = Hunt { scene, dice: Dice::new(seed), report: Report::default() };
    let mut workers: Vec<Worker> = (0..WORKERS).map(|_| Worker::default()).collect();
    for _ in 0..kills {
        hunt.refill(&mut workers)?;
        hunt.kill_one(&mut workers)?;
    }
    hunt.ask_all_again(&mut workers)?;
    hunt.look_into_the_books(&workers)?;
    hunt.report.acknowledged = workers.iter().map(|worker| worker.acknowledged.len() as u64).sum();
    Ok(hunt.report)
}

struct Hunt<'a> {
    scene: &'a mut Scene,
    dice: Dice,
    report: Report,
}

/// One connection, with payments of its own payers, whose counters must come in order.
#[derive(Default)]
struct Worker {
    queue: VecDeque<Asked>,
    /// Sent and not answered: nobody knows.
    in_flight: Option<Asked>,
    acknowledged: Vec<(Asked, Vec<u8>)>,
    violations: Vec<String>,
}

impl Hunt<'_> {
    fn refill(&mut self, workers: &mut [Worker]) -> Fallible<()> {
        if workers.iter().all(|worker| worker.queue.len() > LOW) {
            return Ok(());
        }
        for asked in self.scene.payments(BATCH)? {
            workers[asked.payment.payer % WORKERS].queue.push_back(asked);
        }
        Ok(())
    }

    fn kill_one(&mut self, workers: &mut [Worker]) -> Fallible<()> {
        let mut serving = self.scene.serve()?;
        let address = serving.address();
        let micros = self.dice.below(usize::try_from(LONGEST.as_micros())?) as u64;
        std::thread::scope(|scope| {
            for worker in &mut *workers {
                scope.spawn(move || worker.work(address));
            }
            std::thread::sleep(Duration::from_micros(micros));
            serving.kill9()
        })?;
        self.report.kills += 1;
        self.report.in_flight += workers.iter().filter(|worker| worker.in_flight.is_some()).count() as u64;
        self.collect(workers);
        Ok(())
    }

    fn collect(&mut self, workers: &mut [Worker]) {
        for what in workers.iter_mut().flat_map(|worker| worker.violations.drain(..)) {
            self.report.violations.push(format!("kill {}: {what}", self.report.kills));
        }
    }

    /// Every answer that was ever given, and every request that got none.
    fn ask_all_again(&mut self, workers: &mut [Worker]) -> Fallible<()> {
        let serving = self.scene.serve()?;
        let address = serving.address();
        std::thread::scope(|scope| {
            for worker in &mut *workers {
                scope.spawn(move || {
                    worker.queue.clear();
                    worker.work(address);
                    worker.ask_again(address, usize::MAX);
                });
            }
        });
        self.collect(workers);
        let open = workers.iter().filter(|worker| worker.in_flight.is_some()).count();
        if open > 0 {
            self.report.violations.push(format!("{open} requests got no answer in the end"));
        }
        Ok(())
    }

    /// Each acknowledged payment was executed once and nothing else was, the ledger balances, the chain holds.
    fn look_into_the_books(&mut self, workers: &[Worker]) -> Fallible<()> {
        let verifier = self.scene.books.open()?;
        let holders = self.scene.town.holders();
        let mut expected = vec![i64::try_from(OPENING)?; holders.len()];
        for (asked, _) in workers.iter().flat_map(|worker| &worker.acknowledged) {
            expected[asked.payment.payer] -= 1;
            expected[asked.payment.payee] += 1;
        }
        for (holder, expected) in holders.iter().zip(expected) {
            let balance = verifier.account(&holder.account)?.balance;
            if balance != expected {
                let off = format!("account {} has {balance}, not {expected}", holder.account);
                self.report.violations.push(off);
            }
        }
        for checked in [verifier.ledger_check(), verifier.audit_verify().map(drop)] {
            self.report.violations.extend(checked.err().map(|error| error.to_string()));
        }
        Ok(())
    }
}

impl Worker {
    /// Asks, until there is nobody to answer or nothing to ask.
    fn work(&mut self, server: SocketAddr) {
        let address = || Some(server);
        let mut client = Client::new(&address, PATIENCE, PATIENCE);
        self.ask_again(server, ASKED_AGAIN);
        while let Some(asked) = self.in_flight.take().or_else(|| self.queue.pop_front()) {
            match client.once(&asked.bytes) {
                Ok((status, body)) if is_definite(status) => self.acknowledge(asked, status, body),
                Ok(_) => self.in_flight = Some(asked),
                Err(_) => {
                    self.in_flight = Some(asked);
                    return;
                }
            }
        }
    }

    fn acknowledge(&mut self, asked: Asked, status: u16, body: Vec<u8>) {
        if status != 200 || !body.starts_with(EXECUTED) {
            let (payer, counter) = (asked.payment.payer, asked.payment.counter);
            let body = String::from_utf8_lossy(&body);
            self.violations.push(format!("payer {payer}, C {counter}: {status} {body}"));
        }
        self.acknowledged.push((asked, body));
    }

    /// The last so many answers must be given again.
    fn ask_again(&mut self, server: SocketAddr, last: usize) {
        let address = || Some(server);
        let mut client = Client::new(&address, PATIENCE, PATIENCE);
        for (asked, before) in self.acknowledged.iter().rev().take(last) {
            match client.once(&asked.bytes) {
                Ok((200, now)) if now == *before => {}
                Ok((status, _)) if !is_definite(status) => {}
                Ok((status, now)) => {
                    let (before, now) = (String::from_utf8_lossy(before), String::from_utf8_lossy(&now));
                    self.violations.push(format!("answered {before}, then {status} {now}"));
                }
                // The server is killed.
                Err(_) => return,
            }
        }
    }
}
