//! Holds: money that stays in an account but cannot be spent, until it is released or captured for a payee.

use onetap_apdu_spec::account::AccountNumber;
use onetap_apdu_spec::service::TransactionId;

use crate::books;
use crate::books::accounts::RowLock;
use crate::books::holds::{Hold, capture_id, hold, lock_account, view};
use crate::books::sql::{Sql, params};
use crate::domain::{Account, Event, LedgerError, MAX_PAGE};
use crate::domain::{HoldId, HoldState, HoldView};
use crate::service::Verifier;
use crate::service::accounts::open_account;
use crate::service::desk::Desk;
use crate::service::error::ServiceError;
impl Desk<'_> {
    /// Holds `amount` minor units of an account, which cannot be spent until the hold is released or captured.
    ///
    /// # Errors
    /// [`ServiceError::NoSuchAccount`], [`ServiceError::AccountClosed`], [`ServiceError::ReasonNeeded`],
    /// [`LedgerError::Amount`], [`LedgerError::InsufficientFunds`], [`LedgerError::KeptElsewhere`].
    pub fn place_hold(&self, number: &AccountNumber, amount: u64) -> Result<HoldId, ServiceError> {
        self.by_hand()?;
        let at = self.now();
        self.write(|db| {
            let mut account = open_account(db, number)?;
            if account.system.is_some() {
                return Err(LedgerError::KeptElsewhere.into());
            }
            account.balance += books::gather_credits(db, account.id)?;
            if !account.has_free(account.amount(amount)?) {
                return Err(LedgerError::InsufficientFunds.into());
            }
            let sequence = self.tell(db, account.id, at, &Event::HoldPlaced { amount })?;
            Ok(HoldId { account: account.id, sequence })
        })
    }

    /// Sets all that is held free again.
    ///
    /// # Errors
    /// [`LedgerError::NoSuchHold`], [`LedgerError::HoldClosed`], [`LedgerError::AwaitsSystem`],
    /// [`ServiceError::ReasonNeeded`].
    pub fn release_hold(&self, hold: HoldId) -> Result<(), ServiceError> {
        self.by_hand()?;
        let at = self.now();
        self.write(|db| {
            let (_, found) = open_hold(db, hold)?;
            let held = found.amount.unsigned_abs();
            self.tell(db, hold.account, at, &Event::HoldReleased { hold, held })?;
            Ok(())
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
    ) -> Result<TransactionId, ServiceError> {
        self.by_hand()?;
        let at = self.now();
        self.write(|db| {
            let (payer, found) = open_hold(db, hold)?;
            if payer.amount(amount)?.minor() > found.amount.unsigned_abs() {
                return Err(LedgerError::MoreThanHeld.into());
            }
            let to = books::account_by_number(db, payee, RowLock::Use)?.ok_or(ServiceError::NoSuchAccount)?;
            if to.id == payer.id || to.currency != payer.currency || !to.open || to.system.is_some() {
                return Err(LedgerError::Payee.into());
            }
            let (payee, held) = (payee.clone(), found.amount.unsigned_abs());
            let event = Event::HoldCaptured { hold, payee, amount, held, to: to.id };
            self.tell_announced(db, payer.id, at, &event)?;
            Ok(capture_id(hold))
        })
    }
}

impl Verifier {
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
