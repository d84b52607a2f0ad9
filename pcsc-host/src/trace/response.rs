//! What a response must be.

use std::collections::BTreeMap;

use onetap_apdu_spec::apdu::ResponseApdu;
use onetap_apdu_spec::decode::describe_status;
use onetap_apdu_spec::sw::StatusWord;
use onetap_apdu_spec::tlv::{Tag, Template};
use serde::{Deserialize, Serialize};

use super::difference::{Difference, Spot, differ};
use super::pattern::{BytePattern, Captures, SwPattern};
use crate::session::read_object;

/// What a response must be. What is left out is not looked at, except `data`: without `data`,
/// `length` and `tlv` there must be none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ResponsePattern {
    /// Status word.
    pub sw: SwPattern,
    /// Data field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<BytePattern>,
    /// Length of the data field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<usize>,
    /// Values of data objects by path: tags in hex, templates before what they hold, such as
    /// `E2/5F3D`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tlv: BTreeMap<String, BytePattern>,
    /// Predicates over the response and everything before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub predicates: Vec<String>,
    /// The data field that came, where the others leave it open. It is not compared; it is what a card
    /// answers that plays the trace, and what an export writes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded: Option<BytePattern>,
}

impl ResponsePattern {
    /// This status word and no data.
    #[must_use]
    pub fn status(sw: StatusWord) -> Self {
        Self {
            sw: SwPattern::exactly(sw),
            data: None,
            length: None,
            tlv: BTreeMap::new(),
            predicates: Vec::new(),
            recorded: None,
        }
    }

    /// Compares all but the predicates.
    ///
    /// # Errors
    /// The first difference.
    pub fn compare(&self, got: &ResponseApdu, captures: &mut Captures) -> Result<(), Difference> {
        if !self.sw.matches(got.sw) {
            let expected = self.sw.exact().map_or_else(|| self.sw.to_string(), describe_status);
            return Err(differ(
                format!("status word {expected}"),
                format!("status word {}", describe_status(got.sw)),
            ));
        }
        self.compare_data(&got.data, captures)?;
        if let Some(length) = self.length.filter(|length| *length != got.data.len()) {
            return Err(differ(format!("{length} bytes of data"), format!("{} bytes", got.data.len())));
        }
        self.tlv.iter().try_for_each(|(path, pattern)| compare_object(path, pattern, &got.data, captures))
    }

    fn compare_data(&self, got: &[u8], captures: &mut Captures) -> Result<(), Difference> {
        let data = || format!("data {}", hex::encode_upper(got));
        match &self.data {
            Some(pattern) if !pattern.matches(got, captures) => {
                let spot = Spot::in_data(pattern, got, captures);
                Err(Difference { spot: spot.map(Box::new), ..differ(format!("data {pattern}"), data()) })
            }
            None if self.length.is_none() && self.tlv.is_empty() && !got.is_empty() => {
                Err(differ("no data", data()))
            }
            _ => Ok(()),
        }
    }
}

fn compare_object(
    path: &str,
    pattern: &BytePattern,
    data: &[u8],
    captures: &mut Captures,
) -> Result<(), Difference> {
    let expected = || format!("{path} = {pattern}");
    let Some(value) = value_at(path, data) else {
        return Err(differ(expected(), format!("no {path} in data {}", hex::encode_upper(data))));
    };
    if pattern.matches(&value, captures) {
        return Ok(());
    }
    let spot = Spot::in_object(path, pattern, &value, captures);
    Err(Difference { spot: spot.map(Box::new), ..differ(expected(), hex::encode_upper(&value)) })
}

/// The value of a primitive object, alone (`9F24`) or in a template (`E2/5F3D`).
fn value_at(path: &str, data: &[u8]) -> Option<Vec<u8>> {
    match path.split_once('/') {
        None => read_object(data, tag(path)?).ok(),
        Some((outer, inner)) => {
            let template = Template::parse(data, tag(outer)?).ok()?;
            let inner = tag(inner)?;
            template.objects().iter().find(|(tag, _)| *tag == inner).map(|(_, value)| value.clone())
        }
    }
}

/// A tag as it stands in a path.
pub(super) fn tag(text: &str) -> Option<Tag> {
    u16::from_str_radix(text, 16).ok().map(Tag)
}
