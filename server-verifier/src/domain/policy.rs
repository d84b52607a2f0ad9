//! What the operator allows. Written when the store is made, changed with a reason, read again every few seconds.

use onetap_apdu_spec::suite::{Danger, Suite};

use crate::domain::Timestamp;

/// The operator's rules. All durations in seconds, amounts in minor units.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// So many wrong passwords in a row lock the account until an administrator unlocks it (P-24).
    pub wrong_in_a_row: u32,
    /// So many wrong passwords end the life of one counter value.
    pub wrong_per_counter: u32,
    /// So many wrong passwords within [`Policy::window`] lock the account too; success does not
    /// reset this count.
    pub wrong_in_window: u32,
    /// Length of the window.
    pub window: i64,
    /// How long before its receipt a transaction may be dated.
    pub max_age: i64,
    /// How long after its receipt a transaction may be dated (clocks differ).
    pub max_ahead: i64,
    /// How long a card's older key stays good after a newer one is activated.
    pub key_overlap: i64,
    /// The largest amount of one transaction.
    pub transaction_limit: u64,
    /// Accepts suites that can be guessed or forged ([`Suite::danger`]). For experiments only: with
    /// A1 and unkeyed A2 a bad signature cannot be told from a wrong password, so anyone who knows
    /// a card id can lock its account.
    pub danger_allow_weak_suites: bool,
    /// Money is moved by hand by two people only: one asks, another approves.
    #[serde(default)]
    pub by_hand_takes_two: bool,
}

/// Why a policy is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPolicy {
    /// A limit of zero would lock every account; one above ten would hardly lock any.
    #[error("the number of wrong passwords in a row and per counter must be 1 to 10")]
    Tries,
    /// The window must not be narrower than the count in a row, nor empty.
    #[error(
        "the windowed number of wrong passwords must be at least the number in a row, over 1 second or more"
    )]
    Window,
    /// Negative tolerances.
    #[error("the tolerated age and lead of a transaction and the overlap of keys must not be negative")]
    Tolerance,
    /// A limit of zero allows nothing.
    #[error("the transaction limit must be at least 1 minor unit")]
    Limit,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            wrong_in_a_row: 3,
            wrong_per_counter: 3,
            wrong_in_window: 10,
            window: 30 * 24 * 60 * 60,
            max_age: 10 * 60,
            max_ahead: 2 * 60,
            key_overlap: 24 * 60 * 60,
            transaction_limit: 1_000_000,
            danger_allow_weak_suites: false,
            by_hand_takes_two: false,
        }
    }
}

/// What of a [`Policy`] is to be otherwise; what is left out stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "the fields are those of the policy")]
pub struct PolicyChange {
    pub wrong_in_a_row: Option<u32>,
    pub wrong_per_counter: Option<u32>,
    pub wrong_in_window: Option<u32>,
    pub window: Option<i64>,
    pub max_age: Option<i64>,
    pub max_ahead: Option<i64>,
    pub key_overlap: Option<i64>,
    pub transaction_limit: Option<u64>,
    pub danger_allow_weak_suites: Option<bool>,
    pub by_hand_takes_two: Option<bool>,
}

impl PolicyChange {
    /// The policy with the changes made.
    ///
    /// # Errors
    /// [`BadPolicy`] if it makes no sense so.
    pub fn apply(&self, policy: &Policy) -> Result<Policy, BadPolicy> {
        let changed = Policy {
            wrong_in_a_row: self.wrong_in_a_row.unwrap_or(policy.wrong_in_a_row),
            wrong_per_counter: self.wrong_per_counter.unwrap_or(policy.wrong_per_counter),
            wrong_in_window: self.wrong_in_window.unwrap_or(policy.wrong_in_window),
            window: self.window.unwrap_or(policy.window),
            max_age: self.max_age.unwrap_or(policy.max_age),
            max_ahead: self.max_ahead.unwrap_or(policy.max_ahead),
            key_overlap: self.key_overlap.unwrap_or(policy.key_overlap),
            transaction_limit: self.transaction_limit.unwrap_or(policy.transaction_limit),
            danger_allow_weak_suites: self
                .danger_allow_weak_suites
                .unwrap_or(policy.danger_allow_weak_suites),
            by_hand_takes_two: self.by_hand_takes_two.unwrap_or(policy.by_hand_takes_two),
        };
        changed.check().map(|()| changed)
    }
}

impl Policy {
    /// Checks the numbers against each other.
    ///
    /// # Errors
    /// [`BadPolicy`], the first reason met.
    pub fn check(&self) -> Result<(), BadPolicy> {
        let possible = 1..=10;
        if !possible.contains(&self.wrong_in_a_row) || !possible.contains(&self.wrong_per_counter) {
            return Err(BadPolicy::Tries);
        }
        if self.wrong_in_window < self.wrong_in_a_row || self.window < 1 {
            return Err(BadPolicy::Window);
        }
        if self.max_age < 0 || self.max_ahead < 0 || self.key_overlap < 0 {
            return Err(BadPolicy::Tolerance);
        }
        if self.transaction_limit == 0 { Err(BadPolicy::Limit) } else { Ok(()) }
    }

    /// Wrong passwords after this moment count at `now`.
    pub(crate) fn window_start(&self, now: Timestamp) -> Timestamp {
        Timestamp(now.0.saturating_sub(self.window))
    }

    /// Whether cards with this suite may be made and may pay.
    ///
    /// # Errors
    /// The [`Danger`] that the policy does not accept.
    pub fn admits(&self, suite: Suite) -> Result<(), Danger> {
        match suite.danger() {
            Some(danger) if !self.danger_allow_weak_suites => Err(danger),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn senseless_policies_are_refused() {
        let change = |f: fn(&mut Policy)| {
            let mut policy = Policy::default();
            f(&mut policy);
            policy.check()
        };
        assert_eq!(change(|_| ()), Ok(()));
        assert_eq!(change(|p| p.wrong_in_a_row = 0), Err(BadPolicy::Tries));
        assert_eq!(change(|p| p.wrong_per_counter = 11), Err(BadPolicy::Tries));
        assert_eq!(change(|p| p.wrong_in_window = 2), Err(BadPolicy::Window));
        assert_eq!(change(|p| p.max_age = -1), Err(BadPolicy::Tolerance));
        assert_eq!(change(|p| p.transaction_limit = 0), Err(BadPolicy::Limit));
    }
}
