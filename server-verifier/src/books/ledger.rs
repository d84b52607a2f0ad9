//! Double entry: money only moves between accounts, so all legs of one transaction, all entries and
//! all balances sum to zero. An equity account for each currency is the other side of opening balances; one more
//! for each other system settles with it.
//!

use onetap_apdu_spec::money::Currency;

use crate::books::chain::Sealer;
use crate::books::sql::{Sql, Statement, params};
use crate::domain::{StoreError, Timestamp};

/// One movement of money.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Posting<'a> {
    pub(crate) transaction: &'a str,
    pub(crate) from: i64,
    pub(crate) to: i64,
    /// Minor units, positive.
    pub(crate) amount: i64,
    pub(crate) at: Timestamp,
}

/// How who is paid gets the money.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Incoming {
    /// Into the balance.
    Balance,
    /// As a credit, to be gathered into the balance later: the row of who is paid need not be locked.
    Credit,
}

impl Incoming {
    /// Where rows are locked one by one, many pay to one account at the same time.
    pub(crate) fn at(db: &dyn Sql) -> Self {
        if db.locks_rows() { Self::Credit } else { Self::Balance }
    }
}

const MOVE_BALANCE: &str = "UPDATE accounts SET balance = balance + ?2 WHERE account_id = ?1";

impl<'a> Posting<'a> {
    /// Writes both legs, and the amount for who is paid; the balance of who pays is the caller's.
    pub(crate) fn legs(&self, incoming: Incoming) -> [Statement<'a>; 3] {
        let Self { transaction, from, to, amount, at } = *self;
        let entry = "INSERT INTO entries (account_id, transaction_id, amount, at) VALUES (?1, ?2, ?3, ?4)";
        let credit = "INSERT INTO credits (account_id, transaction_id, amount) VALUES (?1, ?2, ?3)";
        [
            Statement::new(entry, &params![from, transaction, -amount, at.0]),
            Statement::new(entry, &params![to, transaction, amount, at.0]),
            match incoming {
                Incoming::Balance => Statement::new(MOVE_BALANCE, &params![to, amount]),
                Incoming::Credit => Statement::new(credit, &params![to, transaction, amount]),
            },
        ]
    }

    /// Writes all of it. The store refuses a balance below zero.
    pub(crate) fn write(&self, db: &mut dyn Sql, incoming: Incoming) -> Result<(), StoreError> {
        db.execute_all(&self.legs(incoming))?;
        db.execute(MOVE_BALANCE, &params![self.from, -self.amount])?;
        Ok(())
    }
}

/// Moves money between two accounts that are both locked.
pub(crate) fn post(db: &mut dyn Sql, posting: &Posting<'_>) -> Result<(), StoreError> {
    posting.write(db, Incoming::Balance)
}

/// Moves money from an account that is locked to one that may not be.
pub(crate) fn pay(db: &mut dyn Sql, posting: &Posting<'_>) -> Result<(), StoreError> {
    let incoming = Incoming::at(db);
    posting.write(db, incoming)
}

/// The row of the equity account in `currency`, made when first needed.
pub(crate) fn equity_account(
    db: &mut dyn Sql,
    sealer: &Sealer,
    currency: Currency,
) -> Result<i64, StoreError> {
    let found = "SELECT account_id FROM accounts WHERE kind = 'equity' AND currency = ?1 AND system IS NULL";
    if let Some(id) = db.first(found, &params![currency.code()], |row| row.int(0))? {
        return Ok(id);
    }
    let new = NewAccount { number: None, holder: "equity", currency, kind: "equity", system: None };
    new_account(db, sealer, &new)
}

/// A row of `accounts` to be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewAccount<'a> {
    pub(crate) number: Option<&'a str>,
    pub(crate) holder: &'a str,
    pub(crate) currency: Currency,
    pub(crate) kind: &'a str,
    /// Of an equity account: whom it settles with.
    pub(crate) system: Option<&'a str>,
}

/// Makes an account with an empty audit chain and returns its row.
pub(crate) fn new_account(
    db: &mut dyn Sql,
    sealer: &Sealer,
    account: &NewAccount<'_>,
) -> Result<i64, StoreError> {
    let sql = "INSERT INTO accounts (number, holder, currency, kind, system, audit_seal, audit_head)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6) RETURNING account_id";
    let NewAccount { number, holder, currency, kind, system } = *account;
    let params = params![number, holder, currency.code(), kind, system, &[0_u8; 16]];
    let id = db.first(sql, &params, |row| row.int(0))?.ok_or(StoreError::BadRow { what: "account" })?;
    let head = sealer.begin(id).head;
    db.execute("UPDATE accounts SET audit_head = ?2 WHERE account_id = ?1", &params![id, &head])?;
    Ok(id)
}
