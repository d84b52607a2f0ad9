//! Patterns over bytes and status words.

use std::collections::BTreeMap;
use std::fmt;

use onetap_apdu_spec::sw::StatusWord;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// What was captured, by name.
pub type Captures = BTreeMap<String, Vec<u8>>;

/// Longest pattern: as many bytes as an APDU has, twice over.
const MAX_LENGTH: usize = 1 << 17;

/// A stretch of a pattern. Bytes beside bytes are one stretch, and no stretch is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Bytes(Vec<u8>),
    /// So many bytes of any value.
    Any(usize),
    /// Any bytes, however many.
    Gap,
    Slot(String),
}

/// One byte of a pattern, or a gap.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Byte(u8),
    Any,
    Gap,
}

/// Hex with `??`, `..` and `${name}`. The default matches anything.
#[derive(Debug, Clone, PartialEq, Eq)]
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
        Self(vec![Part::Gap])
    }
}

impl BytePattern {
    /// Exactly these bytes.
    #[must_use]
    pub fn exactly(bytes: &[u8]) -> Self {
        Self(if bytes.is_empty() { Vec::new() } else { vec![Part::Bytes(bytes.to_vec())] })
    }

    /// So many bytes of any value.
    #[must_use]
    pub fn any(count: usize) -> Self {
        Self(if count == 0 { Vec::new() } else { vec![Part::Any(count)] })
    }

    /// Whatever comes is captured under `name`; if it already was, it must be the same.
    #[must_use]
    pub fn capture(name: &str) -> Self {
        Self(vec![Part::Slot(name.to_owned())])
    }

    /// This, then `next`.
    #[must_use]
    pub fn then(mut self, next: Self) -> Self {
        next.0.into_iter().for_each(|part| self.push(part));
        self
    }

    fn push(&mut self, part: Part) {
        match (self.0.last_mut(), part) {
            (Some(Part::Bytes(before)), Part::Bytes(more)) => before.extend(more),
            (Some(Part::Any(before)), Part::Any(more)) => *before += more,
            (_, part) => self.0.push(part),
        }
    }

    /// The bytes, with captures filled in; `None` if something is left open.
    #[must_use]
    pub fn bytes(&self, captures: &Captures) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        for part in &self.0 {
            match part {
                Part::Bytes(bytes) => out.extend(bytes),
                Part::Slot(name) => out.extend(captures.get(name)?),
                Part::Any(_) | Part::Gap => return None,
            }
        }
        Some(out)
    }

    /// Bytes that match: zeros for `??`, nothing for `..` and for what was not captured.
    pub(super) fn made_up(&self, captures: &Captures) -> Vec<u8> {
        self.filled(0, captures)
    }

    /// The same with this byte for `??`.
    pub(super) fn filled(&self, byte: u8, captures: &Captures) -> Vec<u8> {
        let mut out = Vec::new();
        for part in &self.0 {
            match part {
                Part::Bytes(bytes) => out.extend(bytes),
                Part::Slot(name) => out.extend(captures.get(name).map(Vec::as_slice).unwrap_or_default()),
                Part::Any(count) => out.resize(out.len() + count, byte),
                Part::Gap => {}
            }
        }
        out
    }

    /// True if bytes were left open when this was recorded.
    pub(super) fn is_open(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Any(_) | Part::Gap))
    }

    /// True if `bytes` match. A slot that stands alone and was not captured yet is captured now.
    pub fn matches(&self, bytes: &[u8], captures: &mut Captures) -> bool {
        match self.0.as_slice() {
            [Part::Bytes(exact)] => exact == bytes,
            [Part::Slot(name)] if !captures.contains_key(name) => {
                captures.insert(name.clone(), bytes.to_vec());
                true
            }
            _ => self.units(captures).is_some_and(|units| glob(&units, bytes)),
        }
    }

    /// How many bytes match from the beginning, up to the first difference or gap.
    pub(super) fn matching(&self, bytes: &[u8], captures: &Captures) -> usize {
        let units = self.units(captures).unwrap_or_default();
        let same = |(unit, byte): &(&Unit, &u8)| match unit {
            Unit::Byte(wanted) => wanted == *byte,
            Unit::Any => true,
            Unit::Gap => false,
        };
        units.iter().zip(bytes).take_while(same).count()
    }

    /// What the pattern has from byte `from` on, at most `count` bytes of it, as text.
    pub(super) fn window(&self, from: usize, count: usize, captures: &Captures) -> String {
        let units = self.units(captures).unwrap_or_default();
        let text = units.iter().skip(from).take(count).map(|unit| match unit {
            Unit::Byte(byte) => format!("{byte:02X}"),
            Unit::Any => "??".to_owned(),
            Unit::Gap => "..".to_owned(),
        });
        text.collect::<Vec<_>>().join(" ")
    }

    /// Byte by byte, captures filled in; `None` if one is missing.
    fn units(&self, captures: &Captures) -> Option<Vec<Unit>> {
        let mut units = Vec::new();
        for part in &self.0 {
            match part {
                Part::Bytes(bytes) => units.extend(bytes.iter().copied().map(Unit::Byte)),
                Part::Any(count) => units.resize(units.len() + count, Unit::Any),
                Part::Gap => units.push(Unit::Gap),
                Part::Slot(name) => units.extend(captures.get(name)?.iter().copied().map(Unit::Byte)),
            }
        }
        Some(units)
    }
}

/// Greedy matching that remembers the last gap to go back to: linear in practice, no recursion.
fn glob(units: &[Unit], bytes: &[u8]) -> bool {
    let (mut p, mut b) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while b < bytes.len() {
        match units.get(p) {
            Some(Unit::Gap) => {
                p += 1;
                retry = Some((p, b));
            }
            Some(Unit::Any) => (p, b) = (p + 1, b + 1),
            Some(Unit::Byte(byte)) if *byte == bytes[b] => (p, b) = (p + 1, b + 1),
            _ => match retry {
                Some((after, from)) => {
                    (p, b) = (after, from + 1);
                    retry = Some((after, from + 1));
                }
                None => return false,
            },
        }
    }
    units[p..].iter().all(|unit| *unit == Unit::Gap)
}

impl TryFrom<&str> for BytePattern {
    type Error = PatternError;
    fn try_from(text: &str) -> Result<Self, PatternError> {
        if text.len() > 2 * MAX_LENGTH {
            return Err(PatternError::TooLong);
        }
        let mut pattern = Self(Vec::new());
        let mut rest = text;
        while !rest.is_empty() {
            let (part, after) =
                next_part(rest).map_err(|at| PatternError::Syntax(text.len() - rest.len() + at + 1))?;
            pattern.push(part);
            rest = after;
        }
        Ok(pattern)
    }
}

/// The first stretch and what comes after it; the error is where it is wrong.
fn next_part(text: &str) -> Result<(Part, &str), usize> {
    if let Some(slot) = text.strip_prefix("${") {
        let (name, after) = slot.split_once('}').ok_or(0usize)?;
        let fits = !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
        return if fits { Ok((Part::Slot(name.to_owned()), after)) } else { Err(0) };
    }
    for (mark, part) in [("??", Part::Any(1)), ("..", Part::Gap)] {
        if let Some(after) = text.strip_prefix(mark) {
            return Ok((part, after));
        }
    }
    let digits = text.bytes().take_while(u8::is_ascii_hexdigit).count();
    let (bytes, after) = text.split_at(digits & !1);
    match hex::decode(bytes) {
        Ok(bytes) if !bytes.is_empty() && digits % 2 == 0 => Ok((Part::Bytes(bytes), after)),
        _ => Err(bytes.len()),
    }
}

impl fmt::Display for BytePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| match part {
            Part::Bytes(bytes) => f.write_str(&hex::encode_upper(bytes)),
            Part::Any(count) => (0..*count).try_for_each(|_| f.write_str("??")),
            Part::Gap => f.write_str(".."),
            Part::Slot(name) => write!(f, "${{{name}}}"),
        })
    }
}

impl Serialize for BytePattern {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [Part::Bytes(bytes)] => to.serialize_str(&hex::encode_upper(bytes)),
            _ => to.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for BytePattern {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::try_from(String::deserialize(from)?.as_str()).map_err(de::Error::custom)
    }
}

/// One status word or class, or a list of them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "OneOrMore")]
pub struct SwPattern(Vec<String>);

#[derive(Deserialize)]
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

    /// Any status word that ISO/IEC 7816-4 allows.
    #[must_use]
    pub fn any() -> Self {
        Self(["6xxx", "9xxx"].map(str::to_owned).to_vec())
    }

    /// One of these, each four digits or a class.
    pub(super) fn one_of(texts: impl IntoIterator<Item = String>) -> Result<Self, PatternError> {
        OneOrMore::More(texts.into_iter().collect()).try_into()
    }

    /// True if `sw` is one of them.
    #[must_use]
    pub fn matches(&self, sw: StatusWord) -> bool {
        let sw = sw.to_string();
        self.0.iter().any(|pattern| pattern.bytes().zip(sw.bytes()).all(|(p, s)| p == b'x' || p == s))
    }

    /// The status word, if it is exactly one.
    #[must_use]
    pub fn exact(&self) -> Option<StatusWord> {
        match self.0.as_slice() {
            [one] => status_word(one),
            _ => None,
        }
    }

    /// One of them: the first, with zeros where any digit may stand.
    pub(super) fn made_up(&self) -> StatusWord {
        let first = self.0.first().map(|first| first.replace('x', "0"));
        first.as_deref().and_then(status_word).unwrap_or(StatusWord::OK)
    }
}

fn status_word(text: &str) -> Option<StatusWord> {
    let mut bytes = [0; 2];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(StatusWord::from_bytes(bytes[0], bytes[1]))
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

impl Serialize for SwPattern {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [one] => to.serialize_str(one),
            list => to.collect_seq(list),
        }
    }
}

impl fmt::Display for SwPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" or "))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(text: &str) -> BytePattern {
        text.try_into().unwrap()
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
        for (text, at) in
            [("0", 1), ("000g", 3), ("00000", 5), ("${", 1), ("${}", 1), ("00${A}", 3), ("é", 1), ("0é0", 1)]
        {
            assert_eq!(BytePattern::try_from(text), Err(PatternError::Syntax(at)), "{text}");
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
            let (before, after) = bytes.split_at(gap.min(bytes.len()));
            let pattern = BytePattern::exactly(before).then(BytePattern::default()).then(BytePattern::exactly(after));
            let again = BytePattern::try_from(pattern.to_string().as_str()).unwrap();
            prop_assert_eq!(&again, &pattern);
            prop_assert!(again.matches(&bytes, &mut Captures::new()));
        }
    }
}
