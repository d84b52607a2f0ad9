//! What the clients saw.

use std::collections::BTreeMap;
use std::time::Duration;

/// An answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// When its request was due, counted from the beginning of the run.
    pub due: Duration,
    /// From then to having the answer, so that a server which stalls cannot hide what it kept from being sent.
    pub latency: Duration,
}

/// What the clients saw.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    /// From the first request to the last answer.
    pub elapsed: Duration,
    /// How many requests were begun: so many of the first.
    pub begun: usize,
    /// All answers, as they came.
    pub samples: Vec<Sample>,
    /// How many answers had which status.
    pub statuses: BTreeMap<u16, u64>,
    /// Connections that broke before the answer to a request.
    pub broken: u64,
}

impl Measured {
    pub(super) fn add(&mut self, sample: Sample, status: u16) {
        self.samples.push(sample);
        *self.statuses.entry(status).or_default() += 1;
    }

    /// Answers a second.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "far below 2⁵³")]
    pub fn rate(&self) -> f64 {
        self.samples.len() as f64 / self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// Milliseconds that so many answers of a hundred stayed within.
    #[must_use]
    pub fn millis(&self, percentile: f64) -> f64 {
        self.latencies().millis(percentile)
    }

    /// Answers with this status.
    #[must_use]
    pub fn with(&self, status: u16) -> u64 {
        self.statuses.get(&status).copied().unwrap_or(0)
    }

    /// How long the answers took.
    #[must_use]
    pub fn latencies(&self) -> Latencies {
        Latencies::new(self.samples.iter().map(|sample| sample.latency).collect())
    }

    /// The run cut into so many slices of equal length: of each, when it ended, how many answers came in it, and how long those
    /// took whose requests were due in it.
    #[must_use]
    pub fn slices(&self, count: u32) -> Vec<Slice> {
        let length = (self.elapsed / count.max(1)).max(Duration::from_nanos(1));
        let place = |moment: Duration| {
            let place = moment.as_nanos() / length.as_nanos();
            usize::try_from(place).unwrap_or(usize::MAX).min(count.max(1) as usize - 1)
        };
        let mut slices = vec![(0_usize, Vec::new()); count.max(1) as usize];
        for Sample { due, latency } in &self.samples {
            slices[place(*due + *latency)].0 += 1;
            slices[place(*due)].1.push(*latency);
        }
        let slice = |(number, (answers, latencies))| {
            let latencies = Some(latencies).filter(|latencies: &Vec<_>| !latencies.is_empty());
            Slice { end: length * number, length, answers, latencies: latencies.map(Latencies::new) }
        };
        (1..).zip(slices).map(slice).collect()
    }
}

/// A part of a run.
#[derive(Debug, Clone)]
pub struct Slice {
    /// When it ended, counted from the beginning of the run.
    pub end: Duration,
    /// How long it was.
    pub length: Duration,
    /// How many answers came.
    pub answers: usize,
    /// How long the answers took to requests that were due in it; none if none was.
    pub latencies: Option<Latencies>,
}

/// Latencies in order.
#[derive(Debug, Clone)]
pub struct Latencies(Vec<Duration>);

impl Latencies {
    fn new(mut latencies: Vec<Duration>) -> Self {
        latencies.sort_unstable();
        Self(latencies)
    }

    /// The shortest time that so many of a hundred stayed within; 0 if there are none.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "far below 2⁵³")]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and the length")]
    pub fn at(&self, percentile: f64) -> Duration {
        let rank = (self.0.len() as f64 * percentile / 100.0).ceil() as usize;
        self.0.get(rank.clamp(1, self.0.len().max(1)) - 1).copied().unwrap_or_default()
    }

    /// The same in milliseconds.
    #[must_use]
    pub fn millis(&self, percentile: f64) -> f64 {
        self.at(percentile).as_secs_f64() * 1e3
    }

    /// How many lie in each of the ranges, from the shortest to the longest; one range ends at `steps`√2 times where it
    /// begins.
    #[must_use]
    pub fn ranges(&self, steps: u32) -> Vec<Range> {
        let (Some(first), Some(last)) = (self.0.first(), self.0.last()) else { return Vec::new() };
        let millis = |latency: &Duration| latency.as_secs_f64() * 1e3;
        let edge = |place: f64| 2_f64.powf(place / f64::from(steps));
        let place = |latency: &Duration| (millis(latency).max(1e-3).log2() * f64::from(steps)).floor();
        let (mut ranges, mut at) = (Vec::new(), place(first));
        while at <= place(last) {
            let count = self.0.iter().filter(|latency| place(latency) == at).count();
            ranges.push(Range { from: edge(at), to: edge(at + 1.0), count });
            at += 1.0;
        }
        ranges
    }
}

/// How many answers took how long.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    /// Milliseconds, at least.
    pub from: f64,
    /// Milliseconds, less than that.
    pub to: f64,
    /// How many.
    pub count: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(samples: &[(u64, u64)]) -> Measured {
        let sample = |(due, latency): &(u64, u64)| Sample {
            due: Duration::from_millis(*due),
            latency: Duration::from_millis(*latency),
        };
        let mut measured = Measured { elapsed: Duration::from_millis(1_000), ..Measured::default() };
        samples.iter().map(sample).for_each(|sample| measured.add(sample, 200));
        measured
    }

    #[test]
    fn a_percentile_is_the_shortest_time_that_so_many_stayed_within() {
        let samples: Vec<_> = (1..=1_000).map(|latency| (0, latency)).collect();
        let latencies = measured(&samples).latencies();
        let at = [50.0, 90.0, 99.0, 99.9, 100.0].map(|percentile| latencies.at(percentile).as_millis());
        assert_eq!(at, [500, 900, 990, 999, 1_000]);
        assert_eq!(measured(&[(0, 7)]).millis(50.0), 7.0);
        assert_eq!(Measured::default().latencies().at(99.0), Duration::ZERO);
    }

    #[test]
    fn ranges_and_slices_have_every_answer_once() {
        let measured = measured(&[(0, 1), (10, 3), (400, 100), (900, 90), (990, 9)]);
        let ranges = measured.latencies().ranges(1);
        let counts: Vec<_> = ranges.iter().map(|range| (range.from, range.count)).collect();
        assert_eq!(counts, [(1.0, 1), (2.0, 1), (4.0, 0), (8.0, 1), (16.0, 0), (32.0, 0), (64.0, 2)]);
        let slices = measured.slices(2);
        let answers: Vec<_> = slices.iter().map(|slice| (slice.end.as_millis(), slice.answers)).collect();
        assert_eq!(answers, [(500, 2), (1_000, 3)]);
        let longest = slices.iter().map(|slice| slice.latencies.as_ref().map(|it| it.millis(100.0)));
        assert_eq!(longest.collect::<Vec<_>>(), [Some(100.0), Some(90.0)], "by when a request was due");
    }
}
