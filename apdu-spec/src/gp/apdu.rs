//! Command APDUs that own their bytes, and what secure messaging does to the class byte.

use zeroize::Zeroizing;

use crate::apdu::{CommandApdu, Form, MAX_SHORT_DATA, MAX_SHORT_LE, Malformed};

/// A command APDU that owns its data field, which may hold keys and is wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct OwnedApdu {
    /// CLA, INS, P1, P2.
    pub header: [u8; 4],
    /// Data field; empty in cases 1 and 2.
    pub data: Zeroizing<Vec<u8>>,
    /// Ne, as in [`CommandApdu::ne`].
    pub ne: Option<u32>,
}

impl OwnedApdu {
    /// The same command, borrowed.
    #[must_use]
    pub fn borrow(&self) -> CommandApdu<'_> {
        let [cla, ins, p1, p2] = self.header;
        CommandApdu { cla, ins, p1, p2, data: &self.data, ne: self.ne }
    }

    /// The bytes to send, in the short form wherever they fit it.
    ///
    /// # Errors
    /// [`Malformed`] if the data field is longer than any APDU's.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Malformed> {
        let apdu = self.borrow();
        apdu.encode(if fits_short(&apdu) { Form::Short } else { Form::Extended })
    }
}

impl From<&CommandApdu<'_>> for OwnedApdu {
    fn from(apdu: &CommandApdu<'_>) -> Self {
        Self { header: [apdu.cla, apdu.ins, apdu.p1, apdu.p2], data: apdu.data.to_vec().into(), ne: apdu.ne }
    }
}

/// Not printed: the data field, which may hold keys.
impl std::fmt::Debug for OwnedApdu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OwnedApdu({}, {} bytes, Ne {:?})", hex::encode(self.header), self.data.len(), self.ne)
    }
}

fn fits_short(apdu: &CommandApdu<'_>) -> bool {
    apdu.data.len() <= MAX_SHORT_DATA && apdu.ne.is_none_or(|ne| ne <= MAX_SHORT_LE)
}

/// CLA bit 7: the further interindustry and proprietary classes, channels 4 to 19.
const FURTHER: u8 = 0x40;
/// Secure messaging of GlobalPlatform in the first classes …
const SECURE_FIRST: u8 = 0x04;
/// … and in the further ones.
const SECURE_FURTHER: u8 = 0x20;
/// Bits 4 and 3, which tell the kinds of secure messaging in the first classes.
const SECURE_FIRST_MASK: u8 = 0x0C;
/// Bits 8 and 5 (proprietary, chaining): all of CLA that is authenticated besides the secure messaging bit.
const AUTHENTICATED: u8 = 0x90;

/// True if CLA says that the command is secured as GlobalPlatform does it (GPCS §11.1.4).
#[must_use]
pub fn is_secured(cla: u8) -> bool {
    if cla & FURTHER == 0 { cla & SECURE_FIRST_MASK == SECURE_FIRST } else { cla & SECURE_FURTHER != 0 }
}

/// CLA with the secure messaging bit set.
#[must_use]
pub fn secured(cla: u8) -> u8 {
    cla | if cla & FURTHER == 0 { SECURE_FIRST } else { SECURE_FURTHER }
}

/// CLA with the secure messaging bit cleared.
#[must_use]
pub fn unsecured(cla: u8) -> u8 {
    cla & !if cla & FURTHER == 0 { SECURE_FIRST_MASK } else { SECURE_FURTHER }
}

/// CLA as it is authenticated: the logical channel is left out (Amendment D §6.2.4).
#[must_use]
pub(super) fn authenticated(cla: u8) -> u8 {
    cla & AUTHENTICATED | SECURE_FIRST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secure_messaging_bit_is_where_the_class_has_it() {
        for (plain, secure) in [(0x80, 0x84), (0x00, 0x04), (0x83, 0x87), (0xC0, 0xE0), (0x4F, 0x6F)] {
            assert_eq!((secured(plain), unsecured(secure)), (secure, plain));
            assert!(is_secured(secure) && !is_secured(plain));
            assert_eq!(authenticated(secure), plain & 0x80 | 0x04);
        }
        assert!(!is_secured(0x8C) && !is_secured(0x88), "other kinds of secure messaging");
    }

    #[test]
    fn data_fields_are_not_printed() {
        let apdu = OwnedApdu { header: [0x80, 0xD8, 0, 0x81], data: vec![0xAB; 9].into(), ne: None };
        assert_eq!(format!("{apdu:?}"), "OwnedApdu(80d80081, 9 bytes, Ne None)");
    }
}
