//! A verifier serving in a process of its own: this program once more, as with `onetap verifier serve`, but without rate
//! limits.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use onetap_apdu_spec::txn::TerminalId;
use onetap_postgres_rig::Kept;
use onetap_postgres_rig::kept::orphan_ends_by;
use onetap_server_verifier::domain::client::{NewClient, Role};
use onetap_server_verifier::http::{Config, Server};
use onetap_server_verifier::{Act, Environment, InitOptions, ServiceError, Verifier};

use super::{Fallible, usage};

/// What the child reads its orders from.
const ORDERS: &str = "ONETAP_FIRE_CHILD";
/// Before the address that the child says, so that nothing else on the pipe is taken for it.
const MARK: &str = "@ ";

/// Where a verifier keeps its books.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Books {
    /// Of the keys; of the database too, where that is SQLite.
    pub folder: PathBuf,
    /// Of the database, where that is PostgreSQL.
    pub url: Option<String>,
}

impl Books {
    /// Opens new ones.
    ///
    /// # Errors
    /// Whatever the verifier says.
    pub fn init(&self, options: InitOptions) -> Result<Verifier, ServiceError> {
        match &self.url {
            None => Verifier::init(&self.folder, options, Environment::system()),
            Some(url) => Verifier::init_postgres(&self.folder, url, options, Environment::system()),
        }
    }

    /// Opens them.
    ///
    /// # Errors
    /// Whatever the verifier says.
    pub fn open(&self) -> Result<Verifier, ServiceError> {
        match &self.url {
            None => Verifier::open(&self.folder, Environment::system()),
            Some(url) => Verifier::open_postgres(&self.folder, url, Environment::system()),
        }
    }
}

/// The terminals' tokens.
#[derive(Debug, Clone, Default)]
pub struct Tokens(HashMap<TerminalId, String>);

impl Tokens {
    /// Adds a client for each terminal.
    ///
    /// # Errors
    /// Whatever the verifier says.
    pub fn make(verifier: &Verifier, terminals: &[TerminalId]) -> Fallible<Self> {
        let mut made = Self::default();
        for terminal in terminals {
            let new = NewClient::with_token(terminal.as_str().parse()?, Role::terminal(terminal.clone()));
            let (client, token) = new.make(verifier.now());
            verifier.desk(Act::of_program("test", "set-up")).add_client(&client)?;
            made.0.insert(terminal.clone(), token.ok_or("no token")?.expose().to_owned());
        }
        Ok(made)
    }

    /// The token of a terminal; empty if it has none.
    #[must_use]
    pub fn of(&self, terminal: &TerminalId) -> &str {
        self.0.get(terminal).map_or("", String::as_str)
    }
}

/// How this program is started so that it calls [`child`].
#[derive(Debug, Clone)]
pub struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
}

impl Program {
    /// This one, with these arguments.
    ///
    /// # Errors
    /// The system does not say which this is.
    pub fn this(arguments: &[&str]) -> Fallible<Self> {
        let arguments = arguments.iter().map(OsString::from).collect();
        Ok(Self { path: std::env::current_exe()?, arguments })
    }

    /// The command that starts it, killed when the thread that started it ends.
    pub fn command(&self) -> Command {
        let mut command = orphan_ends_by("KILL", &self.path);
        command.args(&self.arguments);
        command
    }
}

/// A verifier that serves. Killed when it is dropped.
#[derive(Debug)]
pub struct Serving {
    process: Kept,
    id: u32,
    address: SocketAddr,
    /// Kept open: a test harness speaks up after a minute, and ends if nobody can hear it.
    _output: BufReader<ChildStdout>,
}

impl Serving {
    /// Starts one, and waits until it listens.
    ///
    /// # Errors
    /// It ended before.
    pub fn start(program: &Program, books: &Books) -> Fallible<Self> {
        let orders = serde_json::to_string(books)?;
        let mut command = program.command();
        command.env(ORDERS, orders).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = Kept::start(command)?;
        let id = process.process().id();
        let output = process.process().stdout.take().ok_or("no output")?;
        let mut output = BufReader::new(output);
        let mut lines = output.by_ref().lines().map_while(Result::ok);
        let address = lines.find_map(|line| line.strip_prefix(MARK)?.parse().ok());
        let address = address.ok_or("the serving process ended at once")?;
        Ok(Self { process, id, address, _output: output })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// kill -9.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn kill9(&mut self) -> Fallible<()> {
        self.process.kill9()?;
        Ok(())
    }

    /// Resident memory in KiB: now, and at most so far.
    ///
    /// # Errors
    /// It is gone.
    pub fn resident(&self) -> Fallible<[u32; 2]> {
        usage::resident(&self.id.to_string())
    }

    /// What it has used of the processors so far.
    ///
    /// # Errors
    /// It is gone.
    pub fn processor_time(&self) -> Fallible<Duration> {
        usage::processor_time(&self.id.to_string())
    }
}

/// Serves until it is killed, if there are orders for it; else returns at once.
pub fn child() {
    let Ok(orders) = std::env::var(ORDERS) else { return };
    if let Err(why) = serve(&orders) {
        // The parent finds that the child ended.
        let _ = writeln!(std::io::stderr(), "{why}");
        std::process::exit(1);
    }
}

fn serve(orders: &str) -> Fallible<()> {
    let books: Books = serde_json::from_str(orders)?;
    let config = Config { client_rate: None, card_rate: None, ..Config::default() };
    let server = Server::start(Arc::new(books.open()?), config)?;
    // The first line ends one that a test harness may have begun.
    let mut output = std::io::stdout().lock();
    writeln!(output, "\n{MARK}{}", server.addr())?;
    output.flush()?;
    drop(output);
    loop {
        std::thread::park();
    }
}
