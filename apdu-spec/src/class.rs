//! The class byte: logical channel, secure messaging, chaining (ISO/IEC 7816-4 §5.4.1).

use crate::apdu::CLA_CHAINING;
use crate::sw::StatusWord;

/// Highest number of logical channels that a class byte can name.
pub const MAX_CHANNELS: u8 = 20;

/// Never a class byte.
const INVALID: u8 = 0xFF;
const PROPRIETARY: u8 = 0x80;
/// Further interindustry coding: channels 4 to 19.
const FURTHER: u8 = 0x40;
const FURTHER_SECURE: u8 = 0x20;
const FURTHER_CHANNEL: u8 = 0x0F;
/// First interindustry coding: channels 0 to 3.
const FIRST_SECURE: u8 = 0x0C;
const FIRST_CHANNEL: u8 = 0x03;
/// Neither coding.
const RESERVED: u8 = 0x20;
/// First channel that takes the further coding.
const FIRST_FURTHER: u8 = 4;
/// Secure messaging as GlobalPlatform does it, and as an applet sees it whichever coding was used.
const SECURE: u8 = 0x04;

/// A class byte, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Class {
    /// The class as an applet sees it: without channel and chaining; bits 4 and 3 for secure messaging.
    pub base: u8,
    /// Logical channel, 0 … 19.
    pub channel: u8,
    /// Not the last command of a chain.
    pub chaining: bool,
    /// Some kind of secure messaging is indicated.
    pub secure: bool,
}

impl Class {
    /// Takes a class byte apart.
    ///
    /// # Errors
    /// [`StatusWord::WRONG_CLA`] for FF and the reserved classes.
    pub const fn parse(cla: u8) -> Result<Self, StatusWord> {
        let chaining = cla & CLA_CHAINING != 0;
        let further = cla & FURTHER != 0;
        if cla == INVALID || (!further && cla & RESERVED != 0) {
            return Err(StatusWord::WRONG_CLA);
        }
        let industry = cla & PROPRIETARY;
        let (secure, channel) = if further {
            (if cla & FURTHER_SECURE != 0 { SECURE } else { 0 }, (cla & FURTHER_CHANNEL) + FIRST_FURTHER)
        } else {
            (cla & FIRST_SECURE, cla & FIRST_CHANNEL)
        };
        Ok(Self { base: industry | secure, channel, chaining, secure: secure != 0 })
    }

    /// The class byte that says `base` on `channel`; `None` above channel 19.
    #[must_use]
    pub const fn on_channel(base: u8, channel: u8) -> Option<u8> {
        match channel {
            0..FIRST_FURTHER => Some(base | channel),
            FIRST_FURTHER..MAX_CHANNELS => {
                let secure = if base & FIRST_SECURE != 0 { FURTHER_SECURE } else { 0 };
                Some((base & (PROPRIETARY | CLA_CHAINING)) | FURTHER | secure | (channel - FIRST_FURTHER))
            }
            _ => None,
        }
    }
}

/// True if CLA says that the command is secured as GlobalPlatform does it (GPCS §11.1.4).
#[must_use]
pub fn is_secured(cla: u8) -> bool {
    if cla & FURTHER == 0 { cla & FIRST_SECURE == SECURE } else { cla & FURTHER_SECURE != 0 }
}

/// CLA with the secure messaging bit of GlobalPlatform set.
#[must_use]
pub fn secured(cla: u8) -> u8 {
    cla | if cla & FURTHER == 0 { SECURE } else { FURTHER_SECURE }
}

/// CLA with the secure messaging bits cleared.
#[must_use]
pub fn unsecured(cla: u8) -> u8 {
    cla & !if cla & FURTHER == 0 { FIRST_SECURE } else { FURTHER_SECURE }
}

/// CLA as GlobalPlatform authenticates it: the logical channel is left out (Amendment D §6.2.4).
pub(crate) fn authenticated(cla: u8) -> u8 {
    cla & (PROPRIETARY | CLA_CHAINING) | SECURE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hand_made_from_the_tables() {
        // cla, base, channel, chaining, secure
        for (cla, base, channel, chaining, secure) in [
            (0x00, 0x00, 0, false, false),
            (0x03, 0x00, 3, false, false),
            (0x0C, 0x0C, 0, false, true),
            (0x10, 0x00, 0, true, false),
            (0x40, 0x00, 4, false, false),
            (0x4F, 0x00, 19, false, false),
            (0x6F, 0x04, 19, false, true),
            (0x84, 0x84, 0, false, true),
            (0x92, 0x80, 2, true, false),
            (0xC1, 0x80, 5, false, false),
            (0xE0, 0x84, 4, false, true),
        ] {
            assert_eq!(Class::parse(cla), Ok(Class { base, channel, chaining, secure }), "{cla:02X}");
        }
        for cla in [0x20, 0x3F, 0xA0, 0xBF, 0xFF] {
            assert_eq!(Class::parse(cla), Err(StatusWord::WRONG_CLA), "{cla:02X}");
        }
    }

    #[test]
    fn every_class_without_extras_comes_back_from_its_parts() {
        for cla in 0..=0xFE_u8 {
            let Ok(class) = Class::parse(cla) else { continue };
            let back = Class::on_channel(class.base, class.channel).unwrap();
            assert_eq!(back, cla & !CLA_CHAINING, "{cla:02X}");
        }
        assert_eq!(Class::on_channel(0, 20), None);
    }

    #[test]
    fn the_secure_messaging_bit_is_where_the_class_has_it() {
        for (plain, secure) in [(0x80, 0x84), (0x00, 0x04), (0x83, 0x87), (0xC0, 0xE0), (0x4F, 0x6F)] {
            assert_eq!((secured(plain), unsecured(secure)), (secure, plain));
            assert!(is_secured(secure) && !is_secured(plain));
            assert_eq!(authenticated(secure), plain & 0x80 | 0x04);
        }
        assert!(!is_secured(0x8C) && !is_secured(0x88), "other kinds of secure messaging");
    }
}
