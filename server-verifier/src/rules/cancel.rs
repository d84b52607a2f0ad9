//! The decision core of a cancellation: from the rows read under the account's lock and the proof that the card signed
//! to the answer and what is to be written. Pure, as [`crate::rules::decide`] is.
//!
//! It gives an attempt whose outcome a terminal does not know its end: `executed` if it was, else `cancelled`, after
//! which it never will be. Nothing that may have changed since the attempt stands in the way: neither a lock of the
//! account, nor a blocked card, nor a retired key, nor the date (docs/spec/server.md, "Cancellation").

use onetap_apdu_spec::crypto::Digest;
use onetap_apdu_spec::header::CardId;
use onetap_apdu_spec::service::{Receipt, Resolution};
use onetap_apdu_spec::txn::TerminalId;

use crate::domain::{Event, Life, Mark, Timestamp, Why};
use crate::rules::verify::Evidence;

/// A cancellation that an enrolled card has signed.
#[derive(Debug)]
pub struct ProvenCancellation {
    /// Row of the account that the card belongs to.
    pub account: i64,
    /// The terminal that the client has authenticated as.
    pub terminal: TerminalId,
    /// When it was received.
    pub now: Timestamp,
    /// What the card signed.
    pub evidence: Evidence,
}

impl ProvenCancellation {
    /// The card that signed.
    #[must_use]
    pub fn card(&self) -> CardId {
        self.evidence.header().binding.card
    }

    /// The counter value that it signed with.
    #[must_use]
    pub fn counter(&self) -> u32 {
        self.evidence.header().counter
    }
}

/// Everything that the decision on a cancellation reads, under the lock of the payer's account.
#[derive(Debug, Clone)]
pub struct CounterRows {
    /// The card's mark, once it has one.
    pub mark: Option<Mark>,
    /// What was executed for this card and counter value: the receipt, and the hash of the bytes that were signed.
    pub executed: Option<(Receipt, Digest)>,
}

/// What is answered to a cancellation, and what is to be written first.
#[derive(Debug, PartialEq, Eq)]
pub struct Ruling {
    /// The answer.
    pub answer: Resolution,
    /// For the audit chain, with the mark from now on; none if nothing changes.
    pub event: Option<Event>,
}

/// Decides `cancellation` by `rows`, which were read under the account's lock.
#[must_use]
pub fn cancel(rows: &CounterRows, cancellation: &ProvenCancellation) -> Ruling {
    let evidence = &cancellation.evidence;
    if evidence.message().transaction().terminal != cancellation.terminal {
        return refused(cancellation, Why::OtherTerminal);
    }
    if !evidence.payer_matches() {
        return refused(cancellation, Why::OtherPayer);
    }
    if let Some((receipt, signed)) = &rows.executed {
        return if signed == evidence.fingerprint() {
            Ruling { answer: Resolution::Executed { receipt: receipt.clone() }, event: None }
        } else {
            refused(cancellation, Why::OtherBytes)
        };
    }
    let counter = cancellation.counter();
    match rows.mark.filter(|mark| counter <= mark.counter) {
        None => {
            let fingerprint = *evidence.fingerprint();
            cancelled(cancellation, Some(Mark { counter, fingerprint, life: Life::Dead, wrong: 0 }))
        }
        Some(mark) if counter < mark.counter => cancelled(cancellation, None),
        Some(mark) if mark.fingerprint != *evidence.fingerprint() => refused(cancellation, Why::OtherBytes),
        Some(mark) => cancelled(cancellation, (mark.life != Life::Dead).then(|| mark.dead())),
    }
}

/// Never executed, by the mark from now on; without one it was dead before.
fn cancelled(cancellation: &ProvenCancellation, mark: Option<Mark>) -> Ruling {
    let event = mark.map(|mark| Event::Cancelled {
        card: cancellation.card(),
        counter: cancellation.counter(),
        terminal: cancellation.terminal.clone(),
        mark,
    });
    Ruling { answer: Resolution::Cancelled, event }
}

fn refused(cancellation: &ProvenCancellation, why: Why) -> Ruling {
    let event = Event::CancellationRefused {
        card: cancellation.card(),
        counter: cancellation.counter(),
        terminal: cancellation.terminal.clone(),
        why,
    };
    Ruling { answer: Resolution::Refused, event: Some(event) }
}
