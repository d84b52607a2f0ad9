//! Failures that are known, each with its reason: a run that shows nothing else is as expected.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Known failures, by the id of the case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownFailures(BTreeMap<String, String>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    case: String,
    reason: String,
}

/// A list that is not taken.
#[derive(Debug, thiserror::Error)]
pub enum BadKnownFailures {
    /// Not the form.
    #[error("write a list of {{\"case\": ID, \"reason\": WHY}}: {0}")]
    Form(#[from] serde_json::Error),
    /// A case without a reason.
    #[error("the known failure {0} has no reason: write why it fails")]
    NoReason(String),
    /// A case that there is not.
    #[error("no case is named {0}; `onetap conform list` shows all")]
    NoSuchCase(String),
    /// A case that stands twice.
    #[error("the known failure {0} stands twice")]
    Twice(String),
}

impl KnownFailures {
    /// Reads a list in JSON.
    ///
    /// # Errors
    /// [`BadKnownFailures`].
    pub fn parse(text: &[u8]) -> Result<Self, BadKnownFailures> {
        let rows: Vec<Row> = serde_json::from_slice(text)?;
        let cases = crate::conform::cases();
        let mut known = BTreeMap::new();
        for Row { case, reason } in rows {
            if reason.trim().is_empty() {
                return Err(BadKnownFailures::NoReason(case));
            }
            if !cases.iter().any(|other| other.id == case) {
                return Err(BadKnownFailures::NoSuchCase(case));
            }
            if known.insert(case.clone(), reason).is_some() {
                return Err(BadKnownFailures::Twice(case));
            }
        }
        Ok(Self(known))
    }

    /// Why this case is known to fail.
    #[must_use]
    pub fn reason(&self, case: &str) -> Option<&str> {
        self.0.get(case).map(String::as_str)
    }
}
