//! What the clients saw as one page, with plots of the latencies and of the run over time.

use super::figures::{Measured, Slice};
use crate::html::{page, section, table};
use crate::plot::{Axes, Curve, PlotError, bars, curves};

/// Latencies are counted in ranges, the end of each so many times its beginning: the eighth root of 2.
const STEPS: u32 = 8;
/// Most parts of a run, over time.
const SLICES: u32 = 100;
/// So many answers are in a part on average, at least.
const ANSWERS: usize = 20;

/// A page of that title; `facts` are said first, each a name and a value.
///
/// # Errors
/// [`PlotError`].
#[allow(clippy::cast_precision_loss, reason = "far below 2⁵³")]
pub fn html(title: &str, facts: &[Vec<String>], measured: &Measured) -> Result<String, PlotError> {
    let ranges = measured.latencies().ranges(STEPS);
    let ranges: Vec<_> = ranges.iter().map(|range| (range.from, range.to, range.count as f64)).collect();
    let parts =
        u32::try_from(measured.samples.len() / ANSWERS).map_or(SLICES, |parts| parts.clamp(1, SLICES));
    let slices = measured.slices(parts);
    let over_time = |value: &dyn Fn(&Slice) -> Option<f64>| {
        slices.iter().filter_map(|slice| Some((slice.end.as_secs_f64(), value(slice)?))).collect()
    };
    let rate = over_time(&|slice| Some(slice.answers as f64 / slice.length.as_secs_f64()));
    let latency = [("max", 100.0), ("p99", 99.0), ("p50", 50.0)].map(|(name, percentile)| Curve {
        name,
        points: over_time(&|slice| slice.latencies.as_ref().map(|it| it.millis(percentile))),
    });
    let plots = [
        ("Latency", bars(Axes { x: "milliseconds", y: "answers" }, &ranges)?),
        ("Answers a second", {
            let rate = Curve { name: "answers a second", points: rate };
            curves(Axes { x: "seconds", y: "answers a second" }, &[rate])?
        }),
        ("Latency over time", curves(Axes { x: "seconds", y: "milliseconds" }, &latency)?),
    ];
    let plots = plots.iter().map(|(heading, plot)| section(heading, plot));
    Ok(page(title, &std::iter::once(table(facts)).chain(plots).collect::<Vec<_>>()))
}
