//! The commands that the runtime executes itself: SELECT by name, MANAGE CHANNEL, GET RESPONSE.

use onetap_apdu_spec::aid::AID_MAX;
use onetap_apdu_spec::apdu::CommandApdu;
use onetap_apdu_spec::gp::life_cycle::CardLifeCycle;
use onetap_apdu_spec::sw::StatusWord;

use super::channels::BASIC;
use super::intake::Runtime;
use super::own::BY_NAME;
use super::registry::Occurrence;

/// P2 of SELECT: which occurrence, and no answer.
const OCCURRENCE: u8 = 0x03;
const NO_ANSWER: u8 = 0x0C;
/// P1 of MANAGE CHANNEL.
const OPEN: u8 = 0x00;
const CLOSE: u8 = 0x80;

impl Runtime {
    /// SELECT by name (ISO/IEC 7816-4 §11.2.2); without one, of the issuer's security domain (GPCS §11.9). A name that
    /// nobody has leaves all as it is. On a channel that is closed: 6881, from before.
    pub(super) fn select(&mut self, channel: u8, apdu: &CommandApdu<'_>) -> Result<(), StatusWord> {
        let quiet = match apdu.p2 & !OCCURRENCE {
            0 => false,
            NO_ANSWER => true,
            _ => return Err(StatusWord::WRONG_P1P2),
        };
        if apdu.p1 != BY_NAME {
            return Err(StatusWord::WRONG_P1P2);
        }
        if apdu.data.len() > AID_MAX {
            return Err(StatusWord::WRONG_LENGTH);
        }
        let current = self.system.channels.selected(channel);
        let at = self.system.find(apdu.data, Occurrence::from_p2(apdu.p2), current);
        let at = at.ok_or(StatusWord::NOT_FOUND)?;
        self.out.start(channel);
        self.system.select(at, channel, &mut self.out.reply)?;
        if quiet {
            self.out.clear();
        }
        // GlobalPlatform Card Specification §11.9.3.2: the issuer is told.
        if self.system.life == CardLifeCycle::Locked { Err(StatusWord::CARD_LOCKED) } else { Ok(()) }
    }

    /// MANAGE CHANNEL (ISO/IEC 7816-4 §11.1.2).
    pub(super) fn manage_channel(&mut self, origin: u8, apdu: &CommandApdu<'_>) -> Result<(), StatusWord> {
        if !apdu.data.is_empty() {
            return Err(StatusWord::WRONG_LENGTH);
        }
        self.out.start(origin);
        match (apdu.p1, apdu.p2) {
            (OPEN, 0) => {
                let channel = self.system.channels.first_closed().ok_or(StatusWord::NOT_SUPPORTED)?;
                self.open_channel(origin, channel)?;
                self.out.reply.send(&[channel]);
                Ok(())
            }
            (OPEN, channel) => {
                let free = self.system.channels.exists(channel) && !self.system.channels.is_open(channel);
                if free { self.open_channel(origin, channel) } else { Err(StatusWord::WRONG_P1P2) }
            }
            (CLOSE, channel) => self.close_channel(if channel == 0 { origin } else { channel }),
            _ => Err(StatusWord::WRONG_P1P2),
        }
    }

    /// From the basic channel the new one starts with the default applet, from another with that one's.
    fn open_channel(&mut self, origin: u8, channel: u8) -> Result<(), StatusWord> {
        self.system.channels.open(channel);
        let inherited = match origin {
            BASIC => self.system.default_instance(),
            _ => self.system.channels.selected(origin),
        };
        let Some(at) = inherited else { return Ok(()) };
        let selected = self.system.select(at, channel, &mut self.out.reply);
        self.out.clear();
        match selected {
            // A default applet that is in use elsewhere leaves the new channel without one.
            Err(StatusWord::CONDITIONS) if origin == BASIC => Ok(()),
            Err(why) => {
                self.system.channels.close(channel);
                Err(why)
            }
            Ok(()) => Ok(()),
        }
    }

    fn close_channel(&mut self, channel: u8) -> Result<(), StatusWord> {
        if channel == BASIC {
            return Err(StatusWord::NOT_SUPPORTED);
        }
        if !self.system.channels.exists(channel) {
            return Err(StatusWord::WRONG_P1P2);
        }
        if !self.system.channels.is_open(channel) {
            return Err(StatusWord::CHANNEL_WAS_CLOSED);
        }
        self.system.deselect(channel);
        self.system.channels.close(channel);
        Ok(())
    }

    /// GET RESPONSE (ISO/IEC 7816-4 §11.7.1): what waits is given by the caller.
    pub(super) fn get_response(&mut self, channel: u8, apdu: &CommandApdu<'_>) -> Result<(), StatusWord> {
        if (apdu.p1, apdu.p2) != (0, 0) {
            return Err(StatusWord::WRONG_P1P2);
        }
        if !apdu.data.is_empty() {
            return Err(StatusWord::WRONG_LENGTH);
        }
        if self.out.waits_on(channel) { Ok(()) } else { Err(StatusWord::CONDITIONS) }
    }
}
