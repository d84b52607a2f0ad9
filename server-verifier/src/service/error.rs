//! What can go wrong on the server's side. Each message says what to do next.

use std::path::PathBuf;

use onetap_apdu_spec::crypto::CryptoError;
use onetap_apdu_spec::suite::{Danger, Suite};

use crate::domain::{BadPolicy, EntryId, LedgerError, MoveError};
use crate::domain::{ReasonNeeded, StoreError};
use crate::keys::KeyFileError;

/// Any error of the service.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// See [`StoreError`].
    #[error(transparent)]
    Store(#[from] StoreError),
    /// See [`KeyFileError`].
    #[error(transparent)]
    Keys(#[from] KeyFileError),
    /// See [`BadPolicy`].
    #[error(transparent)]
    Policy(#[from] BadPolicy),
    /// `init` on a directory that already holds a database.
    #[error("{0} is initialised already; open it, or choose another directory")]
    AlreadyInitialised(PathBuf),
    /// `open` on a directory without one.
    #[error("{0} is not initialised; run `onetap verifier init` first")]
    NotInitialised(PathBuf),
    /// No such account.
    #[error("there is no such account; list the accounts to see their numbers")]
    NoSuchAccount,
    /// No such card.
    #[error("there is no such card; show the account to see its cards")]
    NoSuchCard,
    /// No such terminal.
    #[error("there is no such terminal; register it first")]
    NoSuchTerminal,
    /// No such client, or it is withdrawn.
    #[error("there is no such client, or it is withdrawn already; list the clients to see them")]
    NoSuchClient,
    /// A name that no transaction can have.
    #[error(
        "the holder's name cannot stand in a transaction: give 1 to 70 letters, digits and signs of docs/spec/transaction.md"
    )]
    HolderName,
    /// Another person is needed.
    #[error("the policy wants two people for this: ask for it with a proposal, which another admin approves")]
    TakesTwo,
    /// No such proposal, or it is decided.
    #[error("there is no such proposal, or it was decided before; list the proposals to see them")]
    NoSuchProposal,
    /// Who asks may not approve.
    #[error("whoever asked for it may not approve it; another admin must")]
    OwnProposal,
    /// No such token, or it has expired.
    #[error("the client has no such token, or it has expired; list the clients to see their tokens")]
    NoSuchToken,
    /// It shows a certificate only.
    #[error("the client shows a certificate and no token; add another client for a token")]
    NoToken,
    /// As many tokens as a client may have are good.
    #[error("the client has eight good tokens; end one of them first")]
    TooManyTokens,
    /// Its role has no terminals.
    #[error("only a client of the role `terminal` speaks for terminals; add another client")]
    NotATerminals,
    /// A terminal's client without a terminal could not ask for anything.
    #[error("this is the client's last terminal; withdraw the client instead")]
    LastTerminal,
    /// The name or the certificate is taken.
    #[error("the client's name or certificate was used before; choose another")]
    ClientExists,
    /// The number is taken.
    #[error("an account with this number exists already; choose another number, or let one be made")]
    AccountExists,
    /// The account still holds money.
    #[error("the account still has a balance; pay it out first")]
    AccountNotEmpty,
    /// The account is closed.
    #[error("the account is closed; open another")]
    AccountClosed,
    /// Nothing to unlock.
    #[error("the account is not locked; nothing was changed")]
    NotLocked,
    /// The act was done before, under the same idempotency key; this entry of the log tells it.
    #[error("this was done before, as entry {0} of the log tells; nothing was changed")]
    DoneBefore(EntryId),
    /// The idempotency key was used for another act.
    #[error("the idempotency key was used for something else; draw a new key for a new act")]
    KeyTaken,
    /// See [`ReasonNeeded`].
    #[error(transparent)]
    ReasonNeeded(#[from] ReasonNeeded),
    /// More than the ledger can hold.
    #[error("the opening balance is too large; at most 999999999999 minor units are possible")]
    BalanceTooLarge,
    /// The policy refuses the suite.
    #[error("the policy refuses the profile {suite}: {danger}; choose one without `danger-`")]
    DangerRefused {
        /// Which suite.
        suite: Suite,
        /// Why.
        #[source]
        danger: Danger,
    },
    /// An account number or currency that is not of the edition which the server checks.
    #[error(transparent)]
    Edition(#[from] onetap_apdu_spec::editions::EditionError),
    /// Thresholds in another currency would never apply.
    #[error("the card's confirmation thresholds must be in the account's currency")]
    ConfirmationCurrency,
    /// The statement is for another order, suite, key or server.
    #[error("the enrolment statement does not fit the order of this card; personalise the card again")]
    StatementMismatch,
    /// The statement's signature does not hold.
    #[error("the enrolment statement is not signed by the key in it; read it from the card again")]
    StatementForged,
    /// The key that the statement names is none that a card may have (REQ-S-18 to REQ-S-20).
    #[error("the public key in the enrolment statement cannot be enrolled: {0}")]
    UnusableKey(#[source] CryptoError),
    /// The key that the statement names is the server's own (REQ-I-14).
    #[error("the public key in the enrolment statement is this server's own; personalise the card again")]
    ServersKey,
    /// The suite's signature cannot be checked without the joint password.
    #[error(
        "this card's profile has no cancellation: wait until the transaction's date is too old to be executed, then ask for the transaction"
    )]
    CannotCancel,
    /// No such transaction, or none that this client may see.
    #[error("no such transaction is known of this client")]
    NoSuchTransaction,
    /// Active or blocked already.
    #[error("the card is not waiting to be activated; order a new card")]
    CardNotOrdered,
    /// Ordered or blocked.
    #[error("the card is not active, or has no more versions of keys; order another card")]
    CardNotActive,
    /// A key of the server was retired while the card was being ordered.
    #[error("the server's key was retired while the card was being ordered; order it again")]
    KeyRetired,
    /// Blocked already.
    #[error("the card is blocked already; nothing was changed")]
    CardBlocked,
    /// See [`LedgerError`].
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// See [`MoveError`].
    #[error(transparent)]
    Move(#[from] MoveError),
    /// The ledger does not balance.
    #[error("the ledger does not balance ({what}); stop the server and compare with the last backup")]
    LedgerBroken {
        /// Which sum is off.
        what: &'static str,
    },
    /// The audit chain is broken.
    #[error(
        "the audit chain of account row {account} is broken at entry {sequence}; compare with the last backup"
    )]
    AuditBroken {
        /// Row id of the account; 0 is the operator's own chain.
        account: i64,
        /// First entry that does not fit.
        sequence: i64,
    },
    /// Rows are not what the audit chain tells.
    #[error(
        "the {what} of account row {account} are not what its audit chain tells; somebody has changed the database past the server: compare with the last backup"
    )]
    RowsBroken {
        /// Row id of the account.
        account: i64,
        /// What is not.
        what: &'static str,
    },
    /// The schema is not what this program makes.
    #[error(
        "the {what} in the database is not as this program makes it; somebody has changed the schema past the server: take the change back, or compare with the last backup"
    )]
    SchemaBroken {
        /// What is not.
        what: String,
    },
    /// The log has lost entries that a checkpoint has.
    #[error(
        "the audit chain of account row {account} lacks entries that the checkpoint has; the database, or part of it, is older than the checkpoint"
    )]
    RolledBack {
        /// Row id of the account.
        account: i64,
    },
    /// Not a checkpoint, or not this server's.
    #[error(
        "the checkpoint is damaged, or another server's; give the file that `verifier audit checkpoint` wrote"
    )]
    BadCheckpoint,
    /// No database can be made from the log.
    #[error(
        "line {line} of the log {what}; nothing was made: give the file that `verifier audit export` wrote"
    )]
    BadLog {
        /// The first line that does not fit, from 1.
        line: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Only SQLite databases are copied by this program.
    #[error("the database is PostgreSQL's; back it up with PostgreSQL's own tools (docs/postgres.md)")]
    NotSqlite,
    /// A file that was given cannot be read or written.
    #[error(
        "the file cannot be read or written; check its directory, its permissions and the room on the disk"
    )]
    File(#[source] std::io::Error),
    /// The provider failed.
    #[error("cryptography failed: {0}; repeat the request")]
    Crypto(#[from] CryptoError),
}
