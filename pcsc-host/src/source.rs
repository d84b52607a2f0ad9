//! Where transactions come from (P-02). Each source gives a [`Draft`]: a transaction but for what only the tap can
//! add. `docs/spec/sources.md` has the rules.
//!
//! | source | function |
//! |---|---|
//! | typed | [`Fields::draft`] |
//! | JSON: a file, standard input | [`json`] |
//! | JSON at a URL | `Fetcher::fetch` (feature `http`) |
//! | the text or bytes of an EPC or EMVCo code | [`code`] |
//! | a picture of one, or a camera's frame | `picture::encoded` or `picture::luma`, then [`code`] (feature `codes`) |
//! | whatever a scanner gives | `scan` (feature `codes`) |
//!
//! A code may leave the amount, or a tip, to the payer: what it gives is [`Scanned`], which becomes a draft once the
//! payer's part is there.

use onetap_apdu_spec::account::{AccountNumber, Alias};
use onetap_apdu_spec::editions::{EditionError, check_account, check_currency};
use onetap_apdu_spec::money::Amount;
use onetap_apdu_spec::txn::{Details, PayeeName, Reference, TerminalId, Transaction, TransactionType};
use time::PrimitiveDateTime;

mod charset;
mod code;
mod emv;
mod epc;
#[cfg(feature = "http")]
mod fetch;
mod fields;
mod json;
#[cfg(feature = "codes")]
pub mod picture;
mod scanned;

#[cfg(feature = "codes")]
pub use code::scan;
pub use code::{CodeError, code};
pub use emv::EmvError;
pub use epc::EpcError;
#[cfg(feature = "http")]
pub use fetch::{FetchError, Fetcher};
pub use fields::{Field, FieldErrors, Fields};
pub use json::{JsonError, MAX_JSON, json};
#[cfg(feature = "codes")]
pub use picture::PictureError;
pub use scanned::{FillError, OpenDraft, Scanned, Tip};

/// A transaction without payer alias, terminal, time and unpredictable number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Payment or top-up.
    pub kind: TransactionType,
    /// The payee's account.
    pub payee_account: AccountNumber,
    /// The payee's name.
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

/// Why a source gives no draft. What is printed of foreign text is escaped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// Some fields are wrong; all of them are named.
    #[error(transparent)]
    Fields(#[from] FieldErrors),
    /// The JSON text is not a transaction.
    #[error("not a transaction in JSON: {0}")]
    Json(#[from] JsonError),
    /// The scanned text is not a payment code that can be paid.
    #[error(transparent)]
    Code(#[from] CodeError),
    /// The payer's part does not fit the code.
    #[error(transparent)]
    Fill(#[from] FillError),
    /// There is no one code in the picture.
    #[cfg(feature = "codes")]
    #[error(transparent)]
    Picture(#[from] PictureError),
    /// Nothing could be fetched.
    #[cfg(feature = "http")]
    #[error(transparent)]
    Fetch(#[from] FetchError),
}

impl SourceError {
    /// What to do next, and who can do it.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Fields(_) => "correct the named fields",
            Self::Json(_) => "ask the sender for a transaction in the documented form",
            Self::Code(error) => error.advice(),
            Self::Fill(error) => error.advice(),
            #[cfg(feature = "codes")]
            Self::Picture(error) => error.advice(),
            #[cfg(feature = "http")]
            Self::Fetch(error) => error.advice(),
        }
    }
}
