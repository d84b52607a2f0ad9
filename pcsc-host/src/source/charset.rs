//! The character sets that an EPC QR code names by a digit.

use encoding_rs::Encoding;

/// One of the eight character sets (EPC069-12, data element "character set").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CharacterSet {
    /// 1.
    Utf8,
    /// 2: ISO 8859-1. The standard, not Windows' code page, which is what the web calls by this name.
    Latin1,
    /// 3 to 8: parts 2, 4, 5, 7, 10 and 15 of ISO 8859.
    Part(&'static Encoding),
}

impl CharacterSet {
    pub(super) fn from_digit(digit: &[u8]) -> Option<Self> {
        Some(match digit {
            b"1" => Self::Utf8,
            b"2" => Self::Latin1,
            b"3" => Self::Part(encoding_rs::ISO_8859_2),
            b"4" => Self::Part(encoding_rs::ISO_8859_4),
            b"5" => Self::Part(encoding_rs::ISO_8859_5),
            b"6" => Self::Part(encoding_rs::ISO_8859_7),
            b"7" => Self::Part(encoding_rs::ISO_8859_10),
            b"8" => Self::Part(encoding_rs::ISO_8859_15),
            _ => return None,
        })
    }

    /// The text of bytes that are in this set, or that a scanner has already decoded to UTF-8.
    ///
    /// It is decoded already if it is UTF-8 of characters that the set has: of UTF-8 read as the set, the other
    /// reading, some would have to be control characters or pairs of capital letter and sign.
    pub(super) fn decode(self, bytes: &[u8]) -> Option<String> {
        if let Ok(text) = std::str::from_utf8(bytes)
            && self.has_all(text)
        {
            return Some(text.to_owned());
        }
        let text = match self {
            Self::Utf8 => return None,
            Self::Latin1 => bytes.iter().map(|byte| char::from(*byte)).collect(),
            Self::Part(encoding) => {
                encoding.decode_without_bom_handling_and_without_replacement(bytes)?.into_owned()
            }
        };
        // The upper controls stand in no text: the bytes are of another set.
        (!text.contains(|c| ('\u{80}'..='\u{9F}').contains(&c))).then_some(text)
    }

    /// Bytes that the text takes in the code.
    pub(super) fn size_of(self, text: &str) -> usize {
        if self == Self::Utf8 { text.len() } else { text.chars().count() }
    }

    fn has_all(self, text: &str) -> bool {
        match self {
            Self::Utf8 => true,
            Self::Latin1 => text.chars().all(|c| u32::from(c) <= 0xFF),
            Self::Part(encoding) => {
                let upper: Vec<u8> = (128..=u8::MAX).collect();
                let (upper, _) = encoding.decode_without_bom_handling(&upper);
                text.chars().all(|c| c.is_ascii() || (c != char::REPLACEMENT_CHARACTER && upper.contains(c)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes are from Python's codecs.
    #[test]
    fn each_set_is_read_from_its_bytes_and_from_decoded_text() {
        for (digit, bytes, text) in [
            ("1", &b"M\xc3\xbcller \xc8\x98tefan"[..], "Müller Ștefan"),
            ("2", b"M\xfcller & S\xf6hne", "Müller & Söhne"),
            ("3", b"\xa3\xf3d\xbc \xc8esk\xfd", "Łódź Český"),
            ("4", b"R\xefgas \xbeurn\xe0ls", "Rīgas žurnāls"),
            ("5", b"\xb1\xea\xdb\xd3\xd0\xe0\xd8\xef", "България"),
            ("6", b"\xc1\xe8\xde\xed\xe1 \xa4", "Αθήνα €"),
            ("7", b"\xde\xf3r\xf0ur \xa6", "Þórður Ķ"),
            ("8", b"\xa4 \xbd\xbcuvre \xb8", "€ œŒuvre ž"),
        ] {
            let set = CharacterSet::from_digit(digit.as_bytes()).unwrap();
            assert_eq!(set.decode(bytes).as_deref(), Some(text), "{digit}");
            assert_eq!(set.decode(text.as_bytes()).as_deref(), Some(text), "{digit}, decoded");
            assert_eq!(set.decode(b"ASCII").as_deref(), Some("ASCII"), "{digit}");
            assert_eq!(set.size_of(text), bytes.len(), "{digit}");
        }
        for digit in ["", "0", "9", "11", "x"] {
            assert_eq!(CharacterSet::from_digit(digit.as_bytes()), None, "{digit}");
        }
    }

    #[test]
    fn bytes_that_happen_to_be_utf_8_are_read_in_their_set() {
        // C2 B0 is the degree sign in UTF-8, which ISO 8859-5 lacks.
        let cyrillic = CharacterSet::Part(encoding_rs::ISO_8859_5);
        assert_eq!(cyrillic.decode(b"\xc2\xb0\xc2\xb0").as_deref(), Some("ТАТА"));
    }

    #[test]
    fn bytes_of_another_set_are_refused() {
        assert_eq!(CharacterSet::Utf8.decode(b"M\xfcller"), None);
        // A typographic apostrophe in UTF-8, which Latin-1 lacks.
        assert_eq!(CharacterSet::Latin1.decode("d\u{2019}eau".as_bytes()), None);
        // ISO 8859-7 has nothing at FF.
        assert_eq!(CharacterSet::Part(encoding_rs::ISO_8859_7).decode(b"\xff"), None);
    }
}
