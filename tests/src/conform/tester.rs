//! What a case acts with: sends, compares, and keeps the log.

use std::fmt::Display;
use std::time::Duration;

use onetap_apdu_spec::account::Alias;
use onetap_apdu_spec::apdu::{CLA_CHAINING, CommandApdu, ResponseApdu};
use onetap_apdu_spec::command::{CardState, CardStatus, Name};
use onetap_apdu_spec::objects;
use onetap_apdu_spec::suite::Suite;
use onetap_apdu_spec::sw::StatusWord;
use onetap_apdu_spec::txn::Transaction;
use onetap_pcsc_host::ReaderError;
use onetap_pcsc_host::decode::{command_row, describe_command, describe_response};
use onetap_pcsc_host::trace::StageError;

use super::command::CommandBuilder;
use super::precondition::Precondition;
use super::report::Exchange;
use crate::target::{CardUnderTest, Claims, Known, Tap, Timing, samples, value_of};

/// Why a case ends before its end.
#[derive(Debug)]
pub enum Stop {
    /// The card does not do what the clause says.
    Failed {
        /// What was being done.
        step: String,
        /// What the clause asks for.
        expected: String,
        /// What came.
        got: String,
    },
    /// The case is about something that this card does not have.
    NotApplicable(String),
    /// The target cannot do what the case needs.
    NotPerformed(String),
}

impl Stop {
    /// A difference.
    pub fn failed(step: impl Into<String>, expected: impl Into<String>, got: impl Into<String>) -> Self {
        Self::Failed { step: step.into(), expected: expected.into(), got: got.into() }
    }
}

/// What a command may be refused with before its application is selected.
const BEFORE_SELECT: [StatusWord; 6] = [
    StatusWord::CONDITIONS,
    StatusWord::WRONG_INS,
    StatusWord::WRONG_CLA,
    StatusWord::WRONG_P1P2,
    StatusWord::NO_SUCH_OBJECT,
    StatusWord::SECURITY_STATUS,
];

/// How a case ends.
pub type Outcome = Result<(), Stop>;

/// One case's access to the card.
pub struct Tester<'c> {
    pub(super) card: &'c mut dyn CardUnderTest,
    suite: Suite,
    log: Vec<Exchange>,
    /// Every response of the case, for what must never be in one.
    responses: Vec<Vec<u8>>,
    answering: Option<Name>,
    /// Why nothing more can be sent, once the reader or the card is gone.
    gone: Option<ReaderError>,
}

impl<'c> Tester<'c> {
    pub(crate) fn new(card: &'c mut dyn CardUnderTest, suite: Suite) -> Self {
        Self { card, suite, log: Vec::new(), responses: Vec::new(), answering: None, gone: None }
    }

    /// What was seen, and why nothing more could be, if the card or its reader is gone.
    pub(super) fn into_log(self) -> (Vec<Exchange>, Option<ReaderError>) {
        (self.log, self.gone)
    }

    /// The suite that the card was personalised for.
    #[must_use]
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// The card's times.
    #[must_use]
    pub fn timing(&self) -> Timing {
        self.card.claims().timing()
    }

    /// What the card claims.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        self.card.claims()
    }

    /// How long to wait for a moment just before `limit` is over.
    ///
    /// # Errors
    /// [`Stop::NotPerformed`] where the holder cannot keep times that exactly.
    pub fn just_before(&self, limit: Duration) -> Result<Duration, Stop> {
        let before = limit.checked_sub(self.card.grain()).filter(|time| !time.is_zero());
        before.ok_or_else(|| {
            let limit = limit.as_millis();
            Stop::NotPerformed(format!("the holder cannot act within {limit} ms"))
        })
    }

    /// How exactly the holder keeps times.
    #[must_use]
    pub fn grain(&self) -> Duration {
        self.card.grain()
    }

    /// C of the last signature; `None` if it is not known.
    pub fn last_counter(&mut self) -> Option<u32> {
        self.card.spent().counter
    }

    /// The keys behind the card.
    ///
    /// # Errors
    /// [`Stop::NotPerformed`] where they are not known.
    pub fn known(&self) -> Result<&Known, Stop> {
        self.card.known().ok_or_else(|| Stop::NotPerformed("the card's keys are not known".into()))
    }

    /// Every response so far, status words included.
    #[must_use]
    pub fn responses(&self) -> &[Vec<u8>] {
        &self.responses
    }

    pub(super) fn note(&mut self, words: impl Into<String>) {
        self.log.push(Exchange::Around { words: words.into() });
    }
}

/// Contacts.
impl Tester<'_> {
    /// The card enters the field and is powered.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn field_in(&mut self) -> Outcome {
        self.note("the card enters the field");
        let entered = self.card.field_in();
        self.reached("the card enters the field", entered).map(drop)
    }

    /// The card leaves the field.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn field_out(&mut self) -> Outcome {
        self.note("the card leaves the field");
        self.card.field_out().map_err(|why| stage("the card leaves the field", why))
    }

    /// The reader resets the card, which stays in the field; gives its answer to reset.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn reset(&mut self) -> Result<Vec<u8>, Stop> {
        self.note("the reader resets the card");
        let answer = self.card.reset();
        self.reached("the reader resets the card", answer)
    }

    /// Notes a reader or a card that cannot be reached any more.
    fn reached<T>(&mut self, step: &str, result: Result<T, StageError>) -> Result<T, Stop> {
        result.map_err(|why| {
            if let StageError::Reader(gone) = &why {
                self.gone = Some(gone.clone()).filter(is_final);
            }
            stage(step, why)
        })
    }

    /// Time passes on the card's clock.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn wait(&mut self, time: Duration) -> Outcome {
        self.note(format!("{} ms pass", time.as_millis()));
        self.card.tick(time).map_err(|why| stage("time passes", why))
    }

    /// The card leaves the field, for longer than the debounce.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn leave(&mut self) -> Outcome {
        self.field_out()?;
        self.wait(self.timing().debounce)
    }

    /// The card enters the field and the application is selected.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn come(&mut self) -> Outcome {
        self.field_in()?;
        self.select()
    }
}

/// APDUs.
impl Tester<'_> {
    /// Sends bytes as they are.
    ///
    /// # Errors
    /// [`Stop::Failed`] if no response comes.
    pub fn send_raw(&mut self, step: &str, bytes: &[u8]) -> Result<ResponseApdu, Stop> {
        self.log.push(Exchange::Command { bytes: hex::encode_upper(bytes), words: describe_command(bytes) });
        let name = CommandApdu::parse(bytes).ok().and_then(|apdu| Some(command_row(&apdu)?.name));
        self.answering = if name == Some(Name::GetResponse) { self.answering } else { name };
        let spent = self.card.spent();
        let is_one_more = name == Some(Name::GetSignature) && spent.loaded;
        if is_one_more && spent.most.is_some_and(|most| spent.signatures >= most) {
            return Err(Stop::NotPerformed("the signatures that the run may make are spent".to_owned()));
        }
        let response = self.card.transmit(bytes).map_err(|why| {
            let stop = Stop::failed(step, "a response of at least two bytes", format!("no response: {why}"));
            self.gone = Some(why).filter(is_final);
            stop
        })?;
        self.count(name, bytes, &response);
        let words = describe_response(self.answering, &response);
        self.log.push(Exchange::Response { bytes: hex::encode_upper(&response), words });
        self.responses.push(response.clone());
        ResponseApdu::parse(&response)
            .map_err(|_| Stop::failed(step, "at least two bytes", hex::encode_upper(&response)))
    }

    /// Counts signatures, whatever the card says about them.
    fn count(&mut self, name: Option<Name>, command: &[u8], response: &[u8]) {
        let Ok(ResponseApdu { sw, .. }) = ResponseApdu::parse(response) else { return };
        let taken = sw == StatusWord::OK || sw.as_bytes_left().is_some();
        let last_part = command.first().is_some_and(|cla| cla & CLA_CHAINING == 0);
        let spent = self.card.spent();
        match name {
            Some(Name::PutTxn) if taken && last_part => spent.loaded = true,
            Some(Name::GetSignature) if taken && std::mem::take(&mut spent.loaded) => {
                spent.signatures += 1;
                spent.counter = spent.counter.map(|counter| counter.wrapping_add(1));
            }
            Some(Name::Select) if taken => spent.loaded = false,
            _ => {}
        }
    }

    /// Sends a command; any status word is an answer. To a card that claims no extended length, a longer data field goes in
    /// a chain, and the answer is that to the part that ended it.
    ///
    /// # Errors
    /// [`Stop::Failed`] if no response comes.
    pub fn send(&mut self, step: &str, command: &CommandBuilder) -> Result<ResponseApdu, Stop> {
        let chained = !self.claims().extended_length && !command.extended && command.is_long();
        if !chained {
            return self.send_raw(step, &command.bytes());
        }
        let parts = command.in_short_parts();
        let (last, first) = parts.split_last().ok_or_else(|| Stop::failed(step, "a command", "none"))?;
        for part in first {
            let response = self.send_raw(step, &part.bytes())?;
            if response.sw != StatusWord::OK {
                return Ok(response);
            }
        }
        self.send_raw(step, &last.bytes())
    }

    /// Sends a command that must be answered with `sw` and, unless it is 9000, without data. Gives the data.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn expect(&mut self, step: &str, command: &CommandBuilder, sw: StatusWord) -> Result<Vec<u8>, Stop> {
        let response = self.send(step, command)?;
        self.compare_sw(step, &response, sw)?;
        Ok(response.data)
    }

    /// Sends a command of the application that has to be refused because the application is not selected: with 6985 where
    /// nothing is, or as what the card selects by default refuses what it does not know.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn refused_before_select(&mut self, command: &CommandBuilder) -> Outcome {
        let step = "send it before SELECT";
        let response = self.send(step, command)?;
        let refused = BEFORE_SELECT.contains(&response.sw) && response.data.is_empty();
        let known = BEFORE_SELECT.map(|sw| sw.to_string()).join(", ");
        self.check(step, refused, format!("one of {known}"), words(response.sw))
    }

    /// Compares a status word; a refusal has no data.
    ///
    /// # Errors
    /// [`Stop::Failed`].
    pub fn compare_sw(&mut self, step: &str, response: &ResponseApdu, sw: StatusWord) -> Outcome {
        if response.sw != sw {
            return Err(Stop::failed(step, words(sw), words(response.sw)));
        }
        if sw != StatusWord::OK && sw.as_bytes_left().is_none() && !response.data.is_empty() {
            return Err(Stop::failed(step, format!("{sw} without data"), hex::encode_upper(&response.data)));
        }
        Ok(())
    }

    /// Sends a command and fetches all of its response, which must end in 9000.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn fetch(&mut self, step: &str, command: &CommandBuilder) -> Result<Vec<u8>, Stop> {
        let mut response = self.send(step, command)?;
        let mut data = std::mem::take(&mut response.data);
        // Each part brings at least one byte, or it is no 61xx.
        while let Some(left) = response.sw.as_bytes_left().filter(|_| data.len() < usize::from(u16::MAX)) {
            response = self.send(step, &CommandBuilder::get_response(left))?;
            if response.data.is_empty() {
                break;
            }
            data.append(&mut response.data);
        }
        self.compare_sw(step, &response, StatusWord::OK)?;
        Ok(data)
    }

    /// Fails unless `holds`.
    ///
    /// # Errors
    /// [`Stop::Failed`].
    pub fn check(&mut self, step: &str, holds: bool, expected: impl Display, got: impl Display) -> Outcome {
        if holds { Ok(()) } else { Err(Stop::failed(step, expected.to_string(), got.to_string())) }
    }

    /// Fails unless both are the same.
    ///
    /// # Errors
    /// [`Stop::Failed`].
    pub fn same(&mut self, step: &str, expected: &[u8], got: &[u8]) -> Outcome {
        self.check(step, expected == got, hex::encode_upper(expected), hex::encode_upper(got))
    }

    /// SELECT of the application.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn select(&mut self) -> Outcome {
        self.expect("SELECT the application", &CommandBuilder::select(), StatusWord::OK).map(drop)
    }

    /// GET DATA, card status.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn status(&mut self) -> Result<CardStatus, Stop> {
        let step = "read the card status";
        let object = self.fetch(step, &CommandBuilder::status())?;
        let value = value_of(&object, objects::CARD_STATUS);
        value
            .and_then(|value| CardStatus::from_bytes(&value))
            .ok_or_else(|| Stop::failed(step, "a card status of three bytes", hex::encode_upper(&object)))
    }

    /// The card must be in this state.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn expect_state(&mut self, expected: CardState) -> Outcome {
        self.expect_state_in(&[expected])
    }

    /// The card must be in one of these states.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn expect_state_in(&mut self, expected: &[CardState]) -> Outcome {
        let state = self.status()?.state;
        let right = expected.contains(&state);
        self.check("compare the state", right, format!("state {expected:?}"), format!("state {state:?}"))
    }

    /// GET DATA, payer alias.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn alias(&mut self) -> Result<Alias, Stop> {
        let step = "read the payer alias";
        let object = self.fetch(step, &CommandBuilder::alias())?;
        Self::read_alias(&object)
    }

    /// The payer alias in the answer to GET DATA.
    ///
    /// # Errors
    /// [`Stop::Failed`] if it is none.
    pub fn read_alias(object: &[u8]) -> Result<Alias, Stop> {
        let text = value_of(object, objects::PAYER_ALIAS).and_then(|value| String::from_utf8(value).ok());
        let alias = text.and_then(|text| text.parse().ok());
        alias.ok_or_else(|| {
            Stop::failed("read the payer alias", "16 characters of base 32", hex::encode_upper(object))
        })
    }
}

/// The flow.
impl Tester<'_> {
    /// Reads the alias and hands over `transaction` in its name; gives T.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn load(&mut self, transaction: &Transaction) -> Result<Vec<u8>, Stop> {
        let payer = self.alias()?;
        let bytes = samples::encode(&Transaction { payer, ..transaction.clone() });
        self.expect("hand over the transaction", &CommandBuilder::put_txn(&bytes), StatusWord::OK)?;
        Ok(bytes)
    }

    /// Fetches the signature of what is loaded. Where the card's keys are known, it must be this card's, and verify as far as
    /// it can without what is owed.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn sign(&mut self, transaction: Vec<u8>) -> Result<Tap, Stop> {
        let signature_message = self.fetch("fetch the signature", &CommandBuilder::get_signature())?;
        let tap = Tap { transaction, signature_message, object: None };
        if let Some(known) = self.card.known() {
            let header = known.signature_valid(&tap, None).and_then(|()| known.header(&tap));
            let header = header.map_err(|why| Stop::failed("verify S", "that it holds", why))?;
            self.compare_counter(header.counter)?;
        }
        Ok(tap)
    }

    /// Compares C with what it must be by now, if that is known. The card goes on from the C that it gave, and so do the
    /// cases that follow.
    fn compare_counter(&mut self, got: u32) -> Outcome {
        let expected = self.card.spent().counter.replace(got).unwrap_or(got);
        self.check("compare the counter", got == expected, format!("C = {expected}"), format!("C = {got}"))
    }

    /// Everything of one contact but its end: loads, fetches the signature and what is owed.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn tap(&mut self, transaction: &Transaction) -> Result<Tap, Stop> {
        let transaction = self.load(transaction)?;
        let mut tap = self.sign(transaction)?;
        if self.suite.owed().is_some() {
            tap.object = Some(self.fetch("fetch what is owed", &CommandBuilder::get_enc_password())?);
            if let Some(judged) = self.card.known().map(|known| known.object_valid(&tap)) {
                judged.map_err(|why| Stop::failed("judge what is owed", "that it holds", why))?;
            }
        }
        Ok(tap)
    }

    /// A whole contact; the display then shows the transaction. The card was in the field, selected.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn tap_and_leave(&mut self, transaction: &Transaction) -> Result<Tap, Stop> {
        let tap = self.tap(transaction)?;
        self.leave()?;
        Ok(tap)
    }

    /// Brings the card from a new one's beginning to where a case starts.
    ///
    /// # Errors
    /// [`Stop`].
    pub(super) fn prepare(&mut self, precondition: Precondition) -> Outcome {
        let state = match precondition {
            Precondition::OutOfField => return Ok(()),
            Precondition::PoweredUp => return self.field_in(),
            Precondition::State(state) => state,
        };
        self.come()?;
        self.advance_to(state)?;
        let got = self.status()?.state;
        self.check("reach the precondition", got == state, format!("{state:?}"), format!("{got:?}"))
    }

    fn advance_to(&mut self, state: CardState) -> Outcome {
        let transaction = samples::transaction();
        match state {
            CardState::Idle => self.become_idle(),
            CardState::Loaded => {
                self.become_idle()?;
                self.load(&transaction).map(drop)
            }
            CardState::Signed => {
                let transaction = self.load(&transaction)?;
                self.sign(transaction).map(drop)
            }
            CardState::Delivered => self.tap(&transaction).map(drop),
            CardState::Showing => {
                self.tap_and_leave(&transaction)?;
                self.come()
            }
            CardState::Revealed => {
                self.tap_and_leave(&transaction)?;
                self.confirm_by_key()?;
                self.joint_password()?;
                self.come()
            }
        }
    }

    /// A card that is not new may wait for its holder.
    fn become_idle(&mut self) -> Outcome {
        match self.status()?.state {
            CardState::Idle => Ok(()),
            state => Err(Stop::NotPerformed(format!(
                "the card is in state {state:?}: let its holder confirm or cancel on the card first"
            ))),
        }
    }
}

fn words(sw: StatusWord) -> String {
    onetap_pcsc_host::decode::describe_status(sw)
}

/// Whether nothing more can be learnt from this card, or through this reader.
fn is_final(why: &ReaderError) -> bool {
    !matches!(
        why,
        ReaderError::NotAResponse(_)
            | ReaderError::ResponseTooLong
            | ReaderError::NotAccepted(_)
            | ReaderError::CommandTooShort(_)
            | ReaderError::CardReset
    )
}

pub(super) fn stage(step: &str, why: StageError) -> Stop {
    match why {
        StageError::Unsupported(what) => {
            Stop::NotPerformed(format!("this card cannot be made to {what} from here"))
        }
        why => Stop::failed(step, "that it can be done", why.to_string()),
    }
}
