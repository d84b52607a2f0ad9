//! Commands and responses over a transport: short or extended length, command chaining, GET
//! RESPONSE after 61xx, one repetition after 6Cxx (ISO/IEC 7816-4 §5.3).

use onetap_apdu_spec::apdu::{
    CLA_CHAINING, CommandApdu, Form, MAX_EXTENDED_DATA, MAX_SHORT_DATA, MAX_SHORT_LE, ResponseApdu,
};
use onetap_apdu_spec::command::{CommandSpec, Name};
use onetap_apdu_spec::sw::StatusWord;
use onetap_apdu_spec::tlv::Tag;

use crate::error::{CardStatusError, Error, ProtocolError, ReaderError};
use crate::transport::Transport;

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
    /// [`Error::Reader`], [`Error::Protocol`], and [`Error::Card`] for another status word.
    pub fn command(&mut self, name: Name, tag: Option<Tag>, data: &[u8]) -> Result<Vec<u8>, Error> {
        let response = self.send(name.spec(), tag, data)?;
        if response.sw == StatusWord::OK {
            Ok(response.data)
        } else {
            Err(CardStatusError { command: name, sw: response.sw }.into())
        }
    }

    /// Sends a command of the table; any final status word is an answer.
    ///
    /// # Errors
    /// [`Error::Reader`], [`Error::Protocol`].
    pub fn send(&mut self, row: &CommandSpec, tag: Option<Tag>, data: &[u8]) -> Result<ResponseApdu, Error> {
        let apdu = row.apdu(tag, data);
        if self.extended && gains_by_extended(row, data) {
            if let Some(response) = self.send_extended(&apdu)? {
                return Ok(response);
            }
            self.extended = false;
        }
        self.send_short(row, &apdu)
    }

    /// `None` if card or reader refuse extended length: then the card has not executed the command.
    fn send_extended(&mut self, apdu: &CommandApdu<'_>) -> Result<Option<ResponseApdu>, Error> {
        match self.one(apdu, Form::Extended) {
            Ok(response) if response.sw == StatusWord::WRONG_LENGTH => Ok(None),
            Ok(response) => self.collect(response).map(Some),
            Err(Error::Reader(ReaderError::NotAccepted(_))) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn send_short(&mut self, row: &CommandSpec, apdu: &CommandApdu<'_>) -> Result<ResponseApdu, Error> {
        let too_long = apdu.data.len() > MAX_SHORT_DATA;
        if too_long && !row.chaining {
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
        self.collect(response)
    }

    /// Fetches what 61xx announces until another status word comes.
    fn collect(&mut self, first: ResponseApdu) -> Result<ResponseApdu, Error> {
        let ResponseApdu { mut data, mut sw } = first;
        let mut parts = 0;
        while let Some(left) = sw.as_bytes_left() {
            parts += 1;
            let get_response = CommandApdu { ne: Some(left), ..Name::GetResponse.spec().apdu(None, &[]) };
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
        let response = self.transport.transmit(&command)?;
        Ok(ResponseApdu::parse(&response).map_err(|_| ReaderError::CardRemoved)?)
    }
}

/// Extended length pays only where data or response outgrow a short APDU; short ones get past every
/// reader.
fn gains_by_extended(row: &CommandSpec, data: &[u8]) -> bool {
    data.len() > MAX_SHORT_DATA || matches!(row.name, Name::GetSignature | Name::GetEncPassword)
}
