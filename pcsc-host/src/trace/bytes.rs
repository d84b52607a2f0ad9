//! The bytes of a trace: those recorded, or, where none were, some that have the right form.

use std::collections::BTreeMap;

use onetap_apdu_spec::account::Alias;
use onetap_apdu_spec::apdu::ResponseApdu;
use onetap_apdu_spec::command::Name;
use onetap_apdu_spec::objects::{self, DATA_OBJECTS};
use onetap_apdu_spec::suite::Suite;
use onetap_apdu_spec::tlv::{self, Tag};

use super::pattern::{BytePattern, Captures};
use super::response::{ResponsePattern, tag};
use super::{Event, Trace};
use crate::session::owed_tag;

impl Trace {
    /// Lines whose bytes the trace does not have: responses that were generalised without what came beside it, and commands
    /// whose data was a secret. What stands there in an export, or is answered by a played trace, is made up: right in its
    /// form, and nothing more.
    #[must_use]
    pub fn made_up(&self) -> Vec<usize> {
        (0..self.events.len()).filter(|at| self.is_made_up(*at)).map(|at| self.line(at)).collect()
    }

    /// True if this event is one of them.
    pub(super) fn is_made_up(&self, at: usize) -> bool {
        match self.events.get(at) {
            Some(Event::Command(pattern)) => pattern.is_open(),
            Some(Event::Response(pattern)) => pattern.recorded.is_none() && pattern.is_open(),
            _ => false,
        }
    }
}

impl ResponsePattern {
    /// True if it does not say all bytes of the data field.
    fn is_open(&self) -> bool {
        let data = self.data.as_ref().map(BytePattern::is_open);
        data.unwrap_or(self.length.is_some() || !self.tlv.is_empty())
    }

    /// The response that was recorded, or one of this form. `name` is the command that it answers.
    pub(super) fn bytes(&self, name: Option<Name>, suite: Suite, captures: &Captures) -> ResponseApdu {
        let data = match (&self.recorded, &self.data) {
            (Some(pattern), _) | (None, Some(pattern)) => pattern.made_up(captures),
            (None, None) if !self.tlv.is_empty() => objects_of(&self.tlv, captures),
            (None, None) => self.length.map(|length| of_length(length, name, suite)).unwrap_or_default(),
        };
        ResponseApdu { data, sw: self.sw.made_up() }
    }
}

/// Data objects by their paths, in the order of the specification's table.
fn objects_of(wanted: &BTreeMap<String, BytePattern>, captures: &Captures) -> Vec<u8> {
    let place = |tag: Tag| DATA_OBJECTS.iter().position(|row| row.tag == tag);
    let mut found: Vec<(Option<Tag>, Tag, Vec<u8>)> = Vec::new();
    for (path, pattern) in wanted {
        let (outer, inner) = match path.split_once('/') {
            Some((outer, inner)) => (tag(outer), inner),
            None => (None, path.as_str()),
        };
        if let Some(inner) = tag(inner) {
            found.push((outer, inner, value(inner, pattern, captures)));
        }
    }
    found.sort_by_key(|(_, inner, _)| place(*inner));
    let mut data = Vec::new();
    let mut templates: BTreeMap<Tag, Vec<u8>> = BTreeMap::new();
    for (outer, inner, value) in found {
        tlv::write(inner, &value, outer.map_or(&mut data, |outer| templates.entry(outer).or_default()));
    }
    templates.into_iter().for_each(|(outer, inside)| tlv::write(outer, &inside, &mut data));
    data
}

fn value(tag: Tag, pattern: &BytePattern, captures: &Captures) -> Vec<u8> {
    let value = pattern.made_up(captures);
    match tag {
        // A counter of zero is none.
        objects::HEADER => pattern.filled(1, captures),
        // An alias of no characters is none.
        objects::PAYER_ALIAS if value.is_empty() => Alias::from_bits(Default::default()).as_str().into(),
        _ => value,
    }
}

/// Zeros, in the data object that the suite owes if the command asks for it.
fn of_length(length: usize, name: Option<Name>, suite: Suite) -> Vec<u8> {
    let owed = suite.owed().filter(|_| name == Some(Name::GetEncPassword));
    let object = owed.and_then(|owed| {
        let with = |value: usize| tlv::object(owed_tag(owed), &vec![0; value]);
        (0..length).rev().take(8).map(with).find(|object| object.len() == length)
    });
    object.unwrap_or_else(|| vec![0; length])
}
