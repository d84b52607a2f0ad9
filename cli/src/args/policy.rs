//! The command line of the operator's rules.

use std::path::PathBuf;

use clap::Subcommand;

use super::Why;

#[derive(Debug, Subcommand)]
pub(crate) enum Policy {
    /// Show all rules
    Show {
        /// The server's folder
        #[arg(long)]
        db: PathBuf,
    },
    /// Change rules; running services follow within seconds
    Set {
        /// The server's folder
        #[arg(long)]
        db: PathBuf,
        /// Such as transaction-limit=50000 (minor units), max-age=600 (seconds), wrong-in-a-row=3
        #[arg(required = true, value_name = "RULE=VALUE")]
        rules: Vec<String>,
        #[command(flatten)]
        why: Why,
    },
}
