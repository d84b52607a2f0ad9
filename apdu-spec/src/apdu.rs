//! Command and response APDUs, cases 1 to 4, short and extended (ISO/IEC 7816-4 §5.1, §5.2).

use crate::sw::StatusWord;

/// Largest data field of a short APDU.
pub const MAX_SHORT_DATA: usize = 255;
/// Largest response of a short APDU, asked for by Le = 00.
pub const MAX_SHORT_LE: u32 = 256;
/// Largest data field of an extended APDU.
pub const MAX_EXTENDED_DATA: usize = 65_535;
/// Largest response of an extended APDU, asked for by Le = 0000.
pub const MAX_EXTENDED_LE: u32 = 65_536;
/// CLA bit 5: this is not the last command of a chain (ISO/IEC 7816-4 §5.3.3).
pub const CLA_CHAINING: u8 = 0x10;

/// Commands of ISO/IEC 7816-4 whose data field holds what only its holder knows: VERIFY, CHANGE REFERENCE DATA, DISABLE and
/// ENABLE VERIFICATION REQUIREMENT, RESET RETRY COUNTER.
const OF_REFERENCE_DATA: [u8; 8] = [0x20, 0x21, 0x24, 0x25, 0x26, 0x28, 0x2C, 0x2D];
/// CLA bit 8: the instruction is not ISO's.
const CLA_PROPRIETARY: u8 = 0x80;

/// Commands that only read, by whose answers one kind of card is told from another: SELECT of what is selected by default,
/// then GET DATA of issuer number (42), card recognition data (66) and key information (E0), as GlobalPlatform has them (Card
/// Specification, Annex H and §11.3).
pub const WHAT_ARE_YOU: [[u8; 5]; 4] = [
    [0x00, 0xA4, 0x04, 0x00, 0x00],
    [0x80, 0xCA, 0x00, 0x42, 0x00],
    [0x80, 0xCA, 0x00, 0x66, 0x00],
    [0x80, 0xCA, 0x00, 0xE0, 0x00],
];

/// Those whose answers one card has to itself: production data (9F7F) and card number (45).
pub const WHO_ARE_YOU: [[u8; 5]; 2] = [[0x80, 0xCA, 0x9F, 0x7F, 0x00], [0x80, 0xCA, 0x00, 0x45, 0x00]];

/// A command whose response differs each time, though the card is the same.
struct RandomResponse {
    proprietary: bool,
    ins: u8,
    p1: Option<u8>,
    /// Bytes at the beginning that do not differ.
    stays: usize,
}

/// GET CHALLENGE, INTERNAL AUTHENTICATE, COMPUTE DIGITAL SIGNATURE (ISO/IEC 7816-8), GENERATE AC (EMV Book 3), and INITIALIZE
/// UPDATE (GlobalPlatform, Amendment D: key diversification data, then version and protocol of the keys).
const OF_RANDOM_RESPONSE: [RandomResponse; 5] = [
    RandomResponse { proprietary: false, ins: 0x84, p1: None, stays: 0 },
    RandomResponse { proprietary: false, ins: 0x88, p1: None, stays: 0 },
    RandomResponse { proprietary: false, ins: 0x2A, p1: Some(0x9E), stays: 0 },
    RandomResponse { proprietary: true, ins: 0xAE, p1: None, stays: 0 },
    RandomResponse { proprietary: true, ins: 0x50, p1: None, stays: 12 },
];

/// Where a command has data that may be a holder's secret, such as a PIN: it does not belong in a log. A command whose
/// lengths are wrong has it too.
#[must_use]
pub fn reference_data(command: &[u8]) -> Option<std::ops::Range<usize>> {
    let (&[cla, ins, ..], body) = command.split_first_chunk::<4>()?;
    if cla & CLA_PROPRIETARY != 0 || !OF_REFERENCE_DATA.contains(&ins) || body.len() < 2 {
        return None;
    }
    let start = match body.first() {
        Some(0) => 7.min(command.len()),
        _ => 5,
    };
    let data = CommandApdu::parse(command).map(|apdu| apdu.data.len());
    let end = data.map_or(command.len(), |data| start + data);
    (end > start).then_some(start..end)
}

/// A command as a log may have it: without its [`reference_data`].
#[must_use]
pub fn for_log(command: &[u8]) -> Vec<u8> {
    let mut shown = command.to_vec();
    if let Some(secret) = reference_data(command) {
        shown.drain(secret);
    }
    shown
}

/// The byte string is none of the seven forms of a command APDU. The card answers 6700.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a command APDU: the length fields do not fit the {0} bytes given")]
pub struct Malformed(pub usize);

/// Whether length fields take one byte or three.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Lc and Le of one byte.
    Short,
    /// Lc and Le of two bytes, after a byte 00.
    Extended,
}

/// A command APDU, borrowed from the bytes that it was parsed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommandApdu<'a> {
    /// Class byte.
    pub cla: u8,
    /// Instruction byte.
    pub ins: u8,
    /// First parameter byte.
    pub p1: u8,
    /// Second parameter byte.
    pub p2: u8,
    /// Data field; empty in cases 1 and 2.
    pub data: &'a [u8],
    /// How many response bytes are expected at most (Ne, 1 … 65 536); `None` in cases 1 and 3.
    pub ne: Option<u32>,
}

impl<'a> CommandApdu<'a> {
    /// Parses one command APDU.
    ///
    /// # Errors
    /// [`Malformed`] if `bytes` is not exactly one of cases 1, 2S, 3S, 4S, 2E, 3E, 4E.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let malformed = Malformed(bytes.len());
        let (&[cla, ins, p1, p2], body) = bytes.split_first_chunk::<4>().ok_or(malformed)?;
        let (data, ne) = split_body(body).ok_or(malformed)?;
        Ok(Self { cla, ins, p1, p2, data, ne })
    }

    /// How many bytes of the response data stay the same, if the rest is random each time: challenges, cryptograms,
    /// signatures. `None` if this is no such command of ISO/IEC 7816-4, EMV or GlobalPlatform.
    #[must_use]
    pub fn answers_at_random_after(&self) -> Option<usize> {
        let proprietary = self.cla & CLA_PROPRIETARY != 0;
        let row = OF_RANDOM_RESPONSE.iter().find(|row| {
            row.ins == self.ins && row.proprietary == proprietary && row.p1.is_none_or(|p1| p1 == self.p1)
        });
        row.map(|row| row.stays)
    }

    /// Writes the command in `form`.
    ///
    /// # Errors
    /// [`Malformed`] if data or Ne do not fit the form.
    pub fn encode(&self, form: Form) -> Result<Vec<u8>, Malformed> {
        let (max_data, max_ne) = match form {
            Form::Short => (MAX_SHORT_DATA, MAX_SHORT_LE),
            Form::Extended => (MAX_EXTENDED_DATA, MAX_EXTENDED_LE),
        };
        if self.data.len() > max_data || self.ne.is_some_and(|ne| ne == 0 || ne > max_ne) {
            return Err(Malformed(self.data.len()));
        }
        let mut out = Vec::with_capacity(self.data.len() + 9);
        out.extend([self.cla, self.ins, self.p1, self.p2]);
        match form {
            Form::Short => self.encode_short(&mut out),
            Form::Extended => self.encode_extended(&mut out),
        }
        Ok(out)
    }

    // Lengths were checked by `encode`; 256 and 65 536 wrap to zero on purpose (§5.2).
    #[allow(clippy::cast_possible_truncation)]
    fn encode_short(&self, out: &mut Vec<u8>) {
        if !self.data.is_empty() {
            out.push(self.data.len() as u8);
            out.extend(self.data);
        }
        out.extend(self.ne.map(|ne| ne as u8));
    }

    #[allow(clippy::cast_possible_truncation)]
    fn encode_extended(&self, out: &mut Vec<u8>) {
        if self.data.is_empty() {
            out.extend(self.ne.map(|_| 0));
        } else {
            out.push(0);
            out.extend((self.data.len() as u16).to_be_bytes());
            out.extend(self.data);
        }
        out.extend(self.ne.map(|ne| (ne as u16).to_be_bytes()).iter().flatten());
    }
}

/// Splits what follows the header into data field and Ne.
fn split_body(body: &[u8]) -> Option<(&[u8], Option<u32>)> {
    match *body {
        [] => Some((&[], None)),
        [le] => Some((&[], Some(short_ne(le)))),
        [0, hi, lo] => Some((&[], Some(extended_ne(hi, lo)))),
        [0, hi, lo, ref rest @ ..] => split_extended(usize::from(u16::from_be_bytes([hi, lo])), rest),
        [lc, ref rest @ ..] => split_short(usize::from(lc), rest),
    }
}

fn split_short(lc: usize, rest: &[u8]) -> Option<(&[u8], Option<u32>)> {
    let (data, le) = rest.split_at_checked(lc).filter(|_| lc > 0)?;
    match *le {
        [] => Some((data, None)),
        [le] => Some((data, Some(short_ne(le)))),
        _ => None,
    }
}

fn split_extended(lc: usize, rest: &[u8]) -> Option<(&[u8], Option<u32>)> {
    let (data, le) = rest.split_at_checked(lc).filter(|_| lc > 0)?;
    match *le {
        [] => Some((data, None)),
        [hi, lo] => Some((data, Some(extended_ne(hi, lo)))),
        _ => None,
    }
}

fn short_ne(le: u8) -> u32 {
    if le == 0 { MAX_SHORT_LE } else { u32::from(le) }
}

fn extended_ne(hi: u8, lo: u8) -> u32 {
    match u16::from_be_bytes([hi, lo]) {
        0 => MAX_EXTENDED_LE,
        le => u32::from(le),
    }
}

/// A response APDU: data and status word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseApdu {
    /// Response data field.
    pub data: Vec<u8>,
    /// SW1-SW2.
    pub sw: StatusWord,
}

impl ResponseApdu {
    /// A response with data and 9000.
    #[must_use]
    pub fn ok(data: Vec<u8>) -> Self {
        Self { data, sw: StatusWord::OK }
    }

    /// Splits the bytes that came from a card.
    ///
    /// # Errors
    /// [`Malformed`] if there are fewer than the two bytes of the status word.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let (data, &[sw1, sw2]) = bytes.split_last_chunk::<2>().ok_or(Malformed(bytes.len()))?;
        Ok(Self { data: data.to_vec(), sw: StatusWord::from_bytes(sw1, sw2) })
    }

    /// Data, then SW1-SW2: never fewer than two bytes.
    #[must_use]
    pub fn to_bytes(mut self) -> Vec<u8> {
        self.data.extend(self.sw.to_bytes());
        self.data
    }
}

impl From<StatusWord> for ResponseApdu {
    fn from(sw: StatusWord) -> Self {
        Self { data: Vec::new(), sw }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Hand-made from ISO/IEC 7816-4 §5.2: bytes, length of data, Ne.
    const CASES: &[(&[u8], usize, Option<u32>)] = &[
        (&[0, 1, 2, 3], 0, None),
        (&[0, 1, 2, 3, 0], 0, Some(256)),
        (&[0, 1, 2, 3, 5], 0, Some(5)),
        (&[0, 1, 2, 3, 1, 9], 1, None),
        (&[0, 1, 2, 3, 1, 9, 0], 1, Some(256)),
        (&[0, 1, 2, 3, 0, 1, 0], 0, Some(256)),
        (&[0, 1, 2, 3, 0, 0, 0], 0, Some(65_536)),
        (&[0, 1, 2, 3, 0, 0, 1, 9], 1, None),
        (&[0, 1, 2, 3, 0, 0, 1, 9, 0, 0], 1, Some(65_536)),
    ];

    #[test]
    fn the_seven_forms_parse() {
        for &(bytes, len, ne) in CASES {
            let apdu = CommandApdu::parse(bytes).unwrap();
            assert_eq!((apdu.data.len(), apdu.ne), (len, ne), "{bytes:02X?}");
        }
    }

    #[test]
    fn everything_else_is_malformed() {
        let bad: &[&[u8]] = &[
            &[],
            &[0, 1, 2],
            &[0, 1, 2, 3, 2, 9],
            &[0, 1, 2, 3, 1, 9, 0, 0],
            &[0, 1, 2, 3, 0, 9],
            &[0, 1, 2, 3, 0, 0, 0, 9],
            &[0, 1, 2, 3, 0, 0, 2, 9],
            &[0, 1, 2, 3, 0, 0, 1, 9, 0],
        ];
        for bytes in bad {
            assert_eq!(CommandApdu::parse(bytes), Err(Malformed(bytes.len())));
        }
    }

    /// Hand-made from ISO/IEC 7816-4 §11.6: VERIFY in each form, with wrong lengths, and what is no such command.
    #[test]
    fn what_may_be_a_pin_is_found_whatever_the_lengths_say() {
        let verify: &[(&[u8], Option<std::ops::Range<usize>>)] = &[
            (&[0, 0x20, 0, 1, 4, 1, 2, 3, 4], Some(5..9)),
            (&[0x10, 0x24, 0, 1, 2, 1, 2, 0], Some(5..7)),
            (&[0, 0x2C, 0, 1, 0, 0, 2, 1, 2, 0, 0], Some(7..9)),
            (&[0, 0x20, 0, 1, 8, 1, 2, 3, 4], Some(5..9)),
            (&[0, 0x20, 0, 1, 2, 1, 2, 3, 4], Some(5..9)),
            (&[0, 0x20, 0, 1], None),
            (&[0, 0x20, 0, 1, 4], None),
            (&[0x80, 0x20, 0, 1, 1, 1], None),
            (&[0, 0xA4, 0, 1, 1, 1], None),
        ];
        for (bytes, data) in verify {
            assert_eq!(reference_data(bytes), *data, "{bytes:02X?}");
        }
    }

    #[test]
    fn a_case_4_of_261_bytes_works() {
        let mut bytes = vec![0, 1, 2, 3, 255];
        bytes.extend([7; 255]);
        bytes.push(0);
        let apdu = CommandApdu::parse(&bytes).unwrap();
        assert_eq!((apdu.data.len(), apdu.ne), (255, Some(256)));
    }

    proptest! {
        #[test]
        fn encoding_inverts_parsing(
            header: [u8; 4],
            data in proptest::collection::vec(any::<u8>(), 0..600),
            ne in proptest::option::of(1..=65_536u32),
            extended: bool,
        ) {
            let [cla, ins, p1, p2] = header;
            let apdu = CommandApdu { cla, ins, p1, p2, data: &data, ne };
            let form = if extended { Form::Extended } else { Form::Short };
            match apdu.encode(form) {
                Ok(bytes) => prop_assert_eq!(CommandApdu::parse(&bytes), Ok(apdu)),
                Err(_) => prop_assert!(!extended && (data.len() > 255 || ne > Some(256))),
            }
        }

        #[test]
        fn any_bytes_parse_or_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(apdu) = CommandApdu::parse(&bytes) {
                let short = apdu.encode(Form::Short).ok();
                let extended = apdu.encode(Form::Extended).ok();
                prop_assert!(short.as_deref() == Some(&bytes) || extended.as_deref() == Some(&bytes));
            }
        }
    }
}
