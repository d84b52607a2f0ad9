//! What the operator reads: accounts, the log, and whether the books hold.

use onetap_apdu_spec::account::AccountNumber;
use onetap_apdu_spec::crypto::Block;
use onetap_apdu_spec::header::{Binding, CardId};
use onetap_apdu_spec::money::Currency;
use onetap_apdu_spec::suite::Suite;
use rusqlite::{Connection, params};
use subtle::ConstantTimeEq as _;

use crate::audit::{LogEntry, ORIGIN, Sealed, head, seal};
use crate::environment::Timestamp;
use crate::error::{ServiceError, StoreError};
use crate::ledger;
use crate::service::Verifier;
use crate::store::books::{self, OPERATOR};
use crate::store::rows::{Account, AccountKind, CardState, Lock};

/// An account, for the operator.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct AccountView {
    /// Its number.
    pub number: AccountNumber,
    /// Its holder's name.
    pub holder: String,
    /// Its currency.
    pub currency: Currency,
    /// What it is for.
    pub kind: AccountKind,
    /// Minor units.
    pub balance: i64,
    /// False once it is closed.
    pub open: bool,
    /// Since when and why it is locked.
    pub locked: Option<Lock>,
    /// Wrong passwords since the last right one.
    pub wrong_in_a_row: u32,
    /// Wrong passwords within the policy's window.
    pub wrong_in_window: u32,
    /// Its cards.
    pub cards: Vec<CardView>,
}

/// A card, for the operator.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct CardView {
    /// Its id.
    pub card: CardId,
    /// What it signs.
    pub suite: Suite,
    /// What it may do.
    pub state: CardState,
}

impl Verifier {
    /// One account.
    ///
    /// # Errors
    /// [`ServiceError::NoSuchAccount`].
    pub fn account(&self, number: &AccountNumber) -> Result<AccountView, ServiceError> {
        self.store.read(|db| {
            let account = books::account_by_number(db, number)?.ok_or(ServiceError::NoSuchAccount)?;
            Ok(self.view(db, account)?)
        })
    }

    /// All accounts, oldest first.
    ///
    /// # Errors
    /// [`ServiceError`] if the store fails.
    pub fn accounts(&self) -> Result<Vec<AccountView>, ServiceError> {
        self.store.read(|db| {
            let accounts = books::all_accounts(db)?.into_iter();
            Ok(accounts.map(|account| self.view(db, account)).collect::<Result<_, StoreError>>()?)
        })
    }

    fn view(&self, db: &Connection, account: Account) -> Result<AccountView, StoreError> {
        let since = self.env.clock.now().0.saturating_sub(self.policy.window);
        let window = "SELECT count(*) FROM wrong_passwords WHERE account_id = ?1 AND at > ?2";
        Ok(AccountView {
            wrong_in_window: db.query_row(window, params![account.id, since], |row| row.get(0))?,
            cards: cards(db, account.id)?,
            number: account.number,
            holder: account.holder,
            currency: account.currency,
            kind: account.kind,
            balance: account.balance,
            open: account.open,
            locked: account.lock,
            wrong_in_a_row: account.wrong_in_a_row,
        })
    }

    /// The log of one account, or of all accounts and the operator, oldest entry first.
    ///
    /// # Errors
    /// [`ServiceError::NoSuchAccount`].
    pub fn log(&self, number: Option<&AccountNumber>) -> Result<Vec<LogEntry>, ServiceError> {
        self.store.read(|db| {
            let only = match number {
                None => None,
                Some(number) => {
                    let account = books::account_by_number(db, number)?;
                    Some(account.ok_or(ServiceError::NoSuchAccount)?.id)
                }
            };
            Ok(log(db, only)?)
        })
    }

    /// Checks that no entry of the log was changed, removed or moved.
    ///
    /// # Errors
    /// [`ServiceError::AuditBroken`] with the first entry that does not fit.
    pub fn audit_verify(&self) -> Result<(), ServiceError> {
        self.store.read(|db| {
            let sql = "SELECT account_id, audit_seal FROM accounts WHERE kind <> 'equity'";
            let mut statement = db.prepare(sql)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                self.verify_chain(db, row.get(0)?, row.get(1)?)?;
            }
            Ok(())
        })
    }

    fn verify_chain(&self, db: &Connection, account: i64, end: Block) -> Result<(), ServiceError> {
        let sql = "SELECT sequence, at, event, seal FROM audit WHERE account_id = ?1 ORDER BY sequence";
        let mut statement = db.prepare_cached(sql)?;
        let mut rows = statement.query([account])?;
        let (mut expected, mut before) = (1, ORIGIN);
        while let Some(row) = rows.next()? {
            let (sequence, at, event): (i64, i64, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let entry = Sealed { account, sequence, at: Timestamp(at), event: &event };
            let computed = seal(self.env.crypto, &self.keys.audit, &before, &entry);
            let stored: Block = row.get(3)?;
            if sequence != expected || !bool::from(computed.ct_eq(&stored)) {
                return Err(ServiceError::AuditBroken { account, sequence: expected });
            }
            (expected, before) = (expected + 1, stored);
        }
        let whole = head(self.env.crypto, &self.keys.audit, account, expected - 1, &before).ct_eq(&end);
        if whole.into() { Ok(()) } else { Err(ServiceError::AuditBroken { account, sequence: expected }) }
    }

    /// Checks that the ledger balances: every transaction, every account, every currency.
    ///
    /// # Errors
    /// [`ServiceError::LedgerBroken`].
    pub fn ledger_check(&self) -> Result<(), ServiceError> {
        self.store.read(ledger::check)
    }
}

fn cards(db: &Connection, account: i64) -> Result<Vec<CardView>, StoreError> {
    let sql = "SELECT binding, state FROM cards WHERE account_id = ?1 ORDER BY rowid";
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query([account])?;
    let mut cards = Vec::new();
    while let Some(row) = rows.next()? {
        let binding: Binding = books::from_json(&row.get::<_, String>(0)?, "card")?;
        let state = books::from_name(&row.get::<_, String>(1)?, "card state")?;
        cards.push(CardView { card: binding.card, suite: binding.suite, state });
    }
    Ok(cards)
}

fn log(db: &Connection, only: Option<i64>) -> Result<Vec<LogEntry>, StoreError> {
    let sql = "SELECT a.account_id, number, sequence, at, event FROM audit a JOIN accounts USING (account_id)
        WHERE ?1 IS NULL OR account_id = ?1 ORDER BY at, a.account_id, sequence";
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query([only])?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        let number: Option<String> = if row.get::<_, i64>(0)? == OPERATOR { None } else { row.get(1)? };
        let account = number.map(|number| number.parse()).transpose();
        entries.push(LogEntry {
            account: account.map_err(|_| StoreError::BadRow { what: "account number" })?,
            sequence: row.get(2)?,
            at: Timestamp(row.get(3)?),
            event: books::from_json(&row.get::<_, String>(4)?, "audit entry")?,
        });
    }
    Ok(entries)
}
