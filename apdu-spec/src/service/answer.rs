//! What the server answers once it has decided.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Timestamp;
use super::transaction_id::TransactionId;
use crate::account::AccountNumber;
use crate::money::Currency;
use crate::txn::{TerminalId, TransactionType};

/// The decision on a request, durable when it is sent; printed as the value of `outcome`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, strum::Display, strum::IntoStaticStr)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Outcome))]
#[strum(serialize_all = "kebab-case")]
pub enum Answer {
    /// Executed, once; a repetition gets the same receipt.
    Executed {
        /// What was executed.
        receipt: Receipt,
    },
    /// Not executed. Which of signature, password, counter, payee, date or lock was wrong is not told.
    Refused,
    /// Not executed: the password was right, the balance is too small. The counter value is spent.
    InsufficientFunds,
    /// Not executed: the password was right, the amount is over a limit. The counter value is spent.
    LimitExceeded,
}

/// The final state of a transaction that a cancellation asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Resolution {
    /// It was executed before the cancellation came.
    Executed {
        /// What was executed.
        receipt: Receipt,
    },
    /// It was not executed, and no copy of the request ever will be.
    Cancelled,
    /// The cancellation was refused: not signed by an enrolled card, or of another terminal.
    Refused,
}

/// What was executed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Receipt {
    /// Its id in the ledger.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "0123456789abcdef00000001"))]
    pub transaction: TransactionId,
    /// `payment` or `top-up`.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub kind: TransactionType,
    /// Amount in minor units of the currency.
    pub amount: u64,
    /// Currency code of ISO 4217, such as `EUR`.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub currency: Currency,
    /// Payee's account.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub payee: AccountNumber,
    /// Payee's name.
    pub payee_name: String,
    /// Payee's reference.
    pub reference: String,
    /// Moment of execution by the server's clock.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub executed_at: Timestamp,
    /// The other system that has yet to book it; absent if it is booked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub accepted_for: Option<SystemName>,
}

/// A transaction that was executed, as `GET /v1/transactions/{id}` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Transaction))]
pub struct TransactionRecord {
    /// What was executed.
    pub receipt: Receipt,
    /// The terminal that sent it.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub terminal: TerminalId,
    /// The payer's account; a terminal is not told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub payer: Option<AccountNumber>,
    /// The transaction that has reversed it; absent if none has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub reversal: Option<TransactionId>,
}

/// Another system that keeps accounts: 1 to 32 of a-z, 0-9 and `-`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SystemName(String);

/// Text that cannot name a system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a system's name has 1 to 32 of a-z, 0-9 and -")]
pub struct NotASystemName;

impl SystemName {
    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SystemName {
    type Err = NotASystemName;
    fn from_str(text: &str) -> Result<Self, NotASystemName> {
        text.to_owned().try_into()
    }
}

impl TryFrom<String> for SystemName {
    type Error = NotASystemName;
    fn try_from(text: String) -> Result<Self, NotASystemName> {
        let fits = (1..=32).contains(&text.len())
            && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        if fits { Ok(Self(text)) } else { Err(NotASystemName) }
    }
}

impl From<SystemName> for String {
    fn from(name: SystemName) -> String {
        name.0
    }
}
