//! Answer to reset (ISO/IEC 7816-3 §8.2): what a reader learns when it powers the card.

/// The same for every card in a contact reader: protocol T=1, and in the historical bytes (ISO/IEC 7816-4
/// §12.1.1) selection by whole and partial name, command chaining, extended length, four logical channels.
///
/// | byte | meaning |
/// |---|---|
/// | 3B | direct convention |
/// | 85 | TD1 follows; five historical bytes |
/// | 01 | TD1: T=1, nothing more |
/// | 80 | category indicator: compact TLV |
/// | 73 | card capabilities, three bytes |
/// | C0 | selection by whole and by partial DF name |
/// | 01 | data units of one byte |
/// | DB | command chaining; extended Lc and Le; four channels, numbered by card or reader |
/// | 6D | TCK: exclusive or of all from 85 on |
pub const ATR: [u8; 9] = [0x3B, 0x85, 0x01, 0x80, 0x73, 0xC0, 0x01, 0xDB, 0x6D];

/// What a contactless reader makes of the same historical bytes (PC/SC part 3 §3.1.3.2.3.1).
///
/// | byte | meaning |
/// |---|---|
/// | 3B | direct convention |
/// | 85 | TD1 follows; five historical bytes |
/// | 80 | TD1: T=0, TD2 follows |
/// | 01 | TD2: T=1, nothing more |
/// | 80 … DB | as in [`ATR`] |
/// | ED | TCK |
pub const CONTACTLESS_ATR: [u8; 10] = [0x3B, 0x85, 0x80, 0x01, 0x80, 0x73, 0xC0, 0x01, 0xDB, 0xED];

#[cfg(test)]
mod tests {
    use super::{ATR, CONTACTLESS_ATR};

    #[test]
    fn check_byte_and_lengths_are_right() {
        // ISO/IEC 7816-3 §8.2.5: T0 to TCK, exclusive or, is zero.
        for atr in [&ATR[..], &CONTACTLESS_ATR] {
            assert_eq!(atr[1..].iter().fold(0, |acc, byte| acc ^ byte), 0);
        }
        // By hand: 85^01=84, ^80=04, ^73=77, ^C0=B7, ^01=B6, ^DB=6D.
        assert_eq!(ATR[8], 0x6D);
        // By hand: 85^80=05, ^01=04, ^80=84, ^73=F7, ^C0=37, ^01=36, ^DB=ED.
        assert_eq!(CONTACTLESS_ATR[9], 0xED);
        // TS, T0, TD1 (and TD2), historical bytes, TCK.
        assert_eq!(ATR.len(), 3 + usize::from(ATR[1] & 0x0F) + 1);
        assert_eq!(CONTACTLESS_ATR.len(), 4 + usize::from(CONTACTLESS_ATR[1] & 0x0F) + 1);
        assert_eq!(ATR[3..8], CONTACTLESS_ATR[4..9]);
    }
}
