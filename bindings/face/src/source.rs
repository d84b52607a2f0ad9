//! Transactions and where they come from.

use std::sync::Arc;

use onetap_apdu_spec::txn::TransactionType;
use onetap_pcsc_host::SourceError;
use onetap_pcsc_host::http::{CryptoProvider, Roots};
use onetap_pcsc_host::source::{self, Draft, Fetcher, Fields};

use crate::error::Result;
use crate::handle::entry;

/// What is to be paid, as text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Transaction {
    /// Puts money on the card's own stored value instead of paying.
    pub top_up: bool,
    /// IBAN, or digits ending in their Luhn check digit.
    pub payee_account: String,
    /// Whom the card names to its holder.
    pub payee_name: String,
    /// In major units, such as `12.34`.
    pub amount: String,
    /// ISO 4217, such as `EUR`.
    pub currency: String,
    /// The payee's reference.
    pub reference: String,
    /// More for the holder to read; may be empty.
    pub details: String,
}

impl Transaction {
    /// As the host takes it.
    pub(crate) fn draft(self) -> Result<Draft> {
        let Self { top_up, payee_account, payee_name, amount, currency, reference, details } = self;
        let kind = if top_up { TransactionType::TopUp } else { TransactionType::Payment };
        let details = Some(details).filter(|details| !details.is_empty());
        let fields = Fields { kind, payee_account, payee_name, amount, currency, reference, details };
        Ok(fields.draft().map_err(SourceError::from)?)
    }
}

impl From<&Draft> for Transaction {
    fn from(draft: &Draft) -> Self {
        let Fields { kind, payee_account, payee_name, amount, currency, reference, details } = draft.into();
        let (top_up, details) = (kind == TransactionType::TopUp, details.unwrap_or_default());
        Self { top_up, payee_account, payee_name, amount, currency, reference, details }
    }
}

/// Checks every field, and gives the transaction as it will be signed.
///
/// # Errors
/// [`Kind::Transaction`](crate::Kind::Transaction), which names every wrong field.
pub fn check(transaction: Transaction) -> Result<Transaction> {
    entry(|| Ok(Transaction::from(&transaction.draft()?)))
}

/// Reads a transaction in JSON (`docs/spec/transaction.schema.json`).
///
/// # Errors
/// [`Kind::Transaction`](crate::Kind::Transaction).
pub fn json(text: &[u8]) -> Result<Transaction> {
    entry(|| Ok(Transaction::from(&source::json(text)?)))
}

/// Reads what a scanner gives: the content of an EPC or EMVCo code, or a picture of one in PNG or JPEG. Where the code
/// leaves amount or tip to the payer, they are given here.
///
/// # Errors
/// [`Kind::AmountMissing`](crate::Kind::AmountMissing) if the payer has to be asked for the amount;
/// [`Kind::Transaction`](crate::Kind::Transaction).
pub fn scan(content: &[u8], amount: Option<&str>, tip: Option<&str>) -> Result<Transaction> {
    entry(|| {
        let filled = source::scan(content)?.fill(amount, tip).map_err(SourceError::from)?;
        Ok(Transaction::from(&filled))
    })
}

/// The cryptography of TLS.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Fetches a transaction in JSON from a URL, within ten seconds. `ca` is trusted for the host's certificate, in PEM; without
/// it whom the system trusts.
///
/// # Errors
/// [`Kind::Transaction`](crate::Kind::Transaction).
pub fn fetch(url: &str, ca: Option<&[u8]>) -> Result<Transaction> {
    entry(|| {
        let roots = ca.map_or(Ok(Roots::System), Roots::from_pem)?;
        Ok(Transaction::from(&Fetcher::with_provider(roots, provider()).fetch(url)?))
    })
}
