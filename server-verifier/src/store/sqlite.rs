//! The SQLite store: write-ahead log, `synchronous = FULL`, one writing connection in this process and
//! `BEGIN IMMEDIATE` against others, so that the row of the account is locked before it is read.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use onetap_apdu_spec::account::AccountNumber;
use onetap_apdu_spec::crypto::{Block, Crypto, Key256};
use onetap_apdu_spec::header::CardId;
use onetap_apdu_spec::txn::TerminalId;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Transaction, TransactionBehavior, params};

use super::books;
use super::rows::{Answered, EnrolledCard, Rows};
use super::{Store, schema};
use crate::decide::{Attempt, Commit, Decision, Execution, Receipt, Tries};
use crate::environment::Timestamp;
use crate::error::StoreError;
use crate::ledger::{self, Posting};

/// One database file, or one database in memory.
pub(crate) struct SqliteStore {
    /// Reads beside the writer; none in memory, where the one connection does both. Closed first: the
    /// last connection folds the log into the file, which a reader may not.
    reader: Option<Mutex<Connection>>,
    writer: Mutex<Connection>,
    crypto: &'static dyn Crypto,
    audit_key: Key256,
}

impl SqliteStore {
    /// Makes the file at `path` if need be, and whatever `first` writes, in one commit.
    pub(crate) fn create<E: From<StoreError>>(
        path: &Path,
        crypto: &'static dyn Crypto,
        audit_key: Key256,
        first: impl FnOnce(&Connection) -> Result<(), E>,
    ) -> Result<Self, E> {
        schema::make_file(path)?;
        let mut connection = schema::connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        schema::use_wal(&connection)?;
        fill(&mut connection, first)?;
        Self::open(path, crypto, audit_key).map_err(E::from)
    }

    /// Opens the file at `path`, bringing an older schema up to date.
    pub(crate) fn open(
        path: &Path,
        crypto: &'static dyn Crypto,
        audit_key: Key256,
    ) -> Result<Self, StoreError> {
        let mut writer = schema::connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        let found = schema::version(&writer)?;
        if found == 0 {
            return Err(StoreError::NotOneTap);
        }
        if writer.is_readonly("main")? {
            return Err(StoreError::ReadOnly);
        }
        if found < schema::VERSION {
            fill(&mut writer, |_| Ok::<(), StoreError>(()))?;
        }
        let reader = schema::connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        Ok(Self { writer: Mutex::new(writer), reader: Some(Mutex::new(reader)), crypto, audit_key })
    }

    /// Makes a database in memory.
    pub(crate) fn in_memory<E: From<StoreError>>(
        crypto: &'static dyn Crypto,
        audit_key: Key256,
        first: impl FnOnce(&Connection) -> Result<(), E>,
    ) -> Result<Self, E> {
        let mut writer = Connection::open_in_memory().map_err(StoreError::from)?;
        schema::configure(&writer)?;
        fill(&mut writer, first)?;
        Ok(Self { writer: Mutex::new(writer), reader: None, crypto, audit_key })
    }

    /// Runs `work` in one writing transaction: all of it is durable when this returns `Ok`, none of it
    /// is written otherwise.
    pub(crate) fn write<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut writer = guard(&self.writer);
        let transaction = begin(&mut writer)?;
        let value = work(&transaction)?;
        transaction.commit().map_err(StoreError::from)?;
        Ok(value)
    }

    /// Runs `work` on one consistent snapshot.
    pub(crate) fn read<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut connection = guard(self.reader.as_ref().unwrap_or(&self.writer));
        let transaction = connection.transaction().map_err(StoreError::from)?;
        work(&transaction)
    }

    /// Adds to the audit chain of `account`, inside a transaction of [`SqliteStore::write`].
    pub(crate) fn audit(
        &self,
        db: &Connection,
        account: i64,
        at: Timestamp,
        event: &crate::audit::Event,
    ) -> Result<i64, StoreError> {
        books::append_audit(db, self.crypto, &self.audit_key, account, at, event)
    }

    /// Begins the audit chain of `account`, which was made in the same transaction.
    pub(crate) fn begin_audit(&self, db: &Connection, account: i64) -> Result<(), StoreError> {
        books::begin_audit(db, self.crypto, &self.audit_key, account)
    }

    /// Writes everything that a decision says.
    fn apply(&self, db: &Connection, context: &Context, commit: &Commit) -> Result<(), StoreError> {
        if let Some(mark) = &commit.mark {
            books::set_mark(db, context.account, context.card, mark)?;
        }
        if let Some(execution) = &commit.execution {
            execute(db, context, execution)?;
        }
        let sequence = self.audit(db, context.account, context.now, &commit.event)?;
        count_try(db, context, commit.tries, sequence)?;
        let sql = "INSERT INTO requests (account_id, terminal_id, idempotency_key, body, answer, at)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        db.prepare_cached(sql)?.execute(params![
            context.account,
            context.terminal,
            context.key,
            context.body,
            books::to_json(&commit.answer)?,
            context.now.0
        ])?;
        Ok(())
    }
}

/// Which rows an attempt concerns.
struct Context {
    account: i64,
    card: CardId,
    counter: u32,
    payee: AccountNumber,
    terminal: String,
    key: String,
    body: Block,
    now: Timestamp,
    window_start: Timestamp,
}

impl Context {
    fn new(db: &Connection, attempt: &Attempt<'_>) -> Result<Self, StoreError> {
        let header = attempt.authentic.header();
        let card = header.binding.card;
        Ok(Self {
            account: books::card_account(db, card)?.ok_or(StoreError::BadRow { what: "card" })?,
            card,
            counter: header.counter,
            payee: attempt.authentic.message().transaction().payee_account.clone(),
            terminal: attempt.terminal.as_str().to_owned(),
            key: attempt.key.to_owned(),
            body: attempt.body,
            now: attempt.now,
            window_start: attempt.window_start,
        })
    }

    /// The account first, then all else.
    fn rows(&self, db: &Connection) -> Result<Rows, StoreError> {
        let account = books::account_by_id(db, self.account)?;
        let (card, mark) = books::card_state(db, self.account, self.card)?;
        let window = "SELECT count(*) FROM wrong_passwords WHERE account_id = ?1 AND at > ?2";
        let wrong_in_window = db
            .prepare_cached(window)?
            .query_row(params![self.account, self.window_start.0], |row| row.get(0))?;
        Ok(Rows {
            account: account.ok_or(StoreError::BadRow { what: "account" })?,
            wrong_in_window,
            card,
            mark,
            payee: books::account_by_number(db, &self.payee)?,
            executed: self.executed(db)?,
            answered: self.answered(db)?,
        })
    }

    fn executed(&self, db: &Connection) -> Result<Option<Receipt>, StoreError> {
        let sql = "SELECT receipt FROM transactions WHERE card_id = ?1 AND counter = ?2";
        let receipt: Option<String> = db
            .prepare_cached(sql)?
            .query_row(params![self.card.to_string(), self.counter], |row| row.get(0))
            .optional()?;
        receipt.map(|json| books::from_json(&json, "receipt")).transpose()
    }

    fn answered(&self, db: &Connection) -> Result<Option<Answered>, StoreError> {
        let sql = "SELECT body, answer FROM requests WHERE terminal_id = ?1 AND idempotency_key = ?2";
        let row: Option<(Block, String)> = db
            .prepare_cached(sql)?
            .query_row(params![self.terminal, self.key], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        row.map(|(body, answer)| Ok(Answered { body, answer: books::from_json(&answer, "answer")? }))
            .transpose()
    }
}

impl Store for SqliteStore {
    fn enrolled(&self, card: CardId) -> Result<Option<EnrolledCard>, StoreError> {
        self.read(|db| books::enrolled(db, card))
    }

    fn transact<'a, F>(&self, attempt: Attempt<'a>, decide: F) -> Result<Decision, StoreError>
    where
        F: FnOnce(&Rows, Attempt<'a>) -> Decision,
    {
        self.write(|db| {
            let context = Context::new(db, &attempt)?;
            let decision = decide(&context.rows(db)?, attempt);
            if let Decision::Commit(commit) = &decision {
                self.apply(db, &context, commit)?;
            }
            Ok(decision)
        })
    }

    fn has_terminal(&self, terminal: &TerminalId) -> Result<bool, StoreError> {
        let sql = "SELECT count(*) FROM terminals WHERE terminal_id = ?1";
        self.read(|db| Ok(db.query_row(sql, [terminal.as_str()], |row| row.get::<_, i64>(0))? != 0))
    }
}

/// Posts a verified transaction and keeps its evidence.
fn execute(db: &Connection, context: &Context, execution: &Execution) -> Result<(), StoreError> {
    let receipt = &execution.receipt;
    let id = &receipt.transaction.0;
    let message = execution.verified.message();
    let amount = i64::try_from(message.transaction().amount.minor());
    let amount = amount.map_err(|_| StoreError::BadRow { what: "amount" })?;
    let sql = "INSERT INTO transactions (account_id, transaction_id, card_id, counter, message, signature,
        receipt) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    db.prepare_cached(sql)?.execute(params![
        context.account,
        id,
        context.card.to_string(),
        context.counter,
        message.bytes(),
        execution.verified.signature().encode(),
        books::to_json(receipt)?
    ])?;
    let (from, to) = (execution.payer, execution.payee);
    ledger::post(db, &Posting { transaction: id, from, to, amount, at: context.now })
}

fn count_try(db: &Connection, context: &Context, tries: Tries, sequence: i64) -> Result<(), StoreError> {
    match tries {
        Tries::Unchanged => {}
        Tries::Right => {
            db.prepare_cached("UPDATE accounts SET wrong_in_a_row = 0 WHERE account_id = ?1")?
                .execute([context.account])?;
        }
        Tries::Wrong { lock } => {
            db.prepare_cached("INSERT INTO wrong_passwords (account_id, at, sequence) VALUES (?1, ?2, ?3)")?
                .execute(params![context.account, context.now.0, sequence])?;
            let locked_at = lock.map(|_| context.now.0);
            let cause = lock.map(|cause| books::to_name(&cause)).transpose()?;
            db.prepare_cached(
                "UPDATE accounts SET wrong_in_a_row = wrong_in_a_row + 1, locked_at = ?2, lock_cause = ?3
                 WHERE account_id = ?1",
            )?
            .execute(params![context.account, locked_at, cause])?;
        }
    }
    Ok(())
}

/// Brings the schema up to date and writes what `first` writes, in one commit.
fn fill<E: From<StoreError>>(
    connection: &mut Connection,
    first: impl FnOnce(&Connection) -> Result<(), E>,
) -> Result<(), E> {
    let transaction = begin(connection)?;
    let found = schema::version(&transaction)?;
    schema::migrate(&transaction, found)?;
    first(&transaction)?;
    Ok(transaction.commit().map_err(StoreError::from)?)
}

fn begin(connection: &mut Connection) -> Result<Transaction<'_>, StoreError> {
    Ok(connection.transaction_with_behavior(TransactionBehavior::Immediate)?)
}

/// A panic in another thread rolled its transaction back: the connection is fit for use.
fn guard(connection: &Mutex<Connection>) -> MutexGuard<'_, Connection> {
    connection.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SqliteStore")
    }
}

#[cfg(test)]
mod tests {
    use onetap_apdu_spec::crypto::default_provider;

    use super::*;
    use crate::audit::Event;

    fn store(directory: &Path) -> SqliteStore {
        let first = |db: &Connection| {
            let sql = "INSERT INTO accounts (account_id, holder, kind) VALUES (0, 'test', 'operator')";
            db.execute(sql, [])?;
            books::begin_audit(db, default_provider(), &Key256::new([1; 32]), 0)
        };
        let key = Key256::new([1; 32]);
        SqliteStore::create(&directory.join("test.db"), default_provider(), key, first).unwrap()
    }

    fn add_entry(store: &SqliteStore, text: &str) -> Result<i64, StoreError> {
        let event = Event::Initialised { operator: text.to_owned() };
        store.write(|db| store.audit(db, 0, Timestamp(0), &event))
    }

    fn entries(store: &SqliteStore) -> i64 {
        let count = "SELECT count(*) FROM audit";
        store.read(|db| db.query_row(count, [], |row| row.get(0)).map_err(StoreError::from)).unwrap()
    }

    #[test]
    fn a_full_database_is_named_and_nothing_is_half_done() {
        let directory = tempfile::tempdir().unwrap();
        let store = store(directory.path());
        let pages: i64 = guard(&store.writer).query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
        guard(&store.writer).query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(())).unwrap();
        let refused = (0..100).find_map(|_| add_entry(&store, &"x".repeat(3_000)).err()).unwrap();
        assert!(matches!(refused, StoreError::Full), "{refused}");
        let before = entries(&store);
        guard(&store.writer).query_row("PRAGMA max_page_count = 10000", [], |_| Ok(())).unwrap();
        assert_eq!(add_entry(&store, "room again").unwrap(), before + 1);
    }

    #[test]
    fn a_read_only_database_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let store = store(directory.path());
        guard(&store.writer).pragma_update(None, "query_only", true).unwrap();
        assert!(matches!(add_entry(&store, "x"), Err(StoreError::ReadOnly)));
        assert_eq!(entries(&store), 0);
    }

    #[test]
    fn commits_are_flushed_to_the_disk_and_foreign_keys_hold() {
        let directory = tempfile::tempdir().unwrap();
        let store = store(directory.path());
        let pragma = |name: &str| -> String {
            let sql = format!("SELECT CAST({name} AS TEXT) FROM pragma_{name}");
            guard(&store.writer).query_row(&sql, [], |row| row.get(0)).unwrap()
        };
        assert_eq!(pragma("synchronous"), "2", "FULL");
        assert_eq!(pragma("journal_mode"), "wal");
        assert_eq!(pragma("foreign_keys"), "1");
    }
}
