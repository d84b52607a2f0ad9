//! Reading and writing single rows, on either store. Every function runs inside its caller's transaction.

use std::str::FromStr;

use onetap_apdu_spec::account::AccountNumber;
use onetap_apdu_spec::header::{CardId, KeyId};
use onetap_apdu_spec::money::Currency;
use onetap_apdu_spec::service::{Receipt, TransactionId};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::books::chain::End;
use crate::books::sql::{Row, Sql, params};
use crate::domain::{
    Account, AccountKind, CardState, EnrolledCard, Event, Lock, LockCause, MAX_PAGE, Mark, Shard, StoreError,
    Timestamp,
};

/// The row of `accounts` that stands for the operator.
pub(crate) const OPERATOR: i64 = 0;

/// Writes a value as JSON text.
pub(crate) fn to_json<T: Serialize>(value: &T) -> Result<String, StoreError> {
    let mut json = Vec::with_capacity(1_024);
    let written = serde_json::to_writer(&mut json, value).ok().and_then(|()| String::from_utf8(json).ok());
    written.ok_or(StoreError::BadRow { what: "value" })
}

/// Reads a value from JSON text.
pub(crate) fn from_json<T: DeserializeOwned>(text: &str, what: &'static str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|_| StoreError::BadRow { what })
}

/// Reads what `Display` has written into a column.
pub(crate) fn parse<T: FromStr>(text: &str, what: &'static str) -> Result<T, StoreError> {
    text.parse().map_err(|_| StoreError::BadRow { what })
}

/// A query for accounts of holders, ending in what is given.
macro_rules! select_accounts {
    ($($tail:literal),+) => {
        concat!(
            "SELECT account_id, number, holder, currency, kind, balance, held, is_open, locked_at, lock_cause,
                wrong_in_a_row, audit_sequence, audit_seal, audit_head, system FROM accounts
             WHERE number IS NOT NULL AND ",
            $($tail),+
        )
    };
}
pub(crate) use select_accounts;

/// How a row of `accounts` that is read is locked until the transaction ends, where rows are locked one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowLock {
    /// Not at all: for showing, not for deciding.
    None,
    /// Nobody else may close or rename it; others may decide on it and be paid.
    Use,
    /// Nobody else may decide on it; others may still pay to it.
    Decide,
    /// Nobody else may do anything with it.
    Change,
}

/// A query for one account of a holder, for each way to lock it.
macro_rules! select_account {
    ($column:literal, $lock:expr) => {
        match $lock {
            RowLock::None => select_accounts!($column),
            RowLock::Use => select_accounts!($column, " FOR KEY SHARE"),
            RowLock::Decide => select_accounts!($column, " FOR NO KEY UPDATE"),
            RowLock::Change => select_accounts!($column, " FOR UPDATE"),
        }
    };
}

impl RowLock {
    /// Where the transaction alone may write, there is nothing to lock.
    fn where_needed(self, db: &dyn Sql) -> Self {
        if db.locks_rows() { self } else { Self::None }
    }

    /// The query for the account with one number.
    pub(crate) fn by_number(self, db: &dyn Sql) -> &'static str {
        select_account!("number = ?1", self.where_needed(db))
    }

    /// The query for the account in one row.
    pub(crate) fn by_row(self, db: &dyn Sql) -> &'static str {
        select_account!("account_id = ?1", self.where_needed(db))
    }
}

/// The account with one number.
pub(crate) fn account_by_number(
    db: &mut dyn Sql,
    number: &AccountNumber,
    lock: RowLock,
) -> Result<Option<Account>, StoreError> {
    db.first(lock.by_number(db), &params![number.as_str()], account)
}

/// A holder's account in one row.
pub(crate) fn account_by_row(
    db: &mut dyn Sql,
    account_id: i64,
    lock: RowLock,
) -> Result<Option<Account>, StoreError> {
    db.first(lock.by_row(db), &params![account_id], account)
}

/// Row and number of the account that a card belongs to.
pub(crate) fn account_of_card(
    db: &mut dyn Sql,
    card: CardId,
) -> Result<Option<(i64, AccountNumber)>, StoreError> {
    let sql = "SELECT account_id, number FROM cards JOIN accounts USING (account_id) WHERE card_id = ?1";
    db.first(sql, &params![&card.to_string()], |row| {
        Ok((row.int("account_id")?, parse(row.text("number")?, "account number")?))
    })
}

/// A page of accounts of holders, by row: those after row `after`.
pub(crate) fn accounts_after(db: &mut dyn Sql, after: i64, limit: u32) -> Result<Vec<Account>, StoreError> {
    db.all(select_accounts!("account_id > ?1 ORDER BY account_id LIMIT ?2"), &params![after, limit], account)
}

/// The same of holders whose names contain `holder`, in capital letters or small ones.
pub(crate) fn accounts_of(
    db: &mut dyn Sql,
    holder: &str,
    after: i64,
    limit: u32,
) -> Result<Vec<Account>, StoreError> {
    let sql = select_accounts!(
        "account_id > ?1 AND lower(holder) LIKE lower(?2) ESCAPE '!' ORDER BY account_id LIMIT ?3"
    );
    let mut pattern = String::from("%");
    for letter in holder.chars() {
        if matches!(letter, '!' | '%' | '_') {
            pattern.push('!');
        }
        pattern.push(letter);
    }
    pattern.push('%');
    db.all(sql, &params![after, &pattern, limit], account)
}

/// Reads a row of [`select_accounts`].
pub(crate) fn account(row: &Row<'_>) -> Result<Account, StoreError> {
    Ok(Account {
        id: row.int("account_id")?,
        number: parse(row.text("number")?, "account number")?,
        holder: row.text("holder")?.to_owned(),
        currency: parse::<Currency>(row.text("currency")?, "currency")?,
        kind: parse::<AccountKind>(row.text("kind")?, "kind of account")?,
        balance: row.int("balance")?,
        held: row.int("held")?,
        open: row.flag("is_open")?,
        lock: lock(row)?,
        wrong_in_a_row: row.count("wrong_in_a_row")?,
        system: row.opt_text("system")?.map(|name| parse(name, "system")).transpose()?,
    })
}

/// Reads moment and cause of a lock.
fn lock(row: &Row<'_>) -> Result<Option<Lock>, StoreError> {
    match (row.opt_int("locked_at")?, row.opt_text("lock_cause")?) {
        (Some(since), Some(cause)) => {
            Ok(Some(Lock { since: Timestamp(since), cause: parse(cause, "lock")? }))
        }
        _ => Ok(None),
    }
}

/// Reads where the chain of an account's row ends.
pub(crate) fn chain_end(row: &Row<'_>) -> Result<End, StoreError> {
    Ok(End {
        sequence: row.int("audit_sequence")?,
        seal: row.array("audit_seal")?,
        head: row.array("audit_head")?,
    })
}

/// Shows each chain to `each` in the order of their accounts' rows: the row, where the chain ends, and the account's number.
pub(crate) fn each_chain<E: From<StoreError>>(
    db: &mut dyn Sql,
    mut each: impl FnMut(&mut dyn Sql, i64, &End, Option<&str>) -> Result<(), E>,
) -> Result<(), E> {
    let sql = "SELECT account_id, audit_sequence, audit_seal, audit_head, number FROM accounts
        WHERE account_id >= ?1 ORDER BY account_id LIMIT ?2";
    let mut from = OPERATOR;
    loop {
        let chains = db.all(sql, &params![from, MAX_PAGE], |row| {
            Ok((row.int("account_id")?, chain_end(row)?, row.opt_text("number")?.map(str::to_owned)))
        })?;
        let Some((last, ..)) = chains.last() else { return Ok(()) };
        from = last + 1;
        for (account, end, number) in &chains {
            each(db, *account, end, number.as_deref())?;
        }
    }
}

/// How many entries the log has, by the ends of its chains. As a floating-point sum, which numbers that somebody wrote
/// past the server cannot overflow.
pub(crate) fn all_entries(db: &mut dyn Sql) -> Result<u64, StoreError> {
    let sql = "SELECT CAST(coalesce(sum(CAST(audit_sequence AS DOUBLE PRECISION)), 0) AS TEXT) AS entries
        FROM accounts";
    let sum = db.first(sql, &[], |row| Ok(row.text("entries")?.parse::<f64>().ok()))?.flatten();
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a number of entries, bounded"
    )]
    Ok(sum.map_or(0, |entries| entries as u64))
}

/// How many wrong passwords there were after `since`.
pub(crate) fn wrong_since(db: &mut dyn Sql, account: i64, since: Timestamp) -> Result<u32, StoreError> {
    let sql = "SELECT count(*) FROM wrong_passwords WHERE account_id = ?1 AND at > ?2";
    let count = db.count(sql, &params![account, since.0])?;
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}

/// Money that has come in and is not yet gathered into the balance.
pub(crate) fn credits(db: &mut dyn Sql, account: i64) -> Result<i64, StoreError> {
    let sql = "SELECT CAST(coalesce(sum(amount), 0) AS BIGINT) FROM credits WHERE account_id = ?1";
    db.count(sql, &params![account])
}

/// Gathers what has come in into the balance and returns how much it was. The account must be locked.
pub(crate) fn gather_credits(db: &mut dyn Sql, account: i64) -> Result<i64, StoreError> {
    let gone = "DELETE FROM credits WHERE account_id = ?1 RETURNING amount";
    let credits = db.all(gone, &params![account], |row| row.int("amount"))?;
    let sum = credits.into_iter().try_fold(0_i64, i64::checked_add).ok_or(StoreError::TooLarge)?;
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
            account: row.int("account_id")?,
            binding: from_json(row.text("binding")?, "card")?,
            public_key: row.bytes("public_key")?.to_owned(),
        })
    })
}

/// Reads state and mark of a card.
pub(crate) fn card_state(row: &Row<'_>) -> Result<(CardState, Option<Mark>), StoreError> {
    let state = parse(row.text("state")?, "card state")?;
    let mark = match row.opt_int("mark_counter")? {
        None => None,
        Some(counter) => Some(Mark {
            counter: u32::try_from(counter).map_err(|_| StoreError::BadRow { what: "mark" })?,
            fingerprint: row.array("mark_fingerprint")?,
            life: parse(row.text("mark_life")?, "mark")?,
            wrong: row.count("mark_wrong")?,
        }),
    };
    Ok((state, mark))
}

/// Locks an account's row, the operator's too, and reads where its chain ends; none if there is no such row.
///
/// # Errors
/// [`StoreError::AccountMoved`] if the chain goes on in another shard.
pub(crate) fn end_of_chain(db: &mut dyn Sql, account: i64) -> Result<Option<End>, StoreError> {
    macro_rules! end {
        ($lock:literal) => {
            concat!(
                "SELECT audit_sequence, audit_seal, audit_head, lock_cause FROM accounts WHERE account_id = ?1",
                $lock
            )
        };
    }
    let sql = if db.locks_rows() { end!(" FOR NO KEY UPDATE") } else { end!("") };
    db.first(sql, &params![account], |row| {
        if row.opt_text("lock_cause")? == Some(LockCause::Moved.to_string().as_str()) {
            return Err(StoreError::AccountMoved);
        }
        chain_end(row)
    })
}

/// The shard that this database is, as the operator's first entry says.
pub(crate) fn shard(db: &mut dyn Sql) -> Result<Shard, StoreError> {
    match event_at(db, OPERATOR, 1)? {
        Some(Event::Initialised { shard, .. }) => Ok(shard),
        _ => Err(StoreError::BadRow { what: "shard" }),
    }
}

/// Reads the event of one audit entry.
pub(crate) fn event_at(db: &mut dyn Sql, account: i64, sequence: i64) -> Result<Option<Event>, StoreError> {
    let sql = "SELECT event FROM audit WHERE account_id = ?1 AND sequence = ?2";
    db.first(sql, &params![account, sequence], |row| from_json(row.text("event")?, "audit entry"))
}

/// The receipt in the entry of an executed transaction.
pub(crate) fn receipt_at(db: &mut dyn Sql, account: i64, sequence: i64) -> Result<Receipt, StoreError> {
    match event_at(db, account, sequence)? {
        Some(Event::Executed { receipt, .. }) => Ok(receipt),
        _ => Err(StoreError::BadRow { what: "receipt" }),
    }
}

/// Whether the account in row `payer` got back what it paid. To decide by it, both accounts must be locked.
pub(crate) fn is_reversed(
    db: &mut dyn Sql,
    reversal: &TransactionId,
    payer: i64,
) -> Result<bool, StoreError> {
    let sql = "SELECT count(*) FROM reversals WHERE account_id = ?1 AND transaction_id = ?2";
    Ok(db.count(sql, &params![payer, &reversal.to_string()])? > 0)
}
