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

/// Cuts the power everywhere. The same run gives the same report.
#[must_use]
pub fn sweep() -> Report {
    let mut report = Report::default();
    // One profile that owes an object after S, and one whose signature is delivery.
    for suite in [Suite::default()].into_iter().chain("danger-a1+pkcs1".parse().ok()) {
        engine::sweep(&signing::SigningCard::new(suite), &mut report);
    }
    engine::sweep(&making::Making::new(), &mut report);
    engine::sweep(&purse::PurseCard::new(), &mut report);
    report
}
