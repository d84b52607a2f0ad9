//! Reversal: the opposite entries, once. What was executed stays in the books.

use crate::books;
use crate::books::accounts::RowLock;
use crate::books::holds::{hold, lock_account};
use crate::books::ledger::equity_account;
use crate::books::sql::{Sql, params};
use crate::domain::Legs;
use crate::domain::{Account, EntryId, Event, HoldId, HoldState, LedgerError, StoreError, Timestamp};
use crate::service::desk::Desk;
use crate::service::error::ServiceError;
use crate::service::settlement::{entry_of, stand_in};
use onetap_apdu_spec::service::{Receipt, TransactionId};

/// What a transaction has booked, and whose chain has it.
#[derive(Debug)]
struct Booked {
    entry: EntryId,
    legs: Legs,
    /// Minor units.
    amount: u64,
    /// Whether another system must book the reversal, too.
    elsewhere: bool,
}

impl Desk<'_> {
    /// Posts the opposite of an executed transaction, or of a captured hold, once, and returns the id of that.
    /// Of what another system has settled, that system is told.
    ///
    /// # Errors
    /// [`ServiceError::NoSuchTransaction`], [`LedgerError::CannotReverse`], [`LedgerError::NotSettled`],
    /// [`LedgerError::AlreadyReversed`], [`LedgerError::InsufficientFunds`] if who was paid has spent it,
    /// [`LedgerError::BookedElsewhere`], [`ServiceError::AccountClosed`], [`ServiceError::ReasonNeeded`].
    pub fn reverse(&self, transaction: &TransactionId) -> Result<TransactionId, ServiceError> {
        self.by_hand()?;
        let at = self.now();
        self.write(|db| {
            let reversal = transaction.reversal().ok_or(LedgerError::CannotReverse)?;
            let booked = self.booked(db, transaction, at)?;
            let [payer, payee] = lock_both(db, booked.legs)?;
            if payer.as_ref().is_some_and(|payer| !payer.open) {
                return Err(ServiceError::AccountClosed);
            }
            let payer_is_here = payer.is_none_or(|payer| payer.is_here());
            if books::is_reversed(db, &reversal, booked.legs.from)? {
                return Err(LedgerError::AlreadyReversed.into());
            }
            let payee = match payee {
                Some(mut payee) => {
                    payee.balance += books::gather_credits(db, payee.id)?;
                    if !payee.has_free(payee.amount(booked.amount)?) {
                        return Err(LedgerError::InsufficientFunds.into());
                    }
                    Some(payee.id)
                }
                None => None,
            };
            match payee {
                // The payer's chain goes on elsewhere: who was paid tells it.
                Some(payee) if !payer_is_here => {
                    let legs = Some(Legs { from: booked.legs.to, to: booked.legs.from });
                    let amount = booked.amount;
                    let event = Event::Reversed { transaction: transaction.clone(), amount, legs };
                    self.tell_announced(db, payee, at, &event)?;
                }
                _ => self.record(db, &booked, transaction, payee, at)?,
            }
            Ok(reversal)
        })
    }

    /// On the chain that has the original, and on that of who was paid.
    fn record(
        &self,
        db: &mut dyn Sql,
        booked: &Booked,
        transaction: &TransactionId,
        payee: Option<i64>,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let Booked { entry, legs, amount, .. } = *booked;
        let chain = entry.account;
        let event = |legs| Event::Reversed { transaction: transaction.clone(), amount, legs };
        let original = event(Some(Legs { from: legs.to, to: legs.from }));
        if booked.elsewhere {
            self.tell_others(db, chain, at, &original)?;
        } else {
            self.tell_announced(db, chain, at, &original)?;
        }
        if let Some(payee) = payee.filter(|payee| *payee != chain) {
            self.tell(db, payee, at, &event(None))?;
        }
        Ok(())
    }

    /// Finds what a transaction has booked.
    fn booked(
        &self,
        db: &mut dyn Sql,
        transaction: &TransactionId,
        at: Timestamp,
    ) -> Result<Booked, ServiceError> {
        if let TransactionId::Capture { account, sequence } = *transaction {
            let entry = HoldId { account, sequence };
            let to =
                hold(db, entry)?.filter(|hold| hold.state == HoldState::Captured && hold.system.is_none());
            let Some((to, amount)) = to.and_then(|hold| Some((hold.payee?, hold.captured.unsigned_abs())))
            else {
                return Err(ServiceError::NoSuchTransaction);
            };
            let legs = Legs { from: entry.account, to };
            return Ok(Booked { entry, legs, amount, elsewhere: false });
        }
        let entry = entry_of(db, transaction)?;
        let Some(hold) = hold(db, entry)? else {
            let receipt = books::receipt_at(db, entry.account, entry.sequence)?;
            let to = books::account_by_number(db, &receipt.payee, RowLock::None)?;
            let to = to.ok_or(LedgerError::BookedElsewhere)?.id;
            if !is_booked(db, &receipt, to)? {
                return Err(LedgerError::BookedElsewhere.into());
            }
            let legs = Legs { from: entry.account, to };
            return Ok(Booked { entry, legs, amount: receipt.amount, elsewhere: false });
        };
        let (HoldState::Captured, Some(to), Some(system)) = (hold.state, hold.payee, &hold.system) else {
            return Err(LedgerError::NotSettled.into());
        };
        let account = lock_account(db, entry.account)?.ok_or(ServiceError::NoSuchTransaction)?;
        let settling = equity_account(db, &self.verifier.sealer, at, account.currency, Some(system))?;
        let legs = stand_in(&account, settling, Legs { from: account.id, to });
        Ok(Booked { entry, legs, amount: hold.captured.unsigned_abs(), elsewhere: true })
    }
}

/// Locks who paid and who was paid, the lower row first, as everybody who locks two accounts; what settles with
/// another system is no holder's and has nothing to lock.
fn lock_both(db: &mut dyn Sql, Legs { from, to }: Legs) -> Result<[Option<Account>; 2], StoreError> {
    if from < to {
        let payer = lock_account(db, from)?;
        return Ok([payer, lock_account(db, to)?]);
    }
    let payee = lock_account(db, to)?;
    Ok([lock_account(db, from)?, payee])
}

/// Whether what a receipt tells was booked in this shard, to the row of who was paid.
fn is_booked(db: &mut dyn Sql, receipt: &Receipt, to: i64) -> Result<bool, StoreError> {
    let sql = "SELECT count(*) FROM entries WHERE account_id = ?1 AND at = ?2 AND transaction_id = ?3";
    let (at, id) = (receipt.executed_at.0, receipt.transaction.to_string());
    Ok(db.count(sql, &params![to, at, &id])? > 0)
}
