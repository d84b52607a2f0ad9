//! Where transactions come from (P-02): typed in, from the network as JSON, or scanned from a code
//! on goods. Each gives a [`Draft`]: a transaction but for what only the tap can add.

use std::fmt;

use onetap_apdu_spec::account::{AccountNumber, Alias};
use onetap_apdu_spec::editions::{EditionError, check_account, check_currency};
use onetap_apdu_spec::money::{Amount, Currency};
use onetap_apdu_spec::txn::{
    Details, FieldError, PayeeName, Reference, TerminalId, Transaction, TransactionType,
};
use serde::{Deserialize, Serialize};
use time::PrimitiveDateTime;

mod epc;

pub use epc::{EpcError, EpcQr};

/// Longest JSON text that is looked at.
pub const MAX_JSON: usize = 4096;

/// A transaction without payer alias, terminal, time and unpredictable number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Payment or top-up.
    pub kind: TransactionType,
    /// Who is paid: account …
    pub payee_account: AccountNumber,
    /// … and name.
    pub payee_name: PayeeName,
    /// How much.
    pub amount: Amount,
    /// The payee's reference.
    pub reference: Reference,
    /// More, for the holder to read.
    pub details: Option<Details>,
}

impl Draft {
    /// Checks account and currency by the editions of their registries (REQ-E-1).
    ///
    /// # Errors
    /// [`EditionError`].
    pub fn check_editions(&self) -> Result<(), EditionError> {
        check_account(&self.payee_account)?;
        check_currency(self.amount.currency())
    }

    /// Adds what the tap knows.
    #[must_use]
    pub fn complete(
        &self,
        payer: Alias,
        at: PrimitiveDateTime,
        terminal: TerminalId,
        unpredictable_number: [u8; 4],
    ) -> Transaction {
        Transaction {
            kind: self.kind,
            payer,
            payee_account: self.payee_account.clone(),
            payee_name: self.payee_name.clone(),
            amount: self.amount,
            at,
            terminal,
            unpredictable_number,
            reference: self.reference.clone(),
            details: self.details.clone(),
        }
    }
}

/// Anything that a draft can come from.
pub trait TransactionSource {
    /// Reads and checks it.
    ///
    /// # Errors
    /// [`SourceError`].
    fn draft(&self) -> Result<Draft, SourceError>;
}

/// Why a source gives no draft.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Some fields are wrong; all of them are named.
    #[error(transparent)]
    Fields(#[from] FieldErrors),
    /// More than [`MAX_JSON`] bytes.
    #[error("the JSON text has {0} bytes; at most {MAX_JSON} are read")]
    TooLong(usize),
    /// Not the expected JSON.
    #[error("not a transaction in JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// Not the expected code.
    #[error("not an EPC QR code: {0}")]
    Epc(#[from] EpcError),
}

impl SourceError {
    /// What to do next.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Fields(_) => "correct the named fields",
            Self::TooLong(_) | Self::Json(_) => "ask the sender for a transaction in the documented form",
            Self::Epc(_) => "scan again; if it persists, type the transaction in",
        }
    }
}

/// Fields as text: what a form holds, and what the network sends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Fields {
    /// `payment` (the default) or `top-up`.
    #[serde(default = "payment", rename = "type")]
    pub kind: TransactionType,
    /// IBAN, or digits ending in their Luhn check digit; spaces between groups are allowed.
    pub payee_account: String,
    /// Up to 70 columns.
    pub payee_name: String,
    /// In major units, such as `12.34`.
    pub amount: String,
    /// ISO 4217, such as `EUR`.
    pub currency: String,
    /// Up to 35 columns.
    pub reference: String,
    /// Up to 140 columns.
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

impl TransactionSource for Fields {
    fn draft(&self) -> Result<Draft, SourceError> {
        Ok(self.check()?)
    }
}

impl Fields {
    /// Checks every field.
    ///
    /// # Errors
    /// [`FieldErrors`] with every wrong one.
    pub fn check(&self) -> Result<Draft, FieldErrors> {
        let mut wrong = Vec::new();
        let account = self.payee_account.replace(' ', "");
        let payee_account = note(&mut wrong, Field::PayeeAccount, account.parse::<AccountNumber>())
            .filter(|account| note(&mut wrong, Field::PayeeAccount, check_account(account)).is_some());
        let payee_name = note(&mut wrong, Field::PayeeName, PayeeName::new(&self.payee_name));
        let currency = note(&mut wrong, Field::Currency, self.currency.parse::<Currency>())
            .filter(|code| note(&mut wrong, Field::Currency, check_currency((*code).into())).is_some());
        let amount = currency
            .and_then(|currency| note(&mut wrong, Field::Amount, Amount::parse(&self.amount, currency)));
        let reference = note(&mut wrong, Field::Reference, Reference::new(&self.reference));
        let details = self.details.as_deref().map(Details::new).transpose();
        let details = note(&mut wrong, Field::Details, details);
        match (payee_account, payee_name, amount, reference, details) {
            (Some(payee_account), Some(payee_name), Some(amount), Some(reference), Some(details)) => {
                Ok(Draft { kind: self.kind, payee_account, payee_name, amount, reference, details })
            }
            _ => Err(FieldErrors(wrong)),
        }
    }
}

fn note<T, E: Into<FieldError>>(
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

/// A transaction from the network: [`Fields`] as one JSON object.
#[derive(Debug, Clone, Copy)]
pub struct NetworkJson<'a>(pub &'a [u8]);

impl TransactionSource for NetworkJson<'_> {
    fn draft(&self) -> Result<Draft, SourceError> {
        if self.0.len() > MAX_JSON {
            return Err(SourceError::TooLong(self.0.len()));
        }
        serde_json::from_slice::<Fields>(self.0)?.draft()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = r#"{"payee-account":"DE89 3704 0044 0532 0130 00","payee-name":"Coffee Shop",
        "amount":"12.34","currency":"EUR","reference":"Order 17"}"#;

    #[test]
    fn p_02_json_from_the_network_becomes_a_draft() {
        let draft = NetworkJson(JSON.as_bytes()).draft().unwrap();
        assert_eq!(draft.kind, TransactionType::Payment);
        assert_eq!(draft.payee_account.as_str(), "DE89370400440532013000");
        assert_eq!(draft.amount.to_string(), "12.34 EUR");
        assert_eq!(Fields::from(&draft).check(), Ok(draft));
    }

    #[test]
    fn other_json_is_refused() {
        let unknown = JSON.replace("\"reference\"", "\"payer\":\"x\",\"reference\"");
        let number = JSON.replace("\"12.34\"", "12.34");
        for bad in ["", "[]", "{}", unknown.as_str(), number.as_str(), &format!("{JSON}{JSON}")] {
            assert!(matches!(NetworkJson(bad.as_bytes()).draft(), Err(SourceError::Json(_))), "{bad}");
        }
        let long = format!("{JSON}{}", " ".repeat(MAX_JSON));
        assert!(matches!(NetworkJson(long.as_bytes()).draft(), Err(SourceError::TooLong(_))));
    }

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
        let errors = fields.check().unwrap_err();
        let named: Vec<_> = errors.0.iter().map(|(field, _)| *field).collect();
        let expected =
            [Field::PayeeAccount, Field::PayeeName, Field::Amount, Field::Reference, Field::Details];
        assert_eq!(named, expected);
        assert!(errors.to_string().contains("amount: the amount is zero"), "{errors}");
        let currency = Fields { currency: "EURO".into(), ..fields }.check().unwrap_err();
        assert!(currency.0.iter().any(|(field, _)| *field == Field::Currency));
    }
}
