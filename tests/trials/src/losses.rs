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
mod report;
pub mod terminal;

use std::collections::HashMap;

use onetap_apdu_spec::service::{Receipt, TransactionId};
use onetap_pcsc_host::attempt::End;
use onetap_server_verifier::Event;

use crate::fire::Fallible;
use crate::fire::scene::Scene;
use crate::fire::town::OPENING;
use onetap_conformance::dice::Dice;

pub use report::{Plan, Report, Told};
pub use terminal::child;

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
