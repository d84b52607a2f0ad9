//! Holds and what became of them.

use onetap_apdu_spec::account::AccountNumber;
use onetap_apdu_spec::service::SystemName;

use crate::domain::{HoldId, Timestamp};

/// What became of a hold.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, strum::Display, strum::EnumString,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum HoldState {
    /// The money is held.
    Open,
    /// It, or a part, was paid.
    Captured,
    /// It is free again.
    Released,
}

/// A hold, for the operator.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct HoldView {
    /// Names it to whoever releases or captures it.
    pub hold: HoldId,
    /// Minor units that are, or were, held.
    pub amount: u64,
    /// What became of it.
    pub state: HoldState,
    /// Minor units that were paid out of it.
    pub captured: u64,
    /// Who is or was paid; none if that is not known, or is nobody's account.
    pub payee: Option<AccountNumber>,
    /// The other system whose answer it waits or waited for.
    pub system: Option<SystemName>,
    /// Since when.
    pub placed_at: Timestamp,
    /// Until when.
    pub closed_at: Option<Timestamp>,
}
