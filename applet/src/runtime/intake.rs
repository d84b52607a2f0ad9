//! From command bytes to response bytes, in the one order of refusal that
//! [`onetap_apdu_spec::command`] lays down.

use std::panic::{AssertUnwindSafe, catch_unwind};

use onetap_apdu_spec::apdu::{CLA_CHAINING, CommandApdu, ResponseApdu};
use onetap_apdu_spec::command::{Command, CommandSpec, Name, recognise};
use onetap_apdu_spec::sw::StatusWord;

use super::Applet;
use super::chain::Chain;

/// The card's operating system around one applet.
#[derive(Debug)]
pub(crate) struct Runtime<A> {
    applet: A,
    selected: bool,
    chain: Option<Chain>,
    /// Response bytes that wait for GET RESPONSE.
    waiting: Vec<u8>,
}

impl<A: Applet> Runtime<A> {
    /// Nothing selected.
    pub(crate) fn new(applet: A) -> Self {
        Self { applet, selected: false, chain: None, waiting: Vec::new() }
    }

    /// The applet, for the card's display controller.
    pub(crate) fn applet(&self) -> &A {
        &self.applet
    }

    /// The applet, for the card's display controller.
    pub(crate) fn applet_mut(&mut self) -> &mut A {
        &mut self.applet
    }

    /// True if part of a response waits for GET RESPONSE.
    pub(crate) fn response_waits(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Power gone, or reset: selection and all that is transient go.
    pub(crate) fn reset(&mut self) {
        self.selected = false;
        self.chain = None;
        self.waiting.clear();
        self.applet.deselect();
    }

    /// One command, one response of at least two bytes, whatever the bytes are.
    pub(crate) fn transmit(&mut self, bytes: &[u8]) -> Vec<u8> {
        let before = self.applet.snapshot();
        match catch_unwind(AssertUnwindSafe(|| self.respond(bytes))) {
            Ok(response) => response.to_bytes(),
            Err(_) => {
                self.chain = None;
                self.waiting.clear();
                self.applet.restore(before);
                ResponseApdu::from(StatusWord::INTERNAL).to_bytes()
            }
        }
    }

    fn respond(&mut self, bytes: &[u8]) -> ResponseApdu {
        // An open chain lives on only if this command is its next part.
        let chain = self.chain.take();
        let Ok(apdu) = CommandApdu::parse(bytes) else {
            self.waiting.clear();
            return StatusWord::WRONG_LENGTH.into();
        };
        match self.execute(&apdu, chain) {
            Ok(data) => {
                self.waiting = data;
                self.next_bytes(apdu.ne)
            }
            Err(sw) => {
                self.waiting.clear();
                sw.into()
            }
        }
    }

    fn execute(&mut self, apdu: &CommandApdu<'_>, chain: Option<Chain>) -> Result<Vec<u8>, StatusWord> {
        let row = recognise_in_chain(apdu, chain.as_ref())?;
        if row.name == Name::GetResponse {
            return if self.waiting.is_empty() {
                Err(StatusWord::CONDITIONS)
            } else {
                Ok(std::mem::take(&mut self.waiting))
            };
        }
        if row.name != Name::Select {
            self.admit(row)?;
        }
        let more = apdu.cla & CLA_CHAINING != 0;
        if chain.is_none() && !more {
            return self.run(row, apdu);
        }
        let mut chain = chain.unwrap_or_else(|| Chain::begin(apdu));
        chain.push(row, apdu.data)?;
        if more {
            self.chain = Some(chain);
            return Ok(Vec::new());
        }
        self.run(row, &CommandApdu { data: chain.data(), ..*apdu })
    }

    fn admit(&self, row: &CommandSpec) -> Result<(), StatusWord> {
        if !self.selected {
            return Err(StatusWord::CONDITIONS);
        }
        self.applet.admit(row)
    }

    fn run(&mut self, row: &CommandSpec, apdu: &CommandApdu<'_>) -> Result<Vec<u8>, StatusWord> {
        match Command::parse(row, apdu)? {
            Command::Select(aid) => self.select(aid),
            command => self.applet.process(command),
        }
    }

    /// An unknown name leaves the applet that is selected as it is.
    fn select(&mut self, aid: &[u8]) -> Result<Vec<u8>, StatusWord> {
        if !self.applet.answers_to(aid) {
            return Err(StatusWord::NOT_FOUND);
        }
        let fci = self.applet.select()?;
        self.selected = true;
        Ok(fci)
    }

    /// Sends what fits into Ne and announces the rest by 61xx; without Ne, announces all of it.
    fn next_bytes(&mut self, ne: Option<u32>) -> ResponseApdu {
        let wanted = ne.map_or(0, |ne| usize::try_from(ne).unwrap_or(usize::MAX));
        let rest = self.waiting.split_off(wanted.min(self.waiting.len()));
        let data = std::mem::replace(&mut self.waiting, rest);
        let sw = match self.waiting.len() {
            0 => StatusWord::OK,
            left => StatusWord::bytes_left(left),
        };
        ResponseApdu { data, sw }
    }
}

/// Finds the command's row. While a chain is open, any other command is refused with 6883: after
/// form, CLA and INS, before P1-P2 and Lc.
fn recognise_in_chain(
    apdu: &CommandApdu<'_>,
    chain: Option<&Chain>,
) -> Result<&'static CommandSpec, StatusWord> {
    let broken = chain.is_some_and(|chain| !chain.continues_with(apdu));
    match recognise(apdu) {
        Ok(_) | Err(StatusWord::WRONG_P1P2 | StatusWord::NO_SUCH_OBJECT | StatusWord::WRONG_LENGTH)
            if broken =>
        {
            Err(StatusWord::CHAIN_BROKEN)
        }
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use onetap_apdu_spec::command::AID;

    use super::*;

    /// Panics at GET DATA, after it has changed its state.
    struct Clumsy(u32);

    impl Applet for Clumsy {
        type Snapshot = u32;

        fn answers_to(&self, aid: &[u8]) -> bool {
            aid == AID
        }
        fn select(&mut self) -> Result<Vec<u8>, StatusWord> {
            Ok(vec![7; 300])
        }
        fn deselect(&mut self) {}
        fn admit(&self, _: &CommandSpec) -> Result<(), StatusWord> {
            Ok(())
        }
        fn process(&mut self, command: Command<'_>) -> Result<Vec<u8>, StatusWord> {
            self.0 += 1;
            assert!(!matches!(command, Command::GetData(_)), "clumsy on purpose");
            Ok(Vec::new())
        }
        fn snapshot(&self) -> u32 {
            self.0
        }
        fn restore(&mut self, before: u32) {
            self.0 = before;
        }
    }

    fn sw(runtime: &mut Runtime<Clumsy>, name: Name, data: &[u8]) -> StatusWord {
        let bytes = name.spec().apdu(None, data).encode(onetap_apdu_spec::apdu::Form::Short);
        let short = CommandApdu { ne: Some(256), ..name.spec().apdu(None, data) };
        let bytes = bytes.unwrap_or_else(|_| short.encode(onetap_apdu_spec::apdu::Form::Short).unwrap());
        ResponseApdu::parse(&runtime.transmit(&bytes)).unwrap().sw
    }

    #[test]
    fn a_panic_inside_is_6f00_and_the_card_goes_on() {
        let mut runtime = Runtime::new(Clumsy(0));
        assert_eq!(sw(&mut runtime, Name::Select, &AID).as_bytes_left(), Some(44));
        assert_eq!(sw(&mut runtime, Name::GetData, &[]), StatusWord::INTERNAL);
        assert_eq!(runtime.applet.0, 0, "as before");
        assert!(!runtime.response_waits());
        assert_eq!(sw(&mut runtime, Name::GetSignature, &[]), StatusWord::OK);
        assert_eq!(runtime.applet.0, 1);
    }
}
