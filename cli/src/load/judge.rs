//! Whether each answer is right.

use std::collections::BTreeMap;

use onetap_apdu_spec::foreign::Shown;
use onetap_apdu_spec::service::{Answer, Problem};
use onetap_conformance::load::wire;

use super::cards::{Payer, Payment};

/// What became of a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// No answer has said so yet.
    Unknown,
    Executed,
    Otherwise,
}

/// Looks at the answers.
pub(super) struct Judge<'a> {
    payments: &'a [Payment],
    outcomes: Vec<Outcome>,
    /// What was wrong with answers, and how often.
    complaints: BTreeMap<String, u64>,
}

impl<'a> Judge<'a> {
    pub(super) fn new(payments: &'a [Payment]) -> Self {
        Self { payments, outcomes: vec![Outcome::Unknown; payments.len()], complaints: BTreeMap::new() }
    }

    /// The answer to the payment of this number.
    pub(super) fn see(&mut self, number: usize, answer: wire::Answer<'_>) {
        let (outcome, complaint) = judge(&self.payments[number], answer);
        self.outcomes[number] = outcome;
        if let Some(complaint) = complaint {
            *self.complaints.entry(complaint).or_default() += 1;
        }
    }

    /// Those of the first `begun` payments of which nobody knows what became of them.
    pub(super) fn unknown(&self, begun: usize) -> Vec<usize> {
        let unknown = |number: &usize| self.outcomes[*number] == Outcome::Unknown;
        (0..begun).filter(unknown).collect()
    }

    pub(super) fn executed(&self) -> usize {
        self.outcomes.iter().filter(|outcome| **outcome == Outcome::Executed).count()
    }

    pub(super) fn complaints(self) -> BTreeMap<String, u64> {
        self.complaints
    }

    /// What the accounts must hold, in their order, by what was executed.
    pub(super) fn balances(&self, payers: &[Payer]) -> Vec<i64> {
        let signed = |cents: u64| i64::try_from(cents).unwrap_or(i64::MAX);
        let mut balances: Vec<_> = payers.iter().map(|payer| signed(payer.opening)).collect();
        for (payment, outcome) in self.payments.iter().zip(&self.outcomes) {
            if *outcome == Outcome::Executed {
                balances[payment.payer] -= signed(payment.amount);
                balances[payment.payee] += signed(payment.amount);
            }
        }
        balances
    }
}

/// What an answer says of a payment, and what is wrong with it.
fn judge(payment: &Payment, wire::Answer { status, body }: wire::Answer<'_>) -> (Outcome, Option<String>) {
    if status != 200 {
        // Nothing was decided where the server was asked too often or was busy; where it failed, nobody knows.
        let unknown = status == 408 || (status >= 500 && status != 503);
        let outcome = if unknown { Outcome::Unknown } else { Outcome::Otherwise };
        return (outcome, Some(problem(status, body)));
    }
    match serde_json::from_slice(body) {
        Ok(Answer::Executed { receipt }) => {
            let right = receipt.transaction == payment.id
                && receipt.amount == payment.amount
                && receipt.payee == payment.payee_account;
            (Outcome::Executed, (!right).then(|| "executed, with the receipt of another payment".to_owned()))
        }
        Ok(other) => (Outcome::Otherwise, Some(format!("not executed: {other}"))),
        Err(_) => (Outcome::Unknown, Some("answered 200 with a body that is no answer".to_owned())),
    }
}

/// What the server says, and what to do about it.
fn problem(status: u16, body: &[u8]) -> String {
    let detail = serde_json::from_slice::<Problem>(body).map(|problem| problem.detail).unwrap_or_default();
    let cure = match status {
        429 if detail.contains("card") => {
            ": use more cards (--cards), or raise card-rate there (0 for no limit)"
        }
        429 => ": raise client-rate there (0 for no limit)",
        401 | 403 => ": somebody has withdrawn the client that this load made",
        503 => ": see the service's log and /readyz; its disk may be full, or it cannot keep up",
        _ => "",
    };
    format!("{status} {}{cure}", Shown(&detail))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const RECEIPT: &str = r#"{"outcome":"executed","receipt":{"transaction":"0123456789abcdef00000001","kind":"payment",
        "amount":7,"currency":"EUR","payee":"1000000000009","payee_name":"load","reference":"-",
        "executed_at":"2026-03-19T14:05:31Z"}}"#;

    fn payment() -> Payment {
        let (id, payee_account) =
            ("0123456789abcdef00000001".parse().unwrap(), "1000000000009".parse().unwrap());
        Payment { payer: 0, payee: 1, payee_account, amount: 7, id }
    }

    fn verdict(status: u16, body: &str) -> (Outcome, Option<String>) {
        judge(&payment(), wire::Answer { status, body: body.as_bytes() })
    }

    #[test]
    fn only_the_receipt_of_the_payment_itself_is_right() {
        assert_eq!(verdict(200, RECEIPT), (Outcome::Executed, None));
        for (from, to) in [("\"amount\":7", "\"amount\":8"), ("00000001", "00000002"), ("0009", "0017")] {
            let (outcome, complaint) = verdict(200, &RECEIPT.replacen(from, to, 1));
            assert!(outcome == Outcome::Executed && complaint.is_some(), "{from} as {to}");
        }
        let (outcome, complaint) = verdict(200, r#"{"outcome":"refused"}"#);
        assert_eq!((outcome, complaint.as_deref()), (Outcome::Otherwise, Some("not executed: refused")));
        assert_eq!(verdict(200, "<html>").0, Outcome::Unknown);
    }

    #[test]
    fn a_problem_names_what_helps_and_only_a_failure_leaves_the_outcome_open() {
        let body = |detail: &str| {
            let kind = r#""type":"urn:onetap:problem:busy","title":"-","status":1"#;
            format!(r#"{{{kind},"detail":"{detail}","instance":"urn:onetap:request:00"}}"#)
        };
        let (outcome, complaint) = verdict(429, &body("this card is used too often here"));
        assert!(outcome == Outcome::Otherwise && complaint.unwrap().contains("card-rate"));
        assert!(verdict(429, &body("this client asks too often")).1.unwrap().contains("client-rate"));
        assert!(verdict(503, &body("busy")).1.unwrap().contains("disk"));
        assert_eq!(verdict(500, "").0, Outcome::Unknown);
    }
}
