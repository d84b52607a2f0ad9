//! The command line, as clap sees it.

mod books;
mod card;
mod conform;
mod keys;
mod ledger;
mod load;
mod pay;
mod policy;
mod service;
mod trace;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use onetap_apdu_spec::account::AccountNumber;
use onetap_apdu_spec::money::Currency;
use onetap_apdu_spec::suite::Suite;
use onetap_apdu_spec::txn::TerminalId;
use onetap_server_verifier::Shard;

pub(crate) use books::Audit;
pub(crate) use card::{Card, CardRun, Channel, How, IssueOrder, Issuer, Lock, Made, Place, Tear};
pub(crate) use conform::{Conform, ConformRun, Lending, Selection};
pub(crate) use keys::{Keys, KeysOf, NewKeys, Opener};
pub(crate) use ledger::{Ledger, Outbox};
pub(crate) use load::Load;
pub(crate) use pay::{Doctor, Identity, Online, Pay, Terminal};
pub(crate) use policy::Policy;
pub(crate) use service::{AddClient, AddToken, Client, Configuration, LinkClient, LogLevel, Serve, Settings};
pub(crate) use trace::{Slot, Trace, TracePlay, TraceRecord, TraceReplay};

/// One tap signs, the holder confirms, the server executes.
#[derive(Debug, Parser)]
#[command(name = "onetap", version, after_help = crate::exit::HELP)]
pub(crate) struct Cli {
    /// Print JSON: one object, or one a line where there are many
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show a whole payment, from tap to booking, and what happens to those who cheat
    Demo(Demo),
    /// Make a card, put it into a virtual reader, press its keys
    #[command(subcommand)]
    Card(Card),
    /// List the PC/SC readers
    Readers,
    /// Find what is wrong between a card and the server, and say what cures it
    Doctor(Doctor),
    /// Pay: tap a card, type what its display shows, have the server decide
    Pay(Box<Pay>),
    /// Serve the shop's terminal as a page: enter or scan, tap, type, print
    Terminal(Terminal),
    /// Run the server's side: accounts, cards, locks
    #[command(subcommand)]
    Verifier(Verifier),
    /// Measure what a service takes: cards made in memory pay one another, every answer and balance is checked
    Load(Load),
    /// Record, replay and read traces
    #[command(subcommand)]
    Trace(Trace),
    /// Test any card against the specification
    #[command(subcommand)]
    Conform(Conform),
    /// Print the completion script of a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Write the manual, a page for each command, for man(1)
    Manual {
        /// Folder of the pages; files of the same names are written anew
        #[arg(long, value_name = "FOLDER")]
        into: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Signing profile with its methods, such as a3+sha256+rsa-oaep+pkcs1
    #[arg(long, value_name = "SUITE", default_value_t = Suite::default())]
    pub(crate) profile: Suite,
    /// Run one payment with every workable combination
    #[arg(long, conflicts_with_all = ["profile", "interactive"])]
    pub(crate) all_profiles: bool,
    /// List the workable combinations and end
    #[arg(long)]
    pub(crate) list_profiles: bool,
    /// Through a real pcscd and vsmartcard's vpcd instead of in-process
    #[arg(long)]
    pub(crate) pcsc: bool,
    /// Card, terminal and server as three processes, over PC/SC and TLS, without the cheats
    #[arg(long, conflicts_with_all = ["all_profiles", "pcsc", "interactive", "web"])]
    pub(crate) network: bool,
    /// Play the holder: press the card's keys, type what it shows
    #[arg(long, conflicts_with = "json")]
    pub(crate) interactive: bool,
    /// Card, terminal and server side by side on a page, with a terminal that can lie
    #[arg(long, conflicts_with_all = ["all_profiles", "pcsc", "interactive"])]
    pub(crate) web: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verifier {
    /// Make the server's database and keys
    Init {
        /// Folder to make
        #[arg(long)]
        db: PathBuf,
        /// The operator's name
        #[arg(long, default_value = "Example Bank")]
        name: String,
        /// Accept profiles that can be guessed or forged (for the patent's letter only)
        #[arg(long)]
        danger_allow_weak_profiles: bool,
        /// Keep the books in this PostgreSQL database, such as "host=db.example dbname=onetap user=onetap"
        #[arg(long, value_name = "CONNECTION")]
        postgres: Option<String>,
        /// Role that is to own the tables, made if there is none; who connects if left out
        #[arg(long, value_name = "ROLE", requires = "postgres")]
        owner: Option<String>,
        /// Role as which the service is to run, made if there is none: it can neither change what was logged nor tables
        #[arg(long, value_name = "ROLE", requires = "postgres")]
        role: Option<String>,
        /// Which part of a bank it is, whose accounts are spread over several databases; put the first part's keys.json into the
        /// folder before
        #[arg(long, value_name = "NUMBER", default_value = "0")]
        shard: Shard,
        #[command(flatten)]
        keys: NewKeys,
    },
    /// Bring the tables of a PostgreSQL database up to date as their owner, and give the role that serves its rights anew
    Upgrade {
        /// The server's folder
        #[arg(long)]
        db: PathBuf,
        /// How the tables' owner, or a member of it, connects
        #[arg(long, value_name = "CONNECTION")]
        postgres: String,
        /// Another role as which the service is to run, made if there is none
        #[arg(long, value_name = "ROLE")]
        role: Option<String>,
    },
    /// Seal, rotate, retire or show the server's keys
    #[command(subcommand)]
    Keys(Keys),
    /// Order a card for an account, or activate one that was made
    Enroll {
        /// The server's folder
        #[arg(long)]
        db: PathBuf,
        /// Order a card for this account
        #[arg(long, conflicts_with = "statement", required_unless_present = "statement")]
        account: Option<AccountNumber>,
        /// Signing profile with its methods; the last says what key the card makes: pkcs1 or pss RSA-2048, ecdsa P-256
        #[arg(long, value_name = "SUITE", default_value_t = Suite::default())]
        profile: Suite,
        /// Where to write the order, which holds the card key (standard output if left out)
        #[arg(long)]
        order: Option<PathBuf>,
        /// Activate the card that made this enrolment statement
        #[arg(long)]
        statement: Option<PathBuf>,
    },
    /// Open an account, register a terminal, or show accounts
    Account(Account),
    /// Unlock an account after three wrong passwords
    Unlock {
        /// The server's folder
        #[arg(long)]
        db: PathBuf,
        /// Which account
        #[arg(long)]
        account: AccountNumber,
        /// For whom, if not for the system's user
        #[arg(long)]
        operator: Option<String>,
        #[command(flatten)]
        why: Why,
    },
    /// Make a folder with all of a first payment over TLS: bank, card, terminal, certificates, configuration. To try, not to keep:
    /// the card's PIN is known
    Quickstart {
        /// Folder to make
        #[arg(long, value_name = "FOLDER")]
        into: PathBuf,
        /// Where the service is to listen
        #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8443")]
        listen: SocketAddr,
        /// Host names that the server's certificate is for, besides that address
        #[arg(long, value_name = "NAME")]
        host: Vec<String>,
    },
    /// Serve HTTP to terminals, operators, auditors and admins
    Serve(Box<Serve>),
    /// Check how the service is configured, or show it
    #[command(subcommand)]
    Config(Configuration),
    /// Show or change the operator's rules: limits, tries, windows
    #[command(subcommand)]
    Policy(Policy),
    /// Say who may ask the service
    #[command(subcommand)]
    Client(Client),
    /// Check the audit log, write checkpoints of it, export it
    #[command(subcommand)]
    Audit(Audit),
    /// Copy the database of a server that is in use
    Backup {
        /// The server's folder
        #[arg(long)]
        db: PathBuf,
        /// New file
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
    /// Put a copy into a folder without a database
    Restore {
        /// The copy
        #[arg(long, value_name = "FILE")]
        from: PathBuf,
        /// The server's folder
        #[arg(long)]
        db: PathBuf,
    },
    /// Make a database anew from an exported log, in a folder with keys.json and without a database
    Rebuild {
        /// What `audit export` wrote; `-` for standard input
        #[arg(long, value_name = "FILE")]
        from: PathBuf,
        /// The server's folder
        #[arg(long)]
        db: PathBuf,
    },
    /// Copy a whole bank, with its keys, to a database elsewhere; stop its server first
    Copy {
        /// The server's folder
        #[arg(long)]
        db: PathBuf,
        /// An empty PostgreSQL database, such as `host=/run/postgresql dbname=onetap`; SQLite if left out
        #[arg(long, value_name = "URL")]
        to: Option<String>,
        /// New folder
        #[arg(long, value_name = "FOLDER")]
        into: PathBuf,
    },
    /// Carry an account to another shard of the same bank, or what was paid to it since; servers go on
    Move {
        /// Which account
        account: AccountNumber,
        /// The folder of the shard that it leaves
        #[arg(long)]
        db: PathBuf,
        /// The folder of the shard to which it moves
        #[arg(long, value_name = "FOLDER")]
        to: PathBuf,
        #[command(flatten)]
        why: Why,
    },
    /// Hold, release, capture and reverse money; check the sums
    #[command(subcommand)]
    Ledger(Ledger),
    /// See what others were not told yet
    #[command(subcommand)]
    Outbox(Outbox),
    /// Show what was decided, and check the audit chain and the ledger
    Log {
        /// The server's folder
        #[arg(long)]
        db: PathBuf,
        /// Of this account only
        #[arg(long)]
        account: Option<AccountNumber>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Account {
    /// The server's folder
    #[arg(long)]
    pub(crate) db: PathBuf,
    /// Open an account for this holder
    #[arg(long, value_name = "HOLDER")]
    pub(crate) open: Option<String>,
    /// Currency of the new account
    #[arg(long, requires = "open", default_value = "EUR")]
    pub(crate) currency: Currency,
    /// Opening balance, in major units
    #[arg(long, requires = "open", allow_negative_numbers = true, default_value = "0")]
    pub(crate) balance: String,
    /// Open it with this number
    #[arg(long, requires = "open")]
    pub(crate) number: Option<AccountNumber>,
    /// Kind of the new account
    #[arg(long, value_enum, requires = "open", default_value_t = Kind::Current)]
    pub(crate) kind: Kind,
    #[command(flatten)]
    pub(crate) why: Why,
    /// Register a terminal with this id, 8 letters or digits
    #[arg(long, conflicts_with = "open", value_parser = terminal_id)]
    pub(crate) terminal: Option<TerminalId>,
}

/// Why something is done.
#[derive(Debug, Args)]
pub(crate) struct Why {
    /// Why, for the audit log; if left out, the log says that no reason was given
    #[arg(long, env = "ONETAP_REASON", value_name = "WHY")]
    reason: Option<String>,
}

impl Why {
    /// What the log has where nobody said why.
    pub(crate) const NOT_GIVEN: &str = "none given on the command line";

    /// The reason that the log gets.
    pub(crate) fn reason(&self) -> &str {
        self.reason.as_deref().filter(|reason| !reason.trim().is_empty()).unwrap_or(Self::NOT_GIVEN)
    }
}

/// Kinds of account.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Kind {
    /// A bank account
    Current,
    /// A stored value, such as a transit purse
    StoredValue,
}

fn terminal_id(text: &str) -> Result<TerminalId, String> {
    text.parse().map_err(|_| "a terminal id has 8 letters or digits, such as POS00001".to_owned())
}

/// A card under test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// A new card in this process.
    InProcess,
    /// A card in the PC/SC reader of that name. Empty: our own card in a virtual reader.
    Pcsc(String),
}

impl std::fmt::Display for Target {
    /// As it is typed.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::InProcess => f.write_str("in-process"),
            Self::Pcsc(reader) => write!(f, "pcsc:{reader}"),
        }
    }
}

impl std::str::FromStr for Target {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "in-process" => Ok(Self::InProcess),
            Some(("pcsc", reader)) if !reader.is_empty() => Ok(Self::Pcsc(reader.to_owned())),
            _ => Err("write in-process, or pcsc:NAME with a part of the reader's name".to_owned()),
        }
    }
}
