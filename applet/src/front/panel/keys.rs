//! Keys as words, in requests and in rules.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::signing::keys::Key;

/// What can be pressed: a key, or `read`, which turns to the last page.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Press {
    Read,
    Key(Key),
}

/// All words but the digits.
const WORDS: [(&str, Press); 6] = [
    ("read", Press::Read),
    ("confirm", Press::Key(Key::Confirm)),
    ("cancel", Press::Key(Key::Cancel)),
    ("next", Press::Key(Key::Next)),
    ("previous", Press::Key(Key::Previous)),
    ("clear", Press::Key(Key::Clear)),
];

impl Press {
    fn parse(word: &str) -> Option<Self> {
        if let [digit @ b'0'..=b'9'] = word.as_bytes() {
            return Some(Self::Key(Key::Digit(digit - b'0')));
        }
        WORDS.iter().find(|(known, _)| *known == word).map(|(_, press)| *press)
    }
}

impl<'de> Deserialize<'de> for Press {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let word = zeroize::Zeroizing::new(String::deserialize(from)?);
        // Not repeated: it may be a PIN in one piece.
        Self::parse(&word).ok_or_else(|| {
            serde::de::Error::custom(
                "a key is confirm, cancel, next, previous, clear, read, or one digit from 0 to 9",
            )
        })
    }
}

impl Serialize for Press {
    /// Digits are not given away again: they may be a PIN.
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let word = WORDS.iter().find(|(_, press)| press == self).map_or("digit", |(word, _)| word);
        to.serialize_str(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_keys_and_digits_stay_secret() {
        let keys: Vec<Press> = serde_json::from_str(r#"["read", "confirm", "7"]"#).unwrap();
        assert!(keys == [Press::Read, Press::Key(Key::Confirm), Press::Key(Key::Digit(7))]);
        assert_eq!(serde_json::to_string(&keys).unwrap(), r#"["read","confirm","digit"]"#);
        for bad in [r#"["12"]"#, r#"[""]"#, r#"["Confirm"]"#, r#"["digit"]"#, "[7]"] {
            let error = serde_json::from_str::<Vec<Press>>(bad).err().unwrap().to_string();
            assert!(!error.contains("12"), "{error}");
        }
    }
}
