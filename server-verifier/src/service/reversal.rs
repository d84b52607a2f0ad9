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
use onetap_apdu_spec::service::TransactionId;

/// What a transaction has booked, and whose chain has it.
#[derive(Debug)]
struct Booked {
    entry: EntryId,
    from: i64,
    to: i64,
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
    /// [`ServiceError::AccountClosed`], [`ServiceError::ReasonNeeded`].
    pub fn reverse(&self, transaction: &TransactionId) -> Result<TransactionId, ServiceError> {
        self.reasoned()?;
        let at = self.now();
        self.write(|db| {
            let reversal = transaction.reversal().ok_or(LedgerError::CannotReverse)?;
            let booked = self.booked(db, transaction, at)?;
            let [payer, payee] = lock_both(db, booked.from, booked.to)?;
            if payer.is_some_and(|payer| !payer.open) {
                return Err(ServiceError::AccountClosed);
            }
            let amount = amount_of(db, transaction, &reversal, booked.to)?;
            let payee = match payee {
                Some(mut payee) => {
                    payee.balance += books::gather_credits(db, payee.id)?;
                    if amount > payee.free() {
                        return Err(LedgerError::InsufficientFunds.into());
                    }
                    Some(payee.id)
                }
                None => None,
            };
            self.record(db, &booked, transaction, amount.unsigned_abs(), payee, at)?;
            Ok(reversal)
        })
    }

    /// On the chain that has the original, and on that of who was paid.
    fn record(
        &self,
        db: &mut dyn Sql,
        booked: &Booked,
        transaction: &TransactionId,
        amount: u64,
        payee: Option<i64>,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let chain = booked.entry.account;
        let event = |legs| Event::Reversed { transaction: transaction.clone(), amount, legs };
        let legs = Legs { from: booked.to, to: booked.from };
        let original = event(Some(legs));
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
            let to = to.and_then(|hold| hold.payee).ok_or(ServiceError::NoSuchTransaction)?;
            return Ok(Booked { entry, from: entry.account, to, elsewhere: false });
        }
        let entry = entry_of(db, transaction)?;
        let Some(hold) = hold(db, entry)? else {
            let payee = books::receipt_at(db, entry.account, entry.sequence)?.payee;
            let to = books::account_by_number(db, &payee, RowLock::None)?;
            let to = to.ok_or(StoreError::BadRow { what: "payee" })?.id;
            return Ok(Booked { entry, from: entry.account, to, elsewhere: false });
        };
        let (HoldState::Captured, Some(to), Some(system)) = (hold.state, hold.payee, &hold.system) else {
            return Err(LedgerError::NotSettled.into());
        };
        let account = lock_account(db, entry.account)?.ok_or(ServiceError::NoSuchTransaction)?;
        let settling = equity_account(db, &self.verifier.sealer, at, account.currency, Some(system))?;
        let Legs { from, .. } = stand_in(&account, settling, to);
        Ok(Booked { entry, from, to, elsewhere: true })
    }
}

/// Locks who paid and who was paid, the lower row first, as everybody who locks two accounts; what settles with
/// another system is no holder's and has nothing to lock.
fn lock_both(db: &mut dyn Sql, from: i64, to: i64) -> Result<[Option<Account>; 2], StoreError> {
    if from < to {
        let payer = lock_account(db, from)?;
        return Ok([payer, lock_account(db, to)?]);
    }
    let payee = lock_account(db, to)?;
    Ok([lock_account(db, from)?, payee])
}

/// How much was paid, if it was not reversed before. Both accounts must be locked.
fn amount_of(
    db: &mut dyn Sql,
    transaction: &TransactionId,
    reversal: &TransactionId,
    to: i64,
) -> Result<i64, ServiceError> {
    let sql = "SELECT amount FROM entries WHERE account_id = ?1 AND transaction_id = ?2";
    if db.first(sql, &params![to, &reversal.to_string()], |row| row.int(0))?.is_some() {
        return Err(LedgerError::AlreadyReversed.into());
    }
    let amount = db.first(sql, &params![to, &transaction.to_string()], |row| row.int(0))?;
    Ok(amount.ok_or(StoreError::BadRow { what: "entry" })?)
}
