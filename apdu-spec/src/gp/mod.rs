//! GlobalPlatform (Card Specification v2.3.1, "GPCS", with Amendment D): how an issuer reaches a card,
//! makes it, and manages it for life. Both ends, pure, no I/O.
//!
//! | module | what it settles |
//! |---|---|
//! | [`scp03`] | the secure channel, both ends |
//! | [`keys`] | key sets, check values, diversification |
//! | [`command`] | the commands, parsed and encoded |
//! | [`install`], [`registry`], [`put_key`], [`store_data`] | what is inside them |
//! | [`life_cycle`] | states of card and applications, privileges |
//! | [`order`] | a personalisation order as data objects, and the card's answer |
//! | [`ceremony`] | the issuer's whole conversation |
//! | [`status`] | status words of GlobalPlatform |

pub mod apdu;
pub mod ceremony;
pub mod command;
pub mod install;
pub mod keys;
pub mod life_cycle;
pub mod order;
mod padding;
pub mod put_key;
pub mod registry;
pub mod scp03;
pub mod status;
pub mod store_data;

pub use crate::aid::Aid;
pub use apdu::OwnedApdu;
pub use command::{GpCommand, Ins};
#[cfg(feature = "openapi")]
pub(crate) use keys::Written as WrittenKeys;
pub use keys::{DataKey, KeySet, KeyVersion};

use iso7816_tlv::ber;
use scp03::{SCP_ID, Variant};

use crate::objects;
use crate::tlv::{self, Tag};

/// The issuer security domain (GPCS §4.6.1; the AID that cards ship with).
pub const ISD_AID: [u8; 8] = [0xA0, 0x00, 0x00, 0x01, 0x51, 0x00, 0x00, 0x00];
/// The executable load file (package) that holds the signing applet: its AID without the version.
pub const PACKAGE_AID: [u8; 7] = [0xF0, b'O', b'N', b'E', b'T', b'A', b'P'];

/// For the constants of this crate.
#[allow(clippy::expect_used, reason = "checked when this is compiled")]
const fn known(aid: &[u8]) -> Aid {
    Aid::new(aid).expect("5 to 16 bytes")
}

/// The issuer security domain.
pub const ISD: Aid = known(&ISD_AID);
/// The signing applet: its module and its instance.
pub const SIGNING_APPLET: Aid = known(&crate::command::AID);
/// The signing applet's package.
pub const SIGNING_PACKAGE: Aid = known(&PACKAGE_AID);

/// Largest data field of a command, in the answer to SELECT.
const MAX_COMMAND_DATA: Tag = Tag(0x9F65);

/// The issuer security domain's answer to SELECT: AID and largest command data field (GPCS §11.9.3.1).
#[must_use]
pub fn isd_fci() -> Vec<u8> {
    let mut inner = tlv::object(objects::AID_NAME, &ISD_AID);
    tlv::write(objects::FCI_PROPRIETARY, &tlv::object(MAX_COMMAND_DATA, &[0xFF]), &mut inner);
    tlv::object(objects::FCI, &inner)
}

/// Card data, for GET DATA (GPCS §H.2).
pub const CARD_DATA: Tag = Tag(0x66);
/// Key information template, for GET DATA (GPCS §11.3.3.1).
pub const KEY_INFORMATION: Tag = Tag(0xE0);

/// Card recognition data: GlobalPlatform 2.3.1, SCP 03 with this "i" (GPCS §H.2, §H.3).
#[must_use]
pub fn card_data(variant: Variant) -> Vec<u8> {
    /// {globalPlatform} is 1.2.840.114283.
    const OID: Tag = Tag(0x06);
    let oid = |last: &[u8]| tlv::object(OID, &[&[0x2A, 0x86, 0x48, 0x86, 0xFC, 0x6B], last].concat());
    let mut inner = oid(&[1]);
    tlv::write(Tag(0x60), &oid(&[2, 2, 3, 1]), &mut inner);
    tlv::write(Tag(0x63), &oid(&[3]), &mut inner);
    tlv::write(Tag(0x64), &oid(&[4, SCP_ID, variant.code()]), &mut inner);
    tlv::object(CARD_DATA, &tlv::object(Tag(0x73), &inner))
}

/// Takes one BER-TLV object of at most [`MAX_TEMPLATE`](tlv::MAX_TEMPLATE) bytes off the front: the object,
/// and how the one TLV parser reads it. The bound keeps its recursion short, whatever the bytes are.
fn take_object<'a>(input: &mut &'a [u8]) -> Option<(&'a [u8], ber::Tlv)> {
    let window = input.get(..tlv::MAX_TEMPLATE).unwrap_or(input);
    let (parsed, rest) = ber::Tlv::parse(window);
    let (object, rest) = input.split_at_checked(window.len().checked_sub(rest.len())?)?;
    *input = rest;
    Some((object, parsed.ok()?))
}

/// Length-value, as in INSTALL and PUT KEY.
fn write_lv(value: &[u8], out: &mut Vec<u8>) {
    // Callers write AIDs, privileges and parameters, all of fewer than 128 bytes.
    out.push(u8::try_from(value.len()).unwrap_or(u8::MAX));
    out.extend(value);
}

/// Takes one length-value off the front.
fn take_lv<'a>(input: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (len, rest) = input.split_first()?;
    let (value, rest) = rest.split_at_checked(usize::from(*len))?;
    *input = rest;
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_card_says_of_itself() {
        assert_eq!(hex::encode(isd_fci()), "6f108408a000000151000000a5049f6501ff");
        assert_eq!(
            hex::encode(card_data(Variant::USUAL)),
            "6631732f06072a864886fc6b01600c060a2a864886fc6b02020301630906072a864886fc6b03640b06092a864886fc6b040370"
        );
    }
}
