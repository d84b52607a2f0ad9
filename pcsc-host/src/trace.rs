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
//! | `recorded` | the data that came, where the rest of a response leaves it open; not compared |
//! | `at-us`, in any line | microseconds since the recording began; not compared |
//!
//! Blank lines, and lines whose first character is `#`, say nothing.
//!
//! No secret is ever written: digits of the PIN are recorded as `digit`, the joint password as
//! `${joint-password}` ([`Recorder`]).

use std::fmt::Write as _;
use std::time::Duration;

use onetap_apdu_spec::command::Name;
use onetap_apdu_spec::foreign::{Shown, unframed};
use serde::Deserialize;

mod bytes;
mod difference;
mod event;
mod export;
mod host;
mod import;
mod line;
mod pattern;
mod play;
mod record;
mod replay;
mod response;
mod screen;
mod show;

pub use difference::{Difference, Divergence, Spot};
pub use event::{Answer, Event, Header, Identity, Key, PutTxn, SCHEMA, ServerStep};
pub use export::{ExportFormat, export};
pub use host::{HostError, InReader, ReaderStage, Recognised, replay_in_reader};
pub use import::{ImportError, Imported, LogFormat, Wrong, import};
pub use pattern::{BytePattern, Captures, SwPattern};
pub use play::{Order, TraceCard, TraceReader};
pub use record::{Recorder, RecordingReader};
pub use replay::{Evidence, Predicates, Stage, StageError, replay, replay_on};
pub use response::ResponsePattern;
pub use screen::{JOINT_PASSWORD, Screen};

/// Longest trace text that is read.
pub const MAX_TRACE: usize = 16 << 20;

/// A whole trace.
#[derive(Debug, Clone)]
pub struct Trace {
    /// The first line.
    pub header: Header,
    /// The others.
    pub events: Vec<Event>,
    marks: Vec<Mark>,
}

/// Where an event stands in its text, and when it happened.
#[derive(Debug, Clone, Copy)]
struct Mark {
    line: usize,
    at: Option<Duration>,
}

/// The same header and the same events, whatever lines they stand in and whenever they happened.
impl PartialEq for Trace {
    fn eq(&self, other: &Self) -> bool {
        (&self.header, &self.events) == (&other.header, &other.events)
    }
}

impl Eq for Trace {}

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
    #[error("line {line}{}: {}", at_character(*.column), Shown(.why))]
    Json {
        /// Which.
        line: usize,
        /// Which character of it; 0 if that is not known.
        column: usize,
        /// Why.
        why: String,
    },
    /// A version that this crate does not read.
    #[error("this is version {0} of the trace format, and version {SCHEMA} is read here: {why}", why = other_version(*.0))]
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

fn other_version(version: u32) -> &'static str {
    if version > SCHEMA {
        "it was written by a newer onetap; update this one"
    } else {
        "there never was such a version"
    }
}

fn at_character(column: usize) -> String {
    if column == 0 { String::new() } else { format!(", character {column}") }
}

impl Trace {
    /// A trace of these events, as if each stood in a line of its own.
    #[must_use]
    pub fn new(header: Header, events: Vec<Event>) -> Self {
        Self { header, events, marks: Vec::new() }
    }

    /// Reads a trace. Blank lines, lines that begin with `#` and a byte order mark do no harm.
    ///
    /// # Errors
    /// [`TraceError`], the first reason met.
    pub fn parse(text: &str) -> Result<Self, TraceError> {
        if text.len() > MAX_TRACE {
            return Err(TraceError::TooLong(text.len()));
        }
        let lines = unframed(text).lines().enumerate().map(|(i, line)| (i + 1, line));
        let mut lines =
            lines.filter(|(_, line)| !matches!(line.trim_start().bytes().next(), None | Some(b'#')));
        let (line, first) = lines.next().ok_or(TraceError::Empty)?;
        let header = header(line, first)?;
        let mut trace = Self::new(header, Vec::new());
        for (line, text) in lines {
            let (event, at) = line::read(text).map_err(|why| wrong(line, &why))?;
            trace.push(event, line, at);
        }
        trace.check_order(line)?;
        Ok(trace)
    }

    fn push(&mut self, event: Event, line: usize, at: Option<Duration>) {
        self.events.push(event);
        self.marks.push(Mark { line, at });
    }

    fn check_order(&self, mut line: usize) -> Result<(), TraceError> {
        let mut open = false;
        for (i, event) in self.events.iter().enumerate() {
            line = self.line(i);
            let answers = matches!(event, Event::Response(_) | Event::NoResponse {});
            let wrong = |expected| Err(TraceError::Order { line, expected });
            match (open, answers) {
                (true, false) => return wrong("the response to the command before"),
                (false, true) => return wrong("a command"),
                _ => open = matches!(event, Event::Command(_) | Event::PutTxn(_)),
            }
        }
        if open { Err(TraceError::Order { line: line + 1, expected: "a response" }) } else { Ok(()) }
    }

    /// The line that this event stands in, from 1.
    #[must_use]
    pub fn line(&self, event: usize) -> usize {
        self.marks.get(event).map_or(event + 2, |mark| mark.line)
    }

    /// When this event happened, since the recording began, if that was recorded.
    #[must_use]
    pub fn time(&self, event: usize) -> Option<Duration> {
        self.marks.get(event)?.at
    }

    /// Writes the trace, without the comments of the text that it was read from.
    ///
    /// # Errors
    /// Never for traces that were parsed or recorded.
    pub fn to_text(&self) -> Result<String, serde_json::Error> {
        let mut out = serde_json::to_vec(&self.header)?;
        out.push(b'\n');
        for (i, event) in self.events.iter().enumerate() {
            line::write(event, self.time(i), &mut out)?;
        }
        String::from_utf8(out).map_err(serde::ser::Error::custom)
    }

    /// The trace in words, one line an event. What would steer a terminal is escaped.
    #[must_use]
    pub fn show(&self) -> String {
        let mut out = format!("{}\n", Shown(&self.header.description));
        let mut answering: Option<Name> = None;
        for (i, event) in self.events.iter().enumerate() {
            let words = show::describe(event, &mut answering);
            let time = self.time(i).map_or_else(String::new, |at| format!("{:>12.6} s", at.as_secs_f64()));
            // Writing to a String cannot fail.
            let _ = writeln!(out, "{:>4}{time}  {}", self.line(i), Shown(&words));
        }
        out
    }
}

/// The version is looked at first: another one may have another header.
fn header(line: usize, text: &str) -> Result<Header, TraceError> {
    #[derive(Deserialize)]
    struct Version {
        #[serde(rename = "onetap-trace")]
        schema: u32,
    }
    let failed = |why: serde_json::Error| wrong(line, &why);
    match serde_json::from_str::<Version>(text) {
        Ok(Version { schema }) if schema != SCHEMA => Err(TraceError::Schema(schema)),
        _ => serde_json::from_str(text).map_err(failed),
    }
}

/// Says the line once: JSON knows of one line only.
fn wrong(line: usize, why: &serde_json::Error) -> TraceError {
    let text = why.to_string();
    let place = format!(" at line {} column {}", why.line(), why.column());
    let why_only = text.strip_suffix(&place).unwrap_or(&text).to_owned();
    TraceError::Json { line, column: why.column(), why: why_only }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_editors_add_to_a_trace_does_no_harm() {
        let trace = Trace::new(Header::new("a card leaves"), vec![Event::FieldOut {}]);
        let text = trace.to_text().unwrap();
        for edited in [format!("\u{FEFF}{text}"), format!("{text}\n \n"), text.replace('\n', "\r\n") + "\r\n"]
        {
            assert_eq!(Trace::parse(&edited).unwrap(), trace, "{edited:?}");
        }
    }

    const TEXT: &str =
        "{\"onetap-trace\":1,\"description\":\"t\"}\n{\"field-out\":{}}\n{\"tick-ms\":5,\"at-us\":1500}\n";

    #[test]
    fn comments_and_blank_lines_say_nothing_and_count_as_lines() {
        let plain = Trace::parse(TEXT).unwrap();
        let text = format!("# made by hand\n\n{}\n  # the end\n \n", TEXT.replace('\n', "\n\n# and then\n"));
        let trace = Trace::parse(&text).unwrap();
        assert_eq!(trace, plain);
        assert_eq!([trace.line(0), trace.line(1)], [6, 9]);
        assert_eq!(trace.to_text().unwrap(), TEXT);
        assert_eq!([trace.time(0), trace.time(1)], [None, Some(Duration::from_micros(1500))]);
        assert!(trace.show().contains("   9    0.001500 s  clock   5 ms pass"), "{}", trace.show());
    }

    #[test]
    fn what_is_wrong_is_said_with_one_line() {
        for (event, line, told) in [
            ("{\"tick-ms\":-1}", 5, "line 5, character 13: invalid value: integer `-1`, expected u64"),
            ("{\"tick-ms\":1,\"at-us\":\"x\"}", 5, "line 5: invalid type: string \"x\", expected u64"),
            ("{\"tock\":1}", 5, "line 5, character 7: unknown variant `tock`"),
            ("{\"response\":{\"sw\":\"9000\"}}", 5, "line 5: a command was expected here"),
            ("{\"command\":\"00A40400\"}\n\n", 6, "line 6: a response was expected here"),
            ("{\"command\":\"00A4040\"}", 5, "line 5: not hex, ??, .. or ${name} at character 7"),
        ] {
            let why = Trace::parse(&format!("# one\n{TEXT}{event}")).unwrap_err().to_string();
            assert!(why.starts_with(told), "{event}: {why}");
            assert_eq!(why.matches("line").count(), 1, "{line}: {why}");
        }
    }

    #[test]
    fn a_trace_of_a_newer_version_says_what_to_do() {
        let newer = "{\"onetap-trace\":2,\"words\":[\"of another header\"]}\n{\"new\":1}\n";
        let why = Trace::parse(newer).unwrap_err().to_string();
        assert!(why.contains("version 2") && why.ends_with("update this one"), "{why}");
        assert!(Trace::parse(&newer.replace('2', "0")).unwrap_err().to_string().contains("never was"));
    }

    #[test]
    fn a_trace_cannot_steer_the_terminal_that_shows_it() {
        let foreign = "\u{1b}[2J\u{202E}\u{9b}";
        let events = vec![
            Event::Screen(vec![foreign.into()]),
            Event::Check(vec![foreign.into()]),
            Event::Server(ServerStep { request: foreign.into(), outcome: foreign.into() }),
        ];
        let shown = Trace::new(Header::new(foreign), events).show();
        assert_eq!(shown.matches("\\u{1b}[2J\\u{202e}\\u{9b}").count(), 5, "{shown}");
        assert!(!shown.contains(['\u{1b}', '\u{202E}', '\u{9b}']), "{shown}");
        let wrong = Trace::parse("{\"\\u001b[2J\":1}").unwrap_err().to_string();
        assert!(wrong.contains("\\u{1b}[2J") && !wrong.contains('\u{1b}'), "{wrong}");
    }
}
