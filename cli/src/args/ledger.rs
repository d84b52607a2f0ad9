//! The command line of the ledger and the outbox.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use onetap_apdu_spec::account::AccountNumber;
use onetap_server_verifier::EntryId;
use onetap_server_verifier::{HoldId, SystemName, TransactionId};

use super::Why;
use crate::act::act;

#[derive(Debug, Subcommand)]
pub(crate) enum Ledger {
    /// Check every sum: transactions, accounts, currencies, holds
    Check {
        /// The server's folder
        #[arg(long)]
        db: PathBuf,
    },
    /// Hold money of an account, so that it cannot be spent
    Hold {
        #[command(flatten)]
        act: Act,
        /// Whose money
        #[arg(long)]
        account: AccountNumber,
        /// How much, in major units
        #[arg(long)]
        amount: String,
    },
    /// Set what is held free again
    Release {
        #[command(flatten)]
        act: Act,
        /// Which hold, as `hold` printed it
        hold: HoldId,
    },
    /// Pay what is held, or a part of it; the rest is free again
    Capture {
        #[command(flatten)]
        act: Act,
        /// Which hold, as `hold` printed it
        hold: HoldId,
        /// Who is paid
        #[arg(long)]
        payee: AccountNumber,
        /// How much, in major units
        #[arg(long)]
        amount: String,
    },
    /// Post the opposite of an executed transaction or a captured hold, once
    Reverse {
        #[command(flatten)]
        act: Act,
        /// Which transaction
        transaction: TransactionId,
    },
    /// Say that another system keeps the books of a stored value
    Link {
        #[command(flatten)]
        act: Act,
        /// Which stored value; it must be empty
        #[arg(long)]
        account: AccountNumber,
        /// Which system: a-z, 0-9 and -
        #[arg(long)]
        system: SystemName,
    },
    /// Record what that system says of a transaction that was accepted for it
    Settle {
        #[command(flatten)]
        act: Act,
        /// Which transaction
        transaction: TransactionId,
        /// It has not booked it, and why
        #[arg(long, value_name = "REASON")]
        failed: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Outbox {
    /// Show how much waits, and the messages that nobody took
    List {
        /// The server's folder
        #[arg(long)]
        db: PathBuf,
    },
    /// Send a message that nobody took again, and what it held back
    Requeue {
        #[command(flatten)]
        act: Act,
        /// Which message
        message: EntryId,
    },
    /// Give a message that nobody took up, so that what it held back is sent
    Discard {
        #[command(flatten)]
        act: Act,
        /// Which message
        message: EntryId,
    },
    /// Make the secret that signs what is sent, or the next one, and show it, this once
    Secret {
        #[command(flatten)]
        act: Act,
        /// The secret before signs beside it for so long
        #[arg(long, value_name = "SECONDS", default_value_t = 86_400)]
        overlap: u32,
    },
    /// Send a message of the topic `test` to a receiver, and say whether it takes it
    Test {
        /// The server's folder
        #[arg(long)]
        db: PathBuf,
        /// The receiver
        #[arg(long)]
        url: String,
        /// Its CA (PEM); public authorities if left out
        #[arg(long, value_name = "FILE")]
        ca: Option<PathBuf>,
    },
    /// Write a message for each transaction from the server's next start on, or no more
    Announce {
        /// The server's folder
        #[arg(long)]
        db: PathBuf,
        /// No more
        #[arg(long)]
        off: bool,
    },
}

/// An act, which the audit log has with the system's user and the reason.
#[derive(Debug, Args)]
pub(crate) struct Act {
    /// The server's folder
    #[arg(long)]
    pub(crate) db: PathBuf,
    /// For whom, if not for the system's user
    #[arg(long)]
    pub(crate) operator: Option<String>,
    #[command(flatten)]
    pub(crate) why: Why,
}

impl Act {
    /// The act itself.
    pub(crate) fn act(&self) -> onetap_server_verifier::Act {
        act(self.operator.as_deref(), self.why.reason())
    }
}
