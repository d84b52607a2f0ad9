//! Which commands are the runtime's own.

use onetap_apdu_spec::apdu::CommandApdu;
use onetap_apdu_spec::class::Class;

/// One of the runtime's own commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Own {
    /// SELECT by name.
    Select,
    /// MANAGE CHANNEL.
    ManageChannel,
    /// GET RESPONSE.
    GetResponse,
}

const INTERINDUSTRY: u8 = 0x00;
const SELECT: u8 = 0xA4;
const MANAGE_CHANNEL: u8 = 0x70;
const GET_RESPONSE: u8 = 0xC0;
/// P1 of SELECT by name.
pub(super) const BY_NAME: u8 = 0x04;

/// The runtime's own command, if it is one. SELECT by anything but a name is for the applet, if one is
/// selected; GET RESPONSE too, if it does that itself.
#[inline]
pub(super) fn own_command(
    class: Class,
    apdu: &CommandApdu<'_>,
    is_selected: bool,
    own_transport: bool,
) -> Option<Own> {
    match (class.base, apdu.ins) {
        (INTERINDUSTRY, SELECT) if apdu.p1 == BY_NAME || !is_selected => Some(Own::Select),
        (INTERINDUSTRY, MANAGE_CHANNEL) => Some(Own::ManageChannel),
        (INTERINDUSTRY, GET_RESPONSE) if !own_transport => Some(Own::GetResponse),
        _ => None,
    }
}
