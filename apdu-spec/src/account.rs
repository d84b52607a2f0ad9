//! Account numbers and the rotating payer alias.

use std::fmt;
use std::str::FromStr;

/// Text that is not an account number or alias.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// Neither an IBAN with right check digits nor 8-19 digits with a right Luhn check digit.
    #[error("not an account number: give an IBAN, or 8 to 19 digits ending in their Luhn check digit")]
    NotAnAccount,
    /// Not 16 characters of base 32.
    #[error("not a payer alias: 16 characters out of A-Z and 2-7")]
    NotAnAlias,
}

/// An account number: an IBAN (ISO 13616, check digits verified) or a domestic number of 8 to 19
/// digits ending in its Luhn check digit (ISO/IEC 7812-1 Annex B). A mistyped one does not parse.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AccountNumber(String);

impl AccountNumber {
    /// The characters, without spaces.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Makes a domestic number by appending the Luhn check digit to `digits` (7 … 18 of them).
    ///
    /// # Errors
    /// [`AccountError::NotAnAccount`] if `digits` has other characters or another length.
    pub fn from_payload(digits: &str) -> Result<Self, AccountError> {
        (0..=9).find_map(|check| format!("{digits}{check}").parse().ok()).ok_or(AccountError::NotAnAccount)
    }
}

impl FromStr for AccountNumber {
    type Err = AccountError;
    fn from_str(text: &str) -> Result<Self, AccountError> {
        if is_iban(text) || is_domestic(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(AccountError::NotAnAccount)
        }
    }
}

fn is_iban(text: &str) -> bool {
    let electronic = text.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase());
    electronic && text.parse::<iban::Iban>().is_ok()
}

fn is_domestic(text: &str) -> bool {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    digits && (8..=19).contains(&text.len()) && luhn_sum(text).is_multiple_of(10)
}

fn luhn_sum(digits: &str) -> u32 {
    let luhn = |(i, b): (usize, u8)| {
        let digit = u32::from(b - b'0');
        match (i % 2, digit * 2) {
            (0, _) => digit,
            (_, double) => double / 10 + double % 10,
        }
    };
    digits.bytes().rev().enumerate().map(luhn).sum()
}

/// What the transaction message names the payer by: 16 characters of base 32 (RFC 4648 §6) that the
/// card and its server derive for one counter value ([`crate::keys::CardKeys::alias`]), so that two
/// readers cannot tell that they saw the same account.
#[derive(Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Alias(String);

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// Characters of an alias.
pub const ALIAS_LEN: usize = 16;

impl Alias {
    /// Writes 80 bits in base 32.
    #[must_use]
    pub fn from_bits(bits: [u8; 10]) -> Self {
        let wide = bits.iter().fold(0u128, |acc, byte| acc << 8 | u128::from(*byte));
        let char_at = |i: usize| char::from(BASE32[(wide >> (75 - 5 * i)) as usize & 31]);
        Self((0..ALIAS_LEN).map(char_at).collect())
    }

    /// The characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Alias {
    type Err = AccountError;
    fn from_str(text: &str) -> Result<Self, AccountError> {
        let fits = text.len() == ALIAS_LEN && text.bytes().all(|b| BASE32.contains(&b));
        if fits { Ok(Self(text.to_owned())) } else { Err(AccountError::NotAnAlias) }
    }
}

macro_rules! text_type {
    ($name:ident) => {
        impl TryFrom<String> for $name {
            type Error = AccountError;
            fn try_from(text: String) -> Result<Self, AccountError> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}
text_type!(AccountNumber);
text_type!(Alias);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_numbers_parse() {
        for good in ["DE89370400440532013000", "GB29NWBK60161331926819", "79927398713", "4539578763621486"] {
            assert!(good.parse::<AccountNumber>().is_ok(), "{good}");
        }
    }

    #[test]
    fn mistyped_numbers_do_not() {
        for bad in [
            "",
            "DE89370400440532013001",
            "de89370400440532013000",
            "DE89 3704 0044 0532 0130 00",
            "79927398710",
            "1234567",
            "45395787636214861234",
            "Ada",
            "7992739871３",
        ] {
            assert_eq!(bad.parse::<AccountNumber>(), Err(AccountError::NotAnAccount), "{bad}");
        }
    }

    #[test]
    fn payload_gets_its_check_digit() {
        assert_eq!(AccountNumber::from_payload("7992739871").unwrap().as_str(), "79927398713");
        assert!(AccountNumber::from_payload("12x4567").is_err());
    }

    #[test]
    fn alias_is_base32() {
        // RFC 4648 §10: "foobar" is MZXW6YTBOI; ten bytes here.
        assert_eq!(Alias::from_bits(*b"foobarfoob").as_str(), "MZXW6YTBOJTG633C");
        assert_eq!("MZXW6YTBOJTG633".parse::<Alias>(), Err(AccountError::NotAnAlias));
    }
}
