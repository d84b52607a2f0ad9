//! A whole program around a kind of card, for an author's `main`: the card in a file, in a virtual reader, with its
//! panel; commands sent to it; its power cut in the middle of a write.
//!
//! ```no_run
//! use onetap_applet::applets::Echo;
//! use onetap_applet::card::Product;
//! use onetap_applet::front::program;
//! use onetap_applet::runtime::DEFAULT_SELECTED;
//!
//! fn main() -> std::process::ExitCode {
//!     let name = Echo::name();
//!     program::main(&Product::new(&[Echo::module()]).instance(name, name, [DEFAULT_SELECTED, 0, 0], &[]))
//! }
//! ```

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clap::{ArgGroup, Args, Parser, Subcommand};
use onetap_page::PageError;

use super::InProcess;
use super::panel::{Field, Panel, PanelConfig, Rehearsal};
use super::tui::{self, TuiError};
use super::vpcd::{self, DEFAULT_ADDR, Meeting, Notice, Stop, VpcdConfig, VpcdError};
use crate::card::{Card, CardError, Environment, Interface, Product, SharedCard};
use crate::nvm::{Cut, How, Image, ImageFile, ImageOptions, TearingImage};
use crate::runtime::Limits;

/// What was answered is on the disk.
const DURABLE: ImageOptions = ImageOptions { durable: true };
/// How long a reader that is not there is looked for.
const PATIENCE: Duration = Duration::from_secs(10);

/// A card in a file, in a virtual reader or at hand.
#[derive(Debug, Parser)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Put the card into a virtual reader (vsmartcard's vpcd) until interrupted
    Run(Run),
    /// Send commands to the card, in one contact, and print what it answers
    Send {
        #[command(flatten)]
        at: Place,
        /// Commands in hexadecimal, in order
        #[arg(required = true, value_name = "APDU", value_parser = apdu)]
        commands: Vec<Apdu>,
    },
    /// Cut the card's power at a write while it executes commands, then open it again
    Tear {
        #[command(flatten)]
        at: Place,
        /// At which page write, from 0
        #[arg(long = "at", value_name = "N")]
        write: u64,
        /// What arrives of that page: before (nothing), half, second-half, after (all)
        #[arg(long, default_value = "before", value_parser = how)]
        how: How,
        /// Commands in hexadecimal, in order
        #[arg(required = true, value_name = "APDU", value_parser = apdu)]
        commands: Vec<Apdu>,
    },
}

#[derive(Debug, Args)]
struct Place {
    /// Image file of the card; made if there is none
    #[arg(long, value_name = "FILE")]
    image: PathBuf,
    /// What the card's chip has room and time for: none, real-card, t0, short, slow, apdu=N, commit=N, transient=N,
    /// channels=N, endurance=N, with commas between them
    #[arg(long, value_name = "LIMITS", default_value = "none")]
    limits: Limits,
}

impl Place {
    fn environment(&self) -> Environment {
        Environment { limits: self.limits, ..Environment::default() }
    }
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("hand").args(["panel", "tui"]).multiple(true))]
struct Run {
    #[command(flatten)]
    at: Place,
    /// Where vpcd listens
    #[arg(long, value_name = "ADDR:PORT", default_value_t = DEFAULT_ADDR)]
    vpcd: SocketAddr,
    /// vpcd's reversed mode: wait there for the reader to come
    #[arg(long, value_name = "ADDR:PORT", conflicts_with = "vpcd")]
    listen: Option<SocketAddr>,
    /// No virtual reader: panel or terminal bring the field
    #[arg(long, requires = "hand", conflicts_with_all = ["vpcd", "listen"])]
    no_vpcd: bool,
    /// Serve the card's panel there (a free port if left out)
    #[arg(long, value_name = "ADDR:PORT", num_args = 0..=1, default_missing_value = "127.0.0.1:0")]
    panel: Option<SocketAddr>,
    /// Rehearse on a copy of the image in memory: the panel sets the clock and takes and restores snapshots, the random
    /// numbers follow from the seed, the image stays as it is
    #[arg(long, value_name = "SEED", num_args = 0..=1, default_missing_value = "1", requires = "panel")]
    rehearse: Option<u64>,
    /// Show the card in this terminal: what the reader sees and, if it has them, display and keys
    #[arg(long)]
    tui: bool,
    /// Give the answer to reset of a contactless card
    #[arg(long)]
    contactless: bool,
}

impl Run {
    /// Where the card meets its reader, if not at the panel or in the terminal.
    fn meeting(&self) -> Result<Option<Meeting>, VpcdError> {
        match self.listen {
            _ if self.no_vpcd => Ok(None),
            Some(addr) => Meeting::listen(addr).map(Some),
            None => Ok(Some(Meeting::At(self.vpcd))),
        }
    }
}

/// The bytes of a command.
#[derive(Debug, Clone)]
struct Apdu(Vec<u8>);

fn apdu(text: &str) -> Result<Apdu, String> {
    let digits: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    hex::decode(digits)
        .map(Apdu)
        .map_err(|_| "a command is bytes in hexadecimal, such as 00A4040000".to_owned())
}

fn how(word: &str) -> Result<How, String> {
    let known = How::ALL.into_iter().find(|how| <&str>::from(*how) == word);
    known.ok_or_else(|| "one of before, half, second-half, after".to_owned())
}

/// Why the program ended before it was done.
#[derive(Debug, thiserror::Error)]
enum ProgramError {
    /// The command line; its text is clap's.
    #[error(transparent)]
    Usage(#[from] clap::Error),
    #[error(transparent)]
    Card(#[from] CardError),
    #[error(transparent)]
    Reader(#[from] VpcdError),
    #[error(transparent)]
    Panel(#[from] PageError),
    #[error(transparent)]
    Terminal(#[from] TuiError),
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
}

impl ProgramError {
    /// For the shell, as `onetap` counts.
    fn code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Reader(_) => 4,
            Self::Card(_) => 8,
            Self::Panel(_) | Self::Terminal(_) | Self::Output(_) => 9,
        }
    }
}

/// The author's program: does what its command line says with a card of this kind. `--help` tells of all.
#[must_use]
pub fn main(product: &Product) -> ExitCode {
    match run(product, std::env::args_os(), &mut io::stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(ProgramError::Usage(help)) => help.exit(),
        Err(why) => {
            // Where nobody reads it, the code says it.
            let _ = writeln!(io::stderr(), "{why}");
            ExitCode::from(why.code())
        }
    }
}

fn run(
    product: &Product,
    words: impl IntoIterator<Item = OsString>,
    out: &mut dyn io::Write,
) -> Result<(), ProgramError> {
    match Line::try_parse_from(words)?.command {
        Command::Run(options) => in_reader(product, &options, out),
        Command::Send { at, commands } => {
            let card = shared(open(product, &at)?);
            let contact = InProcess::connect(card);
            commands.iter().try_for_each(|command| say(out, &contact.transmit(&command.0)))
        }
        Command::Tear { at, write, how, commands } => {
            tear(product, &at, Cut { at: write, how }, &commands, out)
        }
    }
}

fn say(out: &mut dyn io::Write, response: &[u8]) -> Result<(), ProgramError> {
    Ok(writeln!(out, "{}", hex::encode_upper(response))?)
}

fn shared(card: Card) -> SharedCard {
    Arc::new(Mutex::new(card))
}

/// The card in a file; a new one if there is no file.
fn open(product: &Product, at: &Place) -> Result<Card, CardError> {
    if at.image.exists() {
        product.open(Box::new(ImageFile::open(&at.image, DURABLE)?), at.environment())
    } else {
        product.make(Box::new(ImageFile::create(&at.image, DURABLE)?), at.environment())
    }
}

/// Serves the card until it is interrupted. Killing the process takes the card out of the field.
fn in_reader(product: &Product, options: &Run, out: &mut dyn io::Write) -> Result<(), ProgramError> {
    let (mut card, rehearsal) = card_to_run(product, options)?;
    if options.contactless {
        card.set_interface(Interface::Contactless);
    }
    let (card, stop) = (shared(card), Stop::new());
    let field = if options.no_vpcd { Field::Panel } else { Field::Vpcd(stop.clone()) };
    let config = options.panel.map(|addr| PanelConfig::new(addr, field.clone(), rehearsal));
    let panel = config.map(|config| Panel::serve(Arc::clone(&card), config)).transpose()?;
    if let Some(panel) = &panel {
        writeln!(out, "its panel: {}", panel.url())?;
    }
    let meeting = options.meeting()?;
    if let Some(meeting) = &meeting {
        writeln!(out, "the card goes into the virtual reader at {}", meeting.addr()?)?;
    }
    out.flush()?;
    match (meeting, options.tui) {
        (None, true) => Ok(tui::show(&card, &field, &mut || false)?),
        (None, false) => loop {
            std::thread::park();
        },
        (Some(meeting), false) => serve(&card, meeting, &stop, &mut tell),
        (Some(meeting), true) => std::thread::scope(|scope| {
            let served = scope.spawn(|| serve(&card, meeting, &stop, &mut |_| ()));
            let shown = tui::show(&card, &field, &mut || served.is_finished());
            stop.stop();
            // A door that panicked has said so itself.
            served.join().unwrap_or(Ok(()))?;
            Ok(shown?)
        }),
    }
}

/// The card of the image, or a copy of it to be rehearsed with.
fn card_to_run(product: &Product, options: &Run) -> Result<(Card, Option<Rehearsal>), CardError> {
    let card = open(product, &options.at)?;
    let Some(seed) = options.rehearse else { return Ok((card, None)) };
    drop(card);
    let (product, limits) = (product.clone(), options.at.limits);
    let open = move |image, env| product.open(image, Environment { limits, ..env });
    let (copy, rehearsal) = Rehearsal::of(&options.at.image, seed, open)?;
    Ok((copy, Some(rehearsal)))
}

fn serve(
    card: &SharedCard,
    meeting: Meeting,
    stop: &Stop,
    tell: &mut dyn FnMut(Notice),
) -> Result<(), ProgramError> {
    let config = VpcdConfig { meeting, leave_when_delivered: false, give_up_after: Some(PATIENCE) };
    vpcd::serve_telling(card, &config, stop, tell)?;
    Ok(())
}

/// What became of the reader, on standard error.
fn tell(notice: Notice) {
    // Where nobody reads it, nobody misses it.
    let _ = writeln!(io::stderr(), "{notice}");
}

/// Executes commands until the power is cut, then opens the card again.
fn tear(
    product: &Product,
    at: &Place,
    cut: Cut,
    commands: &[Apdu],
    out: &mut dyn io::Write,
) -> Result<(), ProgramError> {
    // A new card is made whole.
    drop(open(product, at)?);
    let file = ImageFile::open(&at.image, DURABLE).map_err(CardError::from)?;
    let (image, switch) = TearingImage::new(file);
    let card = shared(product.open(Box::new(image) as Box<dyn Image>, at.environment())?);
    let contact = InProcess::connect(Arc::clone(&card));
    let before = switch.writes();
    switch.arm(cut);
    for command in commands {
        let response = contact.transmit(&command.0);
        if switch.torn() {
            break;
        }
        say(out, &response)?;
    }
    let (writes, torn) = (switch.writes() - before, switch.torn());
    drop((contact, card));
    let again = open(product, at)?;
    let what = match torn {
        true => format!("the power was cut at write {}, {}", cut.at, <&str>::from(cut.how)),
        false => format!("nothing was cut: all that was done took {writes} page writes"),
    };
    let instances = again.runtime().instances().count();
    writeln!(out, "{what}; the card opens again, with {instances} instances")?;
    Ok(())
}
