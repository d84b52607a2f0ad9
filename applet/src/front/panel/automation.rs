//! Rules that press keys when the screen says so, for tests that drive a card without a holder. The first
//! rule that fits counts; one that guards the amount comes before all others.

use onetap_apdu_spec::money::{Amount, Currency};
use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::keys::Press;
use crate::signing::display::Screen;
use crate::signing::keys::Key;

/// Most rules.
const MAX_RULES: usize = 32;
/// Most keys of a rule.
const MAX_KEYS: usize = 32;
/// Longest pattern, in bytes, and the most memory that a compiled one takes.
const MAX_PATTERN: usize = 256;
const MAX_COMPILED: usize = 256 * 1024;
/// A screen that stays lit gets so many answers at most: rules that turn pages to and fro must end.
const MAX_FIRED: usize = 64;
/// Labels over the amount, as the display shows them.
const AMOUNT_LABELS: [&str; 3] = ["▸ Payment", "▸ Top-up", "▸ Confirm?"];

/// All rules, as they are sent.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuleSet {
    pub(crate) rules: Vec<RuleSpec>,
}

/// Either `screen` with `keys`, or `amount`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuleSpec {
    /// A regular expression that some part of the screen's text fits; lines end with a line feed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    screen: Option<String>,
    /// Keys to press then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    keys: Option<Vec<Press>>,
    /// The amount expected, such as `12.34 EUR`: the transaction is cancelled if another is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    amount: Option<String>,
}

/// What is wrong with a set of rules.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(crate) enum RuleError {
    #[error("at most {MAX_RULES} rules")]
    TooMany,
    #[error("rule {0}: give either `screen` and `keys`, or `amount` alone")]
    Shape(usize),
    #[error("rule {0}: give 1 to {MAX_KEYS} keys")]
    Keys(usize),
    #[error("rule {0}: a pattern has at most {MAX_PATTERN} bytes")]
    PatternTooLong(usize),
    #[error("rule {0}: {1}")]
    Pattern(usize, regex::Error),
    #[error("rule {0}: give the amount as the display shows it, such as 12.34 EUR")]
    Amount(usize),
}

enum Rule {
    Keys { screen: Regex, keys: Vec<Press> },
    Amount(String),
}

/// What to do about a screen.
pub(crate) struct Answer {
    /// Which rule, from 0.
    pub(crate) rule: usize,
    pub(crate) keys: Vec<Press>,
    pub(crate) why: &'static str,
}

/// The rules in force.
#[derive(Default)]
pub(crate) struct Automation {
    set: RuleSet,
    rules: Vec<Rule>,
    fired: usize,
}

impl Automation {
    /// Checks a set of rules. They see the screen as it is now, and each one after it.
    pub(crate) fn new(set: RuleSet) -> Result<Self, RuleError> {
        if set.rules.len() > MAX_RULES {
            return Err(RuleError::TooMany);
        }
        let rules = set.rules.iter().enumerate().map(|(at, spec)| Rule::new(at, spec));
        Ok(Self { rules: rules.collect::<Result<_, _>>()?, set, fired: 0 })
    }

    pub(crate) fn set(&self) -> &RuleSet {
        &self.set
    }

    /// What to press on this screen.
    pub(crate) fn answer(&mut self, screen: &Screen) -> Option<Answer> {
        if screen.is_blank() {
            self.fired = 0;
            return None;
        }
        if self.fired >= MAX_FIRED {
            return None;
        }
        let answer = self.guard_amount(screen).or_else(|| self.first_fit(screen))?;
        self.fired += 1;
        Some(answer)
    }

    fn guard_amount(&self, screen: &Screen) -> Option<Answer> {
        let shown = shown_amount(screen)?;
        let differs = |rule: &Rule| matches!(rule, Rule::Amount(expected) if expected != shown);
        let rule = self.rules.iter().position(differs)?;
        Some(Answer { rule, keys: vec![Press::Key(Key::Cancel)], why: "the amount differs: cancelled" })
    }

    fn first_fit(&self, screen: &Screen) -> Option<Answer> {
        let text = Zeroizing::new(screen.lines().join("\n"));
        self.rules.iter().enumerate().find_map(|(at, rule)| match rule {
            Rule::Keys { screen, keys } if screen.is_match(&text) => {
                Some(Answer { rule: at, keys: keys.clone(), why: "pressed" })
            }
            Rule::Keys { .. } | Rule::Amount(_) => None,
        })
    }
}

impl Rule {
    fn new(at: usize, spec: &RuleSpec) -> Result<Self, RuleError> {
        match (&spec.screen, &spec.keys, &spec.amount) {
            (Some(pattern), Some(keys), None) => {
                if keys.is_empty() || keys.len() > MAX_KEYS {
                    return Err(RuleError::Keys(at));
                }
                if pattern.len() > MAX_PATTERN {
                    return Err(RuleError::PatternTooLong(at));
                }
                let screen = RegexBuilder::new(pattern).size_limit(MAX_COMPILED).multi_line(true).build();
                let screen = screen.map_err(|why| RuleError::Pattern(at, why))?;
                Ok(Self::Keys { screen, keys: keys.clone() })
            }
            (None, None, Some(amount)) => {
                parse_amount(amount).map(|it| Self::Amount(it.to_string())).ok_or(RuleError::Amount(at))
            }
            _ => Err(RuleError::Shape(at)),
        }
    }
}

fn parse_amount(text: &str) -> Option<Amount> {
    let (amount, currency) = text.split_once(' ')?;
    let currency: Currency = currency.parse().ok()?;
    Amount::parse(amount, currency).ok()
}

/// The amount that this screen shows, if it shows one.
fn shown_amount(screen: &Screen) -> Option<&str> {
    let label = screen.lines().iter().position(|line| AMOUNT_LABELS.contains(&line.as_str()))?;
    screen.lines().get(label + 1).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(json: &str) -> Result<Automation, RuleError> {
        Automation::new(serde_json::from_str(json).unwrap())
    }

    fn screen(lines: &[&str]) -> Screen {
        Screen::page(&lines.iter().map(|&line| line.to_owned()).collect::<Vec<_>>(), 1, 2)
    }

    #[test]
    fn the_amount_is_guarded_before_any_key() {
        let mut automation =
            rules(r#"{"rules": [{"screen": ".", "keys": ["confirm"]}, {"amount": "12.34 EUR"}]}"#).unwrap();
        for (shown, rule) in [("12.34 EUR", 0), ("99.99 EUR", 1), ("12.34 USD", 1)] {
            for label in AMOUNT_LABELS {
                let answer = automation.answer(&screen(&[label, shown])).unwrap();
                assert_eq!(answer.rule, rule, "{label} {shown}");
                assert!((answer.keys == [Press::Key(Key::Cancel)]) == (rule == 1));
            }
        }
    }

    #[test]
    fn the_first_pattern_that_fits_counts_and_blank_screens_fit_none() {
        let mut automation = rules(
            r#"{"rules": [{"screen": "^▸ To$", "keys": ["next"]}, {"screen": "", "keys": ["cancel"]}]}"#,
        )
        .unwrap();
        assert_eq!(automation.answer(&screen(&["▸ Payment", "▸ To"])).unwrap().rule, 0);
        assert_eq!(automation.answer(&screen(&["▸ Together"])).unwrap().rule, 1);
        assert!(automation.answer(&Screen::blank()).is_none());
    }

    #[test]
    fn rules_that_would_go_on_for_ever_end() {
        let mut automation = rules(r#"{"rules": [{"screen": ".", "keys": ["next", "previous"]}]}"#).unwrap();
        let fired = (0..1000).filter(|_| automation.answer(&screen(&["x"])).is_some()).count();
        assert_eq!(fired, MAX_FIRED);
        automation.answer(&Screen::blank());
        assert!(automation.answer(&screen(&["x"])).is_some(), "the next transaction starts afresh");
    }

    #[test]
    fn bad_rules_are_refused_by_number() {
        for (json, error) in [
            (r#"{"rules": [{"amount": "1.00 EUR"}, {}]}"#, RuleError::Shape(1)),
            (r#"{"rules": [{"screen": ".", "amount": "1.00 EUR"}]}"#, RuleError::Shape(0)),
            (r#"{"rules": [{"screen": "."}]}"#, RuleError::Shape(0)),
            (r#"{"rules": [{"screen": ".", "keys": []}]}"#, RuleError::Keys(0)),
            (r#"{"rules": [{"amount": "1.00"}]}"#, RuleError::Amount(0)),
            (r#"{"rules": [{"amount": "1.001 EUR"}]}"#, RuleError::Amount(0)),
        ] {
            assert_eq!(rules(json).err(), Some(error), "{json}");
        }
        let long = format!(r#"{{"rules": [{{"screen": "{}", "keys": ["next"]}}]}}"#, "x".repeat(300));
        assert_eq!(rules(&long).err(), Some(RuleError::PatternTooLong(0)));
        for pattern in ["(", r"(\\w{500}){500}"] {
            let json = format!(r#"{{"rules": [{{"screen": "{pattern}", "keys": ["next"]}}]}}"#);
            assert!(matches!(rules(&json).err(), Some(RuleError::Pattern(0, _))), "{pattern}");
        }
        let many = RuleSet { rules: vec![RuleSpec { screen: None, keys: None, amount: None }; 33] };
        assert_eq!(Automation::new(many).err(), Some(RuleError::TooMany));
    }
}
