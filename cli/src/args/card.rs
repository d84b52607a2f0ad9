//! `onetap card`, as clap sees it.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use onetap_apdu_spec::gp::scp03::{SecurityLevel, Variant};
use onetap_apdu_spec::header::CardId;
use onetap_applet::runtime::Limits;

#[derive(Debug, Subcommand)]
pub(crate) enum Card {
    /// Make a card and issue it: `blank` and `issue` in one
    New {
        #[command(flatten)]
        made: Made,
        #[command(flatten)]
        order: IssueOrder,
    },
    /// Make a card as it leaves its manufacturer: not issued, with the well-known keys of such cards
    Blank(Made),
    /// Issue a blank card to its holder: signing application, keys, PIN
    Issue {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        channel: Channel,
        #[command(flatten)]
        order: IssueOrder,
    },
    /// Give the holder a new PIN with all its tries
    Unblock {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        channel: Channel,
        #[command(flatten)]
        issuer: Issuer,
        /// The new PIN, 4 to 12 digits; asked for if left out
        #[arg(long, env = "ONETAP_PIN", hide_env_values = true)]
        pin: Option<String>,
    },
    /// Lock the card, or its signing application only, until it is unlocked
    Lock(Lock),
    /// Unlock what `lock` locked
    Unlock(Lock),
    /// Show the card's life cycle, applications and key sets, as its issuer sees them
    Status {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        channel: Channel,
        /// The server's folder; not for a blank card
        #[arg(long, requires = "card")]
        db: Option<PathBuf>,
        /// Which card, by the id that the server knows it by
        #[arg(long, value_name = "ID", value_parser = card_id, requires = "db")]
        card: Option<CardId>,
    },
    /// Put the card into a virtual reader (vsmartcard's vpcd) until interrupted
    Run(CardRun),
    /// Show what the card's display shows
    Show {
        /// Image file
        #[arg(long)]
        image: PathBuf,
    },
    /// Press keys on the card: read (all pages), next, previous, confirm, cancel, clear, or a PIN's digits
    Press {
        /// Image file
        #[arg(long)]
        image: PathBuf,
        /// Keys, in order
        #[arg(required = true)]
        keys: Vec<String>,
    },
    /// Cut the card's power in the middle of a write, and see what it wakes up as
    Tear(Tear),
}

#[derive(Debug, Args)]
pub(crate) struct Tear {
    /// Image file; it keeps what the cut leaves in it
    #[arg(long)]
    pub(crate) image: PathBuf,
    /// At which page write of the steps, from 0
    #[arg(long, value_name = "N", required_unless_present = "sweep")]
    pub(crate) at: Option<u64>,
    /// What arrives of that page
    #[arg(long, value_enum, default_value_t = How::Before, conflicts_with = "sweep")]
    pub(crate) how: How,
    /// Instead, cut copies of the card in memory at every write of the steps, in every way; the image stays as it is
    #[arg(long, conflicts_with = "at")]
    pub(crate) sweep: bool,
    /// What the card does meanwhile: tap (a contact in this process; tap=12.34 for another amount), and
    /// keys as for `card press`
    #[arg(last = true, value_name = "STEP", required = true)]
    pub(crate) steps: Vec<String>,
}

/// What arrives of the page at which the power is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum How {
    /// Nothing
    Before,
    /// The first half
    Half,
    /// The second half
    SecondHalf,
    /// All of it
    After,
}

/// How a blank card is issued.
#[derive(Debug, Args)]
pub(crate) struct IssueOrder {
    /// The issuer's order (from `verifier enroll --account`)
    #[arg(long)]
    pub(crate) order: PathBuf,
    /// The holder's PIN, 4 to 12 digits; asked for if left out
    #[arg(long, env = "ONETAP_PIN", hide_env_values = true)]
    pub(crate) pin: Option<String>,
    /// Where to write the enrolment statement (standard output if left out)
    #[arg(long)]
    pub(crate) statement: Option<PathBuf>,
}

/// What a card is made with.
#[derive(Debug, Args)]
pub(crate) struct Made {
    /// Image file to make
    #[arg(long)]
    pub(crate) image: PathBuf,
    /// What its secure channels are like, for ever: parameter "i" of SCP03
    #[arg(long, value_name = "I", default_value = "70", value_parser = variant)]
    pub(crate) scp03: Variant,
}

/// How issuer and card secure what they say.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Channel {
    /// Security level: 01, 03, 11, 13 or 33. A card that does not have it is refused
    #[arg(long, value_name = "LEVEL", default_value = "33", value_parser = security_level)]
    pub(crate) security_level: SecurityLevel,
}

/// Where the issuer meets the card.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Place {
    /// In this process: its image file
    #[arg(long)]
    pub(crate) image: Option<PathBuf>,
    /// In a PC/SC reader: its name, or a part of it
    #[arg(long, value_name = "NAME")]
    pub(crate) reader: Option<String>,
}

/// By which keys the issuer reaches a card that it issued.
#[derive(Debug, Args)]
pub(crate) struct Issuer {
    /// The server's folder
    #[arg(long)]
    pub(crate) db: PathBuf,
    /// Which card, by the id that the server knows it by
    #[arg(long, value_name = "ID", value_parser = card_id)]
    pub(crate) card: CardId,
}

#[derive(Debug, Args)]
pub(crate) struct Lock {
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) channel: Channel,
    #[command(flatten)]
    pub(crate) issuer: Issuer,
    /// The signing application only
    #[arg(long)]
    pub(crate) application: bool,
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("face").args(["panel", "tui"]).multiple(true)))]
pub(crate) struct CardRun {
    /// Image file; several, each after an --image of its own, go into as many readers
    #[arg(long, required = true)]
    pub(crate) image: Vec<PathBuf>,
    /// Where vpcd listens: one address for each card, or that of the first, and the ports after it
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:35963")]
    pub(crate) vpcd: Vec<String>,
    /// Listen there for the reader (vpcd's reversed mode): one address for each card, or that of the first,
    /// and the ports after it; port 0 takes any free one
    #[arg(long, value_name = "ADDR:PORT", conflicts_with = "vpcd")]
    pub(crate) listen: Vec<String>,
    /// Answer to reset as readers of contactless cards give it
    #[arg(long)]
    pub(crate) contactless: bool,
    /// What the card's chip has room and time for: none, real-card, t0, short, slow, apdu=N, commit=N, transient=N,
    /// channels=N, endurance=N, with commas between them
    #[arg(long, value_name = "LIMITS", default_value = "none")]
    pub(crate) limits: Limits,
    /// Leave the reader once the terminal has what it needs
    #[arg(long)]
    pub(crate) tap: bool,
    /// Serve the card's panel there, a page with its display and keys (a free port if left out); with several
    /// cards, each has one, on the ports after it
    #[arg(long, value_name = "ADDR:PORT", num_args = 0..=1, default_missing_value = "127.0.0.1:0")]
    pub(crate) panel: Option<SocketAddr>,
    /// Rehearse on a copy of the image in memory: the panel sets the clock and takes and restores snapshots, the
    /// random numbers follow from the seed, the image stays as it is
    #[arg(long, value_name = "SEED", num_args = 0..=1, default_missing_value = "1", requires = "panel")]
    pub(crate) rehearse: Option<u64>,
    /// Show the card in this terminal: display, keys, what the reader sees
    #[arg(long, conflicts_with = "json")]
    pub(crate) tui: bool,
    /// No virtual reader: panel or terminal bring the field
    #[arg(long, requires = "face", conflicts_with_all = ["vpcd", "listen", "tap", "contactless"])]
    pub(crate) no_vpcd: bool,
}

fn hexadecimal(text: &str) -> Option<u8> {
    u8::from_str_radix(text, 16).ok().filter(|_| text.len() == 2)
}

fn variant(text: &str) -> Result<Variant, String> {
    let variants =
        || Variant::all().map(|known| format!("{:02X}", known.code())).collect::<Vec<_>>().join(", ");
    hexadecimal(text).and_then(Variant::from_code).ok_or_else(|| format!("\"i\" is one of {}", variants()))
}

fn security_level(text: &str) -> Result<SecurityLevel, String> {
    let level = hexadecimal(text).and_then(SecurityLevel::from_code);
    level.ok_or_else(|| "a security level is 01, 03, 11, 13 or 33".to_owned())
}

fn card_id(text: &str) -> Result<CardId, String> {
    text.parse().map_err(|_| {
        "a card's id has 16 hexadecimal digits; `onetap verifier account` lists the cards".to_owned()
    })
}
