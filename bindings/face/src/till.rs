//! A terminal with its server and journal.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use onetap_apdu_spec::service::{Answer, Receipt};
use onetap_apdu_spec::txn::TransactionType;
use onetap_pcsc_host::http::{Credentials, HttpConfig, HttpService, Roots};
use onetap_pcsc_host::journal::{Conclusion, Entry, FileJournal, Journal, MemoryJournal};
use onetap_pcsc_host::payment::{self, Limits};
use onetap_pcsc_host::source::Draft;
use onetap_pcsc_host::{Cancel, Cards, Deadline, Terminal};

use crate::error::{Error, Result};
use crate::handle::{Handle, Object, entry, object, open};
use crate::port::{CardPort, PortCards};
use crate::source::{Transaction, provider};
use crate::trace::{RecordedCards, TraceCards};

/// What a till is made of. What is empty or none has its default.
#[derive(Default)]
pub struct TillConfig {
    /// The terminal's id, which the bank's operator gave.
    pub terminal: String,
    /// The server, such as `https://bank.example:8443`.
    pub server: String,
    /// The authority that vouches for the server, in PEM; without it those that the system trusts.
    pub ca: Option<Vec<u8>>,
    /// The token that the server's operator made for this terminal.
    pub token: Option<String>,
    /// A certificate in the token's place, with those that lead to its root, in PEM.
    pub certificate: Option<Vec<u8>>,
    /// Its private key, in PEM.
    pub key: Option<Vec<u8>>,
    /// The folder that attempts are kept in. Without it they are kept in memory, and are lost with the process.
    pub journal: Option<String>,
    /// Takes cards in this reader of the system only.
    pub reader: Option<String>,
    /// Takes cards that are put on a reader of the app's.
    pub port: Option<Box<dyn CardPort>>,
    /// Plays this trace in the place of a card and a reader.
    pub trace: Option<String>,
    /// Whether the trace takes each command once, in its own order and just as it was. If not, it takes them in any order and
    /// as often as wanted, with whatever a terminal makes anew for each transaction.
    pub strict: bool,
    /// Records what passes between terminal and cards as a trace, into this file, which must not be there yet. Secrets are
    /// left out. A disk that is full ends the recording, and no payment.
    pub record: Option<String>,
    /// How long each step may take.
    pub limits: StepLimits,
}

/// How long each step of a payment may take; zero stands for the default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StepLimits {
    /// For the server to say that a payment can be made (5 seconds).
    pub check: Duration,
    /// For a card to come and to sign (60 seconds).
    pub tap: Duration,
    /// For the card to be taken away (30 seconds).
    pub removal: Duration,
    /// For the holder to read, confirm and type (5 minutes).
    pub holder: Duration,
    /// For the server to decide (60 seconds).
    pub sending: Duration,
}

impl From<StepLimits> for Limits {
    fn from(limits: StepLimits) -> Self {
        let or = |given: Duration, default| if given.is_zero() { default } else { given };
        let all = Self::default();
        Self {
            check: or(limits.check, all.check),
            tap: or(limits.tap, all.tap),
            removal: or(limits.removal, all.removal),
            holder: or(limits.holder, all.holder),
            sending: or(limits.sending, all.sending),
        }
    }
}

/// A till that was opened.
pub(crate) struct Till {
    /// Not there while a payment has it.
    inner: Mutex<Option<payment::Till>>,
    service: Arc<HttpService>,
    journal: Arc<dyn Journal>,
    cards: CardsFrom,
    closed: Cancel,
}

impl Till {
    fn new(config: TillConfig) -> Result<Self> {
        let id = config.terminal.parse();
        let id =
            id.map_err(|error| Error::argument(format!("terminal id: {error}"), "give the terminal's id"))?;
        let service = Arc::new(service(&config)?);
        let journal: Arc<dyn Journal> = match config.journal.as_deref() {
            Some(folder) => Arc::new(FileJournal::open(folder)?),
            None => Arc::new(MemoryJournal::default()),
        };
        let (from, mut cards): (_, Box<dyn Cards>) = match (config.port, config.trace, config.reader) {
            (Some(port), None, None) => (CardsFrom::Port, Box::new(PortCards::new(port))),
            (None, Some(text), None) => (CardsFrom::Trace, Box::new(TraceCards::new(&text, config.strict)?)),
            (None, None, reader) => (CardsFrom::System, system_cards(reader)?),
            _ => {
                return Err(Error::argument(
                    "two of: a reader of the system, one of the app's, a trace",
                    "give one of them",
                ));
            }
        };
        if let Some(file) = &config.record {
            cards = Box::new(RecordedCards::new(cards, file)?);
        }
        let till = payment::Till::new(Terminal::new(id), cards, service.clone(), Arc::clone(&journal));
        let inner = Mutex::new(Some(till.with_limits(config.limits.into())));
        Ok(Self { inner, service, journal, cards: from, closed: Cancel::new() })
    }

    /// Where its cards come from.
    pub(crate) fn cards(&self) -> CardsFrom {
        self.cards
    }

    /// Takes the till for a payment; none if another one has it.
    pub(crate) fn take(&self) -> Option<payment::Till> {
        self.lock().take()
    }

    /// Puts it back.
    pub(crate) fn put_back(&self, till: payment::Till) {
        *self.lock() = Some(till);
    }

    fn lock(&self) -> MutexGuard<'_, Option<payment::Till>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Till {
    fn entry(&self, id: &str) -> Result<Entry> {
        let found = self.journal.entries()?.into_iter().find(|entry| entry.id().to_string() == id);
        found.ok_or_else(|| Error::argument(format!("the journal has no {id:?}"), "give one of the attempts"))
    }

    /// Forgets an attempt whose end is known.
    pub(crate) fn forget(&self, id: &str) -> Result<()> {
        let entry = self.entry(id)?;
        if entry.is_unresolved() {
            return Err(Error::argument(format!("how {id} ended is not known"), "resolve it first"));
        }
        Ok(self.journal.forget(&entry.place())?)
    }
}

impl Object for Till {
    const WHAT: &'static str = "till";

    fn close(&self) {
        self.closed.cancel();
    }
}

fn service(config: &TillConfig) -> Result<HttpService> {
    let token = config.token.as_deref().map(Credentials::token).transpose()?;
    let certificate = match (&config.certificate, &config.key) {
        (Some(certificate), Some(key)) => Some(Credentials::certificate(certificate, key)?),
        (None, None) => None,
        _ => return Err(Error::argument("a certificate without its key, or a key alone", "give both")),
    };
    let credentials = match (token, certificate) {
        (Some(token), Some(certificate)) => Some(token.and(certificate)),
        (token, certificate) => token.or(certificate),
    };
    let missing = || Error::argument("neither token nor certificate", "give what the server's operator made");
    let mut http = HttpConfig::with_provider(&config.server, credentials.ok_or_else(missing)?, provider());
    // A step that is given more time gives its connections more.
    [&mut http.connect, &mut http.answer, &mut http.whole]
        .into_iter()
        .for_each(|time| *time = config.limits.check.max(*time));
    if let Some(ca) = &config.ca {
        http.roots = Roots::from_pem(ca)?;
    }
    Ok(HttpService::new(http)?)
}

/// Where cards come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CardsFrom {
    System,
    Port,
    Trace,
}

#[cfg(feature = "pcsc")]
#[allow(clippy::unnecessary_wraps, reason = "without PC/SC there are none")]
fn system_cards(reader: Option<String>) -> Result<Box<dyn Cards>> {
    use onetap_pcsc_host::payment::PcscCards;
    use onetap_pcsc_host::pcsc::Wanted;
    let wanted = reader.map_or_else(Wanted::any, Wanted::in_reader);
    Ok(Box::new(PcscCards::new(wanted)))
}

#[cfg(not(feature = "pcsc"))]
fn system_cards(_: Option<String>) -> Result<Box<dyn Cards>> {
    Err(Error::argument("this build has no readers of the system", "give a reader of the app's"))
}

/// Opens a till. It connects with the first payment.
///
/// # Errors
/// [`Kind::Argument`](crate::Kind::Argument), [`Kind::Journal`](crate::Kind::Journal); [`Kind::Trace`](crate::Kind::Trace)
/// for a trace that cannot be read, and for a file that it cannot be recorded to.
pub fn till(config: TillConfig) -> Result<Handle> {
    entry(|| Ok(open(Till::new(config)?)))
}

/// How a payment ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// In a word.
    pub result: End,
    /// The transaction's id at the server.
    pub transaction: String,
    /// What was executed.
    pub receipt: Option<Slip>,
}

/// What became of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display)]
#[strum(serialize_all = "kebab-case")]
#[repr(i32)]
pub enum End {
    /// Executed, once.
    Executed = 1,
    /// Not executed. Which of signature, password, counter, payee, date or lock was wrong is not told.
    Refused = 2,
    /// Not executed: the balance is too small.
    InsufficientFunds = 3,
    /// Not executed: the amount is over a limit.
    LimitExceeded = 4,
    /// Not executed, and never will be. Only resolving gives this.
    Cancelled = 5,
}

/// A receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slip {
    /// Money was put on the card's own stored value.
    pub top_up: bool,
    /// Amount in minor units of the currency.
    pub minor: u64,
    /// ISO 4217.
    pub currency: String,
    /// The payee's account.
    pub payee_account: String,
    /// The payee's name.
    pub payee_name: String,
    /// The payee's reference.
    pub reference: String,
    /// Moment of execution by the server's clock, as `2026-07-01T12:00:00Z`.
    pub executed_at: String,
    /// The other system that has yet to book it; empty if it is booked.
    pub accepted_for: String,
}

impl From<Receipt> for Slip {
    fn from(receipt: Receipt) -> Self {
        Self {
            top_up: receipt.kind == TransactionType::TopUp,
            minor: receipt.amount,
            currency: receipt.currency.to_string(),
            payee_account: receipt.payee.to_string(),
            payee_name: receipt.payee_name,
            reference: receipt.reference,
            executed_at: receipt.executed_at.to_string(),
            accepted_for: receipt.accepted_for.map(String::from).unwrap_or_default(),
        }
    }
}

impl Outcome {
    pub(crate) fn of(transaction: String, answer: Answer) -> Self {
        let (result, receipt) = match answer {
            Answer::Executed { receipt } => (End::Executed, Some(receipt.into())),
            Answer::Refused => (End::Refused, None),
            Answer::InsufficientFunds => (End::InsufficientFunds, None),
            Answer::LimitExceeded => (End::LimitExceeded, None),
        };
        Self { result, transaction, receipt }
    }

    fn concluded(transaction: String, conclusion: Conclusion) -> Self {
        match conclusion {
            Conclusion::Answered(answer) => Self::of(transaction, answer),
            Conclusion::Cancelled => Self { result: End::Cancelled, transaction, receipt: None },
        }
    }
}

/// A payment that was sent, and that the app is not done with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The transaction's id, by which it is resolved and forgotten.
    pub id: String,
    /// When it was begun, by the terminal's clock; when it was written, if it cannot be read any more.
    pub begun: String,
    /// What was to be paid; none if it cannot be read any more.
    pub transaction: Option<Transaction>,
    /// How it ended; none if that is not known.
    pub outcome: Option<Outcome>,
}

impl From<Entry> for Attempt {
    fn from(entry: Entry) -> Self {
        let id = entry.id().to_string();
        match entry {
            Entry::Kept { attempt, conclusion } => Self {
                begun: attempt.begun().to_string(),
                transaction: Some(of_signed(attempt.transaction())),
                outcome: conclusion.map(|conclusion| Outcome::concluded(id.clone(), conclusion)),
                id,
            },
            Entry::Damaged { written, .. } => {
                Self { id, begun: written.to_string(), transaction: None, outcome: None }
            }
        }
    }
}

/// What a card signed, without what the tap added.
pub(crate) fn of_signed(signed: &onetap_apdu_spec::txn::Transaction) -> Transaction {
    Transaction::from(&Draft {
        kind: signed.kind,
        payee_account: signed.payee_account.clone(),
        payee_name: signed.payee_name.clone(),
        amount: signed.amount,
        reference: signed.reference.clone(),
        details: signed.details.clone(),
    })
}

/// The attempts of this till's journal: those whose end is not known, and those whose end the app was not told or not done
/// with. Ask when the program starts, and by a button.
///
/// # Errors
/// [`Kind::Journal`](crate::Kind::Journal).
pub fn attempts(handle: Handle) -> Result<Vec<Attempt>> {
    entry(|| Ok(object::<Till>(handle)?.journal.entries()?.into_iter().map(Attempt::from).collect()))
}

/// Learns the final state of an attempt, or makes it: executed, or cancelled for good. Asking again is always safe.
///
/// # Errors
/// [`Kind::Argument`](crate::Kind::Argument) if the journal has no such attempt, [`Kind::NotYet`](crate::Kind::NotYet),
/// [`Kind::Server`](crate::Kind::Server), [`Kind::Timeout`](crate::Kind::Timeout),
/// [`Kind::Cancelled`](crate::Kind::Cancelled) if the till is closed meanwhile.
pub fn resolve(handle: Handle, id: &str, timeout: Duration) -> Result<Outcome> {
    entry(|| {
        let till = object::<Till>(handle)?;
        let found = till.entry(id)?;
        let deadline = Deadline::after(timeout).cancelled_by(&till.closed);
        let ended = payment::resolve(&*till.service, &*till.journal, &found, &deadline, &mut |_| ());
        Ok(Outcome::concluded(id.to_owned(), ended?))
    })
}

/// The app is done with an attempt, such as by having it in its own books: the journal forgets it.
///
/// # Errors
/// [`Kind::Argument`](crate::Kind::Argument) if the journal has no such attempt, or if its end is not known;
/// [`Kind::Journal`](crate::Kind::Journal).
pub fn forget(handle: Handle, id: &str) -> Result<()> {
    entry(|| object::<Till>(handle)?.forget(id))
}
