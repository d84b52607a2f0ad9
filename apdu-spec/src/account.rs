//! Account numbers and the rotating payer alias.

use std::fmt;
use std::str::FromStr;

/// Text that is not an account number or alias.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// Neither of an IBAN's form with right check digits nor 8-19 digits with a right Luhn check digit.
    #[error("not an account number: give an IBAN, or 8 to 19 digits ending in their Luhn check digit")]
    NotAnAccount,
    /// Not 16 characters of base 32.
    #[error("not a payer alias: 16 characters out of A-Z and 2-7")]
    NotAnAlias,
}

/// An account number: an IBAN (ISO 13616) or a domestic number of 8 to 19 digits ending in its Luhn
/// check digit (ISO/IEC 7812-1 Annex B). A mistyped one does not parse. Checked is what does not age:
/// form and check digits; country and structure are for terminal and server ([`crate::editions`]).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AccountNumber(String);

impl AccountNumber {
    /// The characters, without spaces.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True if it is an IBAN, false if it is a domestic number.
    #[must_use]
    pub fn is_iban(&self) -> bool {
        self.0.starts_with(|c: char| c.is_ascii_uppercase())
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

/// Characters of an IBAN here: country, check digits, and 4 to 30 characters of the country's own.
const IBAN_LEN: std::ops::RangeInclusive<usize> = 8..=34;

/// An IBAN's form, and check digits as ISO/IEC 7064 MOD 97-10 makes them: 02 to 98. (00, 01 and 99
/// leave the same remainder as 97, 98 and 02, and would give an account a second spelling.)
fn is_iban(text: &str) -> bool {
    let Some((head, _)) = text.as_bytes().split_first_chunk::<4>() else { return false };
    let form = IBAN_LEN.contains(&text.len())
        && head[..2].iter().all(u8::is_ascii_uppercase)
        && head[2..].iter().all(u8::is_ascii_digit)
        && text.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase());
    form && (*b"02"..=*b"98").contains(&[head[2], head[3]]) && mod_97(text) == 1
}

/// Remainder of the IBAN's number, its first four characters put last, A being 10 and Z 35.
fn mod_97(iban: &str) -> u32 {
    let rotated = iban.chars().skip(4).chain(iban.chars().take(4));
    rotated.filter_map(|c| c.to_digit(36)).fold(0, |remainder, value| {
        let shift = if value < 10 { 10 } else { 100 };
        (remainder * shift + value) % 97
    })
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
        for good in [
            "DE89370400440532013000",
            "GB29NWBK60161331926819",
            "PK36SCBL0000001123456702",
            "QQ33370400440532013000", // a country that may join while the card lives
            "79927398713",
            "4539578763621486",
        ] {
            assert!(good.parse::<AccountNumber>().is_ok(), "{good}");
        }
    }

    #[test]
    fn check_digits_are_02_to_98_so_an_account_has_one_spelling() {
        let mut seen = 0;
        for account in 0..970 {
            let bban = format!("37040044{account:010}");
            let spelled = |check: &u32| format!("DE{check:02}{bban}").parse::<AccountNumber>().is_ok();
            let right: Vec<_> = (0..100).filter(spelled).collect();
            assert!(matches!(right[..], [2..=98]), "{bban}: {right:?}");
            seen |= 1_u128 << right[0];
        }
        assert_eq!(seen.count_ones(), 97, "each of 02 to 98 is some account's");
    }

    #[test]
    fn an_iban_has_8_to_34_characters() {
        let with_check = |bban: &str| {
            let spelled = (2..99).map(|check| format!("ZZ{check:02}{bban}"));
            spelled.filter(|iban| iban.parse::<AccountNumber>().is_ok()).count()
        };
        assert_eq!([3, 4, 30, 31].map(|len| with_check(&"7".repeat(len))), [0, 1, 1, 0]);
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
