//! Captures for Wireshark in the classic format of libpcap. Each packet is an APDU or an answer to reset behind a few tagged
//! values, which name the dissector (link type 252, `LINKTYPE_WIRESHARK_UPPER_PDU`).

use std::io::{self, Write};
use std::time::Duration;

use super::form::{Form, Happening};
use crate::trace::Header;

/// Microseconds, version 2.4, no zone, no accuracy, no limit that an APDU would reach; then the link type.
const FILE_HEADER: [u32; 6] = [0xA1B2_C3D4, 2 | 4 << 16, 0, 0, 262_144, 252];
/// Tags of exported PDUs: name of the dissector, direction, end.
const DISSECTOR: u16 = 12;
const DIRECTION: u16 = 35;
const END: u16 = 0;

#[derive(Default)]
pub(super) struct Capture {
    /// When the trace began.
    began: Duration,
    /// The time of the last packet: one without a time has it, too.
    last: Duration,
}

impl Form for Capture {
    fn begin(&mut self, header: &Header, out: &mut dyn Write) -> io::Result<()> {
        let began = header.started.or(header.virtual_time).map(|at| at.assume_utc().unix_timestamp());
        self.began = Duration::from_secs(began.and_then(|at| u64::try_from(at).ok()).unwrap_or(0));
        FILE_HEADER.iter().try_for_each(|word| out.write_all(&word.to_le_bytes()))
    }

    fn tell(
        &mut self,
        what: Happening<'_>,
        at: Option<Duration>,
        _: Option<usize>,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        self.last = at.unwrap_or(self.last);
        match what {
            Happening::Reset(Some(atr)) => self.packet("iso7816.atr", 1, &atr, out),
            Happening::Command(bytes) => self.packet("iso7816", 0, &bytes, out),
            Happening::Response(bytes, _) => self.packet("iso7816", 1, &bytes, out),
            Happening::Reset(None) | Happening::Leaves | Happening::NoResponse | Happening::Aside(_) => {
                Ok(())
            }
        }
    }
}

impl Capture {
    fn packet(&self, dissector: &str, direction: u32, bytes: &[u8], out: &mut dyn Write) -> io::Result<()> {
        let mut packet = Vec::with_capacity(bytes.len() + 32);
        tagged(DISSECTOR, dissector.as_bytes(), &mut packet);
        tagged(DIRECTION, &direction.to_be_bytes(), &mut packet);
        tagged(END, &[], &mut packet);
        packet.extend(bytes);
        let at = self.began + self.last;
        let seconds = u32::try_from(at.as_secs()).unwrap_or(u32::MAX);
        let length = u32::try_from(packet.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
        for word in [seconds, at.subsec_micros(), length, length] {
            out.write_all(&word.to_le_bytes())?;
        }
        out.write_all(&packet)
    }
}

/// A tag, a length, and the value, filled up to whole words of four bytes.
fn tagged(tag: u16, value: &[u8], packet: &mut Vec<u8>) {
    let filled = value.len().next_multiple_of(4);
    packet.extend(tag.to_be_bytes());
    packet.extend(u16::try_from(filled).unwrap_or(u16::MAX).to_be_bytes());
    packet.extend(value);
    packet.resize(packet.len() + filled - value.len(), 0);
}
