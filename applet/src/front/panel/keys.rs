//! Keys as words, in requests and in rules.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub(crate) use crate::signing::keys::Press;

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
        to.serialize_str(self.word().unwrap_or("digit"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signing::keys::Key;

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
