//! Whether times tell apart what answers do not: Welch's t-test, as in the leakage assessment of hardware (TVLA), whose
//! limit of 4.5 this takes too.

/// |t| below this tells nothing.
pub const LIMIT: f64 = 4.5;
/// Which part of all samples, the slowest ones, is left out: the scheduler's doing, and the disk's.
const LEFT_OUT: f64 = 0.05;

/// What was measured of one kind of request.
#[derive(Debug, Clone)]
pub struct Class {
    /// Which kind.
    pub name: String,
    /// Seconds, one for each request.
    pub times: Vec<f64>,
}

/// The two kinds that differ most.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// |t| between them.
    pub t: f64,
    /// The one.
    pub one: String,
    /// The other.
    pub other: String,
}

/// Compares each class with each other one. Samples above one limit, the same for all classes, are left out. None if
/// there is nothing to compare.
#[must_use]
pub fn compare(classes: &[Class]) -> Option<Verdict> {
    let mut all: Vec<f64> = classes.iter().flat_map(|class| class.times.iter().copied()).collect();
    all.sort_by(f64::total_cmp);
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index"
    )]
    let limit = *all.get((all.len() as f64 * (1.0 - LEFT_OUT)) as usize)?;
    let moments: Vec<_> =
        classes.iter().map(|class| (&class.name, Moments::of(&class.times, limit))).collect();
    let pairs = (0..moments.len()).flat_map(|i| (0..i).map(move |j| (i, j)));
    let verdicts = pairs.map(|(i, j)| Verdict {
        t: moments[i].1.welch(&moments[j].1).abs(),
        one: moments[i].0.clone(),
        other: moments[j].0.clone(),
    });
    verdicts.max_by(|a, b| a.t.total_cmp(&b.t))
}

/// Number, mean, and variance of the sample.
#[derive(Debug)]
struct Moments {
    count: f64,
    mean: f64,
    variance: f64,
}

impl Moments {
    #[allow(clippy::cast_precision_loss, reason = "far below 2⁵³")]
    fn of(times: &[f64], limit: f64) -> Self {
        let kept: Vec<f64> = times.iter().copied().filter(|time| *time <= limit).collect();
        let count = kept.len() as f64;
        let mean = kept.iter().sum::<f64>() / count;
        let variance = kept.iter().map(|time| (time - mean).powi(2)).sum::<f64>() / (count - 1.0);
        Self { count, mean, variance }
    }

    /// Welch's t.
    fn welch(&self, other: &Self) -> f64 {
        let error = (self.variance / self.count + other.variance / other.count).sqrt();
        (self.mean - other.mean) / error
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use onetap_conformance::dice::Dice;

    /// About normal: the sum of twelve even ones.
    fn class(name: &str, mean: f64, dice: &mut Dice) -> Class {
        let mut one = || mean + (0..12).map(|_| f64::from(dice.byte()) / 256.0).sum::<f64>();
        let times = std::iter::repeat_with(&mut one).take(20_000).collect();
        Class { name: name.to_owned(), times }
    }

    #[test]
    fn the_test_tells_a_tenth_of_a_deviation_and_not_chance() {
        let dice = &mut Dice::new(5);
        let same = [class("a", 0.0, dice), class("b", 0.0, dice), class("c", 0.0, dice)];
        assert!(compare(&same).is_some_and(|verdict| verdict.t < LIMIT));
        let other = [class("a", 0.0, dice), class("b", 0.1, dice), class("c", 0.0, dice)];
        let verdict = compare(&other);
        assert!(verdict.is_some_and(|v| v.t > LIMIT && (v.one == "b" || v.other == "b")));
        assert_eq!(compare(&[]), None);
    }

    #[test]
    fn welch_is_the_textbook_s() {
        let one = Moments::of(&[1.0, 2.0, 3.0, 4.0], 10.0);
        let other = Moments::of(&[2.0, 4.0, 6.0, 100.0], 10.0);
        // Means 2.5 and 4, variances 5/3 and 4: -1.5 / √(5/12 + 4/3).
        assert!((one.welch(&other) + 1.5 / (5.0_f64 / 12.0 + 4.0 / 3.0).sqrt()).abs() < 1e-12);
    }
}
