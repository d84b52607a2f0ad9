//! Errors as a client sees them: problem+json (RFC 9457), one table for all of them.

use serde::{Deserialize, Serialize};

/// How the stable part of every problem's `type` begins.
const URN: &str = "urn:onetap:problem:";

/// What went wrong, as far as a client may know. Each has a URN that stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, strum::VariantArray)]
pub enum ProblemKind {
    /// The request is not well formed.
    Malformed,
    /// The client is not known.
    NotAuthenticated,
    /// The client's role does not allow this.
    NotAllowed,
    /// There is no such thing.
    NotFound,
    /// The address has no such method.
    MethodNotAllowed,
    /// The request came too slowly.
    TooSlow,
    /// The request does not fit the present state.
    Conflict,
    /// The request is too large.
    TooLarge,
    /// The request is not JSON.
    NotJson,
    /// The request is well formed but cannot be done.
    Unprocessable,
    /// Too many requests came; wait for `Retry-After`.
    TooMany,
    /// The server failed.
    Internal,
    /// Nothing was decided; repeat with the same idempotency key after `Retry-After`.
    Busy,
}

impl ProblemKind {
    /// Every kind, in order of status.
    pub const ALL: &'static [Self] = <Self as strum::VariantArray>::VARIANTS;

    const fn row(self) -> (u16, &'static str, &'static str) {
        match self {
            Self::Malformed => (400, "malformed", "The request is not well formed"),
            Self::NotAuthenticated => (401, "not-authenticated", "The client is not known"),
            Self::NotAllowed => (403, "not-allowed", "The client's role does not allow this"),
            Self::NotFound => (404, "not-found", "There is no such thing"),
            Self::MethodNotAllowed => (405, "method-not-allowed", "The address has no such method"),
            Self::TooSlow => (408, "too-slow", "The request came too slowly"),
            Self::Conflict => (409, "conflict", "The request does not fit the present state"),
            Self::TooLarge => (413, "too-large", "The request is too large"),
            Self::NotJson => (415, "not-json", "The request is not JSON"),
            Self::Unprocessable => (422, "unprocessable", "The request cannot be done"),
            Self::TooMany => (429, "too-many-requests", "Too many requests"),
            Self::Internal => (500, "internal", "The server failed"),
            Self::Busy => (503, "busy", "The server is busy"),
        }
    }

    /// The HTTP status that it travels with.
    #[must_use]
    pub const fn status(self) -> u16 {
        self.row().0
    }

    /// The last part of its URN.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.row().1
    }

    /// One line for people.
    #[must_use]
    pub const fn title(self) -> &'static str {
        self.row().2
    }

    /// The whole URN.
    #[must_use]
    pub fn urn(self) -> String {
        format!("{URN}{}", self.name())
    }
}

/// The body of an answer that is no decision (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(description = "RFC 9457"))]
pub struct Problem {
    /// URN of its kind, `urn:onetap:problem:…`, which stays.
    pub r#type: String,
    /// One line for people.
    pub title: String,
    /// The answer's HTTP status.
    pub status: u16,
    /// What is wrong with this request, and what to do next.
    pub detail: String,
    /// The request's id, which the server's log has too: `urn:onetap:request:…`.
    pub instance: String,
}

impl Problem {
    /// A problem of `kind` for the request of that id.
    #[must_use]
    pub fn new(kind: ProblemKind, detail: &str, request: &str) -> Self {
        Self {
            r#type: kind.urn(),
            title: kind.title().to_owned(),
            status: kind.status(),
            detail: detail.to_owned(),
            instance: format!("urn:onetap:request:{request}"),
        }
    }

    /// Its kind; none if a later version of the server has more.
    #[must_use]
    pub fn kind(&self) -> Option<ProblemKind> {
        let name = self.r#type.strip_prefix(URN)?;
        ProblemKind::ALL.iter().copied().find(|kind| kind.name() == name)
    }
}
