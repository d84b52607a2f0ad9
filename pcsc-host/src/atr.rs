//! Answer to reset (ISO/IEC 7816-3 §8) as far as a terminal needs it: may it use extended length?

/// An answer to reset.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Atr(Vec<u8>);

/// Card capabilities, third byte (ISO/IEC 7816-4 §12.1.1.9): extended Lc and Le fields.
const EXTENDED_LENGTH: u8 = 0b0100_0000;
/// Compact-TLV tag of the card capabilities (ISO/IEC 7816-4 §12.1.1.9).
const CARD_CAPABILITIES: u8 = 7;
/// Category indicators of historical bytes in compact-TLV (ISO/IEC 7816-4 §12.1.1.2): with a
/// status indicator of three bytes at the end, and without.
const CATEGORY_STATUS_LAST: u8 = 0;
const CATEGORY_COMPACT_TLV: u8 = 0b1000_0000;

/// Third byte of the card capabilities (ISO/IEC 7816-4 table 119): who numbers logical channels, and how many there are.
const ASSIGNED: u8 = 0b0001_1000;
const CHANNELS: u8 = 0b0000_0111;

impl Atr {
    /// Wraps the bytes; they need not be well-formed.
    #[must_use]
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The historical bytes; empty if there are none or the ATR is cut short.
    #[must_use]
    pub fn historical_bytes(&self) -> &[u8] {
        self.find_historical().unwrap_or_default()
    }

    /// True if the card says that it takes extended Lc and Le.
    #[must_use]
    pub fn supports_extended(&self) -> bool {
        self.card_capabilities().is_some_and(|bytes| bytes.get(2).is_some_and(|b| b & EXTENDED_LENGTH != 0))
    }

    /// Logical channels that the card says it has, the basic one among them; 8 stands for eight and more.
    #[must_use]
    pub fn logical_channels(&self) -> u8 {
        let third = self.card_capabilities().and_then(|bytes| bytes.get(2).copied()).unwrap_or_default();
        if third & ASSIGNED == 0 { 1 } else { (third & CHANNELS) + 1 }
    }

    /// The protocol that is used if nobody asks for another: T=0 unless the card names one.
    #[must_use]
    pub fn first_protocol(&self) -> u8 {
        let announced = self.0.get(1).copied().unwrap_or_default() >> 4;
        let first = usize::try_from(announced.count_ones()).ok().filter(|_| announced & 0b1000 != 0);
        first.and_then(|count| self.0.get(1 + count)).map_or(0, |td| td & 0b1111)
    }

    /// Walks over the interface bytes: T0 and each TD say in their high half which follow.
    fn find_historical(&self) -> Option<&[u8]> {
        let (_ts, rest) = self.0.split_first()?;
        let (t0, mut rest) = rest.split_first()?;
        let mut announces = t0 >> 4;
        while announces != 0 {
            let count = usize::try_from(announces.count_ones()).ok()?;
            let (interface, after) = rest.split_at_checked(count)?;
            let next = (announces & 0b1000 != 0).then(|| interface.last()).flatten();
            announces = next.map_or(0, |td| td >> 4);
            rest = after;
        }
        rest.get(..usize::from(t0 & 0b1111))
    }

    fn card_capabilities(&self) -> Option<&[u8]> {
        let (category, rest) = self.historical_bytes().split_first()?;
        let mut rest = match *category {
            CATEGORY_COMPACT_TLV => rest,
            CATEGORY_STATUS_LAST => rest.get(..rest.len().checked_sub(3)?)?,
            _ => return None,
        };
        while let Some((head, after)) = rest.split_first() {
            let (value, after) = after.split_at_checked(usize::from(head & 0b1111))?;
            if head >> 4 == CARD_CAPABILITIES {
                return Some(value);
            }
            rest = after;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn atr(text: &str) -> Atr {
        Atr::new(hex::decode(text).unwrap())
    }

    #[test]
    fn p_03_capabilities_of_known_cards() {
        // Hand-made by ISO/IEC 7816-3 §8 and 7816-4 §12.1.1.
        for (text, historical, extended) in [
            // No interface bytes, category 80, capabilities 00 00 40.
            ("3b05807300004000", "8073000040", true),
            // The same card without extended length.
            ("3b05807300000000", "8073000000", false),
            // Category 00: a status indicator of three bytes stands last.
            ("3b080073000040009000", "0073000040009000", true),
            // Two TD bytes (T=0, T=1), as contactless readers make them; then category 80, TCK.
            ("3b8580018073000040f7", "8073000040", true),
            // Service data first, then capabilities.
            ("3b8780018031807300004000", "80318073000040", true),
            // Another category holds no capabilities.
            ("3b051073000040", "1073000040", false),
            // Cut short.
            ("3b0580730000", "", false),
            ("3bff", "", false),
            ("3b", "", false),
            ("", "", false),
        ] {
            let atr = atr(text);
            assert_eq!(hex::encode(atr.historical_bytes()), historical, "{text}");
            assert_eq!(atr.supports_extended(), extended, "{text}");
            // The first TD of contactless readers is for T=0, the second for T=1.
            assert_eq!(atr.first_protocol(), 0, "{text}");
        }
    }

    #[test]
    fn the_first_protocol_is_the_one_of_the_first_td() {
        for (text, protocol) in [
            ("3b85018073c001db6d", 1),
            ("3b8580018073000040f7", 0),
            ("3b8101", 1),
            ("3b00", 0),
            ("3bf01100ff01", 1),
            ("", 0),
        ] {
            assert_eq!(atr(text).first_protocol(), protocol, "{text}");
        }
    }

    #[test]
    fn our_own_cards_take_extended_length() {
        assert!(Atr::new(onetap_apdu_spec::atr::ATR).supports_extended());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let atr = Atr::new(bytes);
            prop_assert!(atr.historical_bytes().len() <= 15);
            let _ = atr.supports_extended();
        }
    }
}
