//! Commands and responses over a transport: short or extended length, command chaining, GET
//! RESPONSE after 61xx, one repetition after 6Cxx (ISO/IEC 7816-4 §5.3).

use onetap_apdu_spec::apdu::{
    CLA_CHAINING, CommandApdu, Form, MAX_EXTENDED_DATA, MAX_SHORT_DATA, MAX_SHORT_LE, ResponseApdu,
};
use onetap_apdu_spec::command::{CommandSpec, Name};
use onetap_apdu_spec::sw::StatusWord;
use onetap_apdu_spec::tlv::Tag;

use crate::error::{CardStatusError, Error, ProtocolError, ReaderError};
use crate::transport::{Transport, check_response};

/// Longest response that is put together from parts.
const MAX_RESPONSE: usize = MAX_EXTENDED_DATA;
/// Most GET RESPONSE commands for one response: 65 535 bytes in parts of 256.
const MAX_PARTS: usize = 256;

/// Carries commands over one contact. Starts with extended length if the transport takes it, and
/// falls back to short length and chaining for the rest of the contact once it is refused.
pub struct Exchange<'t> {
    transport: &'t mut dyn Transport,
    extended: bool,
}

impl<'t> Exchange<'t> {
    /// For one contact.
    pub fn new(transport: &'t mut dyn Transport) -> Self {
        let extended = transport.supports_extended();
        Self { transport, extended }
    }

    /// Sends the command `name` and expects 9000. `tag` names the object of GET DATA.
    ///
    /// # Errors
    /// [`Error::Reader`], [`Error::Protocol`], and [`Error::Card`] for another status word of the specification.
    pub fn command(&mut self, name: Name, tag: Option<Tag>, data: &[u8]) -> Result<Vec<u8>, Error> {
        let ResponseApdu { data, sw } = self.send(name.spec(), tag, data)?;
        match sw {
            StatusWord::OK => Ok(data),
            _ if sw.meaning().is_some() => Err(CardStatusError { command: name, sw }.into()),
            _ => Err(ProtocolError::UnknownStatus { command: name, sw }.into()),
        }
    }

    /// Sends a command of the table; any final status word is an answer.
    ///
    /// # Errors
    /// [`Error::Reader`], [`Error::Protocol`].
    pub fn send(&mut self, row: &CommandSpec, tag: Option<Tag>, data: &[u8]) -> Result<ResponseApdu, Error> {
        self.carry(&row.apdu(tag, data), row.chaining, gains_by_extended(row, data))
    }

    /// Sends a command of any application. Where its data is too long for the transport, it goes in parts if `chaining`
    /// says that the card takes it so. Any final status word is an answer.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use onetap_apdu_spec::apdu::CommandApdu;
    /// use onetap_pcsc_host::exchange::Exchange;
    /// use onetap_pcsc_host::{Atr, Deadline, InProcessReader, Reader};
    ///
    /// # let card = |command: &[u8]| match command[1] {
    /// #     0x88 => b"\x61\x02".to_vec(),
    /// #     _ => b"ok\x90\x00".to_vec(),
    /// # };
    /// # let mut reader = InProcessReader::new("in-process", Atr::default(), card);
    /// let mut contact = reader.connect(&Deadline::after(Duration::from_secs(5)))?;
    /// let internal_authenticate =
    ///     CommandApdu { cla: 0x00, ins: 0x88, p1: 0, p2: 0, data: &[1, 2, 3, 4], ne: Some(256) };
    /// let response = Exchange::new(&mut *contact).apdu(&internal_authenticate, false)?;
    /// assert_eq!(response.data, b"ok");
    /// # Ok::<(), onetap_pcsc_host::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Reader`], [`Error::Protocol`].
    pub fn apdu(&mut self, apdu: &CommandApdu<'_>, chaining: bool) -> Result<ResponseApdu, Error> {
        let gains = apdu.data.len() > MAX_SHORT_DATA || apdu.ne.is_some_and(|ne| ne > MAX_SHORT_LE);
        self.carry(apdu, chaining, gains)
    }

    fn carry(&mut self, apdu: &CommandApdu<'_>, chaining: bool, gains: bool) -> Result<ResponseApdu, Error> {
        if self.extended && gains {
            if let Some(response) = self.send_extended(apdu)? {
                return Ok(response);
            }
            self.extended = false;
        }
        self.send_short(apdu, chaining)
    }

    /// `None` if card or reader refuse extended length: then the card has not executed the command.
    fn send_extended(&mut self, apdu: &CommandApdu<'_>) -> Result<Option<ResponseApdu>, Error> {
        match self.one(apdu, Form::Extended) {
            Ok(response) if response.sw == StatusWord::WRONG_LENGTH => Ok(None),
            Ok(response) => self.collect(apdu.cla, response).map(Some),
            Err(Error::Reader(ReaderError::NotAccepted(_))) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn send_short(&mut self, apdu: &CommandApdu<'_>, chaining: bool) -> Result<ResponseApdu, Error> {
        let too_long = apdu.data.len() > MAX_SHORT_DATA;
        if too_long && !chaining {
            return Err(ProtocolError::CommandTooLong(apdu.data.len()).into());
        }
        let mut blocks = apdu.data.chunks(MAX_SHORT_DATA).peekable();
        while let Some(block) = blocks.next_if(|block| block.len() == MAX_SHORT_DATA && too_long) {
            if blocks.peek().is_none() {
                return self.last_block(apdu, block);
            }
            let link = CommandApdu { cla: apdu.cla | CLA_CHAINING, data: block, ne: None, ..*apdu };
            let response = self.one(&link, Form::Short)?;
            if response.sw != StatusWord::OK {
                return Ok(response);
            }
        }
        self.last_block(apdu, blocks.next().unwrap_or_default())
    }

    fn last_block(&mut self, apdu: &CommandApdu<'_>, block: &[u8]) -> Result<ResponseApdu, Error> {
        let ne = apdu.ne.map(|ne| ne.min(MAX_SHORT_LE));
        let response = self.one(&CommandApdu { data: block, ne, ..*apdu }, Form::Short)?;
        self.collect(apdu.cla, response)
    }

    /// Fetches what 61xx announces until another status word comes, on the channel that `cla` names.
    fn collect(&mut self, cla: u8, first: ResponseApdu) -> Result<ResponseApdu, Error> {
        let ResponseApdu { mut data, mut sw } = first;
        let mut parts = 0;
        while let Some(left) = sw.as_bytes_left() {
            parts += 1;
            let get_response = CommandApdu {
                cla: channel_of(cla),
                ne: Some(left),
                ..Name::GetResponse.spec().apdu(None, &[])
            };
            let part = self.one(&get_response, Form::Short)?;
            data.extend(part.data);
            sw = part.sw;
            if parts > MAX_PARTS || data.len() > MAX_RESPONSE {
                return Err(ProtocolError::EndlessResponse.into());
            }
        }
        Ok(ResponseApdu { data, sw })
    }

    /// One APDU; after 6Cxx once more with the Le that the card names.
    fn one(&mut self, apdu: &CommandApdu<'_>, form: Form) -> Result<ResponseApdu, Error> {
        let response = self.transmit(apdu, form)?;
        let Some(ne) = response.sw.as_exact_le() else {
            return Ok(response);
        };
        let again = self.transmit(&CommandApdu { ne: Some(ne), ..*apdu }, form)?;
        match again.sw.as_exact_le() {
            Some(_) => Err(ProtocolError::LeNotSettled.into()),
            None => Ok(again),
        }
    }

    fn transmit(&mut self, apdu: &CommandApdu<'_>, form: Form) -> Result<ResponseApdu, Error> {
        let command = apdu.encode(form).map_err(|error| ProtocolError::CommandTooLong(error.0))?;
        let response = check_response(self.transport.transmit(&command)?)?;
        Ok(ResponseApdu::parse(&response).map_err(|_| ReaderError::NotAResponse(response.len()))?)
    }
}

/// The interindustry class of the logical channel that `cla` names (ISO/IEC 7816-4 §5.4.1): channels 0 to 3 stand in two
/// bits, 4 to 19 in four bits beside bit 7.
fn channel_of(cla: u8) -> u8 {
    const FURTHER: u8 = 0b0100_0000;
    if cla & FURTHER == 0 { cla & 0b11 } else { FURTHER | cla & 0b1111 }
}

/// Extended length pays only where data or response outgrow a short APDU; short ones get past every
/// reader.
fn gains_by_extended(row: &CommandSpec, data: &[u8]) -> bool {
    data.len() > MAX_SHORT_DATA || matches!(row.name, Name::GetSignature | Name::GetEncPassword)
}
