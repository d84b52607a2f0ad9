//! Command APDUs that own their bytes.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_fields_are_not_printed() {
        let apdu = OwnedApdu { header: [0x80, 0xD8, 0, 0x81], data: vec![0xAB; 9].into(), ne: None };
        assert_eq!(format!("{apdu:?}"), "OwnedApdu(80d80081, 9 bytes, Ne None)");
    }
}
