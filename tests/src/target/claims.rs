//! What a card claims to be: which cases its verdict demands, and with which limits they are played.

use std::time::Duration;

use onetap_apdu_spec::password::{Password, PasswordPolicy};
use onetap_apdu_spec::personal::ConfirmationPolicy;
use onetap_apdu_spec::suite::Suite;
use onetap_pcsc_host::trace::Screen;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Timing, samples};

/// What a card claims. `onetap conform probe` writes a first version of it, people complete it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Claims {
    /// Name of the product, for reports.
    pub card: String,
    /// Whether the card takes extended length (ISO/IEC 7816-4 §5.2). Without it, cases about something else use short APDUs.
    pub extended_length: bool,
    /// How a reader reaches the issuer's security domain (GPCS §6.6, §11.9). Left out: no claim is made.
    #[serde(default)]
    pub issuer_domain: IssuerDomain,
    /// Suites that the card claims; a card in a reader has one, the first.
    pub suites: Vec<Suite>,
    /// Limits of what confirms.
    pub confirmation: ConfirmationPolicy,
    /// Form of the joint password.
    pub password: PasswordPolicy,
    /// Digits of the PIN.
    pub pin_digits: usize,
    /// Whether the page that asks for the PIN shows, as a number, how many tries are left (REQ-K-14). Left out: no claim is made.
    #[serde(default)]
    pub shows_tries: bool,
    /// Times of the display and the keys.
    pub times: Times,
}

/// How a reader reaches the issuer's security domain; each claims what those before it do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IssuerDomain {
    /// It does not, or nothing is said of it.
    #[default]
    None,
    /// By SELECT without a name (REQ-K-20).
    ByName,
    /// It is selected after a reset, too (REQ-K-19).
    Default,
}

/// The card's times in milliseconds (docs/spec, card: "Parameters").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Times {
    /// Debounce.
    pub debounce_ms: u64,
    /// Dead time of the confirm key.
    pub dead_time_ms: u64,
    /// Time-out of Showing.
    pub showing_ms: u64,
    /// Time-out of Revealed.
    pub revealed_ms: u64,
}

/// A statement of claims that no card can meet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadClaims {
    /// No suite.
    #[error("the claims name no suite: add the one that the card was personalised for to \"suites\"")]
    NoSuite,
    /// The order is for another suite.
    #[error("the claims name other suites than {0}, for which the card was ordered: correct \"suites\"")]
    OtherSuite(Suite),
    /// Limits that leave no room for the cases.
    #[error(
        "the judge pays three times by the key alone, and needs amounts that take the PIN only: personalise the card with t1 \
         (key_up_to) below t2 (pin_up_to), key_only_count of at least 3, and key_only_sum of at least t1 + 3"
    )]
    NoRoom,
    /// The order has other limits.
    #[error("the claims have another \"confirmation\" or \"password\" than the order: take the order's")]
    OtherLimits,
}

impl Claims {
    /// What our own card claims, personalised as [`samples`] say, for every suite.
    #[must_use]
    pub fn of_our_card() -> Self {
        use onetap_applet::{DEAD_TIME_MS, DEBOUNCE_MS, PENDING_MS, REVEALED_MS};
        let main = Suite::default();
        Self {
            card: "OneTap, virtual".to_owned(),
            extended_length: true,
            issuer_domain: IssuerDomain::Default,
            suites: std::iter::once(main).chain(Suite::all().filter(|suite| *suite != main)).collect(),
            confirmation: samples::confirmation(),
            password: PasswordPolicy::default(),
            pin_digits: samples::PIN.len(),
            shows_tries: true,
            times: Times {
                debounce_ms: DEBOUNCE_MS,
                dead_time_ms: DEAD_TIME_MS,
                showing_ms: PENDING_MS,
                revealed_ms: REVEALED_MS,
            },
        }
    }

    /// The suite of cases that are about no suite in particular.
    #[must_use]
    pub fn suite(&self) -> Suite {
        self.suites.first().copied().unwrap_or_default()
    }

    /// Most payments by the key alone, of any amount that the key confirms, before a PIN is needed.
    #[must_use]
    pub fn payments_by_key(&self) -> u64 {
        let policy = &self.confirmation;
        let by_sum = policy.key_only_sum.checked_div(policy.key_up_to).unwrap_or(0);
        by_sum.min(policy.key_only_count.into())
    }

    /// Whether the limits leave no room for the cases.
    #[must_use]
    pub fn leave_no_room(&self) -> bool {
        let ConfirmationPolicy { key_up_to, pin_up_to, key_only_count, key_only_sum, .. } = self.confirmation;
        key_up_to == 0
            || key_up_to >= pin_up_to
            || key_only_count < 3
            || key_only_sum < key_up_to.saturating_add(3)
    }

    /// What a display shows. The joint password stands on a line of its own, perhaps in groups: ungrouped it is recognised, so
    /// that it can be left out of reports.
    #[must_use]
    pub fn screen(&self, lines: &[String]) -> Screen {
        let alphabet = self.password.alphabet().characters();
        let is_password = |text: &str| {
            text.len() == self.password.length() && text.bytes().all(|byte| alphabet.contains(&byte))
        };
        let whole: Vec<_> = lines.iter().map(|line| Zeroizing::new(line.replace(' ', ""))).collect();
        let found = whole.iter().position(|line| is_password(line)).filter(|_| lines.len() <= 2);
        let Some(at) = found else { return Screen::new(lines, None) };
        let password: Option<Password> = whole.get(at).and_then(|line| line.parse().ok());
        let shown: Vec<&str> = lines
            .iter()
            .zip(&whole)
            .enumerate()
            .map(|(n, (line, whole))| if n == at { whole.as_str() } else { line })
            .collect();
        Screen::new(&shown, password)
    }

    /// The times, as cases wait for them.
    #[must_use]
    pub fn timing(&self) -> Timing {
        let Times { debounce_ms, dead_time_ms, showing_ms, revealed_ms } = self.times;
        Timing {
            debounce: Duration::from_millis(debounce_ms),
            dead_time: Duration::from_millis(dead_time_ms),
            showing: Duration::from_millis(showing_ms),
            revealed: Duration::from_millis(revealed_ms),
        }
    }
}
