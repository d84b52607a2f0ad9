//! The second executor: a stored value that another system keeps (P-26), such as a transit operator's purse.
//!
//! What the decision core authorises is *accepted*: a hold here, and a message to that system, in the
//! deciding commit. Its answer makes it *settled* (booked against the account that settles with that system)
//! or *failed* (the hold is gone). Whichever it is, C and the joint password are spent: nothing is executed twice.

use onetap_apdu_spec::account::AccountNumber;
use onetap_apdu_spec::service::{SystemName, TransactionId};

use crate::books;
use crate::books::holds::{hold, lock_account};
use crate::books::ledger::{NewAccount, Posting, new_account, pay};
use crate::books::sql::{Sql, params};
use crate::books::{decision, holds};
use crate::domain::{
    Account, AccountKind, EntryId, Event, HoldState, LedgerError, StoreError, Timestamp, Topic,
};
use crate::domain::{Settlement, Verdict};
use crate::service::Verifier;
use crate::service::accounts::{on_record, open_account};
use crate::service::error::ServiceError;

/// Longest reason that is kept of another system's words.
const MAX_REASON: usize = 200;

impl Verifier {
    /// Says that another system keeps the books of a stored value: from now on what moves to or from it is
    /// accepted here and settled by that system.
    ///
    /// # Errors
    /// [`LedgerError::CannotLink`], [`ServiceError::NoSuchAccount`], [`ServiceError::AccountClosed`],
    /// [`ServiceError::ReasonNeeded`].
    pub fn link_account(
        &self,
        number: &AccountNumber,
        system: &SystemName,
        operator: &str,
        reason: &str,
    ) -> Result<(), ServiceError> {
        let (operator, reason) = on_record(operator, reason)?;
        let at = self.env.clock.now();
        self.store.write(|db| {
            let account = open_account(db, number)?;
            let money = account.balance + account.held + books::credits(db, account.id)?;
            if account.kind != AccountKind::StoredValue || account.system.is_some() || money != 0 {
                return Err(LedgerError::CannotLink.into());
            }
            self.settlement_account(db, &account, system)?;
            let sql = "UPDATE accounts SET system = ?2 WHERE account_id = ?1";
            db.execute(sql, &params![account.id, system.as_str()])?;
            let event = Event::AccountLinked { system: system.clone(), operator, reason };
            Ok(self.audit(db, account.id, at, &event)?)
        })
    }

    /// Records what another system says of a transaction that was accepted for it. Saying the same again
    /// changes nothing.
    ///
    /// # Errors
    /// [`ServiceError::NoSuchTransaction`], [`LedgerError::AlreadyAnswered`] if it said the opposite before.
    pub fn settle(&self, transaction: &TransactionId, verdict: &Verdict) -> Result<(), ServiceError> {
        let at = self.env.clock.now();
        self.store.write(|db| {
            let entry = entry_of(db, transaction)?;
            self.settle_entry(db, entry, verdict, at)
        })
    }

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

    /// See [`Verifier::settle`], inside the caller's transaction.
    pub(crate) fn settle_entry(
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
        if let Verdict::Failed { reason } = verdict {
            holds::close(db, entry, &found, HoldState::Released, None, at)?;
            let reason = reason.chars().filter(|c| !c.is_control()).take(MAX_REASON).collect();
            let event = Event::ExecutionFailed { transaction, reason };
            return Ok(self.announce_event(db, entry.account, at, &event, Topic::Failed)?);
        }
        let (from, to) = self.legs(db, &account, system, payee)?;
        holds::close(db, entry, &found, HoldState::Captured, Some((found.amount, to)), at)?;
        pay(db, &Posting { transaction: &transaction.0, from, to, amount: found.amount, at })?;
        let event = Event::ExecutionSettled { transaction };
        Ok(self.announce_event(db, entry.account, at, &event, Topic::Settled)?)
    }

    /// Whose books here the money moves between: the account that another system keeps is stood in for by the
    /// one that settles with that system.
    fn legs(
        &self,
        db: &mut dyn Sql,
        account: &Account,
        system: &SystemName,
        payee: i64,
    ) -> Result<(i64, i64), StoreError> {
        let settling = self.settlement_account(db, account, system)?;
        Ok(if account.system.is_some() { (settling, payee) } else { (account.id, settling) })
    }

    /// The row that settles with `system` in the account's currency, made when first needed.
    pub(crate) fn settlement_account(
        &self,
        db: &mut dyn Sql,
        account: &Account,
        system: &SystemName,
    ) -> Result<i64, StoreError> {
        let (code, name) = (account.currency.code(), system.as_str());
        let found = "SELECT account_id FROM accounts WHERE kind = 'equity' AND currency = ?1 AND system = ?2";
        if let Some(id) = db.first(found, &params![code, name], |row| row.int(0))? {
            return Ok(id);
        }
        let holder = format!("settlement {name}");
        let (currency, kind) = (account.currency, "equity");
        let new = NewAccount { number: None, holder: &holder, currency, kind, system: Some(name) };
        new_account(db, &self.sealer, &new)
    }
}

/// The entry that has a card's transaction.
pub(crate) fn entry_of(db: &mut dyn Sql, transaction: &TransactionId) -> Result<EntryId, ServiceError> {
    let (card, counter) = transaction.parts().ok_or(ServiceError::NoSuchTransaction)?;
    let (account, _) = books::account_of_card(db, card)?.ok_or(ServiceError::NoSuchTransaction)?;
    let sequence = decision::executed_entry(db, account, card, counter)?;
    Ok(EntryId { account, sequence: sequence.ok_or(ServiceError::NoSuchTransaction)? })
}
