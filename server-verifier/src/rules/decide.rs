//! The decision core: from the rows read under the account's lock and a request's proof to the answer and
//! what is to be written. Pure: no clock, no store, no randomness.
//!
//! The order is that of docs/spec/server.md: idempotency → C and the mark → T's
//! terminal, amount, payee, payer, date → account not locked → password → limits and funds → execute.
//! Up to the password step each refusal looks the same to the client; the audit log has the reason.

use onetap_apdu_spec::crypto::{Block, Digest};
use onetap_apdu_spec::header::CardId;
use onetap_apdu_spec::service::{Answer, Receipt, Resolution, TransactionId};
use onetap_apdu_spec::txn::{TerminalId, Transaction, TransactionType};
use subtle::ConstantTimeEq as _;

use crate::domain::{Account, AccountKind, CardState, Event, Life, LockCause, Mark, Policy, Timestamp, Why};
use crate::rules::verify::{Evidence, Judged, Malformed, Verified};

/// What the server answers; printed in one word.
#[derive(Debug, Clone, PartialEq, Eq, strum::Display, strum::IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Outcome {
    /// Executed, once; a repetition gets the same receipt.
    Executed(Receipt),
    /// Not executed, and never will be: the answer to a cancellation.
    Cancelled,
    /// Not executed. Does not say why: wrong password, locked account, dead counter value and
    /// refused payee look the same.
    Refused,
    /// Not executed: the password was right, the balance is too small. The counter value is spent.
    InsufficientFunds,
    /// Not executed: the password was right, the amount is over a limit. The counter value is spent.
    LimitExceeded,
    /// Not well formed; nothing was looked at further.
    Malformed(Malformed),
    /// The idempotency key was used for another request.
    Conflict,
    /// The store is busy; nothing was decided. Repeat with the same idempotency key.
    Busy,
}

impl From<Answer> for Outcome {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Executed { receipt } => Self::Executed(receipt),
            Answer::Refused => Self::Refused,
            Answer::InsufficientFunds => Self::InsufficientFunds,
            Answer::LimitExceeded => Self::LimitExceeded,
        }
    }
}

impl From<Resolution> for Outcome {
    fn from(resolution: Resolution) -> Self {
        match resolution {
            Resolution::Executed { receipt } => Self::Executed(receipt),
            Resolution::Cancelled => Self::Cancelled,
            Resolution::Refused => Self::Refused,
        }
    }
}

/// One attempt to have a transaction executed.
#[derive(Debug)]
pub struct Attempt {
    /// Row of the account that the card belongs to.
    pub account: i64,
    /// The terminal that the client has authenticated as.
    pub terminal: TerminalId,
    /// The client's idempotency key.
    pub key: String,
    /// Tells this request's body from another.
    pub body: Block,
    /// When it was received.
    pub now: Timestamp,
    /// Start of the window in which wrong passwords are counted.
    pub window_start: Timestamp,
    /// Proof that the card signed it, and what the typed password is worth: computed in any case, looked
    /// at in its turn only.
    pub judged: Judged,
}

impl Attempt {
    /// H and T, with what is known of them.
    #[must_use]
    pub fn evidence(&self) -> &Evidence {
        self.judged.evidence()
    }
}

/// What is to be done.
#[derive(Debug)]
pub enum Decision<'a> {
    /// The key and body were answered before: the same answer, nothing written.
    Answered(Answer),
    /// The key was used for another body: nothing written.
    Conflict,
    /// Write all of this in one commit, then answer.
    Commit(Box<Commit<'a>>),
}

impl Decision<'_> {
    /// What the client is told once the decision is durable.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Answered(answer) => answer.clone().into(),
            Self::Conflict => Outcome::Conflict,
            Self::Commit(commit) => commit.answer.clone().into(),
        }
    }
}

/// Everything that one decision writes.
#[derive(Debug)]
pub struct Commit<'a> {
    /// The answer.
    pub answer: Answer,
    /// For the audit chain.
    pub event: Event,
    /// What happens to the account's tries.
    pub tries: Tries,
    /// The proof for what is executed: only with one may the event be [`Event::Executed`] (P-18).
    pub executed: Option<&'a Verified>,
}

impl Commit<'_> {
    /// The card's mark from now on, if it moves.
    #[must_use]
    pub fn mark(&self) -> Option<&Mark> {
        self.event.mark()
    }
}

/// What happens to the account's tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tries {
    /// Nothing.
    Unchanged,
    /// The count in a row starts again; the windowed one does not.
    Right,
    /// One more in both counts, which perhaps locks the account.
    Wrong {
        /// Why the account is locked from now on, if it is.
        lock: Option<LockCause>,
    },
}

/// Decides `attempt` by `rows`, which were read under the account's lock.
#[must_use]
pub fn decide<'a>(policy: &Policy, rows: &Rows, attempt: &'a Attempt) -> Decision<'a> {
    match &rows.answered {
        Some(stored) if bool::from(stored.body.ct_eq(&attempt.body)) => {
            Decision::Answered(stored.answer.clone())
        }
        Some(_) => Decision::Conflict,
        None => Decision::Commit(Box::new(judge(policy, rows, attempt))),
    }
}

/// C and the mark, then the rest. Only what the card is known to have signed moves its mark.
fn judge<'a>(policy: &Policy, rows: &Rows, attempt: &'a Attempt) -> Commit<'a> {
    let case = Case { policy, rows, attempt };
    let evidence = attempt.evidence();
    let mut commit = match place(rows.mark, evidence.header().counter, evidence.fingerprint()) {
        Err(why) => case.refuse(why, None),
        Ok(Place::Fresh(mark)) => case.fresh(mark),
        Ok(Place::Executed(mark)) => case.repeated(mark),
    };
    if !evidence.is_proven() {
        commit.event.leave_mark();
    }
    commit
}

/// Where C stands against the mark, with the mark from now on.
enum Place {
    /// Above the mark, or at it, with the same bytes and alive.
    Fresh(Mark),
    /// At the mark, with the same bytes, and executed.
    Executed(Mark),
}

fn place(mark: Option<Mark>, counter: u32, fingerprint: &Digest) -> Result<Place, Why> {
    let fresh = Mark { counter, fingerprint: *fingerprint, life: Life::Alive, wrong: 0 };
    let Some(mark) = mark.filter(|mark| counter <= mark.counter) else {
        return Ok(Place::Fresh(fresh));
    };
    if counter < mark.counter {
        return Err(Why::StaleCounter);
    }
    match mark.life {
        _ if mark.fingerprint != *fingerprint => Err(Why::OtherBytes),
        Life::Alive => Ok(Place::Fresh(mark)),
        Life::Executed => Ok(Place::Executed(mark)),
        Life::Dead => Err(Why::DeadCounter),
    }
}

/// One attempt, while it is judged.
#[derive(Clone, Copy)]
struct Case<'r, 'a> {
    policy: &'r Policy,
    rows: &'r Rows,
    attempt: &'a Attempt,
}

impl<'r, 'a> Case<'r, 'a> {
    /// A counter value that was not executed yet.
    fn fresh(self, mark: Mark) -> Commit<'a> {
        let payee = match self.check_transaction() {
            Ok(payee) => payee,
            Err(why) => return self.refuse(why, Some(mark)),
        };
        if self.rows.account.lock.is_some() {
            return self.refuse(Why::AccountLocked, Some(mark.dead()));
        }
        match &self.attempt.judged {
            Judged::Wrong(_) => self.wrong_password(mark),
            Judged::Undecryptable(_) => self.refuse(Why::UndecryptablePassword, Some(mark.dead())),
            Judged::Right(verified) => self.settle(mark, verified, payee),
        }
    }

    /// The bytes that were executed, once more: the original receipt for the right password.
    fn repeated(self, mark: Mark) -> Commit<'a> {
        if let Err(why) = self.check_standing() {
            return self.refuse(why, None);
        }
        if self.rows.account.lock.is_some() {
            return self.refuse(Why::AccountLocked, None);
        }
        match (&self.attempt.judged, &self.rows.executed) {
            (Judged::Wrong(_), _) => self.wrong_password(mark),
            (Judged::Right(_), Some(receipt)) => Commit {
                answer: Answer::Executed { receipt: receipt.clone() },
                event: Event::Repeated {
                    card: self.card(),
                    counter: self.counter(),
                    receipt: receipt.clone(),
                    terminal: Some(self.attempt.terminal.clone()),
                },
                tries: Tries::Unchanged,
                executed: None,
            },
            (Judged::Right(_), None) => self.refuse(Why::DeadCounter, None),
            (Judged::Undecryptable(_), _) => self.refuse(Why::UndecryptablePassword, None),
        }
    }

    fn card(self) -> CardId {
        self.attempt.evidence().header().binding.card
    }

    fn counter(self) -> u32 {
        self.attempt.evidence().header().counter
    }

    fn transaction(self) -> &'a Transaction {
        self.attempt.evidence().message().transaction()
    }

    /// Everything about T that the password does not decide. Returns the payee.
    fn check_transaction(self) -> Result<&'r Account, Why> {
        self.check_standing()?;
        self.transaction().check_editions().map_err(|_| Why::Edition)?;
        let payee = self.rows.payee.as_ref().ok_or(Why::UnknownPayee)?;
        self.check_payee(payee)?;
        let dated = self.transaction().at.assume_utc().unix_timestamp();
        match dated - self.attempt.now.0 {
            ahead if ahead > self.policy.max_ahead => Err(Why::DatedAhead),
            ahead if -ahead > self.policy.max_age => Err(Why::TooOld),
            _ => Ok(payee),
        }
    }

    /// Card, account, terminal and payer.
    fn check_standing(self) -> Result<(), Why> {
        let checks = [
            (self.rows.card == CardState::Active, Why::CardNotActive),
            (self.rows.key_current, Why::KeyRetired),
            (self.rows.account.open, Why::AccountClosed),
            (self.transaction().terminal == self.attempt.terminal, Why::OtherTerminal),
            (self.attempt.evidence().payer_matches(), Why::OtherPayer),
        ];
        first_failure(&checks)
    }

    /// The payee is who T says, and may be paid in this way (P-26, REQ-V-21: a top-up goes from a current account to
    /// a stored value, a payment from either kind to a current account).
    fn check_payee(self, payee: &Account) -> Result<(), Why> {
        let (payer, transaction) = (&self.rows.account, self.transaction());
        let currency = transaction.amount.currency();
        let kinds_fit = match transaction.kind {
            TransactionType::Payment => payee.kind == AccountKind::Current,
            TransactionType::TopUp => {
                payer.kind == AccountKind::Current && payee.kind == AccountKind::StoredValue
            }
        };
        let checks = [
            (payee.open, Why::PayeeClosed),
            (payee.holder == transaction.payee_name.as_str(), Why::PayeeName),
            (payee.id != payer.id, Why::OwnAccount),
            (currency == payer.currency && currency == payee.currency, Why::Currency),
            (kinds_fit && (payer.system.is_none() || payee.system.is_none()), Why::AccountKind),
        ];
        first_failure(&checks)
    }

    /// One try less for this counter value and for the account (P-24).
    fn wrong_password(self, mut mark: Mark) -> Commit<'a> {
        mark.wrong += 1;
        if mark.wrong >= self.policy.wrong_per_counter {
            mark = mark.dead();
        }
        let in_a_row = self.rows.account.wrong_in_a_row + 1;
        let in_window = self.rows.wrong_in_window + 1;
        let lock = if in_a_row >= self.policy.wrong_in_a_row {
            Some(LockCause::WrongInARow)
        } else {
            (in_window >= self.policy.wrong_in_window).then_some(LockCause::WrongInWindow)
        };
        Commit {
            answer: Answer::Refused,
            event: Event::WrongPassword {
                card: self.card(),
                counter: self.counter(),
                terminal: self.attempt.terminal.clone(),
                in_a_row,
                in_window,
                locked: lock,
                mark: Some(mark),
            },
            tries: Tries::Wrong { lock },
            executed: None,
        }
    }

    /// The password was right: limits, funds, execution. Whatever happens, C is spent.
    fn settle(self, mark: Mark, verified: &'a Verified, payee: &Account) -> Commit<'a> {
        let amount = self.transaction().amount;
        let (answer, why) = if amount.minor() > self.policy.transaction_limit || !payee.has_room(amount) {
            (Answer::LimitExceeded, Why::Limit)
        } else if self.rows.account.has_free(amount) {
            return self.execute(mark, verified, payee);
        } else {
            (Answer::InsufficientFunds, Why::Funds)
        };
        Commit { answer, tries: Tries::Right, ..self.refuse(why, Some(mark.dead())) }
    }

    fn execute(self, mark: Mark, verified: &'a Verified, payee: &Account) -> Commit<'a> {
        let system = self.rows.account.system.as_ref().or(payee.system.as_ref());
        let receipt = Receipt { accepted_for: system.cloned(), ..self.receipt() };
        Commit {
            answer: Answer::Executed { receipt: receipt.clone() },
            event: Event::Executed {
                terminal: self.attempt.terminal.clone(),
                receipt,
                mark: Mark { life: Life::Executed, ..mark },
                payee: payee.id,
            },
            tries: Tries::Right,
            executed: Some(verified),
        }
    }

    fn receipt(self) -> Receipt {
        let transaction = self.transaction();
        Receipt {
            transaction: TransactionId::of(self.card(), self.counter()),
            kind: transaction.kind,
            amount: transaction.amount.minor(),
            currency: self.rows.account.currency,
            payee: transaction.payee_account.clone(),
            payee_name: transaction.payee_name.as_str().to_owned(),
            reference: transaction.reference.as_str().to_owned(),
            executed_at: self.attempt.now,
            accepted_for: None,
        }
    }

    fn refuse(self, why: Why, mark: Option<Mark>) -> Commit<'a> {
        Commit {
            answer: Answer::Refused,
            event: Event::Refused {
                card: self.card(),
                counter: self.counter(),
                terminal: self.attempt.terminal.clone(),
                why,
                mark,
            },
            tries: Tries::Unchanged,
            executed: None,
        }
    }
}

fn first_failure(checks: &[(bool, Why)]) -> Result<(), Why> {
    checks.iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, why)| Err(*why))
}

/// Everything that one decision reads, under the lock of the payer's account.
#[derive(Debug, Clone)]
pub struct Rows {
    /// The card's account.
    pub account: Account,
    /// Wrong passwords of that account within the policy's window.
    pub wrong_in_window: u32,
    /// The card's state.
    pub card: CardState,
    /// Whether the signing key that H names may still be used: the newest, or one within its overlap.
    pub key_current: bool,
    /// The card's mark, once it has one.
    pub mark: Option<Mark>,
    /// The account that T names as payee.
    pub payee: Option<Account>,
    /// What was executed for this card and counter value.
    pub executed: Option<Receipt>,
    /// What was answered under this client's idempotency key.
    pub answered: Option<Answered>,
}

/// An answer stored under a client's idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// Tells the request's body from another.
    pub body: Block,
    /// The answer.
    pub answer: Answer,
}
