//! What the server knows of who asks.

use serde::{Deserialize, Serialize};

use super::Timestamp;
use crate::header::ServerId;
use crate::txn::TerminalId;

/// What a client may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::Display, strum::EnumString)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[strum(serialize_all = "kebab-case")]
pub enum Role {
    /// Sends the transactions of one terminal.
    Terminal,
    /// Runs accounts and cards.
    Operator,
    /// Reads everything.
    Auditor,
    /// Says who may ask, and moves money by hand.
    Admin,
}

/// Who asks, as the server knows it; and what a terminal has to know before a tap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Me))]
pub struct Standing {
    /// The client's name.
    pub client: String,
    /// What it may do.
    #[cfg_attr(feature = "openapi", schema(value_type = String, pattern = "^(terminal|operator|auditor|admin)$"))]
    pub role: Role,
    /// The terminal that it is; absent for other roles, and where it speaks for several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub terminal: Option<TerminalId>,
    /// The terminals that it speaks for, where these are several; absent otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub terminals: Vec<TerminalId>,
    /// The operator's server id, which the headers of its cards name.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub server: ServerId,
    /// The server's clock.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub time: Timestamp,
    /// A transaction may be dated so many seconds before its receipt.
    pub max_age: u32,
    /// A transaction may be dated so many seconds after its receipt.
    pub max_ahead: u32,
}

impl Standing {
    /// Whether the client speaks for this terminal.
    #[must_use]
    pub fn speaks_for(&self, terminal: &TerminalId) -> bool {
        self.terminal.as_ref() == Some(terminal) || self.terminals.contains(terminal)
    }
}
