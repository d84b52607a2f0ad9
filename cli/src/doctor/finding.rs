//! What a check came to.

use serde::Serialize;

/// What one look came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// For people.
    looked_at: String,
    #[serde(flatten)]
    verdict: Verdict,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "found", rename_all = "kebab-case")]
enum Verdict {
    Fine {
        what: String,
    },
    Wrong {
        what: String,
        cure: String,
    },
    /// It could not be looked at, or there was nothing to look at.
    NotLooked {
        what: String,
    },
}

impl Finding {
    pub(super) fn fine(looked_at: impl Into<String>, what: impl Into<String>) -> Self {
        Self { looked_at: looked_at.into(), verdict: Verdict::Fine { what: what.into() } }
    }

    pub(super) fn wrong(
        looked_at: impl Into<String>,
        what: impl Into<String>,
        cure: impl Into<String>,
    ) -> Self {
        Self { looked_at: looked_at.into(), verdict: Verdict::Wrong { what: what.into(), cure: cure.into() } }
    }

    pub(super) fn not_looked(looked_at: impl Into<String>, what: impl Into<String>) -> Self {
        Self { looked_at: looked_at.into(), verdict: Verdict::NotLooked { what: what.into() } }
    }

    pub(super) fn is_wrong(&self) -> bool {
        matches!(self.verdict, Verdict::Wrong { .. })
    }

    /// The line for people.
    pub(super) fn line(&self) -> String {
        let of = &self.looked_at;
        match &self.verdict {
            Verdict::Fine { what } => format!("fine   {of}: {what}"),
            Verdict::Wrong { what, cure } => format!("WRONG  {of}: {what}; what to do: {cure}"),
            Verdict::NotLooked { what } => format!("-      {of}: {what}"),
        }
    }
}
