//! Every way to lose a payment between terminal and server: the connection cut at every byte of request and answer, the
//! request held back and delivered late, the server's process killed, the terminal's process killed. Whatever was lost
//! is resolved afterwards, and what the terminal was told is compared with the server's books.
//!
//! | module | what lives there |
//! |---|---|
//! | [`relay`] | the network: cuts at a byte, swallows, keeps a copy |
//! | [`terminal`] | the terminal: client and journal, in this process or in one of its own that can be killed |
//! | [`cuts`] | cuts and late duplicates |
//! | [`kills`] | processes killed |

pub mod cuts;
pub mod kills;
pub mod relay;
pub mod terminal;

use std::collections::HashMap;

use onetap_apdu_spec::service::{Receipt, TransactionId};
use onetap_pcsc_host::attempt::End;
use onetap_server_verifier::Event;

use crate::fire::Fallible;
use crate::fire::scene::Scene;
use crate::fire::town::{OPENING, Payment};
use crate::fuzz::mutate::Dice;

pub use terminal::child;

/// Terminals that pay at a time, each with payers of its own, whose counters must come in order.
const WORKERS: usize = 8;

/// How often what is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Connections cut, at every byte by turns.
    pub cuts: usize,
    /// Requests that the network swallows, of which it delivers a copy later.
    pub held: usize,
    /// The server's process, killed under load.
    pub server_kills: usize,
    /// The terminal's process, killed while it pays.
    pub terminal_kills: usize,
}

impl Plan {
    /// So many losses in all.
    #[must_use]
    pub fn of(losses: usize) -> Self {
        let (held, terminal_kills, server_kills) = (losses / 5, losses / 10, losses / 50);
        Self { cuts: losses - held - terminal_kills - server_kills, held, server_kills, terminal_kills }
    }
}

/// What was lost and found.
#[derive(Debug, Default)]
pub struct Report {
    /// Connections that were cut.
    pub cuts: usize,
    /// Requests that the network swallowed at first.
    pub held: usize,
    /// Copies of cut and swallowed requests that were delivered after the terminal had given up.
    pub duplicates: usize,
    /// Times that the server was killed.
    pub server_kills: usize,
    /// Times that the terminal was killed.
    pub terminal_kills: usize,
    /// Payments whose outcome the terminal did not know at first.
    pub lost: usize,
    /// What terminals were told: executed.
    pub executed: usize,
    /// What terminals were told: not executed, now or ever.
    pub cancelled: usize,
    /// Payments that a terminal cannot tell the end of after resolving.
    pub unknown: usize,
    /// Transactions that the books have twice.
    pub twice: usize,
    /// Told "cancelled" or "not executed", and executed.
    pub cancelled_and_executed: usize,
    /// Told "executed", and not executed.
    pub executed_and_not: usize,
    /// All that is wrong, in words.
    pub violations: Vec<String>,
}

impl Report {
    /// How many losses there were in all.
    #[must_use]
    pub fn losses(&self) -> usize {
        self.cuts + self.held + self.server_kills + self.terminal_kills
    }
}

/// What a terminal believes of one payment in the end.
#[derive(Debug)]
pub struct Told {
    /// The payment's id.
    pub id: TransactionId,
    /// Which end; none if it is still not known.
    pub end: Option<End>,
    /// Whether it had to be resolved.
    pub lost: bool,
}

/// Loses so many payments of `scene` and resolves them.
///
/// # Errors
/// A process does not start, or the books cannot be read at all.
pub fn run(scene: &mut Scene, seed: u64, plan: Plan) -> Fallible<Report> {
    let (mut dice, mut report, mut told) = (Dice::new(seed), Report::default(), Vec::new());
    cuts::run(scene, &mut dice, plan, &mut report, &mut told)?;
    kills::servers(scene, &mut dice, plan.server_kills, &mut report, &mut told)?;
    kills::terminals(scene, &mut dice, plan.terminal_kills, &mut report, &mut told)?;
    compare(scene, &told, &mut report)?;
    Ok(report)
}

/// So many payments for each worker, of payers of its own.
fn shares(scene: &mut Scene, payments: usize) -> Fallible<Vec<Vec<Payment>>> {
    let mut shares: Vec<Vec<Payment>> = (0..WORKERS).map(|_| Vec::new()).collect();
    for payment in scene.town.payments(payments.next_multiple_of(scene.town.holders().len()))? {
        shares[payment.payer % WORKERS].push(payment);
    }
    Ok(shares)
}

/// What the terminals were told, beside the books: the audit log, the balances, the chain.
fn compare(scene: &Scene, told: &[Told], report: &mut Report) -> Fallible<()> {
    let verifier = scene.books.open()?;
    let mut books: HashMap<TransactionId, Vec<Receipt>> = HashMap::new();
    for entry in verifier.log(None)? {
        if let Event::Executed { receipt, .. } = entry.event {
            books.entry(receipt.transaction.clone()).or_default().push(receipt);
        }
    }
    report.twice = books.values().filter(|receipts| receipts.len() > 1).count();
    for Told { id, end, lost } in told {
        report.lost += usize::from(*lost);
        let executed = books.remove(id).unwrap_or_default();
        let fault = match (end, executed.as_slice()) {
            (None, _) => Some(&mut report.unknown),
            (Some(End::Cancelled), [_, ..]) => Some(&mut report.cancelled_and_executed),
            (Some(End::Executed(receipt)), executed) if executed != [receipt.clone()] => {
                Some(&mut report.executed_and_not)
            }
            (Some(End::Executed(_)), _) => {
                report.executed += 1;
                None
            }
            (Some(End::Cancelled), []) => {
                report.cancelled += 1;
                None
            }
        };
        if let Some(count) = fault {
            *count += 1;
            report.violations.push(format!("{id}: told {end:?}, the books have {executed:?}"));
        }
    }
    // A terminal that was killed before it had written anything knows nothing, and sent nothing.
    report
        .violations
        .extend(books.into_keys().map(|id| format!("{id}: executed, and no terminal knows of it")));
    balance(scene, report, &verifier)
}

/// All money is there, and nobody has changed the log.
fn balance(scene: &Scene, report: &mut Report, verifier: &onetap_server_verifier::Verifier) -> Fallible<()> {
    let mut sum = 0;
    for holder in scene.town.holders() {
        sum += verifier.account(&holder.account)?.balance;
    }
    if sum != i64::try_from(OPENING)? * i64::try_from(scene.town.holders().len())? {
        report.violations.push(format!("the balances' sum is {sum}"));
    }
    for checked in [verifier.ledger_check(), verifier.audit_verify().map(drop)] {
        report.violations.extend(checked.err().map(|error| error.to_string()));
    }
    Ok(())
}
