//! `onetap trace`, as clap sees it.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::{Args, Subcommand};
use onetap_apdu_spec::suite::Suite;
use onetap_conformance::traces::Scenario;
use onetap_pcsc_host::trace::{ExportFormat, LogFormat};
use strum::VariantNames as _;

use super::Target;

#[derive(Debug, Subcommand)]
pub(crate) enum Trace {
    /// Record a payment on a new card in this process, or any card in a reader, for any program
    Record(TraceRecord),
    /// Read the log of another program as a trace
    Import {
        /// Which program wrote it
        #[arg(long, value_name = "PROGRAM", value_parser = PossibleValuesParser::new(LogFormat::VARIANTS).try_map(|name| name.parse::<LogFormat>()))]
        from: LogFormat,
        /// The log; - stands for standard input
        log: PathBuf,
        /// New file to write (standard output if left out)
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Write a trace as another program reads it
    Export {
        /// As what
        #[arg(long, value_name = "FORMAT", value_parser = PossibleValuesParser::new(ExportFormat::VARIANTS).try_map(|name| name.parse::<ExportFormat>()))]
        to: ExportFormat,
        /// Trace file
        file: PathBuf,
        /// New file to write (standard output if left out)
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Replay traces against a card and report the first difference
    Replay(TraceReplay),
    /// Put a trace into a virtual reader as a card that answers what was recorded, until interrupted
    Play(TracePlay),
    /// Print a trace with each APDU decoded
    Show {
        /// Trace file
        file: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(crate) struct TraceRecord {
    /// Signing profile with its methods
    #[arg(long, value_name = "SUITE", default_value_t = Suite::default())]
    pub(crate) profile: Suite,
    /// What happens: payment, lockout, tamper or wrong-order
    #[arg(long, default_value = "payment")]
    pub(crate) scenario: Scenario,
    /// Keep what the card answered beside what is compared: for a trace that is to be played or exported
    #[arg(long)]
    pub(crate) keep: bool,
    /// Record the card in this reader, by a part of its name, until interrupted: programs use it in a virtual reader, and each command goes on to it
    #[arg(long, value_name = "READER", conflicts_with_all = ["profile", "scenario", "keep"], requires = "out")]
    pub(crate) reader: Option<String>,
    /// Record the virtual card that comes to this address as it would to vpcd's
    #[arg(long, value_name = "ADDR:PORT", conflicts_with_all = ["profile", "scenario", "keep", "reader"], requires = "out")]
    pub(crate) card_at: Option<String>,
    #[command(flatten)]
    pub(crate) slot: Slot,
    /// New file to write (standard output if left out)
    #[arg(long)]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct TraceReplay {
    /// Trace files
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// A new card of the trace's suite: in this process, or in vpcd's first slot as pcsc:READER
    #[arg(long, default_value = "in-process")]
    pub(crate) target: Target,
    /// The card in this reader, by a part of its name, if it is the one that the trace was recorded with
    #[arg(long, value_name = "READER", conflicts_with = "target")]
    pub(crate) reader: Option<String>,
    /// Whichever card is in the reader
    #[arg(long, requires = "reader")]
    pub(crate) any_card: bool,
    /// Report all differences, not only the first
    #[arg(long)]
    pub(crate) keep_going: bool,
}

#[derive(Debug, Args)]
pub(crate) struct TracePlay {
    /// Trace file
    pub(crate) file: PathBuf,
    /// Take the commands in any order, each as often as wanted
    #[arg(long)]
    pub(crate) lenient: bool,
    #[command(flatten)]
    pub(crate) slot: Slot,
}

/// The place of one card in a virtual reader.
#[derive(Debug, Args)]
pub(crate) struct Slot {
    /// Where vpcd listens for the card
    #[arg(long, value_name = "ADDR:PORT", default_value_t = onetap_applet::front::vpcd::DEFAULT_ADDR.to_string())]
    pub(crate) vpcd: String,
    /// Listen there for a reader in vpcd's reversed mode
    #[arg(long, value_name = "ADDR:PORT", conflicts_with = "vpcd")]
    pub(crate) listen: Option<String>,
}
