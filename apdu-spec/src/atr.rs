//! Answer to reset (ISO/IEC 7816-3 §8.2): what a reader learns when it powers the card.

use crate::class::MAX_CHANNELS;

/// That of a card without limits in a contact reader: protocol T=1, and in the historical bytes (ISO/IEC 7816-4
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

/// How a reader that powers the card reaches it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// By its contacts, with the protocol T=0.
    T0,
    /// By its contacts, with the protocol T=1.
    T1,
    /// By a field.
    Contactless,
}

/// Third byte of the card capabilities: command chaining; extended Lc and Le; channels numbered by card or reader.
const CHAINING: u8 = 0x80;
const EXTENDED: u8 = 0x40;
const BY_CARD_OR_READER: u8 = 0x18;

/// The answer to reset of a card with so many logical channels, and with extended length or without.
#[must_use]
pub fn answer_to_reset(way: Way, extended: bool, channels: u8) -> Vec<u8> {
    let more = channels.clamp(1, MAX_CHANNELS).min(8) - 1;
    let numbered = if more > 0 { BY_CARD_OR_READER } else { 0 };
    let capabilities = CHAINING | if extended { EXTENDED } else { 0 } | numbered | more;
    let historical = [0x80, 0x73, 0xC0, 0x01, capabilities];
    let interface: &[u8] = match way {
        Way::T0 => &[0x05],
        Way::T1 => &[0x85, 0x01],
        Way::Contactless => &[0x85, 0x80, 0x01],
    };
    let mut atr = [&[0x3B], interface, &historical].concat();
    // Only T=0 goes without a check byte (§8.2.5).
    if way != Way::T0 {
        atr.push(atr.iter().skip(1).fold(0, |check, byte| check ^ byte));
    }
    atr
}

#[cfg(test)]
mod tests {
    use super::{ATR, CONTACTLESS_ATR, Way, answer_to_reset};

    #[test]
    fn a_card_without_limits_says_so() {
        assert_eq!(answer_to_reset(Way::T1, true, 4), ATR);
        assert_eq!(answer_to_reset(Way::Contactless, true, 4), CONTACTLESS_ATR);
    }

    #[test]
    fn what_a_card_lacks_is_not_in_its_capabilities() {
        // By hand, ISO/IEC 7816-4 table 119: 80 chaining, 40 extended, 18 numbered by both, channels less one.
        assert_eq!(answer_to_reset(Way::T0, false, 4), [0x3B, 0x05, 0x80, 0x73, 0xC0, 0x01, 0x9B]);
        assert_eq!(answer_to_reset(Way::T0, false, 1), [0x3B, 0x05, 0x80, 0x73, 0xC0, 0x01, 0x80]);
        assert_eq!(answer_to_reset(Way::T0, false, 8), [0x3B, 0x05, 0x80, 0x73, 0xC0, 0x01, 0x9F]);
        assert_eq!(answer_to_reset(Way::T0, false, 20), [0x3B, 0x05, 0x80, 0x73, 0xC0, 0x01, 0x9F]);
        // TCK: 85^01=84, ^80=04, ^73=77, ^C0=B7, ^01=B6, ^9B=2D.
        assert_eq!(
            answer_to_reset(Way::T1, false, 4),
            [0x3B, 0x85, 0x01, 0x80, 0x73, 0xC0, 0x01, 0x9B, 0x2D]
        );
    }

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
