//! Money moved by hand by two people: one asks, another approves.

use onetap_apdu_spec::account::AccountNumber;
use onetap_apdu_spec::money::Currency;
use onetap_apdu_spec::service::{SystemName, TransactionId};

use crate::domain::{AccountKind, Actor, HoldId, Timestamp};

/// What one person asks for and another one approves.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "act", rename_all = "kebab-case", deny_unknown_fields)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub enum ByHand {
    /// Holds so many minor units of an account.
    PlaceHold {
        /// Whose money.
        #[cfg_attr(feature = "http", schema(value_type = String))]
        account: AccountNumber,
        /// Minor units.
        amount: u64,
    },
    /// Sets all that is held free again.
    ReleaseHold {
        /// Which hold.
        #[cfg_attr(feature = "http", schema(value_type = String))]
        hold: HoldId,
    },
    /// Pays what is held, or a part of it.
    CaptureHold {
        /// Which hold.
        #[cfg_attr(feature = "http", schema(value_type = String))]
        hold: HoldId,
        /// Who is paid.
        #[cfg_attr(feature = "http", schema(value_type = String))]
        payee: AccountNumber,
        /// Minor units.
        amount: u64,
    },
    /// Opens an account with a balance.
    OpenAccount {
        /// The holder's name, as it must stand in transactions that pay this account.
        holder: String,
        /// ISO 4217.
        #[cfg_attr(feature = "http", schema(value_type = String, pattern = "^[A-Z]{3}$"))]
        currency: Currency,
        /// `current` or `stored-value`.
        #[cfg_attr(feature = "http", schema(value_type = String, pattern = "^(current|stored-value)$"))]
        kind: AccountKind,
        /// Minor units, out of the operator's equity.
        opening_balance: u64,
        /// A number is made if none is given.
        #[serde(default)]
        #[cfg_attr(feature = "http", schema(value_type = Option<String>))]
        number: Option<AccountNumber>,
    },
    /// Posts the opposite of a transaction.
    Reverse {
        /// Which transaction.
        #[cfg_attr(feature = "http", schema(value_type = String))]
        transaction: TransactionId,
    },
    /// Says that another system keeps a stored value.
    LinkAccount {
        /// Which stored value.
        #[cfg_attr(feature = "http", schema(value_type = String))]
        account: AccountNumber,
        /// Which system.
        #[cfg_attr(feature = "http", schema(value_type = String))]
        system: SystemName,
    },
    /// Records that another system has booked a transaction.
    Settle {
        /// Which transaction.
        #[cfg_attr(feature = "http", schema(value_type = String))]
        transaction: TransactionId,
    },
    /// Records that another system will not book a transaction.
    Fail {
        /// Which transaction.
        #[cfg_attr(feature = "http", schema(value_type = String))]
        transaction: TransactionId,
        /// Why, for the log.
        said: String,
    },
}

/// How far a proposal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, strum::Display, strum::EnumString)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum ProposalState {
    /// Nobody has decided.
    Open,
    /// Approved, and done with that.
    Approved,
    /// Not to be done.
    Rejected,
}

/// A proposal, for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProposalView {
    /// Its number: the place of its entry in the operator's chain.
    pub proposal: i64,
    /// What is asked for.
    pub asks: ByHand,
    /// How far it is.
    pub state: ProposalState,
    /// Who asks.
    pub by: Actor,
    /// Why.
    pub reason: Option<String>,
    /// When it was asked for.
    pub asked_at: Timestamp,
    /// When it was decided.
    pub decided_at: Option<Timestamp>,
}
