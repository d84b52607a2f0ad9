//! Status words (ISO/IEC 7816-4 §5.6) and what a terminal may conclude from each.

use std::fmt;

/// SW1-SW2 of a response.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct StatusWord(u16);

/// What a status word means here: one row of the table in `docs/spec`.
#[derive(Debug, Clone, Copy)]
pub struct Meaning {
    /// The status word; the low byte counts only if `exact`.
    pub sw: StatusWord,
    /// False where the low byte carries a number (61xx, 6Cxx).
    pub exact: bool,
    /// When the card answers it.
    pub meaning: &'static str,
    /// What the terminal does about it.
    pub advice: &'static str,
}

impl StatusWord {
    /// Done.
    pub const OK: Self = Self(0x9000);
    /// Memory failure: a persistent write did not happen.
    pub const MEMORY_FAILURE: Self = Self(0x6581);
    /// Wrong length: malformed APDU, wrong Lc, chain too long.
    pub const WRONG_LENGTH: Self = Self(0x6700);
    /// Logical channel not supported.
    pub const NO_CHANNELS: Self = Self(0x6881);
    /// Secure messaging not supported.
    pub const NO_SECURE_MESSAGING: Self = Self(0x6882);
    /// The last command of the chain was expected.
    pub const CHAIN_BROKEN: Self = Self(0x6883);
    /// This command cannot be chained.
    pub const NO_CHAINING: Self = Self(0x6884);
    /// The PIN is blocked.
    pub const PIN_BLOCKED: Self = Self(0x6983);
    /// Conditions of use not satisfied: not in this state.
    pub const CONDITIONS: Self = Self(0x6985);
    /// The data field is wrong.
    pub const WRONG_DATA: Self = Self(0x6A80);
    /// No application or file of that name.
    pub const NOT_FOUND: Self = Self(0x6A82);
    /// P1-P2 are wrong.
    pub const WRONG_P1P2: Self = Self(0x6A86);
    /// The data object named by P1-P2, or owed by the profile, does not exist.
    pub const NO_SUCH_OBJECT: Self = Self(0x6A88);
    /// Instruction unknown.
    pub const WRONG_INS: Self = Self(0x6D00);
    /// Class unknown.
    pub const WRONG_CLA: Self = Self(0x6E00);
    /// The card failed inside; nothing is pending.
    pub const INTERNAL: Self = Self(0x6F00);

    // What the card answers around its applets: channels, selection, GlobalPlatform.

    /// Warning: the logical channel was closed already.
    pub const CHANNEL_WAS_CLOSED: Self = Self(0x6200);
    /// Warning: the card is locked (GlobalPlatform).
    pub const CARD_LOCKED: Self = Self(0x6283);
    /// The host's cryptogram is wrong (GlobalPlatform).
    pub const AUTHENTICATION_FAILED: Self = Self(0x6300);
    /// Security status not satisfied: no secure channel, or a wrong MAC.
    pub const SECURITY_STATUS: Self = Self(0x6982);
    /// The applet refused to be selected, or nothing is selected any more.
    pub const SELECT_FAILED: Self = Self(0x6999);
    /// Function not supported: no free logical channel, or code to be loaded.
    pub const NOT_SUPPORTED: Self = Self(0x6A81);
    /// Not enough memory.
    pub const NO_SPACE: Self = Self(0x6A84);

    /// 6Cxx: send the command again with exactly this Le (00: 256).
    #[must_use]
    pub fn exact_le(len: usize) -> Self {
        Self::from_bytes(0x6C, u8::try_from(len).unwrap_or(0))
    }

    /// 63Cx: a comparison failed, so many tries are left (at most 15 can be told).
    #[must_use]
    pub fn tries_left(tries: u8) -> Self {
        Self::from_bytes(0x63, 0xC0 | tries.min(15))
    }

    /// True for 62xx and 63xx: something happened, and there may be data beside the warning.
    #[must_use]
    pub const fn is_warning(self) -> bool {
        matches!(self.0 >> 8, 0x62 | 0x63)
    }

    /// SW1-SW2 as received.
    #[must_use]
    pub const fn from_bytes(sw1: u8, sw2: u8) -> Self {
        Self(u16::from_be_bytes([sw1, sw2]))
    }

    /// SW1-SW2 as a number, such as 36864 for 9000.
    #[must_use]
    pub const fn value(self) -> u16 {
        self.0
    }

    /// SW1-SW2 to send.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 2] {
        self.0.to_be_bytes()
    }

    /// 61xx: `left` more bytes wait for GET RESPONSE; 6100 stands for 256 or more.
    #[must_use]
    pub fn bytes_left(left: usize) -> Self {
        let low = u8::try_from(left).unwrap_or(0);
        Self::from_bytes(0x61, low)
    }

    /// The number in 61xx (00 → 256), or `None` for another status word.
    #[must_use]
    pub fn as_bytes_left(self) -> Option<u32> {
        self.number_after(0x61)
    }

    /// The exact Le in 6Cxx (00 → 256), or `None` for another status word.
    #[must_use]
    pub fn as_exact_le(self) -> Option<u32> {
        self.number_after(0x6C)
    }

    fn number_after(self, expected: u8) -> Option<u32> {
        let [sw1, sw2] = self.to_bytes();
        (sw1 == expected).then(|| if sw2 == 0 { 256 } else { u32::from(sw2) })
    }

    /// The row of [`MEANINGS`] for this status word.
    #[must_use]
    pub fn meaning(self) -> Option<&'static Meaning> {
        MEANINGS
            .iter()
            .find(|row| row.sw == self || (!row.exact && row.sw.to_bytes()[0] == self.to_bytes()[0]))
    }
}

impl fmt::Display for StatusWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04X}", self.0)
    }
}

impl fmt::Debug for StatusWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04X}", self.0)
    }
}

const fn row(sw: StatusWord, meaning: &'static str, advice: &'static str) -> Meaning {
    Meaning { sw, exact: true, meaning, advice }
}

/// Every status word that a conforming card may answer.
pub const MEANINGS: &[Meaning] = &[
    row(StatusWord::OK, "done", "go on"),
    Meaning {
        sw: StatusWord(0x6100),
        exact: false,
        meaning: "done; xx more bytes wait (00: 256 or more)",
        advice: "send GET RESPONSE with Le = xx",
    },
    row(
        StatusWord::MEMORY_FAILURE,
        "the card could not write its memory; nothing is pending, a counter value may be spent",
        "check the card's image file and disk, then tap again",
    ),
    row(
        StatusWord::WRONG_LENGTH,
        "malformed APDU, data where none belongs or none where some belongs, chain too long",
        "correct the command",
    ),
    row(
        StatusWord::NO_CHANNELS,
        "a logical channel that is not open",
        "use channel 0, or open the other one",
    ),
    row(StatusWord::NO_SECURE_MESSAGING, "secure messaging indicated in CLA", "send the command in clear"),
    row(
        StatusWord::CHAIN_BROKEN,
        "another command came before the last one of a chain; the chain is dropped",
        "send the chain again from its start",
    ),
    row(StatusWord::NO_CHAINING, "this command cannot be chained", "send it in one APDU"),
    Meaning {
        sw: StatusWord(0x6C00),
        exact: false,
        meaning: "wrong Le; xx is the right one (00: 256)",
        advice: "send the command again with Le = xx",
    },
    row(
        StatusWord::PIN_BLOCKED,
        "the PIN is blocked; the card signs nothing until its issuer unblocks it",
        "ask the issuer",
    ),
    row(
        StatusWord::CONDITIONS,
        "not in this state: no application selected, wrong order, a transaction waits on the \
         display, too many unconfirmed transactions, or the counter is used up",
        "read the card status with GET DATA; let the holder confirm or cancel on the card",
    ),
    row(
        StatusWord::WRONG_DATA,
        "the transaction message is not canonical, a field is out of range or cannot be displayed",
        "correct the transaction",
    ),
    row(StatusWord::NOT_FOUND, "no application of that name", "this is not such a card"),
    row(StatusWord::WRONG_P1P2, "wrong P1-P2", "correct the command"),
    row(
        StatusWord::NO_SUCH_OBJECT,
        "no such data object, or the card's profile owes none",
        "do not ask for it",
    ),
    row(StatusWord::WRONG_INS, "unknown instruction", "correct the command"),
    row(StatusWord::WRONG_CLA, "unknown class", "correct the command"),
    row(
        StatusWord::INTERNAL,
        "the card failed inside; nothing is pending, a counter value may be spent",
        "tap again; if it persists, replace the card",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_the_low_byte() {
        assert_eq!(StatusWord::bytes_left(5).value(), 0x6105);
        assert_eq!(StatusWord::bytes_left(255).value(), 0x61FF);
        assert_eq!(StatusWord::bytes_left(256).value(), 0x6100);
        assert_eq!(StatusWord::bytes_left(9_999).value(), 0x6100);
        assert_eq!(StatusWord(0x6100).as_bytes_left(), Some(256));
        assert_eq!(StatusWord(0x6C20).as_exact_le(), Some(32));
        assert_eq!(StatusWord::OK.as_bytes_left(), None);
    }

    #[test]
    fn rows_are_distinct_and_found() {
        for (i, row) in MEANINGS.iter().enumerate() {
            assert!(MEANINGS[..i].iter().all(|other| other.sw != row.sw), "{}", row.sw);
            assert_eq!(row.sw.meaning().unwrap().sw, row.sw);
        }
        assert_eq!(StatusWord(0x61AB).meaning().unwrap().sw, StatusWord(0x6100));
        assert!(StatusWord(0x1234).meaning().is_none());
    }
}
