//! Answer to reset (ISO/IEC 7816-3 §8.2): what a reader learns when it powers the card.

/// The same for every card: protocol T=1, and in the historical bytes (ISO/IEC 7816-4 §12.1.1)
/// selection by whole and partial name, command chaining, extended length.
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
/// | C0 | command chaining; extended Lc and Le |
/// | 76 | TCK: exclusive or of all from 85 on |
pub const ATR: [u8; 9] = [0x3B, 0x85, 0x01, 0x80, 0x73, 0xC0, 0x01, 0xC0, 0x76];

#[cfg(test)]
mod tests {
    use super::ATR;

    #[test]
    fn check_byte_and_lengths_are_right() {
        // ISO/IEC 7816-3 §8.2.5: T0 to TCK, exclusive or, is zero.
        assert_eq!(ATR[1..].iter().fold(0, |acc, byte| acc ^ byte), 0);
        // By hand: 85^01=84, ^80=04, ^73=77, ^C0=B7, ^01=B6, ^C0=76.
        assert_eq!(ATR[8], 0x76);
        // TS, T0, TD1, historical bytes, TCK.
        assert_eq!(ATR.len(), 3 + usize::from(ATR[1] & 0x0F) + 1);
    }
}
