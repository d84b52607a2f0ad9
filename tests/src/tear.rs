//! The power is cut at every page write of every step in every situation that a card can be in: before, in the
//! first half, in the second half and after that page; and once more at every write of the recovery. And the
//! machine loses its power, and with it writes that were not synced. What wakes up must be what was there
//! before the step or after one of its commits, and must keep all promises.
//!
//! | module | what lives there |
//! |---|---|
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
mod signing;

use onetap_apdu_spec::suite::Suite;
use onetap_applet::nvm::How;
use serde::Serialize;

/// What a sweep did and found.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Pairs of a situation and a step.
    pub steps: u64,
    /// Page writes that all these steps make.
    pub writes: u64,
    /// How often the power was cut in a step.
    pub points: u64,
    /// How often it was cut again while the card recovered.
    pub recovery_points: u64,
    /// How often the machine's power was cut instead, with some of the writes lost that were not synced.
    pub lost_points: u64,
    /// The steps that write.
    pub rows: Vec<Row>,
    /// Promises that were broken.
    pub violations: Vec<Violation>,
}

/// A step that writes, in one situation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Which card.
    pub subject: String,
    /// Where it was.
    pub situation: String,
    /// What was done.
    pub step: String,
    /// How many commits that takes.
    pub commits: u64,
    /// How many page writes.
    pub writes: u64,
}

/// A promise that was broken, and all it takes to see it again.
#[derive(Debug, Serialize)]
pub struct Violation {
    /// Which card.
    pub subject: String,
    /// Where it was.
    pub situation: String,
    /// What was done.
    pub step: String,
    /// The page write at which the power was cut, from 0; none if nothing was cut.
    pub write: Option<u64>,
    /// What arrived of that page.
    pub how: Option<&'static str>,
    /// What is wrong.
    pub what: String,
}

/// The word for what arrives of a page.
#[must_use]
pub fn how_name(how: How) -> &'static str {
    match how {
        How::Before => "before",
        How::Half => "half",
        How::SecondHalf => "second-half",
        How::After => "after",
    }
}

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
