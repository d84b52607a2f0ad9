//! How much is lost, of whose payments, and what is found.

use onetap_apdu_spec::service::TransactionId;
use onetap_pcsc_host::attempt::End;

use crate::fire::Fallible;
use crate::fire::scene::Scene;
use crate::fire::town::Payment;

/// Terminals that pay at a time, each with payers of its own, whose counters must come in order.
pub(super) const WORKERS: usize = 8;

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

/// So many payments for each worker, of payers of its own.
pub(super) fn shares(scene: &mut Scene, payments: usize) -> Fallible<Vec<Vec<Payment>>> {
    let mut shares: Vec<Vec<Payment>> = (0..WORKERS).map(|_| Vec::new()).collect();
    for payment in scene.town.payments(payments.next_multiple_of(scene.town.holders().len()))? {
        shares[payment.payer % WORKERS].push(payment);
    }
    Ok(shares)
}
