//! From response data to responses: cut to Ne, the rest by GET RESPONSE, for T=0 and T=1
//! (ISO/IEC 7816-3 §12.2, ISO/IEC 7816-4 §11.7.1).

use onetap_apdu_spec::apdu::{CommandApdu, MAX_SHORT_LE};
use onetap_apdu_spec::sw::StatusWord;

use super::reply::Reply;

/// The transmission protocol that the reader speaks with the card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// Characters: no extended length; data in both directions takes GET RESPONSE; 6Cxx tells the right Le.
    T0,
    /// Blocks: every case of APDU as it is.
    #[default]
    T1,
}

/// A response, as far as the reader has not taken it.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    pub(super) reply: Reply,
    /// Where the command came from, and GET RESPONSE has to.
    channel: u8,
    /// How much of it has been sent.
    sent: usize,
    /// Goes out with the last byte.
    sw: Option<StatusWord>,
    /// T=0: the command that was told 6Cxx and may be sent again with the right Le.
    again: Option<[u8; 4]>,
}

impl Outgoing {
    #[inline]
    pub(super) fn clear(&mut self) {
        self.reply.clear();
        (self.sent, self.sw, self.again) = (0, None, None);
    }

    /// A command came on a channel: what waited is gone.
    #[inline]
    pub(super) fn start(&mut self, channel: u8) {
        self.clear();
        self.channel = channel;
    }

    /// True if bytes wait for GET RESPONSE on this channel.
    pub(super) fn waits_on(&self, channel: u8) -> bool {
        self.waits() && self.channel == channel
    }

    /// True if bytes wait for GET RESPONSE.
    #[inline]
    pub(super) fn waits(&self) -> bool {
        self.sent < self.reply.as_bytes().len()
    }

    /// True if this is the command that was answered with 6Cxx.
    #[inline]
    pub(super) fn is_again(&self, apdu: &CommandApdu<'_>) -> bool {
        self.again.is_some_and(|header| header == [apdu.cla, apdu.ins, apdu.p1, apdu.p2])
            && apdu.data.is_empty()
    }

    /// The command is executed: its response may go out.
    #[inline]
    pub(super) fn ready(&mut self, sw: StatusWord) -> StatusWord {
        if self.reply.overflowed() {
            self.clear();
            return StatusWord::INTERNAL;
        }
        *self.sw.get_or_insert(sw)
    }

    /// Appends to `out` what the reader gets now, and gives the status word.
    #[inline]
    pub(super) fn give(
        &mut self,
        apdu: &CommandApdu<'_>,
        protocol: Protocol,
        out: &mut Vec<u8>,
    ) -> StatusWord {
        let left = self.reply.as_bytes().len() - self.sent;
        let wanted = apdu.ne.map_or(0, |ne| ne as usize);
        self.again = None;
        if protocol == Protocol::T0 {
            if !apdu.data.is_empty() {
                return self.cut(0, left, out);
            }
            if wanted > left && left > 0 {
                self.again = Some([apdu.cla, apdu.ins, apdu.p1, apdu.p2]);
                return StatusWord::exact_le(left);
            }
        }
        self.cut(wanted.min(left), left, out)
    }

    #[inline]
    fn cut(&mut self, now: usize, left: usize, out: &mut Vec<u8>) -> StatusWord {
        let end = self.sent + now;
        out.extend_from_slice(self.reply.as_bytes().get(self.sent..end).unwrap_or_default());
        self.sent = end;
        if now < left {
            return StatusWord::bytes_left(left - now);
        }
        let sw = self.sw.take().unwrap_or(StatusWord::OK);
        self.clear();
        sw
    }
}

/// True if the length fields are extended, which T=0 does not carry.
pub(super) fn is_extended(bytes: &[u8], apdu: &CommandApdu<'_>) -> bool {
    bytes.len() > 5 && bytes.get(4) == Some(&0) || apdu.ne.is_some_and(|ne| ne > MAX_SHORT_LE)
}
