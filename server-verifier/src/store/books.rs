//! Reading and writing single rows, on either store. Every function runs inside its caller's transaction.

use std::str::FromStr;

use onetap_apdu_spec::account::AccountNumber;
use onetap_apdu_spec::header::{CardId, KeyId};
use onetap_apdu_spec::money::Currency;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::rows::{Account, AccountKind, CardState, EnrolledCard, Lock, Mark};
use super::sql::{Row, Sql, params};
use crate::audit::{End, Event, Sealed, Sealer};
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
    let name: serde::de::value::StrDeserializer<'_, serde::de::value::Error> =
        serde::de::IntoDeserializer::into_deserializer(name);
    T::deserialize(name).map_err(|_| StoreError::BadRow { what })
}

pub(crate) fn parse<T: FromStr>(text: &str, what: &'static str) -> Result<T, StoreError> {
    text.parse().map_err(|_| StoreError::BadRow { what })
}

/// A query for accounts of holders, ending in what is given.
macro_rules! select_accounts {
    ($tail:literal) => {
        concat!(
            "SELECT account_id, number, holder, currency, kind, balance, held, is_open, locked_at, lock_cause,
                wrong_in_a_row, audit_sequence, audit_seal, audit_head, system FROM accounts
             WHERE number IS NOT NULL AND ",
            $tail
        )
    };
}
pub(crate) use select_accounts;

/// How a row that is read is locked until the transaction ends, where rows are locked one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowLock {
    /// Not at all: for showing, not for deciding.
    None,
    /// Nobody else may change it.
    Change,
    /// Nobody else may close it; others may credit it.
    Use,
}

/// The account with one number.
pub(crate) fn account_by_number(
    db: &mut dyn Sql,
    number: &AccountNumber,
    lock: RowLock,
) -> Result<Option<Account>, StoreError> {
    let sql = match lock {
        RowLock::Change if db.locks_rows() => select_accounts!("number = ?1 FOR UPDATE"),
        RowLock::Use if db.locks_rows() => select_accounts!("number = ?1 FOR KEY SHARE"),
        _ => select_accounts!("number = ?1"),
    };
    db.first(sql, &params![number.as_str()], account)
}

/// A page of accounts of holders, by row: those after row `after`.
pub(crate) fn accounts_after(db: &mut dyn Sql, after: i64, limit: u32) -> Result<Vec<Account>, StoreError> {
    db.all(select_accounts!("account_id > ?1 ORDER BY account_id LIMIT ?2"), &params![after, limit], account)
}

/// Reads a row of [`select_accounts`].
pub(crate) fn account(row: &dyn Row) -> Result<Account, StoreError> {
    Ok(Account {
        id: row.int(0)?,
        number: parse(row.text(1)?, "account number")?,
        holder: row.text(2)?.to_owned(),
        currency: parse::<Currency>(row.text(3)?, "currency")?,
        kind: from_name::<AccountKind>(row.text(4)?, "kind of account")?,
        balance: row.int(5)?,
        held: row.int(6)?,
        open: row.flag(7)?,
        lock: lock(row, 8)?,
        wrong_in_a_row: row.count(10)?,
        system: row.opt_text(14)?.map(|name| parse(name, "system")).transpose()?,
    })
}

/// Reads moment and cause of a lock from two columns, the first of which is `first`.
pub(crate) fn lock(row: &dyn Row, first: usize) -> Result<Option<Lock>, StoreError> {
    match (row.opt_int(first)?, row.opt_text(first + 1)?) {
        (Some(since), Some(cause)) => {
            Ok(Some(Lock { since: Timestamp(since), cause: from_name(cause, "lock")? }))
        }
        _ => Ok(None),
    }
}

/// The end of its chain in a row of [`select_accounts`].
pub(crate) fn chain_end(row: &dyn Row) -> Result<End, StoreError> {
    Ok(End { sequence: row.int(11)?, seal: row.array(12)?, head: row.array(13)? })
}

/// Money that has come in and is not yet gathered into the balance.
pub(crate) fn credits(db: &mut dyn Sql, account: i64) -> Result<i64, StoreError> {
    let sql = "SELECT CAST(coalesce(sum(amount), 0) AS BIGINT) FROM credits WHERE account_id = ?1";
    db.count(sql, &params![account])
}

/// Gathers what has come in into the balance and returns how much it was. The account must be locked.
pub(crate) fn gather_credits(db: &mut dyn Sql, account: i64) -> Result<i64, StoreError> {
    let gone = "DELETE FROM credits WHERE account_id = ?1 RETURNING amount";
    let sum = db.all(gone, &params![account], |row| row.int(0))?.into_iter().sum();
    if sum != 0 {
        let sql = "UPDATE accounts SET balance = balance + ?2 WHERE account_id = ?1";
        db.execute(sql, &params![account, sum])?;
    }
    Ok(sum)
}

/// An enrolled card under one of its signing keys.
pub(crate) fn enrolled(
    db: &mut dyn Sql,
    card: CardId,
    signing_key: KeyId,
) -> Result<Option<EnrolledCard>, StoreError> {
    let sql = "SELECT c.account_id, k.binding, k.public_key FROM cards c
        JOIN card_keys k ON k.account_id = c.account_id AND k.card_id = c.card_id
        WHERE c.card_id = ?1 AND k.signing_key = ?2 AND k.public_key IS NOT NULL";
    db.first(sql, &params![&card.to_string(), u32::from(signing_key)], |row| {
        Ok(EnrolledCard {
            account: row.int(0)?,
            binding: from_json(row.text(1)?, "card")?,
            public_key: row.bytes(2)?.to_owned(),
        })
    })
}

/// Reads state and mark from five columns, the first of which is `first`: state, counter, fingerprint, life,
/// wrong passwords.
pub(crate) fn card_state(row: &dyn Row, first: usize) -> Result<(CardState, Option<Mark>), StoreError> {
    let state = from_name(row.text(first)?, "card state")?;
    let mark = match row.opt_int(first + 1)? {
        None => None,
        Some(counter) => Some(Mark {
            counter: u32::try_from(counter).map_err(|_| StoreError::BadRow { what: "mark" })?,
            fingerprint: row.array(first + 2)?,
            life: from_name(row.text(first + 3)?, "mark")?,
            wrong: row.count(first + 4)?,
        }),
    };
    Ok((state, mark))
}

/// The end of an account's chain, which must be as it was left. The account must be locked.
fn end_of_chain(db: &mut dyn Sql, sealer: &Sealer, account: i64) -> Result<End, StoreError> {
    let sql = if db.locks_rows() {
        "SELECT audit_sequence, audit_seal, audit_head FROM accounts WHERE account_id = ?1 FOR NO KEY UPDATE"
    } else {
        "SELECT audit_sequence, audit_seal, audit_head FROM accounts WHERE account_id = ?1"
    };
    let read = |row: &dyn Row| Ok(End { sequence: row.int(0)?, seal: row.array(1)?, head: row.array(2)? });
    let end = db.first(sql, &params![account], read)?;
    end.filter(|end| sealer.holds(account, end)).ok_or(StoreError::BadRow { what: "audit chain" })
}

/// Adds an entry to an account's audit chain and returns its place.
pub(crate) fn append_audit(
    db: &mut dyn Sql,
    sealer: &Sealer,
    account: i64,
    at: Timestamp,
    event: &Event,
) -> Result<i64, StoreError> {
    let last = end_of_chain(db, sealer, account)?;
    let (sequence, json) = (last.sequence + 1, to_json(event)?);
    let seal = sealer.seal(&last.seal, &Sealed { account, sequence, at, event: &json });
    let end = sealer.end(account, sequence, seal);
    db.execute(INSERT_AUDIT, &params![account, sequence, at.0, &json, &seal])?;
    db.execute(
        "UPDATE accounts SET audit_sequence = ?2, audit_seal = ?3, audit_head = ?4 WHERE account_id = ?1",
        &params![account, sequence, &end.seal, &end.head],
    )?;
    Ok(sequence)
}

/// Account, sequence, time, event, seal.
pub(crate) const INSERT_AUDIT: &str =
    "INSERT INTO audit (account_id, sequence, at, event, seal) VALUES (?1, ?2, ?3, ?4, ?5)";

/// Reads the event of one audit entry.
pub(crate) fn event_at(db: &mut dyn Sql, account: i64, sequence: i64) -> Result<Option<Event>, StoreError> {
    let sql = "SELECT event FROM audit WHERE account_id = ?1 AND sequence = ?2";
    db.first(sql, &params![account, sequence], |row| from_json(row.text(0)?, "audit entry"))
}
