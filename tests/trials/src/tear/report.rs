//! What a sweep reports.

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
