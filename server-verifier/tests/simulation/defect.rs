//! Faults that the simulated store, or what stands around the core, can be given on purpose: each must be found, or
//! the simulation finds nothing.

use onetap_apdu_spec::service::{Answer, Resolution};
use onetap_server_verifier::Life;
use onetap_server_verifier::rules::cancel::{CounterRows, ProvenCancellation, Ruling, cancel};
use onetap_server_verifier::rules::decide::Rows;
use onetap_server_verifier::rules::decide::{Attempt, Decision, Tries, decide};
use onetap_server_verifier::rules::verify::Judged;
use onetap_server_verifier::{AccountKind, CardState, Policy};
use onetap_server_verifier::{Event, Why};

/// One deliberate fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Defect {
    /// The answer leaves before the commit is durable.
    AnswersBeforeDurable,
    /// The rows are read before the lock is held.
    ReadsBeforeLock,
    /// The lock is let go before the commit is durable.
    UnlocksBeforeDurable,
    /// A transaction that dies keeps its lock.
    DeadHoldLocks,
    /// Keys that were answered are not looked at.
    KeyIgnored,
    /// A group commit loses one of its decisions.
    SavepointLost,
    /// What was answered to a wrong password is not stored under its key.
    WrongPasswordForgotten,
    /// Unlocking leaves counter values alive.
    UnlockVoidsNothing,
    /// Money that came in is counted again.
    CreditsGatheredTwice,
    /// A refusal leaves the mark where it was.
    RefusalKeepsMark,
    /// Other bytes at the mark are taken for the same.
    OtherBytesAccepted,
    /// A refusal for funds leaves the counter value alive.
    FundsRefusalKeepsAlive,
    /// A counter value stays alive on a locked account.
    LockKeepsAlive,
    /// A repetition is answered on a locked account.
    RepeatIgnoresLock,
    /// A repetition sets the tries in a row back.
    RepeatResetsTries,
    /// A wrong password on a repetition costs no try.
    RepeatIsFreeGuess,
    /// The lock is not looked at.
    LockIgnored,
    /// The windowed count is not looked at.
    WindowIgnored,
    /// A payment goes to a stored value.
    StoredValuePaid,
    /// Funds are looked at before the password.
    FundsBeforePassword,
    /// A blocked card pays.
    BlockIgnored,
    /// A retired key signs.
    RetiredKeyAccepted,
    /// Any terminal may send what was signed for another.
    OtherTerminalAccepted,
    /// An undecryptable password leaves the counter value alive.
    UndecryptableKeepsAlive,
    /// The audit entry does not say that the account was locked.
    AuditHidesLock,
    /// Two transactions may write under one idempotency key; the second one overwrites.
    TakenKeyOverwritten,
    /// Idempotency keys count for each account.
    KeyCountsByAccount,
    /// What was cancelled leaves the mark where it was.
    CancellationKeepsMark,
    /// What was cancelled stays alive.
    CancellationKeepsAlive,
    /// A cancellation does not look for what was executed.
    CancellationOverlooksExecuted,
    /// A cancellation of other bytes is told what was executed.
    CancellationOfOtherBytes,
    /// Any terminal may cancel what was signed for another.
    CancellationByAnyTerminal,
    /// A locked account refuses cancellations.
    CancellationMindsLock,
    /// A cancellation of other bytes kills what stands at the mark.
    CancellationKillsOthers,
    /// The audit entry of a cancellation is not written.
    CancellationUnlogged,
}

/// The real decision, with what `defect` does to it.
pub fn decide_with<'a>(
    defect: Option<Defect>,
    policy: &Policy,
    rows: &Rows,
    attempt: &'a Attempt,
) -> Decision<'a> {
    let Some(defect) = defect else { return decide(policy, rows, attempt) };
    let mut rows = rows.clone();
    before(defect, &mut rows, attempt);
    let mut decision = decide(policy, &rows, attempt);
    after(defect, &rows, attempt, &mut decision);
    decision
}

/// The real decision on a cancellation, with what `defect` does to it.
pub fn cancel_with(
    defect: Option<Defect>,
    locked: bool,
    rows: &CounterRows,
    cancellation: &ProvenCancellation,
) -> Ruling {
    let mut rows = rows.clone();
    let signed = *cancellation.evidence.fingerprint();
    let at_mark = rows.mark.as_mut().filter(|mark| mark.counter == cancellation.counter());
    match defect {
        Some(Defect::CancellationOverlooksExecuted) => rows.executed = None,
        Some(Defect::CancellationOfOtherBytes) => {
            rows.executed = rows.executed.map(|(receipt, _)| (receipt, signed));
        }
        Some(Defect::CancellationKillsOthers) => {
            if let Some(mark) = at_mark {
                mark.fingerprint = signed;
            }
        }
        _ => {}
    }
    let mut ruling = cancel(&rows, cancellation);
    match (defect, &mut ruling.event) {
        (Some(Defect::CancellationKeepsMark), Some(Event::Cancelled { .. })) => ruling.event = None,
        (Some(Defect::CancellationKeepsAlive), Some(Event::Cancelled { mark, .. })) => {
            mark.life = Life::Alive;
        }
        (Some(Defect::CancellationMindsLock), _) if locked => ruling.answer = Resolution::Refused,
        (
            Some(Defect::CancellationByAnyTerminal),
            Some(Event::CancellationRefused { why: Why::OtherTerminal, .. }),
        ) => ruling.answer = Resolution::Cancelled,
        _ => {}
    }
    ruling
}

/// Shows the core other rows than there are.
fn before(defect: Defect, rows: &mut Rows, attempt: &Attempt) {
    let evidence = attempt.evidence();
    let at_mark = rows.mark.filter(|mark| mark.counter == evidence.header().counter);
    let repeats = at_mark.is_some_and(|mark| mark.life == Life::Executed);
    match defect {
        Defect::OtherBytesAccepted => {
            rows.mark = rows.mark.map(|mut mark| {
                if at_mark.is_some() {
                    (mark.fingerprint, mark.life) = (*evidence.fingerprint(), Life::Alive);
                }
                mark
            });
        }
        Defect::RepeatIgnoresLock if repeats => rows.account.lock = None,
        Defect::KeyIgnored => rows.answered = None,
        Defect::LockIgnored => rows.account.lock = None,
        Defect::WindowIgnored => rows.wrong_in_window = 0,
        Defect::BlockIgnored => rows.card = CardState::Active,
        Defect::StoredValuePaid => {
            rows.payee.iter_mut().for_each(|payee| payee.kind = AccountKind::Current);
        }
        Defect::RetiredKeyAccepted => rows.key_current = true,
        _ => {}
    }
}

/// Changes what the core has decided.
fn after(defect: Defect, rows: &Rows, attempt: &Attempt, decision: &mut Decision<'_>) {
    let Decision::Commit(commit) = decision else { return };
    let repeats = rows.mark.is_some_and(|mark| {
        mark.life == Life::Executed && mark.fingerprint == *attempt.evidence().fingerprint()
    });
    match (defect, &mut commit.event) {
        (Defect::RefusalKeepsMark, Event::Refused { mark, .. }) => *mark = None,
        (Defect::FundsRefusalKeepsAlive, Event::Refused { why: Why::Funds, mark: Some(mark), .. })
        | (Defect::LockKeepsAlive, Event::Refused { why: Why::AccountLocked, mark: Some(mark), .. })
        | (
            Defect::UndecryptableKeepsAlive,
            Event::Refused { why: Why::UndecryptablePassword, mark: Some(mark), .. },
        ) => mark.life = Life::Alive,
        (Defect::AuditHidesLock, Event::WrongPassword { locked, .. }) => *locked = None,
        (Defect::RepeatResetsTries, Event::Repeated { .. }) => commit.tries = Tries::Right,
        (Defect::RepeatIsFreeGuess, Event::WrongPassword { .. }) if repeats => {
            commit.tries = Tries::Unchanged;
        }
        (Defect::FundsBeforePassword, Event::WrongPassword { .. }) => {
            let amount = attempt.evidence().message().transaction().amount.minor();
            if matches!(attempt.judged, Judged::Wrong(_))
                && i64::try_from(amount).unwrap() > rows.account.balance
            {
                commit.answer = Answer::InsufficientFunds;
            }
        }
        _ => {}
    }
}

/// Whether `defect` lets a request through whose terminal is not T's.
pub fn any_terminal(defect: Option<Defect>) -> bool {
    defect == Some(Defect::OtherTerminalAccepted)
}
