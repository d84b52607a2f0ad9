//! The card's panel: a page with its display and keys, served while the card runs.

use std::net::SocketAddr;

use onetap_applet::SharedCard;
use onetap_applet::front::panel::{Field, Panel, PanelConfig, Rehearsal};

use crate::exit::Failure;

/// Serves the panel at `addr`, until it is dropped.
pub(super) fn serve(
    card: &SharedCard,
    addr: SocketAddr,
    field: Field,
    rehearsal: Option<Rehearsal>,
) -> Result<Panel, Failure> {
    let config = PanelConfig { addr, field, ..PanelConfig::default() };
    let config = match rehearsal {
        Some(rehearsal) => rehearsal.into_panel(config),
        None => config,
    };
    Ok(Panel::serve(SharedCard::clone(card), config)?)
}
