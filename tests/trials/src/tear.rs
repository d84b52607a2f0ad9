//! The power is cut at every page write of every step in every situation that a card can be in: before, in the
//! first half, in the second half and after that page; and once more at every write of the recovery. And the
//! machine loses its power, and with it writes that were not synced. What wakes up must be what was there
//! before the step or after one of its commits, and must keep all promises.
//!
//! | module | what lives there |
//! |---|---|
//! | `report` | what was done and found |
//! | `engine` | the sweep over any kind of card |
//! | `memory` | an image that remembers its writes |
//! | `signing` | the signing card: its situations, steps and promises |
//! | `observe` | all that can be seen of a signing card |
//! | `making` | a card that is being made |
//! | `purse` | the example applets: money, installation, deletion |

mod engine;
mod making;
mod memory;
pub(crate) mod observe;
mod purse;
mod report;
mod signing;

use onetap_apdu_spec::suite::Suite;

pub use report::{Report, Row, Violation};

/// Cuts the power everywhere. The same run gives the same report. `tell` is told how many steps are done, and how many there are.
#[must_use]
pub fn sweep(tell: &mut dyn FnMut(u64, u64)) -> Report {
    let mut report = Report::default();
    // One profile that owes an object after S, and one whose signature is delivery.
    let suites = [Suite::default()].into_iter().chain("danger-a1+pkcs1".parse().ok());
    let cards: Vec<_> = suites.map(signing::SigningCard::new).collect();
    let (making, purse) = (making::Making::new(), purse::PurseCard::new());
    let all = cards.iter().map(engine::steps).sum::<u64>() + engine::steps(&making) + engine::steps(&purse);
    let told = &mut |report: &Report| tell(report.steps, all);
    for card in &cards {
        engine::sweep(card, &mut report, told);
    }
    engine::sweep(&making, &mut report, told);
    engine::sweep(&purse, &mut report, told);
    report
}
