//! BER-TLV with bounds (ISO/IEC 7816-4 §5.2.2). Decoding is the `iso7816-tlv` crate's, held to one
//! canonical form; encoding is a dozen lines here because that crate (0.4.4) writes a length of 127
//! in two bytes.

use std::fmt;

use iso7816_tlv::ber;

/// Largest encoded template that [`Template::parse`] looks at. Bounds recursion and memory.
pub const MAX_TEMPLATE: usize = 1024;

/// A tag of one or two bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(pub u16);

impl Tag {
    /// The tag's bytes, without a leading zero.
    fn write(self, out: &mut Vec<u8>) {
        let [high, low] = self.0.to_be_bytes();
        if high != 0 {
            out.push(high);
        }
        out.push(low);
    }

    /// A tag list as bytes: tags, one after another (ISO/IEC 7816-4 §8.4.2).
    #[must_use]
    pub fn write_list(tags: &[Self]) -> Vec<u8> {
        let mut out = Vec::new();
        tags.iter().for_each(|tag| tag.write(&mut out));
        out
    }

    /// The inverse of [`Tag::write_list`]; `None` if the last tag is cut, or one has more than two bytes.
    #[must_use]
    pub fn read_list(mut list: &[u8]) -> Option<Vec<Self>> {
        /// Where the number of a tag is in the bytes that follow, and where one more of them follows.
        const FURTHER: u8 = 0x1F;
        const MORE: u8 = 0x80;
        let mut tags = Vec::new();
        while let Some((&first, rest)) = list.split_first() {
            let (tag, rest) = match rest.split_first() {
                _ if first & FURTHER != FURTHER => (u16::from(first), rest),
                Some((&second, rest)) if second & MORE == 0 => (u16::from_be_bytes([first, second]), rest),
                _ => return None,
            };
            tags.push(Self(tag));
            list = rest;
        }
        Some(tags)
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02X}", self.0)
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Why bytes are not a canonical template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TlvError {
    /// More than [`MAX_TEMPLATE`] bytes.
    #[error("the template has {0} bytes; at most {MAX_TEMPLATE} are allowed")]
    TooLong(usize),
    /// Not BER-TLV at all, or bytes left over.
    #[error("not one BER-TLV data object")]
    Malformed,
    /// Another tag than the expected template's.
    #[error("expected the template {0}")]
    WrongTemplate(Tag),
    /// A length is not written in its shortest form, or a template is nested where a value belongs.
    #[error("not in canonical form (shortest lengths, primitive values)")]
    NotCanonical,
}

/// A decoded template: primitive data objects in the order in which they stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    objects: Vec<(Tag, Vec<u8>)>,
}

impl Template {
    /// Decodes `bytes`, which must be exactly one template `outer` holding primitive objects only,
    /// in the one canonical encoding. Order and repetition of tags are the caller's to judge.
    ///
    /// # Errors
    /// [`TlvError`], the first reason met.
    pub fn parse(bytes: &[u8], outer: Tag) -> Result<Self, TlvError> {
        if bytes.len() > MAX_TEMPLATE {
            return Err(TlvError::TooLong(bytes.len()));
        }
        let tlv = ber::Tlv::from_bytes(bytes).map_err(|_| TlvError::Malformed)?;
        if tag_of(tlv.tag()) != Some(outer) {
            return Err(TlvError::WrongTemplate(outer));
        }
        let ber::Value::Constructed(children) = tlv.value() else {
            return Err(TlvError::NotCanonical);
        };
        let objects =
            children.iter().map(primitive).collect::<Option<Vec<_>>>().ok_or(TlvError::NotCanonical)?;
        let template = Self { objects };
        if template.encode(outer) == bytes { Ok(template) } else { Err(TlvError::NotCanonical) }
    }

    /// The objects, in order.
    #[must_use]
    pub fn objects(&self) -> &[(Tag, Vec<u8>)] {
        &self.objects
    }

    /// Takes the objects out if they are exactly `tags`, in that order.
    #[must_use]
    pub fn into_exactly<const N: usize>(self, tags: [Tag; N]) -> Option<[Vec<u8>; N]> {
        let same = self.objects.iter().map(|(tag, _)| *tag).eq(tags);
        let values: Vec<_> = self.objects.into_iter().map(|(_, value)| value).collect();
        same.then(|| values.try_into().ok()).flatten()
    }

    fn encode(&self, outer: Tag) -> Vec<u8> {
        let mut inner = Vec::new();
        for (tag, value) in &self.objects {
            write(*tag, value, &mut inner);
        }
        object(outer, &inner)
    }
}

/// A data object on the way to a byte: its tag, and where its value begins in the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step<'a> {
    /// The tag's bytes.
    pub tag: &'a [u8],
    /// Offset of the value.
    pub value: usize,
}

/// The data objects around byte `offset`, from the outermost; `None` if `data` is not BER-TLV there, or has more than
/// [`MAX_TEMPLATE`] bytes.
#[must_use]
pub fn path_to(data: &[u8], offset: usize) -> Option<Vec<Step<'_>>> {
    let (mut path, mut at) = (Vec::new(), 0);
    let mut rest = Some(data).filter(|data| data.len() <= MAX_TEMPLATE)?;
    loop {
        let (object, after) = ber::Tlv::parse(rest);
        let object = object.ok()?;
        let end = at + rest.len() - after.len();
        if offset >= end {
            (rest, at) = (after, end);
            continue;
        }
        let (tag, body) = rest.split_at_checked(object.tag().len_as_bytes())?;
        // In the long form the first byte says how many follow.
        let length = match *body.first()? {
            0..0x80 => 1,
            long => 1 + usize::from(long & 0x7F),
        };
        let value = at + tag.len() + length;
        path.push(Step { tag, value });
        match object.value() {
            ber::Value::Constructed(_) if offset >= value => {
                (rest, at) = (data.get(value..end)?, value);
            }
            _ => return Some(path),
        }
    }
}

/// One data object: tag, shortest length, value (up to 65 535 bytes).
#[must_use]
pub fn object(tag: Tag, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len() + 5);
    write(tag, value, &mut out);
    out
}

/// Appends one data object to `out`.
pub fn write(tag: Tag, value: &[u8], out: &mut Vec<u8>) {
    tag.write(out);
    let [.., high, low] = value.len().to_be_bytes();
    match value.len() {
        0..=0x7F => out.push(low),
        0x80..=0xFF => out.extend([0x81, low]),
        _ => out.extend([0x82, high, low]),
    }
    out.extend(value);
}

fn primitive(tlv: &ber::Tlv) -> Option<(Tag, Vec<u8>)> {
    match tlv.value() {
        ber::Value::Primitive(value) => Some((tag_of(tlv.tag())?, value.clone())),
        ber::Value::Constructed(_) => None,
    }
}

fn tag_of(tag: &ber::Tag) -> Option<Tag> {
    match *tag.to_bytes() {
        [low] => Some(Tag(u16::from(low))),
        [high, low] => Some(Tag(u16::from_be_bytes([high, low]))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OUTER: Tag = Tag(0xE1);

    #[test]
    fn lengths_take_their_shortest_form() {
        for (len, head) in [
            (0x7E, vec![0x9C, 0x7E]),
            (0x7F, vec![0x9C, 0x7F]),
            (0x80, vec![0x9C, 0x81, 0x80]),
            (0xFF, vec![0x9C, 0x81, 0xFF]),
            (0x100, vec![0x9C, 0x82, 0x01, 0x00]),
        ] {
            assert!(object(Tag(0x9C), &vec![0; len]).starts_with(&head), "{len}");
        }
    }

    #[test]
    fn other_encodings_are_refused() {
        let cases: &[(&[u8], TlvError)] = &[
            (&[], TlvError::Malformed),
            (&[0xE1, 0x01], TlvError::Malformed),
            (&[0xE1, 0x02, 0x9C, 0x01], TlvError::Malformed),
            (&[0xE1, 0x00, 0x00], TlvError::Malformed),
            (&[0xE2, 0x00], TlvError::WrongTemplate(OUTER)),
            (&[0xE1, 0x81, 0x00], TlvError::NotCanonical),
            (&[0xE1, 0x04, 0x9C, 0x81, 0x01, 0x00], TlvError::Malformed),
            (&[0xE1, 0x02, 0xE1, 0x00], TlvError::NotCanonical),
        ];
        for (bytes, error) in cases {
            assert_eq!(Template::parse(bytes, OUTER), Err(*error), "{bytes:02X?}");
        }
        let long = vec![0xE1; MAX_TEMPLATE + 1];
        assert_eq!(Template::parse(&long, OUTER), Err(TlvError::TooLong(1025)));
    }

    #[test]
    fn deep_nesting_is_refused_without_harm() {
        let mut bytes = vec![];
        for _ in 0..250 {
            bytes = object(OUTER, &bytes);
        }
        assert!(bytes.len() <= MAX_TEMPLATE);
        assert_eq!(Template::parse(&bytes, OUTER), Err(TlvError::NotCanonical));
    }

    proptest! {
        #[test]
        fn what_is_written_parses(values in proptest::collection::vec(
            proptest::collection::vec(any::<u8>(), 0..200), 0..5)) {
            let mut inner = vec![];
            for value in &values {
                write(Tag(0x9F02), value, &mut inner);
            }
            let template = Template::parse(&object(OUTER, &inner), OUTER).unwrap();
            let parsed: Vec<_> = template.objects().iter().map(|(_, v)| v.clone()).collect();
            prop_assert_eq!(parsed, values);
        }

        #[test]
        fn at_most_one_encoding_per_template(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut bytes = bytes;
            bytes.insert(0, 0xE1);
            if let Ok(template) = Template::parse(&bytes, OUTER) {
                prop_assert_eq!(template.encode(OUTER), bytes);
            }
        }
    }
}
