//! Drafts for the page: typed, pasted, fetched, or read off a picture.

use onetap_apdu_spec::money::Amount;
use onetap_apdu_spec::txn::TransactionType;
use onetap_pcsc_host::http::Roots;
use onetap_pcsc_host::source::{Fetcher, OpenDraft, Scanned, SourceError, Tip, code, picture};
use onetap_pcsc_host::{Draft, Fields};
use serde::{Deserialize, Serialize};

/// A transaction's fields as a person types them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Typed {
    payee_account: String,
    payee_name: String,
    amount: String,
    currency: String,
    reference: String,
    #[serde(default)]
    details: Option<String>,
    #[serde(default)]
    top_up: bool,
}

impl Typed {
    pub(super) fn draft(self) -> Result<Draft, SourceError> {
        let fields = Fields {
            kind: if self.top_up { TransactionType::TopUp } else { TransactionType::Payment },
            payee_account: self.payee_account,
            payee_name: self.payee_name,
            amount: self.amount,
            currency: self.currency,
            reference: self.reference,
            details: self.details.filter(|details| !details.is_empty()),
        };
        Ok(fields.draft()?)
    }
}

/// What is paid, as the page shows it and takes it back.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Paid {
    payee_account: String,
    payee_name: String,
    amount: String,
    currency: String,
    reference: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<String>,
    top_up: bool,
}

impl Paid {
    pub(super) fn of(draft: &Draft) -> Self {
        Self {
            payee_account: draft.payee_account.to_string(),
            payee_name: draft.payee_name.to_string(),
            amount: draft.amount.number(),
            currency: draft.amount.currency().to_string(),
            reference: draft.reference.to_string(),
            details: draft.details.as_ref().map(ToString::to_string),
            top_up: draft.kind == TransactionType::TopUp,
        }
    }
}

/// What a code leaves to the payer, once it was asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Payer {
    #[serde(default)]
    amount: Option<String>,
    #[serde(default)]
    tip: Option<String>,
}

/// What a code gave.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Found {
    /// Everything that the form has.
    Draft(Paid),
    /// The payer is asked for the amount or a tip; `code` is sent back with the answer.
    Open(Open),
}

#[derive(Debug, Serialize)]
pub(super) struct Open {
    #[serde(with = "hex::serde")]
    code: Vec<u8>,
    payee_name: String,
    payee_account: String,
    currency: String,
    /// Absent if the payer says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<String>,
    /// Whether the payer may add a tip.
    tip: bool,
}

/// The content of a code, with what the payer said.
pub(super) fn read(content: &[u8], payer: &Payer) -> Result<Found, SourceError> {
    let (amount, tip) = (payer.amount.as_deref(), payer.tip.as_deref());
    match code(content)? {
        Scanned::Open(open) if amount.is_none() && tip.is_none() => Ok(Found::Open(Open::of(&open, content))),
        scanned => Ok(Found::Draft(Paid::of(&scanned.fill(amount, tip)?))),
    }
}

impl Open {
    fn of(open: &OpenDraft, code: &[u8]) -> Self {
        Self {
            code: code.to_vec(),
            payee_name: open.payee_name().to_string(),
            payee_account: open.payee_account().to_string(),
            currency: open.currency().to_string(),
            amount: open.amount().map(Amount::number),
            tip: open.tip() == Tip::Asked,
        }
    }
}

/// A picture of a code, or a camera's frame, in PNG or JPEG.
pub(super) fn scan(bytes: &[u8]) -> Result<Found, SourceError> {
    read(&picture::encoded(bytes)?, &Payer::default())
}

/// JSON at a URL.
pub(super) fn fetch(url: &str) -> Result<Paid, SourceError> {
    Ok(Paid::of(&Fetcher::new(Roots::System).fetch(url)?))
}
