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
//! | `draw` | the display as PNG and SVG |
//! | `keys`, `automation` | keys as words; rules that press them |
//! | `machine` | snapshots |
//!
//! Who may come in, with how much and for how long, is settled by `onetap_page`, which serves it.

mod automation;
mod draw;
mod field;
mod history;
mod hub;
mod keys;
mod machine;
mod routes;
mod stage;
mod time;

use std::net::SocketAddr;
use std::sync::Arc;

pub use field::Field;
pub use machine::{Machine, MachineError, MemoryMachine};
pub use onetap_page::{File, PageError};
pub use stage::Stage;

use crate::card::{SharedCard, VirtualClock};
use hub::Hub;
use onetap_page::Page;

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

/// A panel that is being served. Dropping it ends that.
#[derive(Debug)]
pub struct Panel(Page);

impl Panel {
    /// Serves the panel of `card` from a thread of its own, which also lets the card's time pass.
    ///
    /// # Errors
    /// [`PageError`].
    pub fn serve(card: SharedCard, mut config: PanelConfig) -> Result<Self, PageError> {
        let addr = config.addr;
        let stage: Option<Arc<dyn Stage>> = config.stage.take().map(Arc::from);
        let hub = Arc::new(Hub::new(card, config));
        let site = routes::site(&hub, stage.as_ref());
        let work = async move { time::keep_time(&hub).await };
        Ok(Self(Page::serve(addr, site, work)?))
    }

    /// Where it is served.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.0.addr()
    }

    /// The bearer token. Whoever has it may press the card's keys.
    #[must_use]
    pub fn token(&self) -> &str {
        self.0.token()
    }

    /// The page's address.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of("/")
    }

    /// The address of a page. The token stands behind the `#`, which browsers do not send anywhere.
    #[must_use]
    pub fn url_of(&self, path: &str) -> String {
        self.0.url_of(path)
    }
}
