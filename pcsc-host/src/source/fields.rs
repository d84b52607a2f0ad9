//! A transaction's fields as text.

use std::fmt;

use onetap_apdu_spec::account::AccountNumber;
use onetap_apdu_spec::editions::{check_account, check_currency};
use onetap_apdu_spec::money::{Amount, Currency};
use onetap_apdu_spec::txn::{Details, FieldError, PayeeName, Reference, TransactionType};
use serde::{Deserialize, Serialize};

use super::Draft;

/// Fields as text: what a form holds, and what the network sends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Fields {
    /// `payment` (the default) or `top-up`.
    #[serde(default = "payment", rename = "type")]
    pub kind: TransactionType,
    /// IBAN, or digits ending in their Luhn check digit; spaces between groups are allowed.
    pub payee_account: String,
    /// The payee's name, see [`PayeeName`].
    pub payee_name: String,
    /// In major units, such as `12.34`.
    pub amount: String,
    /// ISO 4217, such as `EUR`.
    pub currency: String,
    /// The payee's reference, up to 35 columns.
    pub reference: String,
    /// More for the holder to read, up to 140 columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<String>,
}

fn payment() -> TransactionType {
    TransactionType::Payment
}

/// A field of [`Fields`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Field {
    /// Payee account.
    PayeeAccount,
    /// Payee name.
    PayeeName,
    /// Amount.
    Amount,
    /// Currency.
    Currency,
    /// Reference.
    Reference,
    /// Details.
    Details,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PayeeAccount => "payee account",
            Self::PayeeName => "payee name",
            Self::Amount => "amount",
            Self::Currency => "currency",
            Self::Reference => "reference",
            Self::Details => "details",
        })
    }
}

/// All the fields that are wrong, each with its reason, so that a form can mark them at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldErrors(pub Vec<(Field, FieldError)>);

impl fmt::Display for FieldErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (field, why)) in self.0.iter().enumerate() {
            let separator = if i == 0 { "" } else { "; " };
            write!(f, "{separator}{field}: {why}")?;
        }
        Ok(())
    }
}

impl std::error::Error for FieldErrors {}

impl Fields {
    /// Checks every field.
    ///
    /// # Errors
    /// [`FieldErrors`] with every wrong one.
    pub fn draft(&self) -> Result<Draft, FieldErrors> {
        let mut wrong = Vec::new();
        let payee = self.payee(&mut wrong);
        let currency = self.checked_currency(&mut wrong);
        let amount = currency
            .and_then(|currency| note(&mut wrong, Field::Amount, Amount::parse(&self.amount, currency)));
        match (payee, amount) {
            (Some(payee), Some(amount)) => Ok(payee.asks(amount)),
            _ => Err(FieldErrors(wrong)),
        }
    }

    /// Everything but amount and currency.
    pub(super) fn payee(&self, wrong: &mut Vec<(Field, FieldError)>) -> Option<Payee> {
        let account = self.payee_account.replace(' ', "");
        let account = note(wrong, Field::PayeeAccount, account.parse::<AccountNumber>())
            .filter(|account| note(wrong, Field::PayeeAccount, check_account(account)).is_some());
        let name = note(wrong, Field::PayeeName, PayeeName::new(&self.payee_name));
        let reference = note(wrong, Field::Reference, Reference::new(&self.reference));
        let details = note(wrong, Field::Details, self.details.as_deref().map(Details::new).transpose());
        Some(Payee {
            kind: self.kind,
            account: account?,
            name: name?,
            reference: reference?,
            details: details?,
        })
    }

    pub(super) fn checked_currency(&self, wrong: &mut Vec<(Field, FieldError)>) -> Option<Currency> {
        note(wrong, Field::Currency, self.currency.parse::<Currency>())
            .filter(|code| note(wrong, Field::Currency, check_currency((*code).into())).is_some())
    }
}

/// Everything of a draft but the amount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Payee {
    pub(super) kind: TransactionType,
    pub(super) account: AccountNumber,
    pub(super) name: PayeeName,
    pub(super) reference: Reference,
    pub(super) details: Option<Details>,
}

impl Payee {
    pub(super) fn asks(self, amount: Amount) -> Draft {
        Draft {
            kind: self.kind,
            payee_account: self.account,
            payee_name: self.name,
            amount,
            reference: self.reference,
            details: self.details,
        }
    }
}

/// The value, or else a note of what is wrong with the field.
pub(super) fn note<T, E: Into<FieldError>>(
    wrong: &mut Vec<(Field, FieldError)>,
    field: Field,
    result: Result<T, E>,
) -> Option<T> {
    result.map_err(|why| wrong.push((field, why.into()))).ok()
}

impl From<&Draft> for Fields {
    fn from(draft: &Draft) -> Self {
        Self {
            kind: draft.kind,
            payee_account: draft.payee_account.to_string(),
            payee_name: draft.payee_name.to_string(),
            amount: draft.amount.number(),
            currency: draft.amount.currency().to_string(),
            reference: draft.reference.to_string(),
            details: draft.details.as_ref().map(ToString::to_string),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p_02_every_wrong_field_of_a_form_is_named() {
        let fields = Fields {
            kind: TransactionType::TopUp,
            payee_account: "DE89370400440532013001".into(),
            payee_name: "Coffee  Shop".into(),
            amount: "0".into(),
            currency: "EUR".into(),
            reference: String::new(),
            details: Some("a\nb".into()),
        };
        let errors = fields.draft().unwrap_err();
        let named: Vec<_> = errors.0.iter().map(|(field, _)| *field).collect();
        let expected =
            [Field::PayeeAccount, Field::PayeeName, Field::Reference, Field::Details, Field::Amount];
        assert_eq!(named, expected);
        assert!(errors.to_string().contains("amount: the amount is zero"), "{errors}");
        let currency = Fields { currency: "EURO".into(), ..fields }.draft().unwrap_err();
        assert!(currency.0.iter().any(|(field, _)| *field == Field::Currency));
    }
}
