//! `onetap conform`, as clap sees it.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use onetap_apdu_spec::header::CardId;
use onetap_apdu_spec::suite::Suite;

use super::Target;

#[derive(Debug, Subcommand)]
pub(crate) enum Conform {
    /// Run the suite, or a selection of it
    Run(Box<ConformRun>),
    /// List the cases
    List {
        #[command(flatten)]
        selection: Selection,
    },
    /// Write a first version of what a card claims, to be completed by people
    Probe {
        /// Which card
        #[arg(long)]
        target: Target,
        /// The issuer's order for the card, which names its suite and limits
        #[arg(long)]
        order: Option<PathBuf>,
    },
}

/// Which cases.
#[derive(Debug, Args)]
pub(crate) struct Selection {
    /// Ids or their beginnings
    pub(crate) cases: Vec<String>,
    /// Only cases of this clause, such as REQ-K-18
    #[arg(long)]
    pub(crate) clause: Vec<String>,
    /// Only cases of this suite
    #[arg(long)]
    pub(crate) suite: Option<Suite>,
}

#[derive(Debug, Args)]
pub(crate) struct ConformRun {
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// Which card
    #[arg(long, default_value = "in-process")]
    pub(crate) target: Target,
    #[command(flatten)]
    pub(crate) loan: Lending,
    /// Run in a random order that this seed decides
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Begin no case after so many minutes
    #[arg(long, default_value_t = 120)]
    pub(crate) minutes: u64,
    /// Failures that are known, with reasons: a list of {"case", "reason"} in JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) known: Option<PathBuf>,
    /// Write the run as JUnit XML, too
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    /// Write the run as one page, too
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Show another run beside this one on the page: what `conform run --json` wrote
    #[arg(long, value_name = "FILE", requires = "html")]
    pub(crate) beside: Vec<PathBuf>,
}

/// What a card in a reader is lent.
#[derive(Debug, Args)]
pub(crate) struct Lending {
    /// What the card claims, as `conform probe` writes it
    #[arg(long, value_name = "FILE")]
    pub(crate) claims: Option<PathBuf>,
    /// The issuer's order for the card; a secret
    #[arg(long, value_name = "FILE", requires = "statement")]
    pub(crate) order: Option<PathBuf>,
    /// The card's enrolment statement
    #[arg(long, value_name = "FILE", requires = "order")]
    pub(crate) statement: Option<PathBuf>,
    /// The server's private key (PKCS #8, DER), if the card encrypts to it; a secret
    #[arg(long, value_name = "FILE", requires = "order")]
    pub(crate) server_key: Option<PathBuf>,
    /// In the place of these three: the folder of the verifier at which the card is enrolled, which knows its keys
    #[arg(long, value_name = "FOLDER", requires = "card", conflicts_with_all = ["order", "server_key"])]
    pub(crate) verifier: Option<PathBuf>,
    /// Which of that verifier's cards it is: 16 hex digits
    #[arg(long, value_name = "CARD", requires = "verifier")]
    pub(crate) card: Option<CardId>,
    /// Who holds the card: `person` at this terminal, the address of a panel, or a program that moves a robot
    #[arg(long, value_name = "HOLDER", env = "ONETAP_HOLDER", hide_env_values = true)]
    pub(crate) holder: Option<String>,
    /// The holder's PIN
    #[arg(long, env = "ONETAP_PIN", hide_env_values = true)]
    pub(crate) pin: Option<String>,
    /// Most signatures that the run may make on the card
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(crate) signatures: u32,
    /// Give a contact up after so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    pub(crate) case_seconds: u64,
}
