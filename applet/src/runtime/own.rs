//! Which commands are the runtime's own.

use onetap_apdu_spec::apdu::{CommandApdu, MAX_SHORT_LE};
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

/// The command as it is meant. SELECT without a name and without Le asks for what it asks for with Le = 00: on T=0 the two
/// are the same bytes (ISO/IEC 7816-3 §12.2.2), and hosts send either on T=1 too (REQ-K-20).
#[inline]
pub(super) fn meant<'a>(apdu: CommandApdu<'a>) -> CommandApdu<'a> {
    let is_nameless = apdu.ins == SELECT && apdu.p1 == BY_NAME && apdu.data.is_empty();
    let is_ours = || Class::parse(apdu.cla).is_ok_and(|class| class.base == INTERINDUSTRY);
    let ne = if is_nameless && is_ours() { apdu.ne.or(Some(MAX_SHORT_LE)) } else { apdu.ne };
    CommandApdu { ne, ..apdu }
}

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
