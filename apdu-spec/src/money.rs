//! Amounts: exact integers in minor units of an ISO 4217 currency.

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
    #[error("not an amount in that currency: write it like 12.34")]
    NotAnAmount,
    /// Not a code of ISO 4217 with minor units.
    #[error("not a currency code of ISO 4217")]
    NotACurrency,
}

/// A currency of ISO 4217 that has minor units.
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
    currency: Currency,
}

impl Amount {
    /// From minor units.
    ///
    /// # Errors
    /// [`MoneyError::Zero`], [`MoneyError::TooLarge`].
    pub fn new(minor: u64, currency: Currency) -> Result<Self, MoneyError> {
        match minor {
            0 => Err(MoneyError::Zero),
            1..=MAX_MINOR => Ok(Self { minor, currency }),
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

    /// The currency.
    #[must_use]
    pub fn currency(self) -> Currency {
        self.currency
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", format_minor(self.minor, self.currency), self.currency)
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
        return Err(MoneyError::NotAnAmount);
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
        assert_eq!(show("1.5", "JPY"), Err(MoneyError::NotAnAmount));
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        let eur = "EUR".parse().unwrap();
        for (text, error) in [
            ("0", MoneyError::Zero),
            ("10000000000.00", MoneyError::TooLarge),
            ("99999999999999999999", MoneyError::TooLarge),
            ("", MoneyError::NotAnAmount),
            ("1.", MoneyError::NotAnAmount),
            (".5", MoneyError::NotAnAmount),
            ("-1", MoneyError::NotAnAmount),
            ("+1", MoneyError::NotAnAmount),
            ("1.234", MoneyError::NotAnAmount),
            ("1e3", MoneyError::NotAnAmount),
        ] {
            assert_eq!(Amount::parse(text, eur), Err(error), "{text}");
        }
        assert!(Amount::parse("9999999999.99", eur).is_ok());
        assert!("XXX".parse::<Currency>().is_err() && "eur".parse::<Currency>().is_err());
        assert!(Currency::from_numeric(1).is_err());
    }
}
