//! A row of the summary: how a bar is shown.

use serde::Serialize;

/// Something measured, beside what it is measured against.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) issue: u32,
    pub(crate) name: &'static str,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    pub(crate) peer: &'static str,
    pub(crate) peer_value: f64,
    pub(crate) ratio: f64,
    /// What has to hold; none for a row that only informs.
    pub(crate) bar: Option<String>,
    pub(crate) holds: Option<bool>,
}

impl Row {
    /// `ratio` is measured on its own: the median of what each round gave.
    pub(crate) fn new(
        name: &'static str,
        value: f64,
        peer: &'static str,
        peer_value: f64,
        ratio: f64,
    ) -> Self {
        Self { issue: 2, name, value, unit: "µs", peer, peer_value, ratio, bar: None, holds: None }
    }

    /// Commands a second, of issue 3, beside another rate.
    pub(crate) fn rate(name: &'static str, value: f64, peer: &'static str, peer_value: f64) -> Self {
        Self { unit: "1/s", ..Self::of_card(name, value, peer, peer_value) }
    }

    /// A time of issue 3, unless its unit is changed.
    pub(crate) fn of_card(name: &'static str, value: f64, peer: &'static str, peer_value: f64) -> Self {
        Self { issue: 3, ..Self::new(name, value, peer, peer_value, value / peer_value) }
    }

    /// Something of issue 4, in any unit, beside its peer in the same unit.
    pub(crate) fn of_service(
        name: &'static str,
        unit: &'static str,
        value: f64,
        peer: &'static str,
        peer_value: f64,
    ) -> Self {
        Self { issue: 4, unit, ..Self::new(name, value, peer, peer_value, value / peer_value) }
    }

    /// The same row for another issue.
    pub(crate) fn of_issue(self, issue: u32) -> Self {
        Self { issue, ..self }
    }

    /// Something whose limit is the bar.
    pub(crate) fn within(name: &'static str, unit: &'static str, value: f64, limit: f64) -> Self {
        let row = Self { ratio: per(value, limit), ..Self::of_service(name, unit, value, "limit", limit) };
        Self { bar: Some(format!("≤ {limit} {unit}")), holds: Some(value <= limit), ..row }
    }

    pub(crate) fn at_most(self, limit: f64) -> Self {
        let (bar, holds) = (Some(format!("ratio ≤ {limit}")), Some(self.ratio <= limit));
        Self { bar, holds, ..self }
    }

    pub(crate) fn at_least(self, limit: f64) -> Self {
        let (bar, holds) = (Some(format!("ratio ≥ {limit}")), Some(self.ratio >= limit));
        Self { bar, holds, ..self }
    }

    /// A count that has to be exactly this.
    pub(crate) fn exactly(name: &'static str, unit: &'static str, count: usize, wanted: usize) -> Self {
        #[allow(clippy::cast_precision_loss, reason = "small counts")]
        let (value, peer_value) = (count as f64, wanted as f64);
        let (bar, holds) = (Some(format!("exactly {wanted}")), Some(count == wanted));
        let ratio = per(value, peer_value);
        Self { issue: 2, name, value, unit, peer: "limit", peer_value, ratio, bar, holds }
    }

    /// So many times at least, and no promise broken.
    pub(crate) fn unbroken(
        name: &'static str,
        unit: &'static str,
        count: u64,
        wanted: u64,
        broken: usize,
    ) -> Self {
        #[allow(clippy::cast_precision_loss, reason = "far below 2⁵³")]
        let (value, peer_value) = (count as f64, wanted as f64);
        let (bar, holds) = (Some(format!("≥ {wanted}, 0 broken")), Some(count >= wanted && broken == 0));
        Self { issue: 3, name, value, unit, peer: "limit", peer_value, ratio: value / peer_value, bar, holds }
    }
}

/// The quotient; by 0, which JSON has no word for, the value itself.
fn per(value: f64, limit: f64) -> f64 {
    if limit == 0.0 { value } else { value / limit }
}

/// The middle one; the list must not be empty.
pub(crate) fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
