//! A trace as a card: it answers what the trace has.
//!
//! ```
//! use std::time::Duration;
//!
//! use onetap_pcsc_host::trace::{Order, Trace, TraceCard, TraceReader};
//! use onetap_pcsc_host::{Deadline, Reader};
//!
//! let trace = Trace::parse(
//!     r#"{"onetap-trace":1,"description":"a greeting"}
//!        {"field-in":{"atr":"3B00"}}
//!        {"command":"00A40000023F00"}
//!        {"response":{"sw":"9000"}}"#,
//! )?;
//! let card = TraceCard::new(trace, Order::Strict, |difference| eprintln!("{difference}"));
//! let mut reader = TraceReader::new("a trace", card);
//! let mut contact = reader.connect(&Deadline::after(Duration::from_secs(1)))?;
//! assert_eq!(contact.transmit(b"\x00\xA4\x00\x00\x02\x3F\x00")?, b"\x90\x00");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use onetap_apdu_spec::apdu::CommandApdu;
use onetap_apdu_spec::command::Name;
use onetap_apdu_spec::sw::StatusWord;
use onetap_apdu_spec::txn::TransactionMessage;

use super::difference::{Difference, Divergence, Spot, differ};
use super::pattern::Captures;
use super::record::redacted;
use super::{Event, PutTxn, Trace};
use crate::atr::Atr;
use crate::deadline::Deadline;
use crate::decode::{command_row, describe_command};
use crate::error::ReaderError;
use crate::transport::{Disposition, Reader, Transport, check_command, check_response};

/// In which order a played trace takes commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// As recorded, each once, with the resets between them. A command that does not come next is a difference, and the
    /// trace waits for the right one.
    #[default]
    Strict,
    /// Any command that the trace has, as often as wanted: the next one that is the same, from the beginning again after the
    /// end. Resets do not matter, nor what a terminal makes anew for each transaction: its id, the time, its random number.
    Lenient,
}

/// A trace that answers as the card did that it was recorded with. Commands that the trace does not have are told as
/// differences, and answered with 6F00.
///
/// Asked who it is ([`Identity`](super::Identity)), it says what the header says, in any order.
///
/// What the holder does in a trace, and what the server says, passes unseen, as it does for a terminal. After the end the
/// trace begins anew, with a reset or with its first command.
pub struct TraceCard {
    trace: Trace,
    order: Order,
    tell: Box<dyn FnMut(Divergence) + Send>,
    /// The event that comes next.
    next: usize,
    captures: Captures,
    atr: Atr,
    /// A command came since the last reset, other than who it is.
    used: bool,
    /// Where it was at the last reset: being asked who it is changes nothing.
    before: (usize, Captures),
}

impl TraceCard {
    /// A card that plays `trace`; `tell` hears of each difference.
    pub fn new(trace: Trace, order: Order, tell: impl FnMut(Divergence) + Send + 'static) -> Self {
        let atr = first_atr(&trace);
        let (tell, captures) = (Box::new(tell), Captures::new());
        Self { trace, order, tell, next: 0, captures, atr, used: false, before: Default::default() }
    }

    /// The answer to reset: as last recorded; where the trace has none, a OneTap card's.
    #[must_use]
    pub fn atr(&self) -> &Atr {
        &self.atr
    }

    /// True if every command of the trace has come.
    #[must_use]
    pub fn is_over(&self) -> bool {
        let left = self.trace.events.get(self.next..).unwrap_or_default();
        !left.iter().any(|event| matches!(event, Event::Command(_) | Event::PutTxn(_)))
    }

    /// The reader puts the card in, powers it on or resets it.
    pub fn reset(&mut self) {
        if !self.used {
            (self.next, self.captures) = self.before.clone();
        }
        let passed = self.pass_resets();
        let unexpected = !passed && self.used && !self.is_over();
        if unexpected && self.order == Order::Strict {
            self.differ(differ("no reset here", "the reader resets the card, and the trace begins anew"));
            self.rewind();
        }
        self.used = false;
        self.begin_anew();
        self.before = (self.next, self.captures.clone());
    }

    /// A contact begins. It is a reset only if the trace has one here.
    fn meet(&mut self) {
        self.pass_resets();
        self.begin_anew();
    }

    /// After the end.
    fn begin_anew(&mut self) {
        if self.is_over() {
            self.rewind();
        }
    }

    fn rewind(&mut self) {
        (self.next, self.captures) = (0, Captures::new());
        self.pass_resets();
    }

    /// The response to a command; nothing at all if the card left when it was recorded.
    pub fn transmit(&mut self, command: &[u8]) -> Vec<u8> {
        if self.used && self.at_reset() && !self.is_over() && self.order == Order::Strict {
            self.differ(differ("a reset", described(command)));
        }
        self.pass_resets();
        let identity = self.identity(command);
        self.used |= identity.is_none();
        let Some(at) = self.find(command).or_else(|| self.find_anew(command)) else {
            if let Some(answer) = identity {
                return answer;
            }
            let difference = self.unexpected(command);
            self.differ(difference);
            return StatusWord::INTERNAL.to_bytes().to_vec();
        };
        self.next = at + 2;
        match self.trace.events.get(at + 1) {
            Some(Event::Response(pattern)) => {
                let name = CommandApdu::parse(command).ok().and_then(|apdu| Some(command_row(&apdu)?.name));
                let suite = self.trace.header.suite.unwrap_or_default();
                let response = pattern.bytes(name, suite, &self.captures);
                // For what it captures: whether edited bytes still fit their pattern is for a replay to tell.
                let _ = pattern.compare(&response, &mut self.captures);
                response.to_bytes()
            }
            _ => Vec::new(),
        }
    }

    /// Passes what a terminal does not see; true if a reset comes next.
    fn at_reset(&mut self) -> bool {
        let unseen = |event: &Event| {
            use Event as E;
            matches!(event, E::Screen(_) | E::Key(_) | E::TickMs(_) | E::Check(_) | E::Server(_))
        };
        while self.trace.events.get(self.next).is_some_and(unseen) {
            self.next += 1;
        }
        let next = self.trace.events.get(self.next);
        matches!(next, Some(Event::FieldIn { .. } | Event::FieldOut {} | Event::Reset { .. }))
    }

    /// Passes the resets that come next; true if there was one.
    fn pass_resets(&mut self) -> bool {
        let mut passed = false;
        while self.at_reset() {
            if let Some(atr) = self.trace.events.get(self.next).and_then(atr_of) {
                self.atr = atr;
            }
            self.next += 1;
            passed = true;
        }
        passed
    }

    /// The event that this command is.
    fn find(&mut self, command: &[u8]) -> Option<usize> {
        let count = self.trace.events.len();
        let places = match self.order {
            Order::Strict => (self.next..count).take(1).chain(0..0),
            Order::Lenient => (self.next..count).take(count).chain(0..self.next.min(count)),
        };
        let (events, captures, order) = (&self.trace.events, &mut self.captures, self.order);
        places.into_iter().find(|at| match events.get(*at) {
            Some(Event::Command(pattern)) => pattern.matches(command, captures),
            Some(Event::PutTxn(put)) => put_txn(command).is_some_and(|came| same(put, &came, order)),
            _ => false,
        })
    }

    /// After the end, the trace's first command begins it anew.
    fn find_anew(&mut self, command: &[u8]) -> Option<usize> {
        if !self.is_over() {
            return None;
        }
        let end = (self.next, self.captures.clone());
        self.rewind();
        let found = self.find(command);
        if found.is_none() {
            (self.next, self.captures) = end;
        }
        found
    }

    /// What the card said when it was asked who it is: it says so whenever it is asked.
    fn identity(&self, command: &[u8]) -> Option<Vec<u8>> {
        let answers = &self.trace.header.card.as_ref()?.answers;
        answers.iter().find(|answer| answer.command == command).map(|answer| answer.response.clone())
    }

    fn unexpected(&self, command: &[u8]) -> Difference {
        let got = described(command);
        match (self.trace.events.get(self.next), self.order, put_txn(command)) {
            (Some(Event::PutTxn(put)), order, Some(came)) => other_fields(put, &came, order),
            (Some(Event::PutTxn(_)), Order::Strict, None) => differ("PUT TXN", got),
            (Some(Event::Command(pattern)), Order::Strict, _) => {
                let expected = pattern.bytes(&self.captures).map(|bytes| describe_command(&bytes));
                let expected = format!("{pattern}: {}", expected.unwrap_or_else(|| "a command".to_owned()));
                let spot = Spot::between(pattern, &redacted(command), command, &self.captures);
                Difference { spot: spot.map(Box::new), ..differ(expected, got) }
            }
            (_, Order::Lenient, _) => differ("a command that the trace has", got),
            _ => differ("nothing more: the trace is over", got),
        }
    }

    fn differ(&mut self, found: Difference) {
        let last = self.trace.events.len().saturating_sub(1);
        let divergence = self.trace.divergence(self.next.min(last), None, found);
        (self.tell)(divergence);
    }
}

fn first_atr(trace: &Trace) -> Atr {
    let identity = trace.header.card.as_ref().map(|card| Atr::new(card.atr.clone()));
    let recorded = trace.events.iter().find_map(atr_of);
    recorded.or(identity).unwrap_or_else(|| Atr::new(onetap_apdu_spec::atr::ATR))
}

fn atr_of(event: &Event) -> Option<Atr> {
    match event {
        Event::FieldIn { atr } | Event::Reset { atr } => atr.bytes(&Captures::new()).map(Atr::new),
        _ => None,
    }
}

/// A command in words and digits, without a PIN that it may hold.
fn described(command: &[u8]) -> String {
    let pattern = redacted(command);
    let words =
        if pattern.is_open() { "a command with a secret".to_owned() } else { describe_command(command) };
    format!("{pattern}: {words}")
}

/// The transaction that a whole PUT TXN carries, but for the payer alias.
fn put_txn(command: &[u8]) -> Option<PutTxn> {
    let apdu = CommandApdu::parse(command).ok()?;
    let is_put_txn = command_row(&apdu)?.name == Name::PutTxn;
    let message = TransactionMessage::parse(apdu.data).ok().filter(|_| is_put_txn)?;
    Some(PutTxn::from(message.transaction()))
}

fn same(recorded: &PutTxn, came: &PutTxn, order: Order) -> bool {
    let anew = (recorded.at, &recorded.terminal, recorded.unpredictable_number)
        == (came.at, &came.terminal, came.unpredictable_number);
    recorded.fields == came.fields && (anew || order == Order::Lenient)
}

/// The fields that differ, by name; without those that a terminal makes anew, where they do not matter.
fn other_fields(recorded: &PutTxn, came: &PutTxn, order: Order) -> Difference {
    let flat = |put: &PutTxn| {
        let mut fields = serde_json::to_value(&put.fields).unwrap_or_default();
        if order == Order::Lenient {
            return fields;
        }
        fields["terminal"] = put.terminal.as_str().into();
        fields["at"] = put.at.to_string().into();
        fields["unpredictable-number"] = hex::encode_upper(put.unpredictable_number).into();
        fields
    };
    let (recorded, came) = (flat(recorded), flat(came));
    let names = recorded.as_object().into_iter().chain(came.as_object()).flat_map(serde_json::Map::keys);
    let mut differing: Vec<_> = names.filter(|name| recorded[*name] != came[*name]).collect();
    differing.sort();
    differing.dedup();
    let told = |of: &serde_json::Value| {
        let fields = differing.iter().map(|name| format!("{name} {}", of[*name]));
        format!("PUT TXN with {}", fields.collect::<Vec<_>>().join(", "))
    };
    differ(told(&recorded), told(&came))
}

/// A simulated reader, with a played trace in it. Clones are the same reader.
#[derive(Clone)]
pub struct TraceReader {
    name: String,
    card: Arc<Mutex<TraceCard>>,
    /// The last contact left the card without power.
    unpowered: Arc<Mutex<bool>>,
}

impl TraceReader {
    /// A reader of this name.
    pub fn new(name: impl Into<String>, card: TraceCard) -> Self {
        Self { name: name.into(), card: Arc::new(Mutex::new(card)), unpowered: Arc::default() }
    }

    /// The card in it.
    #[must_use]
    pub fn card(&self) -> Arc<Mutex<TraceCard>> {
        Arc::clone(&self.card)
    }
}

impl Reader for TraceReader {
    fn name(&self) -> &str {
        &self.name
    }

    fn connect(&mut self, _: &Deadline) -> Result<Box<dyn Transport>, ReaderError> {
        let mut card = lock(&self.card);
        if std::mem::take(&mut *lock(&self.unpowered)) {
            card.reset();
        } else {
            card.meet();
        }
        let (atr, unpowered) = (card.atr().clone(), Arc::clone(&self.unpowered));
        drop(card);
        Ok(Box::new(TraceContact { atr, card: self.card(), unpowered }))
    }
}

struct TraceContact {
    atr: Atr,
    card: Arc<Mutex<TraceCard>>,
    unpowered: Arc<Mutex<bool>>,
}

impl Transport for TraceContact {
    fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, ReaderError> {
        check_command(command)?;
        check_response(lock(&self.card).transmit(command))
    }

    fn atr(&self) -> &Atr {
        &self.atr
    }

    fn release(self: Box<Self>, disposition: Disposition) -> Result<(), ReaderError> {
        *lock(&self.unpowered) = disposition == Disposition::Unpower;
        Ok(())
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
