//! The second executor: a stored value that another system keeps (P-26), such as a transit operator's purse.
//!
//! What the decision core authorises is *accepted*: a hold here, and a message to that system, in the
//! deciding commit. Its answer makes it *settled* (booked against the account that settles with that system)
//! or *failed* (the hold is gone). Whichever it is, C and the joint password are spent: nothing is executed twice.

use onetap_apdu_spec::account::AccountNumber;
use onetap_apdu_spec::service::{SystemName, TransactionId};

use crate::books;
use crate::books::decision;
use crate::books::holds::{hold, lock_account};
use crate::books::ledger::equity_account;
use crate::books::sql::Sql;
use crate::domain::{
    Account, AccountKind, EntryId, Event, HoldState, LedgerError, Legs, Settled, Shard, Timestamp,
};
use crate::domain::{Settlement, Verdict};
use crate::service::Verifier;
use crate::service::accounts::open_account;
use crate::service::desk::Desk;
use crate::service::error::ServiceError;

/// Longest reason that is kept of another system's words.
const MAX_REASON: usize = 200;
impl Desk<'_> {
    /// Says that another system keeps the books of a stored value: from now on what moves to or from it is
    /// accepted here and settled by that system.
    ///
    /// # Errors
    /// [`LedgerError::CannotLink`], [`ServiceError::NoSuchAccount`], [`ServiceError::AccountClosed`],
    /// [`ServiceError::ReasonNeeded`], [`ServiceError::TakesTwo`].
    pub fn link_account(&self, number: &AccountNumber, system: &SystemName) -> Result<(), ServiceError> {
        self.by_hand()?;
        let at = self.now();
        self.write(|db| {
            let account = open_account(db, number)?;
            let money = account.balance + account.held + books::credits(db, account.id)?;
            if Shard::is_named_by(system)
                || account.kind != AccountKind::StoredValue
                || account.system.is_some()
                || money != 0
            {
                return Err(LedgerError::CannotLink.into());
            }
            equity_account(db, &self.verifier.sealer, at, account.currency, Some(system))?;
            self.tell(db, account.id, at, &Event::AccountLinked { system: system.clone() })?;
            Ok(())
        })
    }

    /// Records what another system says of a transaction that was accepted for it. Saying the same again
    /// changes nothing.
    ///
    /// # Errors
    /// [`ServiceError::NoSuchTransaction`], [`LedgerError::AlreadyAnswered`] if it said the opposite before;
    /// [`ServiceError::ReasonNeeded`], [`ServiceError::TakesTwo`].
    pub fn settle(&self, transaction: &TransactionId, verdict: &Verdict) -> Result<(), ServiceError> {
        self.by_hand()?;
        let at = self.now();
        self.write(|db| {
            let entry = entry_of(db, transaction)?;
            self.settle_entry(db, entry, verdict, at)
        })
    }

    /// See [`Desk::settle`], inside the caller's transaction.
    pub(super) fn settle_entry(
        &self,
        db: &mut dyn Sql,
        entry: EntryId,
        verdict: &Verdict,
        at: Timestamp,
    ) -> Result<(), ServiceError> {
        let account = lock_account(db, entry.account)?.ok_or(ServiceError::NoSuchTransaction)?;
        let found = hold(db, entry)?.ok_or(ServiceError::NoSuchTransaction)?;
        let (Some(system), Some(payee)) = (&found.system, found.payee) else {
            return Err(ServiceError::NoSuchTransaction);
        };
        match (found.state, verdict) {
            (HoldState::Captured, Verdict::Settled) | (HoldState::Released, Verdict::Failed { .. }) => {
                return Ok(());
            }
            (HoldState::Open, _) => (),
            _ => return Err(LedgerError::AlreadyAnswered.into()),
        }
        let transaction = books::receipt_at(db, entry.account, entry.sequence)?.transaction;
        let amount = found.amount.unsigned_abs();
        let event = match verdict {
            Verdict::Failed { reason } => {
                let said = reason.chars().filter(|c| !c.is_control()).take(MAX_REASON).collect();
                let hold = Some(entry);
                Event::ExecutionFailed { transaction, said, hold, held: amount }
            }
            Verdict::Settled => {
                let settling = equity_account(db, &self.verifier.sealer, at, account.currency, Some(system))?;
                let legs = stand_in(&account, settling, Legs { from: account.id, to: payee });
                let settled = Some(Settled { hold: entry, amount, legs });
                Event::ExecutionSettled { transaction, settled }
            }
        };
        self.tell_announced(db, entry.account, at, &event)?;
        Ok(())
    }
}

impl Verifier {
    /// How far a transaction is, by its id.
    ///
    /// # Errors
    /// [`ServiceError::NoSuchTransaction`] if it was not executed.
    pub fn settlement(&self, transaction: &TransactionId) -> Result<Settlement, ServiceError> {
        self.store.read(|db| {
            let entry = entry_of(db, transaction)?;
            let Some((hold, system)) = hold(db, entry)?.and_then(|hold| {
                let system = hold.system.clone()?;
                Some((hold, system))
            }) else {
                return Ok(Settlement::Booked);
            };
            Ok(match (hold.state, hold.closed_at) {
                (HoldState::Captured, Some(at)) => Settlement::Settled { system, at },
                (HoldState::Released, Some(at)) => Settlement::Failed { system, at },
                _ => Settlement::Accepted { system },
            })
        })
    }
}

/// Whose books here the money moves between: the account that another system keeps is stood in for by the one that
/// settles with that system.
pub(super) fn stand_in(account: &Account, settling: i64, legs: Legs) -> Legs {
    match account.system {
        Some(_) => Legs { from: settling, ..legs },
        None => Legs { to: settling, ..legs },
    }
}

/// The entry that has a card's transaction.
pub(crate) fn entry_of(db: &mut dyn Sql, transaction: &TransactionId) -> Result<EntryId, ServiceError> {
    let (card, counter) = transaction.signed().ok_or(ServiceError::NoSuchTransaction)?;
    let (account, _) = books::account_of_card(db, card)?.ok_or(ServiceError::NoSuchTransaction)?;
    let sequence = decision::executed_entry(db, account, card, counter)?;
    Ok(EntryId { account, sequence: sequence.ok_or(ServiceError::NoSuchTransaction)? })
}
