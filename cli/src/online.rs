//! A terminal that meets its server over the network: the way there, and the journal of what it sent.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use onetap_apdu_spec::service::TransactionId;
use onetap_apdu_spec::txn::TerminalId;
use onetap_pcsc_host::http::{Credentials, CredentialsError, HttpConfig, HttpService, Roots};
use onetap_pcsc_host::journal::Entry;
use onetap_pcsc_host::payment::PcscCards;
use onetap_pcsc_host::pcsc::Wanted;
use onetap_pcsc_host::service::NotReady;
use onetap_pcsc_host::{Deadline, FileJournal, Journal as _, Limits, Service, Terminal, Till};
use zeroize::Zeroizing;

use crate::args;
use crate::exit::Failure;
use crate::files;
use crate::readers::reader_named;

/// Where a token stands if not in a file.
const TOKEN: &str = "ONETAP_TOKEN";
/// How long the server may take to say which terminal this is.
const HELLO: Duration = Duration::from_secs(5);

/// The server, as this terminal reaches it.
pub(crate) struct Online {
    pub(crate) service: Arc<dyn Service>,
    pub(crate) terminal: TerminalId,
    pub(crate) journal: Arc<FileJournal>,
    patience: Duration,
}

impl Online {
    /// Reads what the options name. Asks the server which terminal this is, if no option says so.
    pub(crate) fn open(options: &args::Online) -> Result<Self, Failure> {
        let service: Arc<dyn Service> =
            Arc::new(HttpService::new(reach(&options.server, &options.identity)?)?);
        let terminal = match &options.terminal {
            Some(terminal) => terminal.clone(),
            None => {
                let standing = service.standing(&Deadline::after(HELLO)).map_err(NotReady::from)?;
                standing.terminal.ok_or(NotReady::NotATerminal(standing.role))?
            }
        };
        let folder = match &options.journal {
            Some(folder) => folder.clone(),
            None => state_folder()?.join(terminal.as_str()),
        };
        let journal = Arc::new(FileJournal::open(folder)?);
        Ok(Self { service, terminal, journal, patience: Duration::from_secs(options.patience) })
    }

    /// Everything that a payment needs, with cards in the reader of that name, or in any.
    pub(crate) fn till(&self, reader: Option<&str>, limits: Limits) -> Result<Till, Failure> {
        let wanted = reader.map(reader_named).transpose()?.map_or_else(Wanted::any, Wanted::in_reader);
        let terminal = Terminal::new(self.terminal.clone());
        let (service, journal) = (Arc::clone(&self.service), Arc::clone(&self.journal));
        let limits = Limits { sending: self.patience, ..limits };
        Ok(Till::new(terminal, PcscCards::new(wanted), service, journal).with_limits(limits))
    }

    /// Payments whose outcome nobody was told yet: what was told is forgotten.
    pub(crate) fn untold(&self) -> Result<Vec<Entry>, Failure> {
        Ok(self.journal.entries()?)
    }

    /// Somebody was told how the transaction of this id ended: it is forgotten.
    pub(crate) fn told(&self, id: &TransactionId) -> Result<(), Failure> {
        let mut entries = self.untold()?.into_iter().filter(|entry| entry.id() == *id);
        entries.try_for_each(|entry| Ok(self.journal.forget(&entry.place())?))
    }

    /// How long one entry of the journal may take to be resolved.
    pub(crate) fn patience(&self) -> Duration {
        self.patience
    }
}

/// A till that several threads reach.
pub(crate) fn shared(till: Till) -> Arc<Mutex<Till>> {
    Arc::new(Mutex::new(till))
}

/// How a server is reached by whom the options name.
pub(crate) fn reach(server: &str, identity: &args::Identity) -> Result<HttpConfig, Failure> {
    let mut config = HttpConfig::new(server, credentials(identity)?);
    if let Some(path) = &identity.ca {
        config.roots = Roots::from_pem(files::read_text(path)?.as_bytes()).map_err(in_file(path))?;
    }
    Ok(config)
}

/// A token, a certificate, or both.
fn credentials(options: &args::Identity) -> Result<Credentials, Failure> {
    let token = match (&options.token_file, std::env::var(TOKEN)) {
        (Some(path), _) => {
            let token = Zeroizing::new(files::read_text(path)?);
            Some(Credentials::token(&token).map_err(in_file(path))?)
        }
        (None, Ok(token)) => {
            let token = Zeroizing::new(token);
            let wrong = |why| Failure::Credentials { place: TOKEN.into(), why };
            Some(Credentials::token(&token).map_err(wrong)?)
        }
        (None, Err(_)) => None,
    };
    let certificate = match (&options.cert, &options.key) {
        (Some(cert), Some(key)) => {
            let (chain, secret) = (files::read_text(cert)?, Zeroizing::new(files::read_text(key)?));
            let pair = Credentials::certificate(chain.as_bytes(), secret.as_bytes());
            Some(pair.map_err(|why| in_file(if why == CredentialsError::NoKey { key } else { cert })(why))?)
        }
        _ => None,
    };
    match (token, certificate) {
        (Some(token), Some(certificate)) => Ok(token.and(certificate)),
        (Some(one), None) | (None, Some(one)) => Ok(one),
        (None, None) => Err(Failure::Usage(format!(
            "say who this client is: --token-file FILE, the variable {TOKEN}, or --cert FILE --key FILE"
        ))),
    }
}

pub(crate) fn in_file(path: &Path) -> impl Fn(CredentialsError) -> Failure + '_ {
    |why| Failure::Credentials { place: path.display().to_string(), why }
}

/// Where programs of this system keep the state of their user.
fn state_folder() -> Result<PathBuf, Failure> {
    let set = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = if cfg!(windows) {
        set("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        set("HOME").map(|home| home.join("Library/Application Support"))
    } else {
        set("XDG_STATE_HOME").or_else(|| set("HOME").map(|home| home.join(".local/state")))
    };
    let missing = || Failure::Usage("say where to keep the journal: --journal FOLDER".to_owned());
    Ok(folder.ok_or_else(missing)?.join("onetap"))
}
