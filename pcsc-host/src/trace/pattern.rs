//! Patterns over bytes, status words and responses.

use std::collections::BTreeMap;
use std::fmt;

use onetap_apdu_spec::apdu::ResponseApdu;
use onetap_apdu_spec::sw::StatusWord;
use onetap_apdu_spec::tlv::{Tag, Template};
use serde::{Deserialize, Serialize};

use crate::session::read_object;

/// What was captured, by name.
pub type Captures = BTreeMap<String, Vec<u8>>;

/// Longest pattern, in parts.
const MAX_PARTS: usize = 1 << 17;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Byte(u8),
    AnyByte,
    AnyBytes,
    Slot(String),
}

/// Hex with `??`, `..` and `${name}`. The default matches anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BytePattern(Vec<Part>);

/// Text that is not a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Not hex, `??`, `..` or `${name}` at this character.
    #[error("not hex, ??, .. or ${{name}} at character {0}")]
    Syntax(usize),
    /// Longer than any APDU.
    #[error("the pattern is longer than any APDU")]
    TooLong,
    /// A status word is four hexadecimal digits, the last of which may be `x`.
    #[error("not a status word or class of them: {0}")]
    StatusWord(String),
}

impl Default for BytePattern {
    fn default() -> Self {
        Self(vec![Part::AnyBytes])
    }
}

impl BytePattern {
    /// Exactly these bytes.
    #[must_use]
    pub fn exactly(bytes: &[u8]) -> Self {
        Self(bytes.iter().copied().map(Part::Byte).collect())
    }

    /// So many bytes of any value.
    #[must_use]
    pub fn any(count: usize) -> Self {
        Self(vec![Part::AnyByte; count])
    }

    /// Whatever comes is captured under `name`; if it already was, it must be the same.
    #[must_use]
    pub fn capture(name: &str) -> Self {
        Self(vec![Part::Slot(name.to_owned())])
    }

    /// This, then `next`.
    #[must_use]
    pub fn then(mut self, next: Self) -> Self {
        self.0.extend(next.0);
        self
    }

    /// The bytes, with captures filled in; `None` if something is left open.
    #[must_use]
    pub fn bytes(&self, captures: &Captures) -> Option<Vec<u8>> {
        let mut out = Vec::with_capacity(self.0.len());
        for part in &self.0 {
            match part {
                Part::Byte(byte) => out.push(*byte),
                Part::Slot(name) => out.extend(captures.get(name)?),
                Part::AnyByte | Part::AnyBytes => return None,
            }
        }
        Some(out)
    }

    /// True if `bytes` match. A slot that stands alone and was not captured yet is captured now.
    pub fn matches(&self, bytes: &[u8], captures: &mut Captures) -> bool {
        match self.0.as_slice() {
            [Part::Slot(name)] if !captures.contains_key(name) => {
                captures.insert(name.clone(), bytes.to_vec());
                true
            }
            parts => glob(parts, bytes, captures),
        }
    }
}

/// Greedy matching that remembers the last `..` to go back to: linear in practice, no recursion.
fn glob(parts: &[Part], bytes: &[u8], captures: &Captures) -> bool {
    let mut filled = Vec::with_capacity(parts.len());
    for part in parts {
        match part {
            Part::Slot(name) => match captures.get(name) {
                Some(bytes) => filled.extend(bytes.iter().map(|byte| Part::Byte(*byte))),
                None => return false,
            },
            other => filled.push(other.clone()),
        }
    }
    let (mut p, mut b) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while b < bytes.len() {
        match filled.get(p) {
            Some(Part::AnyBytes) => {
                p += 1;
                retry = Some((p, b));
            }
            Some(Part::AnyByte) => (p, b) = (p + 1, b + 1),
            Some(Part::Byte(byte)) if *byte == bytes[b] => (p, b) = (p + 1, b + 1),
            _ => match retry {
                Some((after, from)) => {
                    (p, b) = (after, from + 1);
                    retry = Some((after, from + 1));
                }
                None => return false,
            },
        }
    }
    filled[p..].iter().all(|part| *part == Part::AnyBytes)
}

impl TryFrom<String> for BytePattern {
    type Error = PatternError;
    fn try_from(text: String) -> Result<Self, PatternError> {
        let mut parts = Vec::new();
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let syntax = PatternError::Syntax(text.len() - rest.len() + 1);
            let (part, after) = next_part(rest).ok_or(syntax)?;
            parts.push(part);
            rest = after;
            if parts.len() > MAX_PARTS {
                return Err(PatternError::TooLong);
            }
        }
        Ok(Self(parts))
    }
}

fn next_part(text: &str) -> Option<(Part, &str)> {
    if let Some(slot) = text.strip_prefix("${") {
        let (name, after) = slot.split_once('}')?;
        let fits = !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
        return fits.then(|| (Part::Slot(name.to_owned()), after));
    }
    let (pair, after) = text.split_at_checked(2)?;
    let part = match pair {
        "??" => Part::AnyByte,
        ".." => Part::AnyBytes,
        hex => Part::Byte(*hex::decode(hex).ok()?.first()?),
    };
    Some((part, after))
}

impl From<BytePattern> for String {
    fn from(pattern: BytePattern) -> String {
        pattern.to_string()
    }
}

impl fmt::Display for BytePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| match part {
            Part::Byte(byte) => write!(f, "{byte:02X}"),
            Part::AnyByte => f.write_str("??"),
            Part::AnyBytes => f.write_str(".."),
            Part::Slot(name) => write!(f, "${{{name}}}"),
        })
    }
}

/// One status word or class, or a list of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "OneOrMore", into = "OneOrMore")]
pub struct SwPattern(Vec<String>);

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl SwPattern {
    /// Exactly this one.
    #[must_use]
    pub fn exactly(sw: StatusWord) -> Self {
        Self(vec![sw.to_string()])
    }

    /// True if `sw` is one of them.
    #[must_use]
    pub fn matches(&self, sw: StatusWord) -> bool {
        let sw = sw.to_string();
        self.0.iter().any(|pattern| pattern.bytes().zip(sw.bytes()).all(|(p, s)| p == b'x' || p == s))
    }
}

impl TryFrom<OneOrMore> for SwPattern {
    type Error = PatternError;
    fn try_from(given: OneOrMore) -> Result<Self, PatternError> {
        let list = match given {
            OneOrMore::One(one) => vec![one],
            OneOrMore::More(list) => list,
        };
        let well_formed = |text: &String| {
            let digit = |b: u8| matches!(b, b'0'..=b'9' | b'A'..=b'F' | b'x');
            text.len() == 4 && text.bytes().all(digit) && !text.starts_with('x')
        };
        match list.iter().find(|text| !well_formed(text)) {
            Some(bad) => Err(PatternError::StatusWord(bad.clone())),
            None if list.is_empty() => Err(PatternError::StatusWord("an empty list".into())),
            None => Ok(Self(list)),
        }
    }
}

impl From<SwPattern> for OneOrMore {
    fn from(SwPattern(mut list): SwPattern) -> Self {
        match (list.len(), list.pop()) {
            (1, Some(one)) => Self::One(one),
            (_, last) => {
                list.extend(last);
                Self::More(list)
            }
        }
    }
}

impl fmt::Display for SwPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" or "))
    }
}

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
        }
    }

    /// Compares all but the predicates; the error is what was expected and what came.
    ///
    /// # Errors
    /// The first difference, as (expected, got).
    pub fn compare(&self, got: &ResponseApdu, captures: &mut Captures) -> Result<(), (String, String)> {
        if !self.sw.matches(got.sw) {
            return Err((format!("status word {}", self.sw), format!("status word {}", got.sw)));
        }
        let data = || format!("data {}", hex::encode_upper(&got.data));
        match &self.data {
            Some(pattern) if !pattern.matches(&got.data, captures) => {
                return Err((format!("data {pattern}"), data()));
            }
            None if self.length.is_none() && self.tlv.is_empty() && !got.data.is_empty() => {
                return Err(("no data".into(), data()));
            }
            _ => {}
        }
        if self.length.is_some_and(|length| length != got.data.len()) {
            let expected = self.length.unwrap_or_default();
            return Err((format!("{expected} bytes of data"), format!("{} bytes", got.data.len())));
        }
        for (path, pattern) in &self.tlv {
            let value = value_at(path, &got.data);
            if !value.as_ref().is_some_and(|value| pattern.matches(value, captures)) {
                let got = value.map_or_else(|| format!("no {path} in {}", data()), hex::encode_upper);
                return Err((format!("{path} = {pattern}"), got));
            }
        }
        Ok(())
    }
}

/// The value of a primitive object, alone (`9F24`) or in a template (`E2/5F3D`).
fn value_at(path: &str, data: &[u8]) -> Option<Vec<u8>> {
    let tag = |text: &str| u16::from_str_radix(text, 16).ok().map(Tag);
    match path.split_once('/') {
        None => read_object(data, tag(path)?).ok(),
        Some((outer, inner)) => {
            let template = Template::parse(data, tag(outer)?).ok()?;
            let inner = tag(inner)?;
            template.objects().iter().find(|(tag, _)| *tag == inner).map(|(_, value)| value.clone())
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(text: &str) -> BytePattern {
        text.to_owned().try_into().unwrap()
    }

    #[test]
    fn bytes_match_or_not() {
        let mut captures = Captures::from([("known".into(), vec![1, 2])]);
        for (text, bytes, same) in [
            ("0102", &[1u8, 2][..], true),
            ("0102", &[1, 2, 3], false),
            ("01??", &[1, 9], true),
            ("01??", &[1], false),
            ("..", &[], true),
            ("01..03", &[1, 3], true),
            ("01..03", &[1, 3, 4, 3], true),
            ("01..03", &[1, 3, 4], false),
            ("..0203..05", &[1, 2, 2, 3, 4, 5], true),
            ("${known}03", &[1, 2, 3], true),
            ("${known}", &[1, 2, 3], false),
            ("00${unknown}", &[0, 1], false),
            ("", &[], true),
            ("", &[0], false),
        ] {
            assert_eq!(pattern(text).matches(bytes, &mut captures), same, "{text} {bytes:?}");
        }
    }

    #[test]
    fn captured_once_compared_after() {
        let mut captures = Captures::new();
        assert!(pattern("${alias}").matches(&[7, 8], &mut captures));
        assert!(pattern("${alias}").matches(&[7, 8], &mut captures));
        assert!(!pattern("${alias}").matches(&[7, 9], &mut captures));
        assert_eq!(pattern("00${alias}").bytes(&captures), Some(vec![0, 7, 8]));
        assert_eq!(pattern("00..").bytes(&captures), None);
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for (text, at) in [("0", 1), ("000g", 3), ("${", 1), ("${}", 1), ("00${A}", 3), ("é", 1), ("0é0", 1)]
        {
            assert_eq!(BytePattern::try_from(text.to_owned()), Err(PatternError::Syntax(at)), "{text}");
        }
    }

    #[test]
    fn status_words_exact_list_and_class() {
        let read = |json: &str| serde_json::from_str::<SwPattern>(json);
        let sw =
            |text: &str| StatusWord::from_bytes(hex::decode(text).unwrap()[0], hex::decode(text).unwrap()[1]);
        assert!(read("\"9000\"").unwrap().matches(StatusWord::OK));
        assert!(!read("\"9000\"").unwrap().matches(sw("9001")));
        assert!(read("\"61xx\"").unwrap().matches(sw("61AB")));
        assert!(read("[\"6985\",\"6A80\"]").unwrap().matches(StatusWord::WRONG_DATA));
        for bad in ["\"900\"", "\"90000\"", "\"6a80\"", "[]", "\"xxxx\"", "36864"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn patterns_survive_their_text(bytes in proptest::collection::vec(any::<u8>(), 0..50), gap in 0..50usize) {
            let mut pattern = BytePattern::exactly(&bytes);
            pattern.0.insert(gap.min(bytes.len()), Part::AnyBytes);
            let again = BytePattern::try_from(pattern.to_string()).unwrap();
            prop_assert_eq!(&again, &pattern);
            prop_assert!(again.matches(&bytes, &mut Captures::new()));
        }
    }
}
