//! What the operator hears of a refusal, once it is committed: a count by reason, and of some at once (REQ-V-22).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use onetap_apdu_spec::account::AccountNumber;

use crate::domain::{Event, Why};

/// The reason of a refusal for a wrong password.
const WRONG_PASSWORD: &str = "wrong-password";

/// What was refused since the start; shared by all who have a copy.
#[derive(Debug, Clone, Default)]
pub(crate) struct Notices(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    alarms: AtomicU64,
    refusals: Mutex<BTreeMap<&'static str, u64>>,
}

impl Notices {
    /// How many alarms were raised.
    pub(crate) fn alarms(&self) -> u64 {
        self.0.alarms.load(Ordering::Relaxed)
    }

    /// How many requests were refused, by reason.
    pub(crate) fn refusals(&self) -> BTreeMap<&'static str, u64> {
        self.counts().clone()
    }

    /// Counts a refusal.
    pub(crate) fn refused(&self, reason: &'static str) {
        *self.counts().entry(reason).or_default() += 1;
    }

    fn counts(&self) -> MutexGuard<'_, BTreeMap<&'static str, u64>> {
        self.0.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A refusal that is about to be committed.
#[derive(Debug)]
pub(crate) struct Notice {
    reason: &'static str,
    alarm: Option<Alarm>,
    notices: Notices,
}

/// An encrypted joint password that does not open: either a terminal has put it together of two contacts, or card and
/// server do not have the same keys.
#[derive(Debug)]
struct Alarm {
    account: AccountNumber,
    event: Event,
}

impl Notice {
    /// What an account's event gives to notice, if it is a refusal.
    pub(crate) fn of(event: &Event, account: &AccountNumber, notices: &Notices) -> Option<Self> {
        let reason = match event {
            Event::Refused { why, .. } => (*why).into(),
            Event::WrongPassword { .. } => WRONG_PASSWORD,
            _ => return None,
        };
        let is_alarm = matches!(event, Event::Refused { why: Why::UndecryptablePassword, .. });
        let alarm = is_alarm.then(|| Alarm { account: account.clone(), event: event.clone() });
        Some(Self { reason, alarm, notices: notices.clone() })
    }

    /// Counts it; raises the alarm. To be called after the commit.
    pub(crate) fn give(&self) {
        self.notices.refused(self.reason);
        let Some(Alarm { account, event }) = &self.alarm else { return };
        self.notices.0.alarms.fetch_add(1, Ordering::Relaxed);
        if let Event::Refused { card, counter, terminal, .. } = event {
            let (account, terminal) = (account.as_str(), terminal.as_str());
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
