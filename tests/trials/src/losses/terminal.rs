//! A terminal that pays and resolves with the library's own client and journal, in this process or in a process of its
//! own.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use onetap_apdu_spec::rng::OsRng;
use onetap_apdu_spec::service::{Answer, AuthorisationRequest, IdempotencyKey, TransactionId};
use onetap_pcsc_host::attempt::{self, End, Undecided};
use onetap_pcsc_host::http::{Credentials, HttpConfig, HttpService};
use onetap_pcsc_host::journal::{Conclusion, FileJournal, Journal as _};
use onetap_pcsc_host::{Attempt, Cancel, Deadline, payment};
use onetap_postgres_rig::Kept;

use super::report::Told;
use crate::fire::Fallible;
use crate::fire::serve::Program;

/// What the child reads its orders from.
const ORDERS: &str = "ONETAP_LOSSES_CHILD";
/// What the child says just before it begins.
const MARK: &str = "@ begins";
/// For the server to answer, restarts included.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// A terminal: the way to the server, and a journal.
#[derive(Debug)]
pub struct Terminal {
    service: HttpService,
    journal: FileJournal,
}

impl Terminal {
    /// One that has the server at `url`, and its journal in `folder`.
    ///
    /// # Errors
    /// Whatever the library says.
    pub fn open(url: &str, token: &str, folder: &Path) -> Fallible<Self> {
        let mut config = HttpConfig::new(url, Credentials::token(token)?);
        config.proxy_from_environment = false;
        Ok(Self { service: HttpService::new(config)?, journal: FileJournal::open(folder)? })
    }

    /// Pays as [`onetap_pcsc_host::Till`] does once the password was typed, but gives up at the first failure. None if
    /// the outcome is not known.
    ///
    /// # Errors
    /// The journal cannot be written, or the server answers what it must not answer.
    pub fn pay(&self, request: &AuthorisationRequest) -> Fallible<Option<End>> {
        let key = IdempotencyKey::random(&mut OsRng);
        let attempt = Attempt::new(key, time::OffsetDateTime::now_utc().into(), request.cancellation())?;
        self.journal.begin(&attempt)?;
        let cancel = Cancel::new();
        let deadline = Deadline::after(PATIENCE).cancelled_by(&cancel);
        match attempt::send(&self.service, &attempt, request, &deadline, &mut |_| cancel.cancel()) {
            Ok(answer) => {
                self.journal.end(&attempt, &Conclusion::Answered(answer.clone()))?;
                executed(answer).map(Some)
            }
            Err(Undecided::NotExecuted(_)) => {
                self.journal.forget(&attempt.place())?;
                Ok(Some(End::Cancelled))
            }
            Err(Undecided::Unknown(_)) => Ok(None),
        }
    }

    /// Resolves all that the journal has, and forgets what has an end then.
    ///
    /// # Errors
    /// The journal cannot be read, or the server answers what it must not answer.
    pub fn resolve(&self, deadline: &Deadline) -> Fallible<Vec<Told>> {
        let mut told = Vec::new();
        for entry in self.journal.entries()? {
            let end = match payment::resolve(&self.service, &self.journal, &entry, deadline, &mut |_| ()) {
                Ok(Conclusion::Answered(answer)) => Some(executed(answer)?),
                Ok(Conclusion::Cancelled) => Some(End::Cancelled),
                Err(_) => None,
            };
            if end.is_some() {
                self.journal.forget(&entry.place())?;
            }
            told.push(Told { id: entry.id(), end, lost: entry.is_unresolved() });
        }
        Ok(told)
    }
}

/// What a terminal that pays one at a time was told of this payment. What its journal does not have was not sent.
pub(super) fn only(id: &TransactionId, mut resolved: Vec<Told>) -> Fallible<Told> {
    match (resolved.pop(), resolved.is_empty()) {
        (None, _) => Ok(Told { id: id.clone(), end: Some(End::Cancelled), lost: false }),
        (Some(told), true) if told.id == *id => Ok(told),
        (told, _) => Err(format!("the journal of {id} has {told:?} and {resolved:?}").into()),
    }
}

/// Nobody mistypes here, and everyone has money.
fn executed(answer: Answer) -> Fallible<End> {
    match answer {
        Answer::Executed { receipt } => Ok(End::Executed(receipt)),
        other => Err(format!("a payment that is in order was answered with {other:?}").into()),
    }
}

/// A payment for a process of its own.
#[derive(serde::Serialize, serde::Deserialize)]
pub struct Orders {
    /// Where the server is.
    pub url: String,
    /// With what the terminal is let in.
    pub token: String,
    /// The journal's.
    pub folder: PathBuf,
    /// What is sent.
    pub request: AuthorisationRequest,
}

/// The process that was given [`Orders`]; it begins when it is found.
///
/// # Errors
/// It does not start.
pub fn start(program: &Program, orders: &Orders) -> Fallible<Kept> {
    let mut command = program.command();
    command.env(ORDERS, serde_json::to_string(orders)?).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut process = Kept::start(command)?;
    let output = process.process().stdout.take().ok_or("no output")?;
    let mut lines = BufReader::new(output).lines().map_while(Result::ok);
    lines.find(|line| line == MARK).ok_or("the terminal's process ended at once")?;
    Ok(process)
}

/// Pays, if there are orders for it; else returns at once.
pub fn child() {
    let Ok(orders) = std::env::var(ORDERS) else { return };
    if let Err(why) = obey(&orders) {
        // The parent finds what the journal has.
        let _ = writeln!(std::io::stderr(), "{why}");
        std::process::exit(1);
    }
}

fn obey(orders: &str) -> Fallible<()> {
    let Orders { url, token, folder, request } = serde_json::from_str(orders)?;
    let terminal = Terminal::open(&url, &token, &folder)?;
    // The first line ends one that a test harness may have begun.
    let mut output = std::io::stdout().lock();
    writeln!(output, "\n{MARK}")?;
    output.flush()?;
    drop(output);
    terminal.pay(&request)?;
    Ok(())
}
