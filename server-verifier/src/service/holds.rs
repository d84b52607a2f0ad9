//! Holds: money that stays in an account but cannot be spent, until it is released or captured for a payee.

use onetap_apdu_spec::account::AccountNumber;
use onetap_apdu_spec::money::MAX_MINOR;
use onetap_apdu_spec::service::TransactionId;

use crate::books;
use crate::books::accounts::RowLock;
use crate::books::holds::{Hold, PLACE, capture_id, close, hold, lock_account, view};
use crate::books::ledger::{Posting, pay};
use crate::books::sql::{Sql, params};
use crate::domain::{Account, Event, LedgerError, MAX_PAGE, Topic};
use crate::domain::{HoldId, HoldState, HoldView};
use crate::service::Verifier;
use crate::service::accounts::{on_record, open_account};
use crate::service::error::ServiceError;

impl Verifier {
    /// Holds `amount` minor units of an account, which cannot be spent until the hold is released or captured.
    ///
    /// # Errors
    /// [`ServiceError::NoSuchAccount`], [`ServiceError::AccountClosed`], [`ServiceError::ReasonNeeded`],
    /// [`LedgerError::Amount`], [`LedgerError::InsufficientFunds`], [`LedgerError::KeptElsewhere`].
    pub fn place_hold(
        &self,
        number: &AccountNumber,
        amount: u64,
        operator: &str,
        reason: &str,
    ) -> Result<HoldId, ServiceError> {
        let (operator, reason) = on_record(operator, reason)?;
        let (minor, at) = (minor_units(amount)?, self.env.clock.now());
        self.store.write(|db| {
            let account = open_account(db, number)?;
            if account.system.is_some() {
                return Err(LedgerError::KeptElsewhere.into());
            }
            let gathered = books::gather_credits(db, account.id)?;
            if minor > account.balance + gathered - account.held {
                return Err(LedgerError::InsufficientFunds.into());
            }
            let event = Event::HoldPlaced { amount, operator, reason };
            let sequence = books::append_audit(db, &self.sealer, account.id, at, &event)?;
            db.execute(PLACE, &params![account.id, sequence, minor, None::<i64>, None::<&str>, at.0])?;
            let held = "UPDATE accounts SET held = held + ?2 WHERE account_id = ?1";
            db.execute(held, &params![account.id, minor])?;
            Ok(HoldId { account: account.id, sequence })
        })
    }

    /// The holds of an account that were placed after `after`, oldest first, `limit` of them at most and never more
    /// than [`MAX_PAGE`].
    ///
    /// # Errors
    /// [`ServiceError::NoSuchAccount`].
    pub fn holds(
        &self,
        number: &AccountNumber,
        after: Option<HoldId>,
        limit: u32,
    ) -> Result<Vec<HoldView>, ServiceError> {
        let sql = "SELECT h.account_id, h.sequence, h.amount, h.state, h.captured, p.number, h.system,
            h.placed_at, h.closed_at FROM holds h LEFT JOIN accounts p ON p.account_id = h.payee_id
            WHERE h.account_id = ?1 AND h.sequence > ?2 ORDER BY h.sequence LIMIT ?3";
        let after = after.map_or(0, |hold| hold.sequence);
        self.store.read(|db| {
            let account = books::account_by_number(db, number, RowLock::None)?;
            let account = account.ok_or(ServiceError::NoSuchAccount)?.id;
            Ok(db.all(sql, &params![account, after, limit.min(MAX_PAGE)], view)?)
        })
    }

    /// Sets all that is held free again.
    ///
    /// # Errors
    /// [`LedgerError::NoSuchHold`], [`LedgerError::HoldClosed`], [`LedgerError::AwaitsSystem`],
    /// [`ServiceError::ReasonNeeded`].
    pub fn release_hold(&self, hold: HoldId, operator: &str, reason: &str) -> Result<(), ServiceError> {
        let (operator, reason) = on_record(operator, reason)?;
        let at = self.env.clock.now();
        self.store.write(|db| {
            let (_, found) = open_hold(db, hold)?;
            close(db, hold, &found, HoldState::Released, None, at)?;
            Ok(self.audit(db, hold.account, at, &Event::HoldReleased { hold, operator, reason })?)
        })
    }

    /// Pays `amount` minor units of what is held to `payee`; the rest is free again. Returns the id of the
    /// transaction.
    ///
    /// # Errors
    /// [`LedgerError::NoSuchHold`], [`LedgerError::HoldClosed`], [`LedgerError::AwaitsSystem`],
    /// [`LedgerError::MoreThanHeld`], [`LedgerError::Payee`], [`ServiceError::NoSuchAccount`],
    /// [`ServiceError::ReasonNeeded`].
    pub fn capture_hold(
        &self,
        hold: HoldId,
        payee: &AccountNumber,
        amount: u64,
        operator: &str,
        reason: &str,
    ) -> Result<TransactionId, ServiceError> {
        let (operator, reason) = on_record(operator, reason)?;
        let (minor, at) = (minor_units(amount)?, self.env.clock.now());
        self.store.write(|db| {
            let (payer, found) = open_hold(db, hold)?;
            if minor > found.amount {
                return Err(LedgerError::MoreThanHeld.into());
            }
            let to = books::account_by_number(db, payee, RowLock::Use)?.ok_or(ServiceError::NoSuchAccount)?;
            if to.id == payer.id || to.currency != payer.currency || !to.open || to.system.is_some() {
                return Err(LedgerError::Payee.into());
            }
            let transaction = capture_id(hold);
            close(db, hold, &found, HoldState::Captured, Some((minor, to.id)), at)?;
            let posting =
                Posting { transaction: &transaction.0, from: payer.id, to: to.id, amount: minor, at };
            pay(db, &posting)?;
            let event = Event::HoldCaptured { hold, payee: payee.clone(), amount, operator, reason };
            self.announce_event(db, payer.id, at, &event, Topic::Captured)?;
            Ok(transaction)
        })
    }
}

/// An amount that an account can have.
pub(crate) fn minor_units(amount: u64) -> Result<i64, LedgerError> {
    let fits = (1..=MAX_MINOR).contains(&amount);
    i64::try_from(amount).ok().filter(|_| fits).ok_or(LedgerError::Amount)
}

/// A hold that an operator may close, and its account, which is locked.
fn open_hold(db: &mut dyn Sql, id: HoldId) -> Result<(Account, Hold), ServiceError> {
    let account = lock_account(db, id.account)?.ok_or(LedgerError::NoSuchHold)?;
    let hold = hold(db, id)?.ok_or(LedgerError::NoSuchHold)?;
    match (&hold.system, hold.state) {
        (Some(_), _) => Err(LedgerError::AwaitsSystem.into()),
        (None, HoldState::Open) => Ok((account, hold)),
        (None, _) => Err(LedgerError::HoldClosed.into()),
    }
}
