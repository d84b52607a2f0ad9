//! Traces: what happened between terminal, card and holder, one JSON object a line, strict and in
//! order. The first line is the header, the others are events:
//!
//! ```text
//! {"onetap-trace":1,"description":"one payment","suite":"a3+sha256+rsa-oaep+pkcs1","clauses":["P-04"]}
//! {"field-in":{"atr":".."}}
//! {"command":"00CA9F2400"}
//! {"response":{"sw":"9000","tlv":{"9F24":"${alias}"}}}
//! {"put-txn":{"fields":{…},"terminal":"TERM0001","at":"2026-07-01T12:00:00","unpredictable-number":"01020304"}}
//! {"response":{"sw":["9000"]}}
//! {"command":"80320000000000"}
//! {"response":{"sw":"9000","predicates":["signature-valid"]}}
//! {"field-out":{}}
//! {"tick-ms":500}
//! {"screen":["PAY 12.34 EUR","${*}"]}
//! {"key":"confirm"}
//! {"screen":["Password","${joint-password}"]}
//! {"check":["joint-password-valid"]}
//! {"server":{"request":"as-shown","outcome":"executed"}}
//! ```
//!
//! | where | may hold |
//! |---|---|
//! | `data`, values of `tlv`, `atr` | hex; `??` any byte; `..` any bytes; `${name}`: captured when first met, compared after |
//! | `command` | hex, and `${name}` for what was captured |
//! | `sw` | a status word, a list of them, or a class such as `61xx` |
//! | `screen` | lines; `${*}` stands for any text; `${joint-password}` for the joint password |
//! | `predicates`, `check` | names that the caller of [`replay`] judges ([`Predicates`]) |
//! | `server` | what the terminal sends, and what came of it: names that the caller knows ([`Predicates::server`]) |
//!
//! No secret is ever written: digits of the PIN are recorded as `digit`, the joint password as
//! `${joint-password}` ([`Recorder`]).

use std::fmt::Write as _;

use onetap_apdu_spec::command::Name;
use onetap_apdu_spec::foreign::{Shown, unframed};
use serde::Deserialize;

mod event;
mod import;
mod pattern;
mod record;
mod replay;
mod screen;
mod show;

pub use event::{Event, Header, Key, PutTxn, SCHEMA, ServerStep};
pub use import::{ImportError, Imported, LogFormat, Wrong, import};
pub use pattern::{BytePattern, Captures, ResponsePattern, SwPattern};
pub use record::{Recorder, RecordingReader};
pub use replay::{Divergence, Evidence, Predicates, Stage, StageError, replay};
pub use screen::{JOINT_PASSWORD, Screen};

/// Longest trace text that is read.
pub const MAX_TRACE: usize = 16 << 20;

/// A whole trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// The first line.
    pub header: Header,
    /// The others.
    pub events: Vec<Event>,
}

/// Text that is not a trace. Lines count from 1.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// Too long.
    #[error("the trace has {0} bytes; at most {MAX_TRACE} are read")]
    TooLong(usize),
    /// There is nothing.
    #[error("the trace is empty; its first line must be the header")]
    Empty,
    /// A line is not what belongs there.
    #[error("line {line}: {}", Shown(&.why.to_string()))]
    Json {
        /// Which.
        line: usize,
        /// Why.
        why: serde_json::Error,
    },
    /// A version that this crate does not read.
    #[error("this is version {0} of the trace format; version {SCHEMA} is read")]
    Schema(u32),
    /// Each command has exactly one response.
    #[error("line {line}: {expected} was expected here")]
    Order {
        /// Which.
        line: usize,
        /// What.
        expected: &'static str,
    },
}

impl Trace {
    /// Reads a trace. A byte order mark before it and blank lines at its end do no harm.
    ///
    /// # Errors
    /// [`TraceError`], the first reason met.
    pub fn parse(text: &str) -> Result<Self, TraceError> {
        if text.len() > MAX_TRACE {
            return Err(TraceError::TooLong(text.len()));
        }
        let mut lines = unframed(text).lines().enumerate().map(|(i, line)| (i + 1, line));
        let (_, first) = lines.next().ok_or(TraceError::Empty)?;
        let header: Header = read(1, first)?;
        if header.schema != SCHEMA {
            return Err(TraceError::Schema(header.schema));
        }
        let events = lines.map(|(line, text)| read(line, text)).collect::<Result<Vec<Event>, _>>()?;
        let trace = Self { header, events };
        trace.check_order()?;
        Ok(trace)
    }

    fn check_order(&self) -> Result<(), TraceError> {
        let mut open = false;
        for (i, event) in self.events.iter().enumerate() {
            let answers = matches!(event, Event::Response(_) | Event::NoResponse {});
            let wrong = |expected| Err(TraceError::Order { line: i + 2, expected });
            match (open, answers) {
                (true, false) => return wrong("the response to the command before"),
                (false, true) => return wrong("a command"),
                _ => open = matches!(event, Event::Command(_) | Event::PutTxn(_)),
            }
        }
        let line = self.events.len() + 2;
        if open { Err(TraceError::Order { line, expected: "a response" }) } else { Ok(()) }
    }

    /// Writes the trace.
    ///
    /// # Errors
    /// Never for traces that were parsed or recorded.
    pub fn to_text(&self) -> Result<String, serde_json::Error> {
        let mut out = serde_json::to_string(&self.header)? + "\n";
        for event in &self.events {
            out += &serde_json::to_string(event)?;
            out.push('\n');
        }
        Ok(out)
    }

    /// The trace in words, one line an event. What would steer a terminal is escaped.
    #[must_use]
    pub fn show(&self) -> String {
        let mut out = format!("{}\n", Shown(&self.header.description));
        let mut answering: Option<Name> = None;
        for (i, event) in self.events.iter().enumerate() {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "{:>4}  {}", i + 2, Shown(&show::describe(event, &mut answering)));
        }
        out
    }
}

fn read<'a, T: Deserialize<'a>>(line: usize, text: &'a str) -> Result<T, TraceError> {
    serde_json::from_str(text).map_err(|why| TraceError::Json { line, why })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_editors_add_to_a_trace_does_no_harm() {
        let trace = Trace { header: Header::new("a card leaves"), events: vec![Event::FieldOut {}] };
        let text = trace.to_text().unwrap();
        for edited in [format!("\u{FEFF}{text}"), format!("{text}\n \n"), text.replace('\n', "\r\n") + "\r\n"]
        {
            assert_eq!(Trace::parse(&edited).unwrap(), trace, "{edited:?}");
        }
        assert!(
            Trace::parse(&text.replace('\n', "\n\n")).is_err(),
            "a blank line between events is no event"
        );
    }

    #[test]
    fn a_trace_cannot_steer_the_terminal_that_shows_it() {
        let foreign = "\u{1b}[2J\u{202E}\u{9b}";
        let events = vec![
            Event::Screen(vec![foreign.into()]),
            Event::Check(vec![foreign.into()]),
            Event::Server(ServerStep { request: foreign.into(), outcome: foreign.into() }),
        ];
        let shown = Trace { header: Header::new(foreign), events }.show();
        assert_eq!(shown.matches("\\u{1b}[2J\\u{202e}\\u{9b}").count(), 5, "{shown}");
        assert!(!shown.contains(['\u{1b}', '\u{202E}', '\u{9b}']), "{shown}");
        let wrong = Trace::parse("{\"\\u001b[2J\":1}").unwrap_err().to_string();
        assert!(wrong.contains("\\u{1b}[2J") && !wrong.contains('\u{1b}'), "{wrong}");
    }
}
