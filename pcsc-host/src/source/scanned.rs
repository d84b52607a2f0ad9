//! What a code gives: a draft, or one that lacks what the payer is to say.

use onetap_apdu_spec::account::AccountNumber;
use onetap_apdu_spec::money::{Amount, Currency, MAX_MINOR, MoneyError, parse_minor};
use onetap_apdu_spec::txn::PayeeName;

use super::fields::{Payee, note};
use super::{Draft, Field, FieldErrors, Fields};

/// What was read off a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scanned {
    /// Everything is there.
    Complete(Draft),
    /// The payer is to say the amount, or a tip. It cannot be tapped before that.
    Open(OpenDraft),
}

/// A draft whose amount or tip the payer says, such as a donation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenDraft {
    payee: Payee,
    currency: Currency,
    amount: Option<Amount>,
    tip: Tip,
}

/// What is paid on top of the amount (EMVCo merchant-presented mode, data objects 55 to 57).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tip {
    /// Nothing.
    None,
    /// What the payer likes to give, if anything.
    Asked,
    /// A fee in minor units.
    Fixed(u64),
    /// A fee in hundredths of a per cent of the amount, rounded half up to the minor unit.
    Percent(u32),
}

impl Tip {
    /// The sum of the amount, this fee, and what the payer gives on top in minor units.
    fn on(self, amount: Amount, given: u64) -> Result<Amount, MoneyError> {
        let minor = u128::from(amount.minor());
        let fee = match self {
            Self::None | Self::Asked => 0,
            Self::Fixed(fee) => u128::from(fee),
            Self::Percent(hundredths) => (minor * u128::from(hundredths) + 5_000) / 10_000,
        };
        let sum = u64::try_from(minor + fee + u128::from(given)).unwrap_or(u64::MAX);
        Amount::new(sum.min(MAX_MINOR + 1), amount.currency())
    }
}

/// Why the payer's part does not complete a scanned code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FillError {
    /// The code leaves the amount to the payer, who did not say it.
    #[error("the code leaves the amount, in {0}, to the payer")]
    NoAmount(Currency),
    /// The code has an amount, so the payer cannot say one.
    #[error("the code itself says the amount: {0}")]
    AmountIsSet(Amount),
    /// The code asks for no tip.
    #[error("the code asks for no tip")]
    NoTip,
    /// The payer's amount is wrong.
    #[error("amount: {0}")]
    Amount(MoneyError),
    /// The payer's tip is wrong.
    #[error("tip: {0}")]
    Tip(MoneyError),
    /// Amount and tip together are more than a transaction can carry.
    #[error("amount and tip together: {0}")]
    Sum(MoneyError),
}

impl FillError {
    pub(super) fn advice(self) -> &'static str {
        match self {
            Self::NoAmount(_) => "give the amount",
            Self::AmountIsSet(_) => "leave the amount out, or type the transaction in",
            Self::NoTip => "leave the tip out, or type the transaction in",
            Self::Amount(_) | Self::Tip(_) | Self::Sum(_) => "correct it",
        }
    }
}

impl Scanned {
    /// Checks the fields of a code, in which an empty amount is one that the payer says.
    pub(super) fn check(fields: &Fields, tip: Tip) -> Result<Self, FieldErrors> {
        let mut wrong = Vec::new();
        let payee = fields.payee(&mut wrong);
        let currency = fields.checked_currency(&mut wrong);
        let given = Some(fields.amount.as_str()).filter(|amount| !amount.is_empty());
        let amount = currency.and_then(|currency| {
            let amount = given.map(|amount| Amount::parse(amount, currency)).transpose();
            let sum = amount.and_then(|amount| amount.map(|amount| tip.on(amount, 0)).transpose());
            note(&mut wrong, Field::Amount, sum)
        });
        match (payee, currency, amount) {
            (Some(payee), Some(_), Some(Some(amount))) if tip != Tip::Asked => {
                Ok(Self::Complete(payee.asks(amount)))
            }
            (Some(payee), Some(currency), Some(amount)) => {
                Ok(Self::Open(OpenDraft { payee, currency, amount, tip }))
            }
            _ => Err(FieldErrors(wrong)),
        }
    }

    /// Adds what the payer said, in major units of the code's currency.
    ///
    /// # Errors
    /// [`FillError`] if something is missing, wrong, or was not asked for.
    pub fn fill(self, amount: Option<&str>, tip: Option<&str>) -> Result<Draft, FillError> {
        match self {
            Self::Open(open) => open.fill(amount, tip),
            Self::Complete(draft) if amount.is_some() => Err(FillError::AmountIsSet(draft.amount)),
            Self::Complete(_) if tip.is_some() => Err(FillError::NoTip),
            Self::Complete(draft) => Ok(draft),
        }
    }
}

impl OpenDraft {
    /// Whom the code names as payee.
    #[must_use]
    pub fn payee_name(&self) -> &PayeeName {
        &self.payee.name
    }

    /// The payee's account.
    #[must_use]
    pub fn payee_account(&self) -> &AccountNumber {
        &self.payee.account
    }

    /// The currency of amount and tip.
    #[must_use]
    pub fn currency(&self) -> Currency {
        self.currency
    }

    /// The amount, if the code says one; else the payer must.
    #[must_use]
    pub fn amount(&self) -> Option<Amount> {
        self.amount
    }

    /// What is paid on top; the payer says it where this is [`Tip::Asked`].
    #[must_use]
    pub fn tip(&self) -> Tip {
        self.tip
    }

    /// Adds what the payer said, in major units of [`Self::currency`]. No tip is no reason to refuse.
    ///
    /// # Errors
    /// [`FillError`].
    pub fn fill(self, amount: Option<&str>, tip: Option<&str>) -> Result<Draft, FillError> {
        let amount = match (self.amount, amount) {
            (Some(set), None) => set,
            (Some(set), Some(_)) => return Err(FillError::AmountIsSet(set)),
            (None, None) => return Err(FillError::NoAmount(self.currency)),
            (None, Some(text)) => Amount::parse(text, self.currency).map_err(FillError::Amount)?,
        };
        let given = match (self.tip, tip) {
            (_, None) => 0,
            (Tip::Asked, Some(text)) => parse_minor(text, self.currency).map_err(FillError::Tip)?,
            (_, Some(_)) => return Err(FillError::NoTip),
        };
        Ok(self.payee.asks(self.tip.on(amount, given).map_err(FillError::Sum)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scanned(amount: &str, currency: &str, tip: Tip) -> Scanned {
        let fields = Fields {
            kind: onetap_apdu_spec::txn::TransactionType::Payment,
            payee_account: "DE89370400440532013000".into(),
            payee_name: "Coffee Shop".into(),
            amount: amount.into(),
            currency: currency.into(),
            reference: "17".into(),
            details: None,
        };
        Scanned::check(&fields, tip).unwrap()
    }

    fn paid(scanned: Scanned, amount: Option<&str>, tip: Option<&str>) -> Result<String, FillError> {
        scanned.fill(amount, tip).map(|draft| draft.amount.to_string())
    }

    #[test]
    fn what_the_code_leaves_out_the_payer_says_and_nothing_else() {
        let eur: Currency = "EUR".parse().unwrap();
        let set = Amount::new(12_34, eur).unwrap();
        let open = || scanned("", "EUR", Tip::None);
        assert_eq!(paid(open(), None, None), Err(FillError::NoAmount(eur)));
        assert_eq!(paid(open(), Some("5"), None), Ok("5.00 EUR".into()));
        assert_eq!(paid(open(), Some("0"), None), Err(FillError::Amount(MoneyError::Zero)));
        assert_eq!(paid(open(), Some("5"), Some("1")), Err(FillError::NoTip));
        let complete = || scanned("12.34", "EUR", Tip::None);
        assert!(matches!(complete(), Scanned::Complete(_)));
        assert_eq!(paid(complete(), None, None), Ok("12.34 EUR".into()));
        assert_eq!(paid(complete(), Some("1"), None), Err(FillError::AmountIsSet(set)));
        assert_eq!(paid(complete(), None, Some("1")), Err(FillError::NoTip));
    }

    #[test]
    fn a_tip_is_added() {
        let asked = || scanned("12.34", "EUR", Tip::Asked);
        assert!(matches!(asked(), Scanned::Open(_)));
        assert_eq!(paid(asked(), None, None), Ok("12.34 EUR".into()));
        assert_eq!(paid(asked(), None, Some("0")), Ok("12.34 EUR".into()));
        assert_eq!(paid(asked(), None, Some("1.66")), Ok("14.00 EUR".into()));
        let bad = MoneyError::NotAnAmount("EUR".parse().unwrap());
        assert_eq!(paid(asked(), None, Some("1,66")), Err(FillError::Tip(bad)));
        assert_eq!(paid(asked(), None, Some("9999999999.99")), Err(FillError::Sum(MoneyError::TooLarge)));
        assert_eq!(paid(scanned("", "EUR", Tip::Asked), Some("10"), Some("2")), Ok("12.00 EUR".into()));
        assert_eq!(paid(scanned("10", "EUR", Tip::Fixed(50)), None, None), Ok("10.50 EUR".into()));
        assert_eq!(paid(scanned("", "EUR", Tip::Fixed(50)), Some("1"), None), Ok("1.50 EUR".into()));
    }

    #[test]
    fn percentages_are_rounded_half_up_to_the_minor_unit() {
        for (amount, currency, hundredths, sum) in [
            ("10.00", "EUR", 3_00, "10.30 EUR"),
            ("0.10", "EUR", 5_00, "0.11 EUR"),    // half a cent
            ("0.10", "EUR", 4_99, "0.10 EUR"),    // 0.499 cents
            ("12.34", "EUR", 99_99, "24.68 EUR"), // 12.338766
            ("1250", "JPY", 10, "1251 JPY"),      // 1.25
            ("9999999999.99", "EUR", 0, "9999999999.99 EUR"),
        ] {
            let open = scanned(amount, currency, Tip::Percent(hundredths));
            assert_eq!(paid(open, None, None), Ok(sum.into()), "{amount} {hundredths}");
        }
    }
}
