//! Records what happens as a trace. What differs from run to run becomes a pattern or a predicate,
//! and secrets are left out, before anything is written.

use std::io::{self, Write};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use onetap_apdu_spec::apdu::{CLA_CHAINING, CommandApdu, Form, MAX_SHORT_DATA, ResponseApdu, reference_data};
use onetap_apdu_spec::command::Name;
use onetap_apdu_spec::header::{Binding, CardId, Header as TxnHeader, ServerId};
use onetap_apdu_spec::objects;
use onetap_apdu_spec::signed::SignatureMessage;
use onetap_apdu_spec::sw::StatusWord;
use onetap_apdu_spec::txn::TransactionMessage;

use super::{BytePattern, Event, Header, Key, PutTxn, ResponsePattern, Screen, ServerStep, line};
use crate::atr::Atr;
use crate::deadline::Deadline;
use crate::decode::command_row;
use crate::error::ReaderError;
use crate::transport::{Disposition, Reader, Transport};

/// Writes a trace to `W`, each exchange in one write as soon as it is over. A failure to write is kept and told by
/// [`Recorder::finish`], so that a full disk does not break a payment off.
pub struct Recorder<W>(Arc<Mutex<Record<W>>>);

/// What the recorder and the contacts that it records write to.
struct Record<W> {
    out: W,
    failed: Option<io::Error>,
    /// Since when time is recorded.
    began: Option<Instant>,
    /// Whether data is kept beside the pattern that it became.
    keeps: bool,
    /// What GET RESPONSE goes on with.
    answering: Option<Answering>,
    /// Lines that are not written yet.
    lines: Vec<u8>,
    /// The card has come, and has not left.
    is_here: bool,
}

/// The command that was asked last, GET RESPONSE aside.
#[derive(Clone, Copy, Default)]
struct Answering {
    name: Option<Name>,
    /// Bytes of its response that are the same each time, if others are not.
    stays: Option<usize>,
}

impl<W: Write> Recorder<W> {
    /// Begins a trace.
    pub fn new(out: W, header: &Header) -> Self {
        let (answering, lines) = (None, Vec::new());
        let mut record =
            Record { out, failed: None, began: None, keeps: false, answering, lines, is_here: false };
        record.failed = serde_json::to_writer(&mut record.lines, header).map_err(io::Error::from).err();
        record.lines.push(b'\n');
        record.write();
        Self(Arc::new(Mutex::new(record)))
    }

    /// Records from here on how much time has passed, too.
    #[must_use]
    pub fn timed(self) -> Self {
        lock(&self.0).began = Some(Instant::now());
        self
    }

    /// Keeps from here on, beside patterns, the data that came: a trace that is to be played as a card, or exported, wants
    /// it. Secrets are not kept: neither what commands carry that have a PIN, nor digests of the joint password.
    #[must_use]
    pub fn keeping(self) -> Self {
        lock(&self.0).keeps = true;
        self
    }

    /// The card comes.
    pub fn field_in(&self, atr: &Atr) {
        self.event(&Event::FieldIn { atr: BytePattern::exactly(atr.bytes()) });
    }

    /// The card leaves.
    pub fn field_out(&self) {
        self.event(&Event::FieldOut {});
    }

    /// The card comes, or is reset where it is, as somebody else saw it; of its answer to reset what is known.
    pub fn power(&self, again: bool, atr: Option<&Atr>) {
        let atr = atr.map_or_else(BytePattern::default, |atr| BytePattern::exactly(atr.bytes()));
        self.event(&if again { Event::Reset { atr } } else { Event::FieldIn { atr } });
    }

    /// A command and its response, as somebody else saw them.
    pub fn exchange(&self, command: &[u8], response: &[u8]) {
        let mut record = lock(&self.0);
        let now = record.now();
        record.exchange(command, Some(response), now);
    }

    /// A command and what its response must be, as a script has them.
    pub(super) fn expectation(&self, command: &[u8], pattern: ResponsePattern) {
        let mut record = lock(&self.0);
        let apdu = CommandApdu::parse(command).ok();
        let name = apdu.and_then(|apdu| Some(command_row(&apdu)?.name));
        let at = record.now();
        record.line(&command_event(command, apdu.as_ref(), name), at);
        record.event(&Event::Response(pattern));
    }

    /// Has `transmit` done, and records it with its times. No response is recorded as such.
    ///
    /// # Errors
    /// Those of `transmit`.
    pub fn watch<E>(
        &self,
        command: &[u8],
        transmit: impl FnOnce() -> Result<Vec<u8>, E>,
    ) -> Result<Vec<u8>, E> {
        let asked = lock(&self.0).now();
        let result = transmit();
        lock(&self.0).exchange(command, result.as_deref().ok(), asked);
        result
    }

    /// The holder presses a key.
    pub fn key(&self, key: Key) {
        self.event(&Event::Key(key));
    }

    /// Time passes on the card's clock; parts of a millisecond are dropped.
    pub fn tick(&self, time: Duration) {
        self.event(&Event::TickMs(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)));
    }

    /// The display shows this.
    pub fn screen(&self, screen: &Screen) {
        self.event(&Event::Screen(screen.lines().to_vec()));
    }

    /// These predicates hold now.
    pub fn check(&self, names: &[&str]) {
        self.event(&Event::Check(names.iter().map(|&name| name.to_owned()).collect()));
    }

    /// The terminal sent this to the server, and that came of it.
    pub fn server(&self, request: &str, outcome: &str) {
        let (request, outcome) = (request.to_owned(), outcome.to_owned());
        self.event(&Event::Server(ServerStep { request, outcome }));
    }

    /// Records what passes over `reader`. A contact with a card that has not come by [`Recorder::field_in`] says that it
    /// comes; that it leaves is for [`Recorder::field_out`].
    pub fn over<R: Reader>(&self, reader: R) -> RecordingReader<R, W> {
        RecordingReader { reader, record: Arc::clone(&self.0) }
    }

    /// Ends the trace. Contacts that were recorded must be over.
    ///
    /// # Errors
    /// The first failure to write.
    pub fn finish(self) -> io::Result<W> {
        let record =
            Arc::into_inner(self.0).ok_or_else(|| io::Error::other("a recorded contact is not over"))?;
        let Record { mut out, failed, .. } = record.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = failed {
            return Err(error);
        }
        out.flush()?;
        Ok(out)
    }

    fn event(&self, event: &Event) {
        lock(&self.0).event(event);
    }
}

fn lock<W>(record: &Mutex<Record<W>>) -> MutexGuard<'_, Record<W>> {
    record.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<W: Write> Record<W> {
    fn now(&self) -> Option<Duration> {
        self.began.map(|began| began.elapsed())
    }

    fn exchange(&mut self, command: &[u8], response: Option<&[u8]>, asked: Option<Duration>) {
        let apdu = CommandApdu::parse(command).ok();
        let name = apdu.and_then(|apdu| Some(command_row(&apdu)?.name));
        let first_part = name != Some(Name::GetResponse);
        if first_part {
            let stays = apdu.and_then(|apdu| apdu.answers_at_random_after());
            self.answering = Some(Answering { name, stays });
        }
        self.line(&command_event(command, apdu.as_ref(), name), asked);
        let answering = self.answering.unwrap_or_default();
        let event = match response.and_then(|bytes| ResponseApdu::parse(bytes).ok()) {
            Some(response) => {
                let mut pattern = response_pattern(answering, first_part, &response);
                if self.keeps {
                    pattern.recorded = kept(&pattern, &response);
                }
                Event::Response(pattern)
            }
            None => Event::NoResponse {},
        };
        self.event(&event);
    }

    fn event(&mut self, event: &Event) {
        match event {
            Event::FieldIn { .. } => self.is_here = true,
            Event::FieldOut {} => self.is_here = false,
            _ => {}
        }
        self.line(event, self.now());
        self.write();
    }

    fn line(&mut self, event: &Event, at: Option<Duration>) {
        if let Err(why) = line::write(event, at, &mut self.lines) {
            self.failed.get_or_insert(why.into());
        }
    }

    fn write(&mut self) {
        if self.failed.is_none() {
            self.failed = self.out.write_all(&self.lines).err();
        }
        self.lines.clear();
    }
}

/// What came, where the pattern does not say it; not, however, a digest from which who has its key could guess
/// the joint password.
fn kept(pattern: &ResponsePattern, response: &ResponseApdu) -> Option<BytePattern> {
    let open = pattern.data.as_ref().is_none_or(BytePattern::is_open) && !response.data.is_empty();
    let secret = crate::session::read_object(&response.data, objects::PASSWORD_DIGEST).is_ok();
    (open && !secret).then(|| BytePattern::exactly(&response.data))
}

/// PUT TXN in one APDU is kept by its fields, because the payer alias differs from run to run.
fn command_event(command: &[u8], apdu: Option<&CommandApdu<'_>>, name: Option<Name>) -> Event {
    let whole = apdu.filter(|apdu| name == Some(Name::PutTxn) && apdu.cla & CLA_CHAINING == 0);
    let message = whole.and_then(|apdu| {
        let message = TransactionMessage::parse(apdu.data).ok()?;
        // The form and the Le must be those that a replay will choose.
        (put_txn_command(&message)? == command).then_some(message)
    });
    match message {
        Some(message) => Event::PutTxn(Box::new(PutTxn::from(message.transaction()))),
        None => Event::Command(redacted(command)),
    }
}

/// The command, but for what may be a PIN.
pub(super) fn redacted(command: &[u8]) -> BytePattern {
    match reference_data(command) {
        Some(secret) => without(command, secret),
        None => BytePattern::exactly(command),
    }
}

/// The bytes of `secret` stay open.
fn without(command: &[u8], secret: Range<usize>) -> BytePattern {
    let exactly = |range: Range<usize>| BytePattern::exactly(command.get(range).unwrap_or_default());
    let after = exactly(secret.end..command.len());
    exactly(0..secret.start).then(BytePattern::any(secret.len())).then(after)
}

/// The APDU that carries `message` at replay: short if it fits.
pub(super) fn put_txn_command(message: &TransactionMessage) -> Option<Vec<u8>> {
    let data = message.bytes();
    let form = if data.len() > MAX_SHORT_DATA { Form::Extended } else { Form::Short };
    Name::PutTxn.spec().apdu(None, data).encode(form).ok()
}

/// Exact, except for what is random or depends on the card.
fn response_pattern(asked: Answering, first_part: bool, response: &ResponseApdu) -> ResponsePattern {
    let mut pattern = ResponsePattern::status(response.sw);
    let data = &response.data;
    if data.is_empty() {
        return pattern;
    }
    let complete = first_part && response.sw == StatusWord::OK;
    match asked.name {
        Some(Name::GetData)
            if complete && crate::session::read_object(data, objects::PAYER_ALIAS).is_ok() =>
        {
            pattern.tlv.insert(objects::PAYER_ALIAS.to_string(), BytePattern::default());
            pattern.predicates.push("alias".into());
        }
        Some(Name::GetSignature) => {
            match SignatureMessage::parse(data) {
                Ok(message) => signature_pattern(&mut pattern, &message),
                Err(_) => pattern.length = Some(data.len()),
            }
            if response.sw == StatusWord::OK {
                pattern.predicates.push("signature-valid".into());
            }
        }
        Some(Name::GetEncPassword) => {
            pattern.length = Some(data.len());
            if response.sw == StatusWord::OK {
                pattern.predicates.push("password-object-valid".into());
            }
        }
        _ => {
            let stays = asked.stays.map(|stays| if first_part { stays } else { 0 });
            pattern.data = Some(same_each_time(stays, data));
        }
    }
    pattern
}

/// The first `stays` bytes, if the rest is random; else all.
fn same_each_time(stays: Option<usize>, data: &[u8]) -> BytePattern {
    match stays.and_then(|stays| data.split_at_checked(stays)) {
        Some((same, random)) => BytePattern::exactly(same).then(BytePattern::any(random.len())),
        None => BytePattern::exactly(data),
    }
}

/// H exact but for server id, card id and counter; any S of that length.
fn signature_pattern(pattern: &mut ResponsePattern, message: &SignatureMessage) {
    let path = |tag| format!("{}/{tag}", objects::SIGNATURE_MESSAGE);
    pattern.tlv.insert(path(objects::HEADER), header_pattern(&message.header));
    pattern.tlv.insert(path(objects::SIGNATURE), BytePattern::any(message.signature.len()));
}

/// Bytes that stay the same when the ids and the counter are inverted are exact, the others open.
fn header_pattern(header: &TxnHeader) -> BytePattern {
    let invert = |id: [u8; 8]| id.map(|byte| !byte);
    let binding = header.binding;
    let other = TxnHeader {
        binding: Binding {
            server: ServerId(invert(binding.server.0)),
            card: CardId(invert(binding.card.0)),
            ..binding
        },
        counter: !header.counter,
    };
    let pairs = header.to_bytes().into_iter().zip(other.to_bytes());
    pairs.fold(BytePattern::exactly(&[]), |pattern, (byte, inverted)| {
        let next = if byte == inverted { BytePattern::exactly(&[byte]) } else { BytePattern::any(1) };
        pattern.then(next)
    })
}

/// A reader whose contacts are recorded.
pub struct RecordingReader<R, W> {
    reader: R,
    record: Arc<Mutex<Record<W>>>,
}

impl<R: Reader, W: Write + Send + 'static> Reader for RecordingReader<R, W> {
    fn name(&self) -> &str {
        self.reader.name()
    }

    fn connect(&mut self, deadline: &Deadline) -> Result<Box<dyn Transport>, ReaderError> {
        let transport = self.reader.connect(deadline)?;
        let mut record = lock(&self.record);
        if !record.is_here {
            record.event(&Event::FieldIn { atr: BytePattern::exactly(transport.atr().bytes()) });
        }
        drop(record);
        Ok(Box::new(RecordingTransport { transport, record: Arc::clone(&self.record) }))
    }
}

struct RecordingTransport<W> {
    transport: Box<dyn Transport>,
    record: Arc<Mutex<Record<W>>>,
}

impl<W: Write + Send> Transport for RecordingTransport<W> {
    fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, ReaderError> {
        let asked = lock(&self.record).now();
        let result = self.transport.transmit(command);
        lock(&self.record).exchange(command, result.as_deref().ok(), asked);
        result
    }

    fn atr(&self) -> &Atr {
        self.transport.atr()
    }

    fn supports_extended(&self) -> bool {
        self.transport.supports_extended()
    }

    fn release(self: Box<Self>, disposition: Disposition) -> Result<(), ReaderError> {
        if disposition == Disposition::Unpower {
            // To the card, power off and on is a reset.
            let atr = BytePattern::exactly(self.transport.atr().bytes());
            lock(&self.record).event(&Event::Reset { atr });
        }
        self.transport.release(disposition)
    }
}
