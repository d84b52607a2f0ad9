//! The card's panel: a page with its display and keys, served while the card runs.

use std::net::SocketAddr;

use onetap_applet::SharedCard;
use onetap_applet::front::panel::{Field, Panel, PanelConfig};

use crate::exit::Failure;

/// Serves the panel at `addr`, until it is dropped.
pub(super) fn serve(card: &SharedCard, addr: SocketAddr, field: Field) -> Result<Panel, Failure> {
    let config = PanelConfig { addr, field, ..PanelConfig::default() };
    Ok(Panel::serve(SharedCard::clone(card), config)?)
}
