//! The panel: a face that can be pressed. A web page with the card's display and keys, and the REST
//! interface below it (`assets/openapi.json`), served by the process that runs the card.
//!
//! It listens on this machine only, and whoever uses it needs a token. It shows what the card's own
//! display shows, the joint password included, on the screen's own addresses; the history of events and the
//! log of APDUs hold no more than a reader sees.
//!
//! | module | what it does |
//! |---|---|
//! | `hub` | the card and what surrounds it, as the routes use it |
//! | `history` | numbered events, waited for |
//! | `guard`, `body`, `problem`, `server` | who may come in, with how much, for how long |
//! | `draw` | the display as PNG and SVG |
//! | `keys`, `automation` | keys as words; rules that press them |
//! | `machine` | snapshots |

mod automation;
mod body;
mod draw;
mod field;
mod guard;
mod history;
mod hub;
mod keys;
mod machine;
mod problem;
mod routes;
mod server;
mod stage;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::oneshot;

pub use field::Field;
pub use machine::{Machine, MachineError, MemoryMachine};
pub use stage::{File, Stage};

use crate::card::{SharedCard, VirtualClock};
use guard::{Gate, Token};
use hub::Hub;

/// How to serve a card's panel.
pub struct PanelConfig {
    /// Where to listen: an address of this machine only; port 0 takes any free one.
    pub addr: SocketAddr,
    /// Who brings the field.
    pub field: Field,
    /// The card's clock, if it is one that can be set; without, the card runs on the machine's.
    pub clock: Option<VirtualClock>,
    /// The seed of the card's randomness, if it has one.
    pub seed: Option<u64>,
    /// What takes and restores snapshots, if this card has it.
    pub machine: Option<Box<dyn Machine>>,
    /// What surrounds the card on a page of its own.
    pub stage: Option<Box<dyn Stage>>,
}

impl Default for PanelConfig {
    /// Any free port of the loopback; the panel is the reader; real time and randomness.
    fn default() -> Self {
        let addr = SocketAddr::from(([127, 0, 0, 1], 0));
        Self { addr, field: Field::Panel, clock: None, seed: None, machine: None, stage: None }
    }
}

/// Why there is no panel.
#[derive(Debug, thiserror::Error)]
pub enum PanelError {
    /// Others could reach it.
    #[error(
        "the panel is served on this machine only, not at {0}; give 127.0.0.1:PORT, and from elsewhere use \
         ssh -L PORT:127.0.0.1:PORT"
    )]
    NotLoopback(SocketAddr),
    /// The address cannot be used.
    #[error("the panel cannot be served at {addr}: {source}; give another port, 0 for any free one")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// A panel that is being served. Dropping it ends that.
pub struct Panel {
    addr: SocketAddr,
    token: Token,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Panel {
    /// Serves the panel of `card` from a thread of its own, which also lets the card's time pass.
    ///
    /// # Errors
    /// [`PanelError`].
    pub fn serve(card: SharedCard, mut config: PanelConfig) -> Result<Self, PanelError> {
        if !config.addr.ip().is_loopback() {
            return Err(PanelError::NotLoopback(config.addr));
        }
        let failed = |source| PanelError::Listen { addr: config.addr, source };
        let listener = TcpListener::bind(config.addr).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let addr = listener.local_addr().map_err(failed)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;

        let token = Token::draw();
        let gate = Arc::new(Gate::new(token.clone(), addr));
        let stage: Option<Arc<dyn Stage>> = config.stage.take().map(Arc::from);
        let hub = Arc::new(Hub::new(card, config));
        let app = routes::router(&hub, stage.as_ref(), &gate);
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            runtime.block_on(server::run(listener, app, hub, stopped));
        });
        Ok(Self { addr, token, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it is served.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The bearer token. Whoever has it may press the card's keys.
    #[must_use]
    pub fn token(&self) -> &str {
        self.token.expose()
    }

    /// The page's address.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of("/")
    }

    /// The address of a page. The token stands behind the `#`, which browsers do not send anywhere.
    #[must_use]
    pub fn url_of(&self, path: &str) -> String {
        format!("http://{}{path}#token={}", self.addr, self.token())
    }
}

impl std::fmt::Debug for Panel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Panel").field("addr", &self.addr).finish_non_exhaustive()
    }
}

impl Drop for Panel {
    fn drop(&mut self) {
        // If the thread is gone already, nobody is left to be told.
        let _ = self.stop.take().map(|stop| stop.send(()));
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
