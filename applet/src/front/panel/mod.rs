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
//! | `machine`, `rehearsal` | snapshots; a card to be wound back and forth |
//!
//! Who may come in, with how much and for how long, is settled by `onetap_page`, which serves it.

mod automation;
mod config;
mod draw;
mod field;
mod history;
mod hub;
mod keys;
mod machine;
mod rehearsal;
mod routes;
mod stage;
mod time;

use std::net::SocketAddr;
use std::sync::Arc;

pub use config::PanelConfig;
pub use field::Field;
pub use machine::{Machine, MachineError, MemoryMachine};
pub use onetap_page::{File, PageError};
pub use rehearsal::Rehearsal;
pub use stage::Stage;

use crate::card::SharedCard;
use hub::Hub;
use onetap_page::Page;

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
