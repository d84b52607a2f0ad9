//! Amounts: exact integers in minor units of a currency.
//!
//! A card takes any [`CurrencyCode`]: ISO 4217 changes while the card lives. [`Currency`] is a code
//! whose name and exponent this program knows; whether it is in force is for terminal and server to
//! check ([`crate::editions`]).

use std::fmt;
use std::str::FromStr;

/// Largest amount of tag 9F02: twelve digits.
pub const MAX_MINOR: u64 = 999_999_999_999;

/// Why something is not an amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Zero is not a transaction.
    #[error("the amount is zero")]
    Zero,
    /// More than [`MAX_MINOR`] minor units.
    #[error("the amount has more than twelve digits")]
    TooLarge,
    /// Not a number, or more decimals than the currency has.
    #[error("not an amount in {0}: write it like {example}", example = example(*.0))]
    NotAnAmount(Currency),
    /// Not a code of ISO 4217 with minor units.
    #[error("not a currency code of ISO 4217")]
    NotACurrency,
}

/// How an amount in `currency` is written.
fn example(currency: Currency) -> &'static str {
    match currency.exponent() {
        0 => "1200",
        1 => "12.3",
        2 => "12.34",
        3 => "12.345",
        _ => "12.3456",
    }
}

/// What T names a currency by: three digits, 001 to 999 (ISO 4217 numeric). Written as its
/// alphabetic code where that is known, else as the digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CurrencyCode(u16);

impl CurrencyCode {
    /// The largest.
    const MAX: u16 = 999;

    /// From the number that the three digits are.
    ///
    /// # Errors
    /// [`MoneyError::NotACurrency`] unless it is 1 to 999.
    pub fn new(code: u16) -> Result<Self, MoneyError> {
        if (1..=Self::MAX).contains(&code) { Ok(Self(code)) } else { Err(MoneyError::NotACurrency) }
    }

    /// The number that the three digits are, such as 978.
    #[must_use]
    pub fn numeric(self) -> u16 {
        self.0
    }

    /// The currency, if this program knows it.
    #[must_use]
    pub fn known(self) -> Option<Currency> {
        Currency::from_numeric(self.0).ok()
    }
}

impl From<Currency> for CurrencyCode {
    fn from(currency: Currency) -> Self {
        Self(currency.numeric())
    }
}

impl PartialEq<Currency> for CurrencyCode {
    fn eq(&self, other: &Currency) -> bool {
        self.0 == other.numeric()
    }
}

impl FromStr for CurrencyCode {
    type Err = MoneyError;
    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let digits = text.len() == 3 && text.bytes().all(|b| b.is_ascii_digit());
        match text.parse() {
            Ok(code) if digits => Self::new(code),
            _ => text.parse::<Currency>().map(Self::from),
        }
    }
}

impl fmt::Display for CurrencyCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.known() {
            Some(currency) => f.write_str(currency.code()),
            None => write!(f, "{:03}", self.0),
        }
    }
}

impl fmt::Debug for CurrencyCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl TryFrom<String> for CurrencyCode {
    type Error = MoneyError;
    fn try_from(text: String) -> Result<Self, MoneyError> {
        text.parse()
    }
}

impl From<CurrencyCode> for String {
    fn from(code: CurrencyCode) -> String {
        code.to_string()
    }
}

/// A currency of ISO 4217 that has minor units, in force or withdrawn.
#[derive(Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency {
    currency: iso_currency::Currency,
    exponent: u8,
}

impl Currency {
    /// By numeric code, such as 978.
    ///
    /// # Errors
    /// [`MoneyError::NotACurrency`].
    pub fn from_numeric(code: u16) -> Result<Self, MoneyError> {
        iso_currency::Currency::from_numeric(code).ok_or(MoneyError::NotACurrency).and_then(Self::new)
    }

    fn new(currency: iso_currency::Currency) -> Result<Self, MoneyError> {
        let exponent = currency.exponent().and_then(|e| u8::try_from(e).ok());
        exponent.map(|exponent| Self { currency, exponent }).ok_or(MoneyError::NotACurrency)
    }

    /// Numeric code, such as 978.
    #[must_use]
    pub fn numeric(self) -> u16 {
        self.currency.numeric()
    }

    /// Alphabetic code, such as EUR.
    #[must_use]
    pub fn code(self) -> &'static str {
        self.currency.code()
    }

    /// Decimals of the minor unit: 2 for EUR, 0 for JPY, 3 for KWD.
    #[must_use]
    pub fn exponent(self) -> u8 {
        self.exponent
    }
}

impl FromStr for Currency {
    type Err = MoneyError;
    fn from_str(code: &str) -> Result<Self, MoneyError> {
        iso_currency::Currency::from_code(code).ok_or(MoneyError::NotACurrency).and_then(Self::new)
    }
}

impl TryFrom<String> for Currency {
    type Error = MoneyError;
    fn try_from(code: String) -> Result<Self, MoneyError> {
        code.parse()
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> String {
        currency.code().to_owned()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// An amount to pay: 1 … [`MAX_MINOR`] minor units.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Amount {
    minor: u64,
    currency: CurrencyCode,
}

impl Amount {
    /// From minor units.
    ///
    /// # Errors
    /// [`MoneyError::Zero`], [`MoneyError::TooLarge`].
    pub fn new(minor: u64, currency: impl Into<CurrencyCode>) -> Result<Self, MoneyError> {
        match minor {
            0 => Err(MoneyError::Zero),
            1..=MAX_MINOR => Ok(Self { minor, currency: currency.into() }),
            _ => Err(MoneyError::TooLarge),
        }
    }

    /// From decimal text in major units, such as `12.34`, with at most the currency's decimals.
    ///
    /// # Errors
    /// [`MoneyError`].
    pub fn parse(text: &str, currency: Currency) -> Result<Self, MoneyError> {
        Self::new(parse_minor(text, currency)?, currency)
    }

    /// Minor units.
    #[must_use]
    pub fn minor(self) -> u64 {
        self.minor
    }

    /// The currency's code.
    #[must_use]
    pub fn currency(self) -> CurrencyCode {
        self.currency
    }

    /// The number alone: in major units if the currency is known, else in minor units.
    #[must_use]
    pub fn number(self) -> String {
        self.currency.known().map_or_else(|| self.minor.to_string(), |known| format_minor(self.minor, known))
    }
}

impl fmt::Display for Amount {
    /// `12.34 EUR`; or, where the decimals are not known and a guess could mislead, `1234 minor units of 998`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = if self.currency.known().is_some() { "" } else { "minor units of " };
        write!(f, "{} {unit}{}", self.number(), self.currency)
    }
}

/// Decimal text in major units to minor units; zero is allowed (balances).
///
/// # Errors
/// [`MoneyError::NotAnAmount`], [`MoneyError::TooLarge`].
pub fn parse_minor(text: &str, currency: Currency) -> Result<u64, MoneyError> {
    let (major, fraction) = text.split_once('.').unwrap_or((text, ""));
    let width = usize::from(currency.exponent());
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    let dangling = text.contains('.') && fraction.is_empty();
    if major.is_empty() || dangling || !digits(major) || !digits(fraction) || fraction.len() > width {
        return Err(MoneyError::NotAnAmount(currency));
    }
    let minor = format!("{major}{fraction:0<width$}").parse::<u64>();
    minor.ok().filter(|minor| *minor <= MAX_MINOR).ok_or(MoneyError::TooLarge)
}

/// Minor units as decimal text in major units: `1234` EUR is `12.34`.
#[must_use]
pub fn format_minor(minor: u64, currency: Currency) -> String {
    let decimals = usize::from(currency.exponent());
    let digits = format!("{minor:0width$}", width = decimals + 1);
    let (major, fraction) = digits.split_at(digits.len() - decimals);
    if fraction.is_empty() { major.to_owned() } else { format!("{major}.{fraction}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_currency_has_its_own_exponent() {
        let show = |text, code: &str| Amount::parse(text, code.parse().unwrap()).map(|a| a.to_string());
        assert_eq!(show("12.3", "EUR"), Ok("12.30 EUR".into()));
        assert_eq!(show("0.05", "EUR"), Ok("0.05 EUR".into()));
        assert_eq!(show("1200", "JPY"), Ok("1200 JPY".into()));
        assert_eq!(show("1.005", "KWD"), Ok("1.005 KWD".into()));
        assert_eq!(show("1.5", "JPY"), Err(MoneyError::NotAnAmount("JPY".parse().unwrap())));
    }

    #[test]
    fn advice_fits_the_currency() {
        for (code, advice) in [
            ("EUR", "not an amount in EUR: write it like 12.34"),
            ("JPY", "not an amount in JPY: write it like 1200"),
            ("KWD", "not an amount in KWD: write it like 12.345"),
            ("CLF", "not an amount in CLF: write it like 12.3456"),
        ] {
            let currency: Currency = code.parse().unwrap();
            assert_eq!(Amount::parse("x", currency).unwrap_err().to_string(), advice);
            assert!(Amount::parse(example(currency), currency).is_ok(), "{code}");
        }
    }

    #[test]
    fn a_code_that_is_not_known_is_shown_in_minor_units() {
        let show = |code| Amount::new(1234, CurrencyCode::new(code).unwrap()).unwrap().to_string();
        assert_eq!(show(978), "12.34 EUR");
        assert_eq!(show(191), "12.34 HRK"); // withdrawn, and known all the same
        assert_eq!(show(1), "1234 minor units of 001");
        assert_eq!(show(999), "1234 minor units of 999");
        for no in [0, 1000, u16::MAX] {
            assert_eq!(CurrencyCode::new(no), Err(MoneyError::NotACurrency));
        }
    }

    #[test]
    fn a_code_is_written_by_name_or_by_number_and_read_again() {
        for (text, numeric) in [("EUR", 978), ("008", 8), ("001", 1), ("999", 999)] {
            let code: CurrencyCode = text.parse().unwrap();
            assert_eq!(code.numeric(), numeric);
            assert_eq!(code.to_string().parse(), Ok(code));
        }
        for no in ["", "1", "0001", "000", "eur", "EURO", "+12", "XXX"] {
            assert_eq!(no.parse::<CurrencyCode>(), Err(MoneyError::NotACurrency), "{no}");
        }
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        let eur = "EUR".parse().unwrap();
        let no_amount = MoneyError::NotAnAmount(eur);
        for (text, error) in [
            ("0", MoneyError::Zero),
            ("10000000000.00", MoneyError::TooLarge),
            ("99999999999999999999", MoneyError::TooLarge),
            ("", no_amount),
            ("1.", no_amount),
            (".5", no_amount),
            ("-1", no_amount),
            ("+1", no_amount),
            ("1.234", no_amount),
            ("1e3", no_amount),
        ] {
            assert_eq!(Amount::parse(text, eur), Err(error), "{text}");
        }
        assert!(Amount::parse("9999999999.99", eur).is_ok());
        assert!("XXX".parse::<Currency>().is_err() && "eur".parse::<Currency>().is_err());
        assert!(Currency::from_numeric(1).is_err());
    }
}
