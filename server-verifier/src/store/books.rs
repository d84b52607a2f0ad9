//! Reading and writing single rows. Every function runs inside its caller's transaction.

use std::str::FromStr;

use onetap_apdu_spec::account::AccountNumber;
use onetap_apdu_spec::crypto::{Block, Crypto, Key256};
use onetap_apdu_spec::header::CardId;
use onetap_apdu_spec::money::Currency;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::Serialize;
use serde::de::DeserializeOwned;
use subtle::ConstantTimeEq as _;

use super::rows::{Account, AccountKind, EnrolledCard, Lock, Mark};
use crate::audit::{Event, ORIGIN, Sealed, head, seal};
use crate::environment::Timestamp;
use crate::error::StoreError;

/// The row of `accounts` that stands for the operator.
pub(crate) const OPERATOR: i64 = 0;

/// Writes a value as JSON text.
pub(crate) fn to_json<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|_| StoreError::BadRow { what: "value" })
}

/// Reads a value from JSON text.
pub(crate) fn from_json<T: DeserializeOwned>(text: &str, what: &'static str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|_| StoreError::BadRow { what })
}

/// The name that an enumeration has in a column: its JSON string without the quotes.
pub(crate) fn to_name<T: Serialize>(value: &T) -> Result<String, StoreError> {
    let json = to_json(value)?;
    Ok(json.trim_matches('"').to_owned())
}

/// The inverse of [`to_name`].
pub(crate) fn from_name<T: DeserializeOwned>(name: &str, what: &'static str) -> Result<T, StoreError> {
    serde_json::from_value(serde_json::Value::from(name)).map_err(|_| StoreError::BadRow { what })
}

fn parse<T: FromStr>(text: &str, what: &'static str) -> Result<T, StoreError> {
    text.parse().map_err(|_| StoreError::BadRow { what })
}

const ACCOUNT: &str = "SELECT account_id, number, holder, currency, kind, balance, is_open, locked_at,
    lock_cause, wrong_in_a_row FROM accounts WHERE number IS NOT NULL";

/// The account in one row.
pub(crate) fn account_by_id(db: &Connection, id: i64) -> Result<Option<Account>, StoreError> {
    let sql = format!("{ACCOUNT} AND account_id = ?1");
    let mut statement = db.prepare_cached(&sql)?;
    let mut rows = statement.query([id])?;
    rows.next()?.map(account).transpose()
}

/// The account with one number.
pub(crate) fn account_by_number(
    db: &Connection,
    number: &AccountNumber,
) -> Result<Option<Account>, StoreError> {
    let sql = format!("{ACCOUNT} AND number = ?1");
    let mut statement = db.prepare_cached(&sql)?;
    let mut rows = statement.query([number.as_str()])?;
    rows.next()?.map(account).transpose()
}

/// All accounts of holders, by row.
pub(crate) fn all_accounts(db: &Connection) -> Result<Vec<Account>, StoreError> {
    let sql = format!("{ACCOUNT} ORDER BY account_id");
    let mut statement = db.prepare_cached(&sql)?;
    let mut rows = statement.query([])?;
    let mut accounts = Vec::new();
    while let Some(row) = rows.next()? {
        accounts.push(account(row)?);
    }
    Ok(accounts)
}

fn account(row: &Row<'_>) -> Result<Account, StoreError> {
    let since: Option<i64> = row.get(7)?;
    let cause: Option<String> = row.get(8)?;
    let lock = since
        .zip(cause)
        .map(|(since, cause)| from_name(&cause, "lock").map(|cause| Lock { since: Timestamp(since), cause }));
    Ok(Account {
        id: row.get(0)?,
        number: parse(&row.get::<_, String>(1)?, "account number")?,
        holder: row.get(2)?,
        currency: parse::<Currency>(&row.get::<_, String>(3)?, "currency")?,
        kind: from_name::<AccountKind>(&row.get::<_, String>(4)?, "kind of account")?,
        balance: row.get(5)?,
        open: row.get(6)?,
        lock: lock.transpose()?,
        wrong_in_a_row: row.get(9)?,
    })
}

/// The row of the account that a card belongs to.
pub(crate) fn card_account(db: &Connection, card: CardId) -> Result<Option<i64>, StoreError> {
    let mut statement = db.prepare_cached("SELECT account_id FROM cards WHERE card_id = ?1")?;
    Ok(statement.query_row([card.to_string()], |row| row.get(0)).optional()?)
}

/// A card with its key, if it has one.
pub(crate) fn enrolled(db: &Connection, card: CardId) -> Result<Option<EnrolledCard>, StoreError> {
    let sql = "SELECT binding, public_key FROM cards WHERE card_id = ?1 AND public_key IS NOT NULL";
    let mut statement = db.prepare_cached(sql)?;
    let row = statement
        .query_row([card.to_string()], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?)))
        .optional()?;
    row.map(|(binding, public_key)| Ok(EnrolledCard { binding: from_json(&binding, "card")?, public_key }))
        .transpose()
}

/// The card's state and mark.
pub(crate) fn card_state<T: DeserializeOwned>(
    db: &Connection,
    account: i64,
    card: CardId,
) -> Result<(T, Option<Mark>), StoreError> {
    let sql = "SELECT state, mark_counter, mark_fingerprint, mark_life, mark_wrong FROM cards
        WHERE account_id = ?1 AND card_id = ?2";
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(params![account, card.to_string()])?;
    let row = rows.next()?.ok_or(StoreError::BadRow { what: "card" })?;
    let state = from_name(&row.get::<_, String>(0)?, "card state")?;
    let counter: Option<u32> = row.get(1)?;
    let mark = counter.map(|counter| {
        let life: String = row.get(3)?;
        let life = from_name(&life, "mark")?;
        Ok::<_, StoreError>(Mark { counter, fingerprint: row.get(2)?, life, wrong: row.get(4)? })
    });
    Ok((state, mark.transpose()?))
}

/// Moves a card's mark.
pub(crate) fn set_mark(db: &Connection, account: i64, card: CardId, mark: &Mark) -> Result<(), StoreError> {
    let sql = "UPDATE cards SET mark_counter = ?3, mark_fingerprint = ?4, mark_life = ?5, mark_wrong = ?6
        WHERE account_id = ?1 AND card_id = ?2";
    let life = to_name(&mark.life)?;
    db.prepare_cached(sql)?.execute(params![
        account,
        card.to_string(),
        mark.counter,
        mark.fingerprint,
        life,
        mark.wrong
    ])?;
    Ok(())
}

/// Begins the audit chain of an account that was made in this transaction.
pub(crate) fn begin_audit(
    db: &Connection,
    crypto: &dyn Crypto,
    key: &Key256,
    account: i64,
) -> Result<(), StoreError> {
    set_audit_head(db, account, 0, &head(crypto, key, account, 0, &ORIGIN))
}

fn set_audit_head(db: &Connection, account: i64, sequence: i64, head: &Block) -> Result<(), StoreError> {
    db.prepare_cached("UPDATE accounts SET audit_sequence = ?2, audit_seal = ?3 WHERE account_id = ?1")?
        .execute(params![account, sequence, head])?;
    Ok(())
}

/// The place and the seal of the last entry, if the chain still ends where it did.
fn last_entry(
    db: &Connection,
    crypto: &dyn Crypto,
    key: &Key256,
    account: i64,
) -> Result<(i64, Block), StoreError> {
    let sql = "SELECT audit_sequence, audit_seal FROM accounts WHERE account_id = ?1";
    let (last, stored): (i64, Block) =
        db.prepare_cached(sql)?.query_row([account], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let sql = "SELECT seal FROM audit WHERE account_id = ?1 AND sequence = ?2";
    let seal = db.prepare_cached(sql)?.query_row([account, last], |row| row.get(0)).optional()?;
    let seal = seal.unwrap_or(ORIGIN);
    if bool::from(head(crypto, key, account, last, &seal).ct_eq(&stored)) {
        Ok((last, seal))
    } else {
        Err(StoreError::BadRow { what: "audit chain" })
    }
}

/// Adds an entry to an account's audit chain and returns its place.
pub(crate) fn append_audit(
    db: &Connection,
    crypto: &dyn Crypto,
    key: &Key256,
    account: i64,
    at: Timestamp,
    event: &Event,
) -> Result<i64, StoreError> {
    let (last, before) = last_entry(db, crypto, key, account)?;
    let (sequence, json) = (last + 1, to_json(event)?);
    let seal = seal(crypto, key, &before, &Sealed { account, sequence, at, event: &json });
    db.prepare_cached(
        "INSERT INTO audit (account_id, sequence, at, event, seal) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![account, sequence, at.0, json, seal])?;
    set_audit_head(db, account, sequence, &head(crypto, key, account, sequence, &seal))?;
    Ok(sequence)
}
