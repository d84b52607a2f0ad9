//! What the operator must hear of at once, once it is committed (REQ-V-22).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use onetap_apdu_spec::account::AccountNumber;

use crate::domain::{Event, Why};

/// How many alarms were raised since the start; shared by all who have a copy.
#[derive(Debug, Clone, Default)]
pub(crate) struct Alarms(Arc<AtomicU64>);

impl Alarms {
    pub(crate) fn total(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// An encrypted joint password that does not open: either a terminal has put it together of two contacts, or card and
/// server do not have the same keys.
#[derive(Debug)]
pub(crate) struct Alarm {
    account: AccountNumber,
    event: Event,
    alarms: Alarms,
}

impl Alarm {
    /// The alarm that an account's event is, if it is one.
    pub(crate) fn of(event: &Event, account: &AccountNumber, alarms: &Alarms) -> Option<Self> {
        let is_alarm = matches!(event, Event::Refused { why: Why::UndecryptablePassword, .. });
        is_alarm.then(|| Self { account: account.clone(), event: event.clone(), alarms: alarms.clone() })
    }

    /// Counts it and logs it. To be called after the commit.
    pub(crate) fn raise(&self) {
        self.alarms.0.fetch_add(1, Ordering::Relaxed);
        if let Event::Refused { card, counter, terminal, .. } = &self.event {
            let (account, terminal) = (self.account.as_str(), terminal.as_str());
            tracing::warn!(
                account,
                %card,
                counter,
                terminal,
                "an encrypted joint password does not open; look at this terminal and at the card's keys"
            );
        }
    }
}
