//! What stands on the counter: one payment at a time, what the page shows of it, and what waits to be resolved.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use onetap_apdu_spec::service::{Answer, TransactionId};
use onetap_pcsc_host::attempt::Unresolved;
use onetap_pcsc_host::journal::{Conclusion, Entry};
use onetap_pcsc_host::payment::{self, Happened};
use onetap_pcsc_host::{
    Control, Deadline, Draft, Event, Payment, PaymentError, Step, Till, VerificationPassword,
};
use serde::Serialize;
use tokio::sync::watch;

use super::sources::Paid;
use crate::exit::Failure;
use crate::online::{Online, shared};

/// What the page shows.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Shown {
    /// Counts changes.
    pub(super) seq: u64,
    pub(super) phase: Phase,
    /// Until the step's deadline.
    #[serde(rename = "left_ms", skip_serializing_if = "Option::is_none", serialize_with = "left")]
    until: Option<Instant>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payment: Option<Paid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction: Option<TransactionId>,
    /// Why the step takes longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    notice: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<End>,
}

/// What the counter waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Phase {
    /// The next payment.
    #[default]
    Idle,
    Check,
    Tap,
    /// The card signs.
    Card,
    Removal,
    Holder,
    Sending,
    /// Somebody to read how it ended.
    Ended,
}

/// How a payment ended.
#[derive(Debug, Clone, Serialize)]
pub(super) struct End {
    /// As in the JSON of `onetap pay`; `unknown`, or `failed` if nothing was sent.
    result: &'static str,
    what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<onetap_apdu_spec::service::Receipt>,
}

fn left<S: serde::Serializer>(until: &Option<Instant>, to: S) -> Result<S::Ok, S::Error> {
    let left = until.map(|until| until.saturating_duration_since(Instant::now()).as_millis());
    to.serialize_u64(u64::try_from(left.unwrap_or(0)).unwrap_or(u64::MAX))
}

/// One terminal.
pub(super) struct Desk {
    online: Online,
    till: Arc<Mutex<Till>>,
    /// Steers the payment that runs.
    running: Mutex<Option<Control>>,
    shown: watch::Sender<Shown>,
}

impl Desk {
    pub(super) fn new(online: Online, till: Till) -> Self {
        Self { online, till: shared(till), running: Mutex::default(), shown: watch::Sender::default() }
    }

    pub(super) fn terminal(&self) -> &str {
        self.online.terminal.as_str()
    }

    /// What is shown now, and every change from here on.
    pub(super) fn watch(&self) -> watch::Receiver<Shown> {
        self.shown.subscribe()
    }

    fn running(&self) -> MutexGuard<'_, Option<Control>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a payment, unless one runs or nobody has read how the last one ended.
    pub(super) fn start(self: &Arc<Self>, draft: Draft) -> Result<(), Failure> {
        let mut running = self.running();
        if self.shown.borrow().phase != Phase::Idle {
            return Err(Failure::Usage("a payment is under way; end it first".to_owned()));
        }
        let paid = Paid::of(&draft);
        let payment = Payment::start(Arc::clone(&self.till), draft, None);
        let payment = payment.map_err(|source| Failure::System { what: "start a thread", source })?;
        *running = Some(payment.control().clone());
        self.show(|shown| {
            *shown = Shown { phase: Phase::Check, payment: Some(paid), seq: shown.seq, ..Shown::default() };
        });
        drop(running);
        let desk = Arc::clone(self);
        thread::spawn(move || payment.for_each(|happened| desk.follow(happened)));
        Ok(())
    }

    /// Hands over what was typed; false if no payment waits for it.
    pub(super) fn type_in(&self, typed: VerificationPassword) -> bool {
        self.running().as_ref().is_some_and(|control| control.type_in(typed))
    }

    /// Ends the payment that runs, if one does.
    pub(super) fn cancel(&self) {
        if let Some(control) = self.running().as_ref() {
            control.cancel();
        }
    }

    /// Somebody has read how the payment ended: what is known for sure is forgotten.
    pub(super) fn done(&self) -> Result<(), Failure> {
        let (phase, id) = {
            let shown = self.shown.borrow();
            (shown.phase, shown.transaction.clone())
        };
        if phase != Phase::Ended {
            return Err(Failure::Usage("the payment has not ended".to_owned()));
        }
        let entry = self.entries()?.into_iter().find(|entry| Some(entry.id()) == id);
        if let Some(entry) = entry.filter(|entry| !entry.is_unresolved()) {
            self.online.told(&entry.id())?;
        }
        self.show(|shown| *shown = Shown { seq: shown.seq, ..Shown::default() });
        Ok(())
    }

    fn entries(&self) -> Result<Vec<Entry>, Failure> {
        self.online.untold()
    }

    /// Payments whose outcome nobody was told yet, but for the one that is shown.
    pub(super) fn untold(&self) -> Result<Vec<Entry>, Failure> {
        let shown = self.shown.borrow().clone();
        let unknown = shown.end.is_some_and(|end| end.result == "unknown");
        let current = shown.transaction.filter(|_| !unknown);
        let entries = self.entries()?.into_iter();
        Ok(entries.filter(|entry| Some(entry.id()) != current).collect())
    }

    /// Learns or makes the final state of one of them; none if there is none of that id.
    pub(super) fn resolve(
        &self,
        id: &TransactionId,
    ) -> Result<Option<Result<Conclusion, Unresolved>>, Failure> {
        let Some(entry) = self.untold()?.into_iter().find(|entry| entry.id() == *id) else { return Ok(None) };
        let deadline = Deadline::after(self.online.patience());
        let (service, journal) = (&*self.online.service, &*self.online.journal);
        let resolved = payment::resolve(service, journal, &entry, &deadline, &mut |_| {});
        if resolved.is_ok() {
            self.online.told(id)?;
        }
        Ok(Some(resolved))
    }

    fn follow(&self, happened: Happened) {
        match happened {
            Happened::Event(event) => self.show(|shown| shown.hear(event)),
            Happened::Ended(ended) => {
                *self.running() = None;
                self.show(|shown| {
                    (shown.phase, shown.until, shown.notice) = (Phase::Ended, None, None);
                    shown.end = Some(End::of(ended));
                });
            }
        }
    }

    fn show(&self, change: impl FnOnce(&mut Shown)) {
        self.shown.send_modify(|shown| {
            change(shown);
            shown.seq += 1;
        });
    }
}

impl Shown {
    fn hear(&mut self, event: Event) {
        match event {
            Event::Began { step, left } => {
                self.phase = match step {
                    Step::Check => Phase::Check,
                    Step::Tap => Phase::Tap,
                    Step::Removal => Phase::Removal,
                    Step::Holder => Phase::Holder,
                    Step::Sending => Phase::Sending,
                };
                (self.until, self.notice) = (Instant::now().checked_add(left), None);
            }
            Event::CardFound { .. } => (self.phase, self.notice) = (Phase::Card, None),
            Event::TapAgain { why, .. } => {
                (self.phase, self.notice) = (Phase::Tap, Some(format!("{why}: {}", why.advice())));
            }
            Event::Signed { id, .. } => self.transaction = Some(id),
            Event::Retrying(retry) => self.notice = Some(format!("{}; asking again", retry.why)),
        }
    }
}

impl End {
    fn of(ended: Result<Answer, PaymentError>) -> Self {
        let error = match ended {
            Ok(answer) => return Self::decided(answer),
            Err(error) => error,
        };
        let result = if matches!(error, PaymentError::Unknown { .. }) { "unknown" } else { "failed" };
        Self { result, what: error.to_string(), advice: Some(error.advice().to_owned()), receipt: None }
    }

    fn decided(answer: Answer) -> Self {
        let result: &'static str = (&answer).into();
        let what = match &answer {
            Answer::Executed { .. } => "The server has executed the payment.",
            Answer::InsufficientFunds => "Not paid: the account holds too little.",
            Answer::LimitExceeded => "Not paid: the amount is over the server's limit.",
            Answer::Refused => "Not paid: the server refused the transaction.",
        };
        let advice = (result != "executed").then(|| "start again, and tap the card again".to_owned());
        let receipt = match answer {
            Answer::Executed { receipt } => Some(receipt),
            _ => None,
        };
        Self { result, what: what.to_owned(), advice, receipt }
    }
}
