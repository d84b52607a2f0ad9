//! The decision core: from the rows read under the account's lock and a request's proof to the answer and
//! what is to be written. Pure: no clock, no store, no randomness.
//!
//! The order is that of docs/spec/server.md: idempotency → C and the mark → T's
//! terminal, amount, payee, payer, date → account not locked → password → limits and funds → execute.
//! Up to the password step each refusal looks the same to the client; the audit log has the reason.

use onetap_apdu_spec::account::AccountNumber;
use onetap_apdu_spec::crypto::{Block, Digest};
use onetap_apdu_spec::header::CardId;
use onetap_apdu_spec::money::Currency;
use onetap_apdu_spec::txn::{TerminalId, Transaction, TransactionType};
use subtle::ConstantTimeEq as _;

use crate::audit::{Event, Why};
use crate::environment::Timestamp;
use crate::policy::Policy;
use crate::store::rows::{Account, AccountKind, CardState, Life, LockCause, Mark, Rows};
use crate::verify::{Authentic, Malformed, PasswordCheck, Verified};

/// What the server answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Executed, once; a repetition gets the same receipt.
    Executed(Receipt),
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

impl Outcome {
    /// In one word, for programs.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Executed(_) => "executed",
            Self::Refused => "refused",
            Self::InsufficientFunds => "insufficient-funds",
            Self::LimitExceeded => "limit-exceeded",
            Self::Malformed(_) => "malformed",
            Self::Conflict => "conflict",
            Self::Busy => "busy",
        }
    }
}

/// An answer that is stored with its idempotency key.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// See [`Outcome::Executed`].
    Executed(Receipt),
    /// See [`Outcome::Refused`].
    Refused,
    /// See [`Outcome::InsufficientFunds`].
    InsufficientFunds,
    /// See [`Outcome::LimitExceeded`].
    LimitExceeded,
}

impl From<Answer> for Outcome {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Executed(receipt) => Self::Executed(receipt),
            Answer::Refused => Self::Refused,
            Answer::InsufficientFunds => Self::InsufficientFunds,
            Answer::LimitExceeded => Self::LimitExceeded,
        }
    }
}

/// Identifies one executed transaction: 32 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct TransactionId(pub String);

/// What was executed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Receipt {
    /// Its id in the ledger.
    pub transaction: TransactionId,
    /// Payment or top-up.
    pub kind: TransactionType,
    /// Minor units.
    pub amount: u64,
    /// The currency.
    pub currency: Currency,
    /// Who was paid: account …
    pub payee: AccountNumber,
    /// … and name.
    pub payee_name: String,
    /// The payee's reference.
    pub reference: String,
    /// When.
    pub executed_at: Timestamp,
}

/// One attempt to have a transaction executed.
#[derive(Debug)]
pub struct Attempt<'a> {
    /// The terminal that the client has authenticated as.
    pub terminal: &'a TerminalId,
    /// The client's idempotency key.
    pub key: &'a str,
    /// Tells this request's body from another.
    pub body: Block,
    /// When it was received.
    pub now: Timestamp,
    /// Start of the window in which wrong passwords are counted.
    pub window_start: Timestamp,
    /// The id that the transaction gets if it is executed.
    pub transaction: TransactionId,
    /// Proof that the card signed it.
    pub authentic: &'a Authentic<'a>,
    /// What the typed password is worth. Computed in any case, looked at in its turn only.
    pub password: PasswordCheck,
}

/// What is to be done.
#[derive(Debug)]
pub enum Decision {
    /// The key and body were answered before: the same answer, nothing written.
    Answered(Answer),
    /// The key was used for another body: nothing written.
    Conflict,
    /// Write all of this in one commit, then answer.
    Commit(Box<Commit>),
}

/// Everything that one decision writes.
#[derive(Debug)]
pub struct Commit {
    /// The answer, stored under the idempotency key.
    pub answer: Answer,
    /// For the audit chain.
    pub event: Event,
    /// The card's mark from now on.
    pub mark: Option<Mark>,
    /// What happens to the account's tries.
    pub tries: Tries,
    /// Money that moves.
    pub execution: Option<Execution>,
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

/// A transaction to post: possible with a [`Verified`] only (P-18).
#[derive(Debug)]
pub struct Execution {
    /// The proof.
    pub verified: Box<Verified>,
    /// What the client is told.
    pub receipt: Receipt,
    /// Row of the account that pays.
    pub payer: i64,
    /// Row of the account that is paid.
    pub payee: i64,
}

/// Decides `attempt` by `rows`, which were read under the account's lock.
#[must_use]
pub fn decide(policy: &Policy, rows: &Rows, attempt: Attempt<'_>) -> Decision {
    match &rows.answered {
        Some(stored) if bool::from(stored.body.ct_eq(&attempt.body)) => {
            Decision::Answered(stored.answer.clone())
        }
        Some(_) => Decision::Conflict,
        None => Decision::Commit(Box::new(judge(policy, rows, attempt))),
    }
}

/// C and the mark, then the rest. Only what the card is known to have signed moves its mark.
fn judge(policy: &Policy, rows: &Rows, attempt: Attempt<'_>) -> Commit {
    let case = Case::new(policy, rows, &attempt);
    let counter = attempt.authentic.header().counter;
    let proven = attempt.authentic.is_proven() || matches!(attempt.password, PasswordCheck::Right(_));
    let commit = match place(rows.mark, counter, attempt.authentic.fingerprint()) {
        Err(why) => case.refuse(why, None),
        Ok(Place::Fresh(mark)) => case.fresh(mark, attempt),
        Ok(Place::Executed(mark)) => case.repeated(mark, attempt),
    };
    let mark = commit.mark.filter(|_| proven);
    Commit { mark, ..commit }
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

/// What does not change while one attempt is judged.
struct Case<'a> {
    policy: &'a Policy,
    rows: &'a Rows,
    card: CardId,
    counter: u32,
    terminal: TerminalId,
}

impl<'a> Case<'a> {
    fn new(policy: &'a Policy, rows: &'a Rows, attempt: &Attempt<'_>) -> Self {
        let header = attempt.authentic.header();
        let terminal = attempt.terminal.clone();
        Self { policy, rows, card: header.binding.card, counter: header.counter, terminal }
    }

    /// A counter value that was not executed yet.
    fn fresh(&self, mark: Mark, attempt: Attempt<'_>) -> Commit {
        let payee = match self.check_transaction(&attempt) {
            Ok(payee) => payee,
            Err(why) => return self.refuse(why, Some(mark)),
        };
        if self.rows.account.lock.is_some() {
            return self.refuse(Why::AccountLocked, Some(mark.dead()));
        }
        match attempt.password {
            PasswordCheck::Wrong => self.wrong_password(mark),
            PasswordCheck::Undecryptable => self.refuse(Why::UndecryptablePassword, Some(mark.dead())),
            PasswordCheck::Right(verified) => {
                self.settle(mark, verified, payee, attempt.transaction, attempt.now)
            }
        }
    }

    /// The bytes that were executed, once more: the original receipt for the right password.
    fn repeated(&self, mark: Mark, attempt: Attempt<'_>) -> Commit {
        let transaction = attempt.authentic.message().transaction();
        if let Err(why) = self.check_standing(&attempt, transaction) {
            return self.refuse(why, None);
        }
        if self.rows.account.lock.is_some() {
            return self.refuse(Why::AccountLocked, None);
        }
        match (attempt.password, &self.rows.executed) {
            (PasswordCheck::Wrong, _) => self.wrong_password(mark),
            (PasswordCheck::Right(_), Some(receipt)) => Commit {
                answer: Answer::Executed(receipt.clone()),
                event: Event::Repeated {
                    card: self.card,
                    counter: self.counter,
                    transaction: receipt.transaction.clone(),
                },
                mark: None,
                tries: Tries::Unchanged,
                execution: None,
            },
            (PasswordCheck::Right(_), None) => self.refuse(Why::DeadCounter, None),
            (PasswordCheck::Undecryptable, _) => self.refuse(Why::UndecryptablePassword, None),
        }
    }

    /// Everything about T that the password does not decide. Returns the payee.
    fn check_transaction(&self, attempt: &Attempt<'_>) -> Result<&'a Account, Why> {
        let transaction = attempt.authentic.message().transaction();
        self.check_standing(attempt, transaction)?;
        let payee = self.rows.payee.as_ref().ok_or(Why::UnknownPayee)?;
        self.check_payee(payee, transaction)?;
        let dated = transaction.at.assume_utc().unix_timestamp();
        match dated - attempt.now.0 {
            ahead if ahead > self.policy.max_ahead => Err(Why::DatedAhead),
            ahead if -ahead > self.policy.max_age => Err(Why::TooOld),
            _ => Ok(payee),
        }
    }

    /// Card, account, terminal and payer.
    fn check_standing(&self, attempt: &Attempt<'_>, transaction: &Transaction) -> Result<(), Why> {
        let checks = [
            (self.rows.card == CardState::Active, Why::CardNotActive),
            (self.rows.account.open, Why::AccountClosed),
            (transaction.terminal == *attempt.terminal, Why::OtherTerminal),
            (attempt.authentic.payer_matches(), Why::OtherPayer),
        ];
        first_failure(&checks)
    }

    /// The payee is who T says, and may be paid in this way (P-26: a top-up moves money from a current
    /// account to a stored value; a payment goes from either kind to either kind).
    fn check_payee(&self, payee: &Account, transaction: &Transaction) -> Result<(), Why> {
        let payer = &self.rows.account;
        let currency = transaction.amount.currency();
        let kinds_fit = match transaction.kind {
            TransactionType::Payment => true,
            TransactionType::TopUp => {
                payer.kind == AccountKind::Current && payee.kind == AccountKind::StoredValue
            }
        };
        let checks = [
            (payee.open, Why::PayeeClosed),
            (payee.holder == transaction.payee_name.as_str(), Why::PayeeName),
            (payee.id != payer.id, Why::OwnAccount),
            (payer.currency == currency && payee.currency == currency, Why::Currency),
            (kinds_fit, Why::AccountKind),
        ];
        first_failure(&checks)
    }

    /// One try less for this counter value and for the account (P-24).
    fn wrong_password(&self, mut mark: Mark) -> Commit {
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
                card: self.card,
                counter: self.counter,
                terminal: self.terminal.clone(),
                in_a_row,
                in_window,
                locked: lock,
            },
            mark: Some(mark),
            tries: Tries::Wrong { lock },
            execution: None,
        }
    }

    /// The password was right: limits, funds, execution. Whatever happens, C is spent.
    fn settle(
        &self,
        mark: Mark,
        verified: Box<Verified>,
        payee: &Account,
        id: TransactionId,
        now: Timestamp,
    ) -> Commit {
        let amount = verified.message().transaction().amount.minor();
        let over_limit = amount > self.policy.transaction_limit;
        let amount_fits = |balance: i64| i64::try_from(amount).is_ok_and(|amount| amount <= balance);
        let refusal = if over_limit || !amount_fits(i64::MAX - payee.balance) {
            Some((Answer::LimitExceeded, Why::Limit))
        } else if amount_fits(self.rows.account.balance) {
            None
        } else {
            Some((Answer::InsufficientFunds, Why::Funds))
        };
        if let Some((answer, why)) = refusal {
            let refused = self.refuse(why, Some(mark.dead()));
            return Commit { answer, tries: Tries::Right, ..refused };
        }
        let receipt = receipt(id, verified.message().transaction(), now);
        self.execute(mark, verified, payee, receipt)
    }

    fn execute(&self, mark: Mark, verified: Box<Verified>, payee: &Account, receipt: Receipt) -> Commit {
        Commit {
            answer: Answer::Executed(receipt.clone()),
            event: Event::Executed {
                card: self.card,
                counter: self.counter,
                terminal: self.terminal.clone(),
                receipt: receipt.clone(),
            },
            mark: Some(Mark { life: Life::Executed, ..mark }),
            tries: Tries::Right,
            execution: Some(Execution { verified, receipt, payer: self.rows.account.id, payee: payee.id }),
        }
    }

    fn refuse(&self, why: Why, mark: Option<Mark>) -> Commit {
        Commit {
            answer: Answer::Refused,
            event: Event::Refused {
                card: self.card,
                counter: self.counter,
                terminal: self.terminal.clone(),
                why,
            },
            mark,
            tries: Tries::Unchanged,
            execution: None,
        }
    }
}

fn receipt(id: TransactionId, transaction: &Transaction, now: Timestamp) -> Receipt {
    Receipt {
        transaction: id,
        kind: transaction.kind,
        amount: transaction.amount.minor(),
        currency: transaction.amount.currency(),
        payee: transaction.payee_account.clone(),
        payee_name: transaction.payee_name.as_str().to_owned(),
        reference: transaction.reference.as_str().to_owned(),
        executed_at: now,
    }
}

fn first_failure(checks: &[(bool, Why)]) -> Result<(), Why> {
    checks.iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, why)| Err(*why))
}
