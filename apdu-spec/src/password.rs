//! The joint password: its form, its alphabet, and how one is drawn (P-05).

use std::fmt;
use std::str::FromStr;

use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::rng::Rng;

/// Shortest joint password.
pub const MIN_LEN: usize = 6;
/// Longest joint password.
pub const MAX_LEN: usize = 16;
/// A password must be as hard to guess as this many random bits.
const MIN_BITS: f64 = 20.0;

/// A joint password, or what the holder typed as one. Wiped when dropped, never printed, compared in
/// constant time.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

/// Text that cannot be a joint password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a joint password: {MIN_LEN} to {MAX_LEN} printable ASCII characters without spaces")]
pub struct NotAPassword;

impl Password {
    /// The characters. Named so that each place that needs them is easy to find.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Compares exact ASCII in constant time.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl FromStr for Password {
    type Err = NotAPassword;
    fn from_str(text: &str) -> Result<Self, NotAPassword> {
        let fits = (MIN_LEN..=MAX_LEN).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        if fits { Ok(Self(Zeroizing::new(text.to_owned()))) } else { Err(NotAPassword) }
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(redacted)")
    }
}

/// Which classes of characters a password is drawn from. Look-alikes across the chosen classes are
/// left out: no 0, 1, I, O, l, o as soon as letters take part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Alphabet {
    /// Digits.
    pub digits: bool,
    /// Capital and small letters.
    pub letters: bool,
    /// The signs `#$%&*+=?@`.
    pub symbols: bool,
}

impl Alphabet {
    /// The characters to draw from.
    #[must_use]
    pub fn characters(self) -> Vec<u8> {
        let digits: &[u8] = if self.letters { b"23456789" } else { b"0123456789" };
        let letters = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz";
        let classes: [(bool, &[u8]); 3] =
            [(self.digits, digits), (self.letters, letters), (self.symbols, b"#$%&*+=?@")];
        classes.into_iter().filter(|(wanted, _)| *wanted).flat_map(|(_, class)| class).copied().collect()
    }
}

/// How joint passwords are drawn: alphabet and length, strong enough together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "PolicyFields", into = "PolicyFields")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PasswordPolicy {
    alphabet: Alphabet,
    length: usize,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct PolicyFields {
    alphabet: Alphabet,
    length: usize,
}

/// Why a policy is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WeakPolicy {
    /// No class of characters is chosen.
    #[error("choose at least one of digits, letters and symbols")]
    EmptyAlphabet,
    /// Too short or too long for the alphabet.
    #[error("with this alphabet a joint password has {min} to {MAX_LEN} characters")]
    Length {
        /// Shortest that is allowed.
        min: usize,
    },
}

impl PasswordPolicy {
    /// Checks that the length is at least ⌈20 / log₂ alphabet⌉ and 6 … 16.
    ///
    /// # Errors
    /// [`WeakPolicy`].
    pub fn new(alphabet: Alphabet, length: usize) -> Result<Self, WeakPolicy> {
        let min = match alphabet.characters().len() {
            0 => return Err(WeakPolicy::EmptyAlphabet),
            size => min_length(size),
        };
        if (min..=MAX_LEN).contains(&length) {
            Ok(Self { alphabet, length })
        } else {
            Err(WeakPolicy::Length { min })
        }
    }

    /// Which characters.
    #[must_use]
    pub fn alphabet(&self) -> Alphabet {
        self.alphabet
    }

    /// How many characters.
    #[must_use]
    pub fn length(&self) -> usize {
        self.length
    }

    /// Draws one password. Each character is equally likely: bytes that would favour some are
    /// thrown away.
    #[must_use]
    pub fn draw(&self, rng: &mut dyn Rng) -> Password {
        let characters = self.alphabet.characters();
        let fair = 256 - 256 % characters.len();
        let mut out = Zeroizing::new(String::with_capacity(MAX_LEN));
        let mut pool = Zeroizing::new([0u8; 32]);
        while out.len() < self.length {
            rng.fill(&mut pool[..]);
            let drawn = pool.iter().map(|byte| usize::from(*byte)).filter(|byte| *byte < fair);
            let wanted = self.length - out.len();
            out.extend(drawn.take(wanted).map(|byte| char::from(characters[byte % characters.len()])));
        }
        Password(out)
    }
}

#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn min_length(alphabet: usize) -> usize {
    let needed = MIN_BITS / (alphabet as f64).log2();
    MIN_LEN.max(needed.ceil() as usize)
}

impl Default for PasswordPolicy {
    /// Eight digits: easy to type on any keypad, 26 bits.
    fn default() -> Self {
        Self { alphabet: Alphabet { digits: true, letters: false, symbols: false }, length: 8 }
    }
}

impl TryFrom<PolicyFields> for PasswordPolicy {
    type Error = WeakPolicy;
    fn try_from(fields: PolicyFields) -> Result<Self, WeakPolicy> {
        Self::new(fields.alphabet, fields.length)
    }
}

impl From<PasswordPolicy> for PolicyFields {
    fn from(policy: PasswordPolicy) -> Self {
        Self { alphabet: policy.alphabet, length: policy.length }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::OsRng;

    fn alphabet(digits: bool, letters: bool, symbols: bool) -> Alphabet {
        Alphabet { digits, letters, symbols }
    }

    #[test]
    fn weak_policies_are_refused() {
        assert_eq!(PasswordPolicy::new(alphabet(false, false, false), 8), Err(WeakPolicy::EmptyAlphabet));
        // Nine symbols: 20 / log2(9) = 6.3.
        assert_eq!(PasswordPolicy::new(alphabet(false, false, true), 6), Err(WeakPolicy::Length { min: 7 }));
        // Ten digits: 20 / log2(10) = 6.02.
        assert_eq!(PasswordPolicy::new(alphabet(true, false, false), 6), Err(WeakPolicy::Length { min: 7 }));
        assert!(PasswordPolicy::new(alphabet(true, true, true), 6).is_ok());
        assert_eq!(PasswordPolicy::new(alphabet(true, true, true), 17), Err(WeakPolicy::Length { min: 6 }));
    }

    #[test]
    fn p_05_every_class_and_every_character_is_drawn() {
        for classes in [(true, false, false), (false, true, false), (false, false, true), (true, true, true)]
        {
            let alphabet = alphabet(classes.0, classes.1, classes.2);
            let policy = PasswordPolicy::new(alphabet, 16).unwrap();
            let mut seen = std::collections::BTreeSet::new();
            for _ in 0..2_000 {
                seen.extend(policy.draw(&mut OsRng).expose().bytes());
            }
            let mut expected = alphabet.characters();
            expected.sort_unstable();
            assert_eq!(seen.into_iter().collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn bytes_that_would_favour_some_characters_are_thrown_away() {
        struct Count(u8);
        impl Rng for Count {
            fn fill(&mut self, out: &mut [u8]) {
                for byte in out {
                    *byte = self.0;
                    self.0 = self.0.wrapping_add(1);
                }
            }
        }
        // Over all 256 byte values each digit must come up 25 times; 250 … 255 are thrown away.
        let policy = PasswordPolicy::new(alphabet(true, false, false), 10).unwrap();
        let mut counts = [0; 10];
        let mut rng = Count(250);
        for byte in policy.draw(&mut rng).expose().bytes() {
            counts[usize::from(byte - b'0')] += 1;
        }
        assert_eq!(counts, [1; 10]);
    }

    #[test]
    fn only_exact_ascii_matches() {
        let password: Password = "abcDEF".parse().unwrap();
        for (typed, same) in [("abcDEF", true), ("abcdef", false), ("abcDEFG", false), ("abcDEf", false)] {
            assert_eq!(password.matches(&typed.parse().unwrap()), same);
        }
        for bad in ["12345", "12345678901234567", "12 34567", "１２３４５６", ""] {
            assert!(bad.parse::<Password>().is_err(), "{bad}");
        }
    }
}
