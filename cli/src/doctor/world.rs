//! What the checks look at, looked up once.

use std::path::PathBuf;
use std::time::Duration;

use onetap_apdu_spec::service::Standing;
use onetap_apdu_spec::txn::TerminalId;
use onetap_pcsc_host::http::HttpService;
use onetap_pcsc_host::pcsc::readers;
use onetap_pcsc_host::{Deadline, ReaderError, Service as _};

use crate::args;
use crate::exit::Failure;
use crate::neighbours::{Daemon, Driver, drivers};
use crate::online;
use crate::readers::LISTING;

/// Where pcscd listens, if the variable of pcsclite does not say so.
const SOCKET: &str = "/run/pcscd/pcscd.comm";
/// The variable.
pub(super) const SOCKET_VARIABLE: &str = "PCSCLITE_CSOCK_NAME";
/// How long the server may take to say who this terminal is.
const HELLO: Duration = Duration::from_secs(10);

/// What the checks look at.
pub(super) struct World {
    /// Of the PC/SC service.
    pub(super) socket: PathBuf,
    /// The daemon that ran before anybody asked it.
    pub(super) before: Option<Daemon>,
    /// What the service said of its readers.
    pub(super) readers: Result<Vec<String>, ReaderError>,
    /// The daemon that has answered.
    pub(super) daemon: Option<Daemon>,
    pub(super) drivers: Vec<Driver>,
    /// If one is named.
    pub(super) server: Option<Server>,
}

/// The server, and what it says of this terminal.
pub(super) struct Server {
    pub(super) url: String,
    pub(super) standing: Result<Standing, Trouble>,
    /// The terminal that this one wants to be.
    pub(super) terminal: Option<TerminalId>,
}

/// Why the server did not answer, and what to do about it.
pub(super) struct Trouble {
    pub(super) what: String,
    pub(super) cure: String,
}

impl World {
    pub(super) fn look(options: &args::Doctor) -> Self {
        let before = Daemon::find();
        let readers = readers(&Deadline::after(LISTING));
        let daemon = Daemon::find();
        let drivers = drivers(daemon.as_ref());
        let server = options.server.as_ref().map(|url| Server {
            url: url.clone(),
            standing: standing(url, &options.identity),
            terminal: options.terminal.clone(),
        });
        let socket = std::env::var_os(SOCKET_VARIABLE).map_or_else(|| SOCKET.into(), PathBuf::from);
        Self { socket, before, readers, daemon, drivers, server }
    }

    /// The reader's driver, if it is a virtual one.
    pub(super) fn virtual_driver(&self, reader: &str) -> Option<&Driver> {
        self.drivers.iter().find(|driver| driver.is_virtual() && driver.is_named(reader))
    }
}

fn standing(url: &str, identity: &args::Identity) -> Result<Standing, Trouble> {
    let service = online::reach(url, identity).and_then(|config| Ok(HttpService::new(config)?))?;
    service
        .standing(&Deadline::after(HELLO))
        .map_err(|error| Trouble { what: error.to_string(), cure: error.advice().to_owned() })
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        let cure = failure.advice().unwrap_or_else(|| "see onetap doctor --help".to_owned());
        Self { what: failure.to_string(), cure }
    }
}
