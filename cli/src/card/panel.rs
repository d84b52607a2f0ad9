//! The card's panel: a page with its display and keys, served while the card runs.

use std::net::SocketAddr;

use onetap_applet::SharedCard;
use onetap_applet::front::panel::{Field, Panel, PanelConfig};
use onetap_applet::front::vpcd::Stop;

use crate::exit::Failure;

/// Serves the panel at `addr`. Without a virtual reader, the panel is the reader.
pub(super) fn serve(card: &SharedCard, addr: SocketAddr, reader: Option<&Stop>) -> Result<Panel, Failure> {
    let field = reader.map_or(Field::Panel, |stop| Field::Vpcd(stop.clone()));
    let config = PanelConfig { addr, field, ..PanelConfig::default() };
    Ok(Panel::serve(SharedCard::clone(card), config)?)
}
