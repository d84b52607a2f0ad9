//! What can be recorded, and why it was not.

use std::fmt;

use onetap_pcsc_host::trace::Divergence;
use serde::Serialize;

/// What can be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, strum::Display, strum::EnumString)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case", parse_err_ty = NoSuchScenario, parse_err_fn = no_such_scenario)]
pub enum Scenario {
    /// One payment, from tap to booking.
    Payment,
    /// Three wrong verification passwords lock the account; the operator unlocks it.
    Lockout,
    /// The terminal changes the amount.
    Tamper,
    /// The terminal sends commands in the wrong order.
    WrongOrder,
}

impl Scenario {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Payment, Self::Lockout, Self::Tamper, Self::WrongOrder];

    pub(super) fn description(self) -> &'static str {
        match self {
            Self::Payment => "one payment: one contact, confirmed on the card, executed by the server",
            Self::Lockout => "three wrong verification passwords lock the account, the operator unlocks it",
            Self::Tamper => {
                "the terminal changes the amount: the server refuses, and executes what was shown"
            }
            Self::WrongOrder => "commands in the wrong order, and a second tap while the card waits",
        }
    }

    /// Requirements that it is evidence for.
    pub(super) fn clauses(self) -> &'static [&'static str] {
        match self {
            Self::Payment => &["P-04", "P-17", "P-18", "P-19", "P-20", "P-21"],
            Self::Lockout => &["P-24"],
            Self::Tamper => &["P-18", "P-20"],
            Self::WrongOrder => &["P-06", "P-19"],
        }
    }
}

/// Not the name of a scenario.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no scenario is named {0}; there are payment, lockout, tamper and wrong-order")]
pub struct NoSuchScenario(String);

fn no_such_scenario(text: &str) -> NoSuchScenario {
    NoSuchScenario(text.to_owned())
}

/// Why a trace was not recorded or not replayed to its end.
#[derive(Debug, thiserror::Error)]
pub enum TraceFailure {
    /// The card did something else.
    #[error(transparent)]
    Diverged(#[from] Box<Divergence>),
    /// Card, server or terminal could not be made, or failed.
    #[error("{0}")]
    Stage(String),
}

pub(super) fn stage(why: impl fmt::Display) -> TraceFailure {
    TraceFailure::Stage(why.to_string())
}
