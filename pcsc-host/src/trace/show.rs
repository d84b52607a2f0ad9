//! Events in words.

use onetap_apdu_spec::apdu::CommandApdu;
use onetap_apdu_spec::command::Name;

use super::{Captures, Event, Key, PutTxn, ResponsePattern};
use crate::decode::{command_row, describe_command, describe_response, describe_status};

/// One event. `answering` is the command that the next response answers.
pub(super) fn describe(event: &Event, answering: &mut Option<Name>) -> String {
    match event {
        Event::FieldIn { atr } => format!("field   the card comes, answer to reset {atr}"),
        Event::FieldOut {} => "field   the card leaves".into(),
        Event::Reset { atr } => format!("field   the reader resets the card, answer to reset {atr}"),
        Event::Command(pattern) => match pattern.bytes(&Captures::new()) {
            Some(bytes) => {
                let name = CommandApdu::parse(&bytes).ok().and_then(|apdu| Some(command_row(&apdu)?.name));
                // GET RESPONSE goes on with what was asked before.
                *answering = name.filter(|name| *name != Name::GetResponse);
                format!("   →    {}", describe_command(&bytes))
            }
            None => format!("   →    {pattern}"),
        },
        Event::PutTxn(put) => {
            *answering = Some(Name::PutTxn);
            format!("   →    {}", describe_put(put))
        }
        Event::Response(response) => format!("   ←    {}", describe_pattern(response, *answering)),
        Event::NoResponse {} => "   ←    nothing: the card left".into(),
        Event::Screen(lines) => format!("screen  {}", lines.join(" | ")),
        Event::Key(key) => format!("key     {}", key_name(*key)),
        Event::TickMs(ms) => format!("clock   {ms} ms pass"),
        Event::Check(names) => format!("check   {}", names.join(", ")),
        Event::Server(step) => format!("server  {}: {}", step.request, step.outcome),
    }
}

/// Events that may stand between a response and the command that it goes on with.
const LOOK_BACK: usize = 16;

/// Up to `count` events that end with this one, in words.
pub(super) fn last_of(events: &[Event], at: usize, count: usize) -> Vec<String> {
    let (from, wanted) = ((at + 1).saturating_sub(LOOK_BACK), (at + 1).saturating_sub(count));
    let mut answering = None;
    let window = events.get(from..=at).unwrap_or_default().iter().enumerate();
    let words = window.map(|(n, event)| (from + n, describe(event, &mut answering)));
    let wanted = words.filter(|(n, _)| *n >= wanted);
    wanted.map(|(_, words)| words.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

fn describe_put(put: &PutTxn) -> String {
    let fields = &put.fields;
    format!(
        "PUT TXN {} {} to \"{}\" ({}), reference \"{}\"",
        fields.amount, fields.currency, fields.payee_name, fields.payee_account, fields.reference
    )
}

fn describe_pattern(response: &ResponsePattern, command: Option<Name>) -> String {
    let exact = response.data.as_ref().and_then(|data| data.bytes(&Captures::new()));
    let mut out = match (exact, response.sw.exact()) {
        (Some(data), Some(sw)) => describe_response(command, &[data, sw.to_bytes().to_vec()].concat()),
        (None, Some(sw)) => describe_status(sw),
        _ => response.sw.to_string(),
    };
    if let Some(data) = response.data.as_ref().filter(|data| data.is_open()) {
        out += &format!("; data {data}");
    }
    if let Some(length) = response.length {
        out += &format!("; {length} bytes");
    }
    for (path, pattern) in &response.tlv {
        out += &format!("; {path} = {pattern}");
    }
    for predicate in &response.predicates {
        out += &format!("; {predicate}");
    }
    out
}

fn key_name(key: Key) -> &'static str {
    match key {
        Key::Confirm => "confirm",
        Key::Cancel => "cancel",
        Key::Next => "next page",
        Key::Previous => "previous page",
        Key::Clear => "clear",
        Key::Digit => "a digit of the PIN",
        Key::WrongDigit => "a wrong digit",
    }
}
