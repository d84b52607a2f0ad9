//! How much it takes to confirm: by amount (P-22), with a cap on what goes by the key alone.

use onetap_apdu_spec::money::Amount;
use onetap_apdu_spec::personal::ConfirmationPolicy;
use serde::{Deserialize, Serialize};

/// What the holder has to do (P-21).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Press the confirm key.
    Key,
    /// Type the PIN.
    Pin,
    /// Type the PIN, then press the confirm key.
    PinAndKey,
}

/// Key-only payments since the last right PIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct KeyOnly {
    count: u16,
    sum: u64,
}

impl KeyOnly {
    /// With one payment more; `None` if a cap does not allow it.
    fn plus(self, amount: Amount, policy: &ConfirmationPolicy) -> Option<Self> {
        let count = self.count.checked_add(1).filter(|count| *count <= policy.key_only_count)?;
        let sum = self.sum.checked_add(amount.minor()).filter(|sum| *sum <= policy.key_only_sum)?;
        Some(Self { count, sum })
    }

    /// After a payment of `amount` was confirmed under `condition`: a PIN starts anew.
    pub(crate) fn after(self, condition: Condition, amount: Amount, policy: &ConfirmationPolicy) -> Self {
        match condition {
            Condition::Key => self.plus(amount, policy).unwrap_or(self),
            Condition::Pin | Condition::PinAndKey => Self::default(),
        }
    }
}

/// What a payment of `amount` takes. Another currency than the account's counts as large.
pub(crate) fn condition(policy: &ConfirmationPolicy, so_far: KeyOnly, amount: Amount) -> Condition {
    let minor = amount.minor();
    if amount.currency() != policy.currency || minor > policy.pin_up_to.max(policy.key_up_to) {
        Condition::PinAndKey
    } else if minor <= policy.key_up_to && so_far.plus(amount, policy).is_some() {
        Condition::Key
    } else {
        Condition::Pin
    }
}
