//! What can go wrong with the books and their store. Each message says what to do next.

use std::sync::Arc;

/// An error of the ledger: nothing was booked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// Less is free than asked for.
    #[error("the account has too little that is not held; choose a smaller amount")]
    InsufficientFunds,
    /// Zero, or more than an account can have.
    #[error("the amount must be 1 to 999999999999 minor units")]
    Amount,
    /// No such hold.
    #[error("there is no such hold; the account's log names its holds")]
    NoSuchHold,
    /// Captured or released before.
    #[error("the hold is closed; nothing was changed")]
    HoldClosed,
    /// More than is held.
    #[error("more than is held cannot be captured; place another hold for the rest")]
    MoreThanHeld,
    /// The hold waits for another system.
    #[error("the hold is for another system's answer; record that answer instead")]
    AwaitsSystem,
    /// Payer and payee are one, or have different currencies.
    #[error("the payee must be another open account in the same currency")]
    Payee,
    /// Another system keeps the account.
    #[error("another system keeps this account; only it can do that")]
    KeptElsewhere,
    /// Not a stored value, not empty, or linked before.
    #[error("only an open, empty stored value that no other system keeps can be linked; open a new one")]
    CannotLink,
    /// Reversed before.
    #[error("the transaction was reversed before; nothing was changed")]
    AlreadyReversed,
    /// Accepted or failed: no money has moved.
    #[error("the other system has not settled this transaction; there is nothing to reverse")]
    NotSettled,
    /// A reversal, or an opening balance.
    #[error("only executed transactions and captured holds can be reversed")]
    CannotReverse,
    /// The account has moved here since.
    #[error("the transaction was booked in the shard that the account has left; reverse it there")]
    BookedElsewhere,
    /// The other system said the opposite before.
    #[error("the transaction was settled or has failed before; reverse it, or sign a new one")]
    AlreadyAnswered,
    /// No message with this id waits.
    #[error("no such message waits; list the dead letters to see their ids")]
    NoSuchMessage,
}

/// An error of the store: nothing of the operation has been written, unless the error says that this is not known.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Another process holds the write lock for longer than the time-out.
    #[error("the database is locked by another process; try again, or stop the other process")]
    Locked,
    /// No room on the disk, or the page limit is reached.
    #[error("the database or its disk is full; make room, then repeat the request")]
    Full,
    /// It cannot be written, or was opened for reading only.
    #[error(
        "the database can only be read here; give this user write access to it, and to its directory if it is a file"
    )]
    ReadOnly,
    /// An older schema where nothing can be written.
    #[error(
        "the database has schema version {found}, which must be brought to {known} before it is read; copy it to where it can be written and open it there"
    )]
    NotUpToDate {
        /// Version of the database.
        found: i64,
        /// Version that this program reads.
        known: i64,
    },
    /// An older schema where only the tables' owner can change it.
    #[error(
        "only {owner}, who owns the tables, may change them (schema version {found}; this program needs {known}); run `onetap verifier upgrade` with a --postgres that connects as {owner} or a member of it"
    )]
    OwnersToUpgrade {
        /// Version of the database.
        found: i64,
        /// Version that this program needs.
        known: i64,
        /// Role that owns the tables.
        owner: String,
    },
    /// The files under the database's name are other ones than those that are open.
    #[error(
        "the database's files were moved, removed or replaced while the server ran; stop it, put them back or restore the last backup, and start it again"
    )]
    Moved,
    /// The account has moved to another shard.
    #[error(
        "the account has moved to another shard and nothing was decided here; repeat the request there with the same idempotency key"
    )]
    AccountMoved,
    /// A long read keeps SQLite's log of changes from beginning anew.
    #[error(
        "the read was given up, since the changes written meanwhile fill more than 4 GiB; repeat it when fewer pay, or read a copy that `verifier backup` made"
    )]
    LogTooLong,
    /// The file cannot be opened.
    #[error("the database cannot be opened; check that its directory exists and may be entered")]
    CannotOpen,
    /// SQLite finds the file malformed.
    #[error("the database is damaged; stop the server and restore the last backup")]
    Damaged,
    /// Another kind of file.
    #[error("the file is not a OneTap database; give the directory that `verifier init` made")]
    NotOneTap,
    /// No tables: `init` was never run, or was interrupted.
    #[error("the database is empty; run `onetap verifier init` first, or again if it was interrupted")]
    Empty,
    /// Made by a later version of this program.
    #[error(
        "the database has schema version {found}, this program knows up to {known}; install a newer program"
    )]
    NewerSchema {
        /// Version of the file.
        found: i64,
        /// Newest version that this program knows.
        known: i64,
    },
    /// Made by a version of this program that was never released.
    #[error("the database has schema version {found}, this program knows {known} and later; make a new one")]
    OlderSchema {
        /// Version of the file.
        found: i64,
        /// Oldest version that this program knows.
        known: i64,
    },
    /// The clock shows a time before what is in the log.
    #[error("the clock is behind the audit log; set it, then repeat the request")]
    ClockBehind,
    /// What writes has ended, in an orderly way or not.
    #[error(
        "the store has stopped; if the server still runs, restart it, then repeat the request with the same idempotency key"
    )]
    Stopped,
    /// A panic in a decision.
    #[error(
        "a defect of this program ended the decision and nothing of it was written; report what standard error says"
    )]
    Defect,
    /// The database server cannot be reached, or the connection broke off.
    #[error(
        "the database server does not answer ({0}); check that it runs, then repeat the request with the same idempotency key"
    )]
    Unreachable(String),
    /// The database server does not let this user in, or not do what it must.
    #[error(
        "the database server refuses ({0}); correct its URL, its settings or the user's rights as docs/postgres.md says"
    )]
    Refused(String),
    /// A row that this program cannot have written.
    #[error("the database holds a {what} that cannot be read; restore the last backup")]
    BadRow {
        /// What does not parse.
        what: &'static str,
    },
    /// A sum of the database's numbers does not fit 64 bits, which no sum of what this program wrote does.
    #[error(
        "the database holds numbers that are too large to be added, which this program did not write; see what `onetap verifier audit verify` finds, then restore the last backup"
    )]
    TooLarge,
    /// Anything else SQLite says.
    #[error("the database failed; see the cause, then repeat the request")]
    Sqlite(#[source] Arc<rusqlite::Error>),
    /// Anything else PostgreSQL says.
    #[cfg(feature = "postgres")]
    #[error("the database failed; see the cause, then repeat the request")]
    Postgres(#[source] Arc<tokio_postgres::Error>),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode as Code;
        match error.sqlite_error_code() {
            Some(Code::DatabaseBusy | Code::DatabaseLocked) => Self::Locked,
            Some(Code::DiskFull) => Self::Full,
            Some(Code::ReadOnly) => Self::ReadOnly,
            Some(Code::CannotOpen) => Self::CannotOpen,
            Some(Code::OperationInterrupted) => Self::LogTooLong,
            Some(Code::DatabaseCorrupt) => Self::Damaged,
            Some(Code::NotADatabase) => Self::NotOneTap,
            // SQLite has no code of its own for it.
            Some(Code::Unknown) if error.to_string().contains("integer overflow") => Self::TooLarge,
            _ => Self::Sqlite(Arc::new(error)),
        }
    }
}

/// An error with its causes, as one text: what each of them adds.
#[must_use]
pub fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let told = cause.to_string();
        if !text.contains(&told) {
            text = format!("{text}: {told}");
        }
        next = cause.source();
    }
    text
}
