//! Accounts: opening, closing, unlocking.

use onetap_apdu_spec::account::AccountNumber;
use onetap_apdu_spec::editions;
use onetap_apdu_spec::header::CardId;
use onetap_apdu_spec::money::{Currency, MAX_MINOR};
use onetap_apdu_spec::txn::PayeeName;

use crate::books;
use crate::books::accounts::RowLock;
use crate::books::ledger::{equity_account, next_account};
use crate::books::sql::{Sql, params};
use crate::domain::{Account, AccountKind, Event, Opened, StoreError};
use crate::service::Verifier;
use crate::service::desk::Desk;
use crate::service::error::ServiceError;

/// How an account is opened.
#[derive(Debug, Clone)]
pub struct AccountOptions {
    /// The holder's name, as it must stand in transactions that pay this account.
    pub holder: PayeeName,
    /// Its currency.
    pub currency: Currency,
    /// What it is for.
    pub kind: AccountKind,
    /// Minor units, out of the operator's equity.
    pub opening_balance: u64,
    /// Its number; a random one is made if none is given.
    pub number: Option<AccountNumber>,
}

impl Desk<'_> {
    /// Opens an account and returns its number. An opening balance makes money, which needs a reason.
    ///
    /// # Errors
    /// [`ServiceError::AccountExists`], [`ServiceError::BalanceTooLarge`], [`ServiceError::Edition`],
    /// [`ServiceError::ReasonNeeded`].
    pub fn open_account(&self, options: &AccountOptions) -> Result<AccountNumber, ServiceError> {
        let AccountOptions { kind, opening_balance, currency, .. } = *options;
        if opening_balance > MAX_MINOR {
            return Err(ServiceError::BalanceTooLarge);
        }
        if opening_balance > 0 {
            self.by_hand()?;
        }
        let number = options.number.clone().map_or_else(|| self.verifier.new_number(), Ok)?;
        editions::check_account(&number)?;
        editions::check_currency(currency.into())?;
        let now = self.now();
        self.write(|db| {
            if books::account_by_number(db, &number, RowLock::None)?.is_some() {
                return Err(ServiceError::AccountExists);
            }
            let equity = || equity_account(db, &self.verifier.sealer, now, currency, None);
            let equity = (opening_balance > 0).then(equity).transpose()?;
            let holder = options.holder.as_str().to_owned();
            let opened = Some(Opened { number: number.clone(), holder, currency, equity });
            let id = next_account(db)?;
            self.tell(db, id, now, &Event::AccountOpened { kind, opening_balance, opened })?;
            Ok(number)
        })
    }

    /// Closes an account, which must be empty.
    ///
    /// # Errors
    /// [`ServiceError::NoSuchAccount`], [`ServiceError::AccountNotEmpty`], [`ServiceError::AccountClosed`].
    pub fn close_account(&self, number: &AccountNumber) -> Result<(), ServiceError> {
        let now = self.now();
        self.write(|db| {
            let account = open_account(db, number)?;
            if account.balance + account.held + books::credits(db, account.id)? != 0 {
                return Err(ServiceError::AccountNotEmpty);
            }
            self.tell(db, account.id, now, &Event::AccountClosed)?;
            Ok(())
        })
    }

    /// Unlocks an account. Voids every counter value up to the marks of its cards, so that nothing
    /// signed before can be tried again.
    ///
    /// # Errors
    /// [`ServiceError::NoSuchAccount`], [`ServiceError::NotLocked`], [`ServiceError::ReasonNeeded`].
    pub fn unlock(&self, number: &AccountNumber) -> Result<(), ServiceError> {
        self.reasoned()?;
        let now = self.now();
        self.write(|db| {
            let account = locked_row(db, number)?;
            if account.lock.is_none() {
                return Err(ServiceError::NotLocked);
            }
            let voided = marked_cards(db, account.id)?;
            self.tell(db, account.id, now, &Event::Unlocked { voided })?;
            Ok(())
        })
    }
}

impl Verifier {
    /// Twelve random digits and their check digit.
    fn new_number(&self) -> Result<AccountNumber, ServiceError> {
        let random = u64::from_be_bytes(self.env.random()) % 900_000_000_000 + 100_000_000_000;
        AccountNumber::from_payload(&random.to_string()).map_err(|_| ServiceError::NoSuchAccount)
    }
}

/// The cards of an account that have a mark.
fn marked_cards(db: &mut dyn Sql, account: i64) -> Result<Vec<CardId>, StoreError> {
    let sql = "SELECT card_id FROM cards WHERE account_id = ?1 AND mark_counter IS NOT NULL ORDER BY card_id";
    db.all(sql, &params![account], |row| books::parse(row.text("card_id")?, "card"))
}

/// An account that nobody else may change until the transaction ends.
pub(crate) fn locked_row(db: &mut dyn Sql, number: &AccountNumber) -> Result<Account, ServiceError> {
    books::account_by_number(db, number, RowLock::Change)?.ok_or(ServiceError::NoSuchAccount)
}

pub(crate) fn open_account(db: &mut dyn Sql, number: &AccountNumber) -> Result<Account, ServiceError> {
    let account = locked_row(db, number)?;
    match account {
        _ if !account.is_here() => Err(StoreError::AccountMoved.into()),
        _ if !account.open => Err(ServiceError::AccountClosed),
        _ => Ok(account),
    }
}
