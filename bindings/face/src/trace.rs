//! Recorded exchanges: read, shown in words, made of other programs' logs, written for other programs; and what a till has
//! of them.

use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use onetap_pcsc_host::trace::{
    self, Divergence, ExportFormat, Header, LogFormat, Order, Recorder, Trace, TraceCard, TraceReader,
};
use onetap_pcsc_host::{
    Atr, Cards, Clock, Deadline, Disposition, Reader, ReaderError, SystemClock, Transport,
};

use crate::error::{Error, Kind, Result};
use crate::handle::entry;

/// A played card that left comes back after so long.
const AWAY: Duration = Duration::from_secs(1);

fn parse(text: &str) -> Result<Trace> {
    let cure = "give a trace that `onetap` recorded or imported, of this version";
    Trace::parse(text).map_err(|error| Error::new(Kind::Trace, error, cure))
}

/// A trace in words, a line for each event.
///
/// # Errors
/// [`Kind::Trace`] if the text is no trace.
pub fn show(text: &str) -> Result<String> {
    entry(|| Ok(parse(text)?.show()))
}

/// What a format is named.
fn format<F: std::str::FromStr + strum::VariantNames>(what: &str, name: &str) -> Result<F> {
    name.parse().map_err(|_| {
        let cure = format!("give one of {}", F::VARIANTS.join(", "));
        Error::argument(format!("no {what} format is named {name:?}"), cure)
    })
}

/// A trace made of another program's log. `format` is one of those of `onetap trace import`, such as `apdu4j`. Secrets are
/// left out.
///
/// # Errors
/// [`Kind::Argument`] for another format, [`Kind::Trace`] for a log that cannot be read.
pub fn import(format: &str, log: &[u8], description: &str) -> Result<String> {
    entry(|| {
        let format: LogFormat = self::format("log", format)?;
        let unread = |error: &dyn std::fmt::Display| {
            Error::new(Kind::Trace, error, "say which program wrote the log, and give all of it")
        };
        let recorder = Recorder::new(Vec::new(), &Header::new(description));
        trace::import(format, log, &recorder).map_err(|error| unread(&error))?;
        let written = recorder.finish().map_err(|error| unread(&error))?;
        String::from_utf8(written).map_err(|error| unread(&error))
    })
}

/// A trace as another program reads it. `format` is one of those of `onetap trace export`, such as `pcap`.
///
/// # Errors
/// [`Kind::Argument`] for another format, [`Kind::Trace`] if the text is no trace.
pub fn export(format: &str, text: &str) -> Result<Vec<u8>> {
    entry(|| {
        let (format, trace) = (self::format::<ExportFormat>("export", format)?, parse(text)?);
        let mut written = Vec::new();
        let done = trace::export(format, &trace, &mut written);
        done.map(|_| written)
            .map_err(|error| Error::new(Kind::Trace, error, "tell the makers of this library"))
    })
}

/// What a played trace said last that was different, until the contact ends by it.
type Heard = Arc<Mutex<Option<Divergence>>>;

/// A trace in the place of a card: it comes when it is waited for, and leaves when it may go.
pub(crate) struct TraceCards {
    played: Played,
    /// It was there, and has not been seen to leave.
    occupied: bool,
}

impl TraceCards {
    pub(crate) fn new(text: &str, strict: bool) -> Result<Self> {
        let (heard, order) = (Heard::default(), if strict { Order::Strict } else { Order::Lenient });
        let hears = Arc::clone(&heard);
        let card = TraceCard::new(parse(text)?, order, move |different| {
            hears.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(different);
        });
        Ok(Self { played: Played { reader: TraceReader::new("a trace", card), heard }, occupied: false })
    }
}

impl Cards for TraceCards {
    fn wait(&mut self, deadline: &Deadline) -> std::result::Result<Box<dyn Reader>, ReaderError> {
        if self.occupied {
            // It left, as it did when it was recorded.
            deadline.sleep(AWAY)?;
        }
        self.occupied = true;
        Ok(Box::new(self.played.clone()))
    }

    fn wait_for_removal(&mut self, _: &Deadline) -> std::result::Result<(), ReaderError> {
        self.occupied = false;
        Ok(())
    }
}

/// A reader whose card is a trace. What the trace does not have ends the contact.
#[derive(Clone)]
struct Played {
    reader: TraceReader,
    heard: Heard,
}

impl Reader for Played {
    fn name(&self) -> &str {
        self.reader.name()
    }

    fn connect(&mut self, deadline: &Deadline) -> std::result::Result<Box<dyn Transport>, ReaderError> {
        let contact = self.reader.connect(deadline)?;
        Ok(Box::new(PlayedContact { contact, heard: Arc::clone(&self.heard) }))
    }
}

struct PlayedContact {
    contact: Box<dyn Transport>,
    heard: Heard,
}

impl Transport for PlayedContact {
    fn transmit(&mut self, command: &[u8]) -> std::result::Result<Vec<u8>, ReaderError> {
        let response = self.contact.transmit(command);
        match self.heard.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(different) => Err(ReaderError::Other(different.to_string())),
            None => response,
        }
    }

    fn atr(&self) -> &Atr {
        self.contact.atr()
    }

    fn supports_extended(&self) -> bool {
        self.contact.supports_extended()
    }

    fn release(self: Box<Self>, disposition: Disposition) -> std::result::Result<(), ReaderError> {
        self.contact.release(disposition)
    }
}

/// Cards of another place, recorded.
pub(crate) struct RecordedCards {
    cards: Box<dyn Cards>,
    recorder: Recorder<File>,
    /// A card came, and has not been seen to leave.
    occupied: bool,
}

impl RecordedCards {
    pub(crate) fn new(cards: Box<dyn Cards>, file: &str) -> Result<Self> {
        let out = File::create_new(file).map_err(|error| {
            Error::new(
                Kind::Trace,
                format!("{file}: {error}"),
                "name a file that can be written and is not there",
            )
        })?;
        let header = Header {
            recorded_by: Some(concat!("onetap ", env!("CARGO_PKG_VERSION")).to_owned()),
            started: SystemClock.now().date_time(),
            ..Header::new("payments of a till")
        };
        let recorder = Recorder::new(out, &header).timed().keeping();
        Ok(Self { cards, recorder, occupied: false })
    }

    fn leaves(&mut self) {
        if std::mem::take(&mut self.occupied) {
            self.recorder.field_out();
        }
    }
}

impl Cards for RecordedCards {
    fn wait(&mut self, deadline: &Deadline) -> std::result::Result<Box<dyn Reader>, ReaderError> {
        let reader = self.cards.wait(deadline)?;
        self.leaves();
        self.occupied = true;
        Ok(Box::new(self.recorder.over(reader)))
    }

    fn wait_for_removal(&mut self, deadline: &Deadline) -> std::result::Result<(), ReaderError> {
        self.cards.wait_for_removal(deadline)?;
        self.leaves();
        Ok(())
    }
}
