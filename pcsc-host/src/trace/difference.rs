//! A difference between a trace and what came, for people and for programs.

use std::fmt;

use onetap_apdu_spec::decode::{name_of_tags, place_in, place_in_object};
use onetap_apdu_spec::foreign::Shown;
use serde::Serialize;

use super::pattern::{BytePattern, Captures};

/// Bytes of long data that are shown before the first one that differs, and from it on.
const AROUND: usize = 6;
/// Longest text of one line; what is longer is shown by its beginning.
const LONGEST: usize = 96;

/// What was expected and what came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What the trace has.
    pub expected: String,
    /// What came.
    pub got: String,
    /// Where in it the first difference is, if that can be told.
    pub spot: Option<Box<Spot>>,
    /// Nothing that follows can be done.
    pub is_the_end: bool,
}

/// Without a spot.
pub(super) fn differ(expected: impl Into<String>, got: impl Into<String>) -> Difference {
    Difference { expected: expected.into(), got: got.into(), spot: None, is_the_end: false }
}

/// The first place at which two texts of bytes differ, with a few bytes around it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Spot {
    /// Which byte, from 0, of the data field or of the object's value.
    pub offset: usize,
    /// The data object that it lies in: tags in hex, from the outermost, such as `E2/DF22`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// Its name, and the field in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The bytes expected there, the first one that differs in brackets.
    pub expected: String,
    /// The bytes that came.
    pub got: String,
}

impl Spot {
    /// Where a whole data field differs.
    pub(super) fn in_data(pattern: &BytePattern, got: &[u8], captures: &Captures) -> Option<Self> {
        let offset = pattern.matching(got, captures);
        let place = place_in(got, offset);
        let (object, name) = place.map(|place| (place.path, place.name)).unzip();
        Some(Self { object, name, ..Self::in_bytes(pattern, got, captures)? })
    }

    /// Where bytes that are no data objects differ.
    pub(super) fn in_bytes(pattern: &BytePattern, got: &[u8], captures: &Captures) -> Option<Self> {
        Self::between(pattern, &BytePattern::exactly(got), got, captures)
    }

    /// The same, with what came shown as `shown`: a secret in it is not.
    pub(super) fn between(
        pattern: &BytePattern,
        shown: &BytePattern,
        got: &[u8],
        captures: &Captures,
    ) -> Option<Self> {
        let offset = pattern.matching(got, captures);
        let expected = window(pattern, offset, captures);
        Some(Self { offset, object: None, name: None, expected, got: window(shown, offset, captures) })
    }

    /// Where the value of a data object differs.
    pub(super) fn in_object(
        path: &str,
        pattern: &BytePattern,
        got: &[u8],
        captures: &Captures,
    ) -> Option<Self> {
        let offset = pattern.matching(got, captures);
        let field = place_in_object(path, offset).map(|field| format!(", {field}")).unwrap_or_default();
        let name = name_of_tags(path).map(|name| format!("{name}{field}"));
        Some(Self { object: Some(path.to_owned()), name, ..Self::in_bytes(pattern, got, captures)? })
    }
}

/// A few bytes on either side of `offset`, that one in brackets.
fn window(pattern: &BytePattern, offset: usize, captures: &Captures) -> String {
    let from = offset.saturating_sub(AROUND);
    let before = pattern.window(from, offset - from, captures);
    let at = pattern.window(offset, 1, captures);
    let after = pattern.window(offset + 1, AROUND, captures);
    let more = if pattern.window(offset + 1 + AROUND, 1, captures).is_empty() { "" } else { "…" };
    let at = if at.is_empty() { "[end]".to_owned() } else { format!("[{at}]") };
    let head = if from > 0 { "…" } else { "" };
    let parts = [head, &before, &at, &after, more];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// A difference and its place in the trace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Divergence {
    /// Line of the trace, from 1.
    pub line: usize,
    /// What the line says, in words.
    pub event: String,
    /// What happened before, in words: the last few events, each with its line.
    pub before: Vec<String>,
    /// The command that was answered, in words, if it is about a response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// What the trace expects.
    pub expected: String,
    /// What came.
    pub got: String,
    /// Where in it the first difference is, if that can be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spot: Option<Box<Spot>>,
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "line {}: {}", self.line, clipped(&self.event))?;
        for (n, event) in self.before.iter().enumerate() {
            writeln!(f, "  {:<9} {}", if n == 0 { "before" } else { "" }, clipped(event))?;
        }
        if let Some(command) = &self.command {
            writeln!(f, "  command   {}", clipped(command))?;
        }
        writeln!(f, "  expected  {}", clipped(&self.expected))?;
        write!(f, "  got       {}", clipped(&self.got))?;
        self.spot.as_ref().map_or(Ok(()), |spot| write!(f, "\n{spot}"))
    }
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  at byte {}", self.offset)?;
        if let Some(object) = &self.object {
            write!(f, ", in {object}")?;
        }
        if let Some(name) = &self.name {
            write!(f, ": {name}")?;
        }
        write!(f, "\n    expected  {}\n    got       {}", self.expected, self.got)
    }
}

impl std::error::Error for Divergence {}

/// The text, or its beginning and its length if it is long.
fn clipped(text: &str) -> String {
    let shown = Shown(text).to_string();
    match shown.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}… ({} characters)", &shown[..at], shown.chars().count()),
        None => shown,
    }
}
