//! One line: an event, and perhaps when it happened.

use std::time::Duration;

use serde::Deserialize as _;
use serde_json::{Error, Map, Value};

use super::Event;

/// Key of the time in a line.
const AT: &str = "at-us";

/// Reads a line. Only one with a time is taken apart as a map: it is the slower way.
pub(super) fn read(text: &str) -> Result<(Event, Option<Duration>), Error> {
    if !text.contains(AT) {
        return Ok((serde_json::from_str(text)?, None));
    }
    let mut map: Map<String, Value> = serde_json::from_str(text)?;
    let at = map.remove(AT).map(u64::deserialize).transpose()?;
    Ok((Event::deserialize(Value::Object(map))?, at.map(Duration::from_micros)))
}

/// Appends a line.
pub(super) fn write(event: &Event, at: Option<Duration>, out: &mut Vec<u8>) -> Result<(), Error> {
    serde_json::to_writer(&mut *out, event)?;
    if let Some(at) = at {
        out.pop();
        out.extend(format!(",\"{AT}\":{}}}", at.as_micros()).as_bytes());
    }
    out.push(b'\n');
    Ok(())
}
