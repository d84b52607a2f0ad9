//! The command line of the audit log and of copies.

use std::path::PathBuf;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// Check every chain, the rows that the log tells of, and the ledger
    Verify {
        /// The server's folder
        #[arg(long)]
        db: PathBuf,
        /// A checkpoint, each of whose entries must still be there
        #[arg(long, value_name = "FILE")]
        checkpoint: Option<PathBuf>,
    },
    /// Write where every chain ends, signed, to a new file; keep it elsewhere
    Checkpoint {
        /// The server's folder
        #[arg(long)]
        db: PathBuf,
        /// New file
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Write the whole log as JSON Lines, from which `verifier rebuild` makes a database anew
    Export {
        /// The server's folder
        #[arg(long)]
        db: PathBuf,
        /// New file (standard output if left out)
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}
