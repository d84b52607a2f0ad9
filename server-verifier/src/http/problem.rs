//! Errors as the client sees them: problem+json (RFC 9457), one table for all of them.

use std::borrow::Cow;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::clients::TokenError;
use crate::error::ServiceError;
use crate::ledger::LedgerError;

/// What went wrong, as far as a client may know. Each has a URN that stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Malformed,
    NotAuthenticated,
    NotAllowed,
    NotFound,
    MethodNotAllowed,
    TooSlow,
    Conflict,
    TooLarge,
    NotJson,
    Unprocessable,
    TooMany,
    Internal,
    Busy,
}

/// Status, the URN's last part, title.
type Row = (StatusCode, &'static str, &'static str);

impl Kind {
    const fn row(self) -> Row {
        match self {
            Self::Malformed => (StatusCode::BAD_REQUEST, "malformed", "The request is not well formed"),
            Self::NotAuthenticated => {
                (StatusCode::UNAUTHORIZED, "not-authenticated", "The client is not known")
            }
            Self::NotAllowed => {
                (StatusCode::FORBIDDEN, "not-allowed", "The client's role does not allow this")
            }
            Self::NotFound => (StatusCode::NOT_FOUND, "not-found", "There is no such thing"),
            Self::MethodNotAllowed => {
                (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "The address has no such method")
            }
            Self::TooSlow => (StatusCode::REQUEST_TIMEOUT, "too-slow", "The request came too slowly"),
            Self::Conflict => {
                (StatusCode::CONFLICT, "conflict", "The request does not fit the present state")
            }
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The request is too large"),
            Self::NotJson => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-json", "The request is not JSON"),
            Self::Unprocessable => {
                (StatusCode::UNPROCESSABLE_ENTITY, "unprocessable", "The request cannot be done")
            }
            Self::TooMany => (StatusCode::TOO_MANY_REQUESTS, "too-many-requests", "Too many requests"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "The server failed"),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy", "The server is busy"),
        }
    }
}

/// An error on its way to the client. The request's id is put in where the answer leaves.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    kind: Kind,
    detail: Cow<'static, str>,
    retry_after: Option<u64>,
}

#[derive(serde::Serialize, utoipa::ToSchema)]
#[schema(as = Problem, description = "RFC 9457")]
pub(crate) struct ProblemBody<'a> {
    /// `urn:onetap:problem:…`, stable
    r#type: String,
    title: &'a str,
    status: u16,
    /// What is wrong with this request, and what to do next
    detail: &'a str,
    /// The request's id, which the server's log has too: `urn:onetap:request:…`
    instance: String,
}

impl Problem {
    pub(crate) fn new(kind: Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, detail: detail.into(), retry_after: None }
    }

    pub(crate) fn malformed(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Malformed, detail)
    }

    pub(crate) fn not_authenticated() -> Self {
        let detail = "show a client certificate, or a token as `Authorization: Bearer NAME.SECRET`";
        Self::new(Kind::NotAuthenticated, detail)
    }

    /// Repeat after so many seconds.
    pub(crate) fn after(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds.max(1)), ..self }
    }

    pub(crate) fn busy(detail: &'static str) -> Self {
        Self::new(Kind::Busy, detail).after(1)
    }

    /// The client learns nothing but that the log has it.
    fn internal(error: &dyn std::error::Error) -> Self {
        tracing::error!(%error, "the server failed");
        Self::new(Kind::Internal, "the server's log has the reason; give its operator this request's id")
    }

    /// The whole answer, once the request's id is known.
    pub(crate) fn render(&self, request: &str) -> Response {
        let (status, name, title) = self.kind.row();
        let body = ProblemBody {
            r#type: format!("urn:onetap:problem:{name}"),
            title,
            status: status.as_u16(),
            detail: &self.detail,
            instance: format!("urn:onetap:request:{request}"),
        };
        let body = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if self.kind == Kind::NotAuthenticated {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"onetap\""));
        }
        response
    }
}

impl IntoResponse for Problem {
    /// Carries the problem to where the request's id is known.
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.kind.row().0;
        response.extensions_mut().insert(self);
        response
    }
}

impl From<ServiceError> for Problem {
    fn from(error: ServiceError) -> Self {
        use ServiceError as E;
        let kind = match &error {
            E::NoSuchAccount | E::NoSuchCard | E::NoSuchTerminal | E::NoSuchTransaction => Kind::NotFound,
            E::AccountExists
            | E::AccountNotEmpty
            | E::AccountClosed
            | E::NotLocked
            | E::CardNotActive
            | E::CardNotOrdered
            | E::CardBlocked => Kind::Conflict,
            E::ReasonNeeded
            | E::BalanceTooLarge
            | E::Edition(_)
            | E::DangerRefused { .. }
            | E::ConfirmationCurrency
            | E::StatementMismatch
            | E::StatementForged => Kind::Unprocessable,
            E::Ledger(error) => of_ledger(*error),
            E::Store(_) => Kind::Busy,
            _ => Kind::Internal,
        };
        match kind {
            Kind::Busy => {
                tracing::error!(%error, "the store failed");
                Self::busy("the store cannot be written now; repeat with the same idempotency key")
            }
            Kind::Internal => Self::internal(&error),
            _ => Self::new(kind, error.to_string()),
        }
    }
}

impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Self {
        Self::internal(&error)
    }
}

/// Not there, not possible now, or never possible.
fn of_ledger(error: LedgerError) -> Kind {
    use LedgerError as E;
    match error {
        E::NoSuchHold | E::NoSuchMessage => Kind::NotFound,
        E::InsufficientFunds
        | E::HoldClosed
        | E::AwaitsSystem
        | E::CannotLink
        | E::AlreadyReversed
        | E::NotSettled
        | E::AlreadyAnswered => Kind::Conflict,
        E::Amount | E::MoreThanHeld | E::Payee | E::KeptElsewhere | E::SystemName | E::CannotReverse => {
            Kind::Unprocessable
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_has_its_kind_and_only_clients_errors_are_told() {
        for (problem, kind) in [
            (Problem::from(TokenError), Kind::Internal),
            (ServiceError::LedgerBroken { what: "sums" }.into(), Kind::Internal),
            (ServiceError::from(LedgerError::NoSuchHold).into(), Kind::NotFound),
            (ServiceError::from(LedgerError::AlreadyReversed).into(), Kind::Conflict),
            (ServiceError::from(LedgerError::Amount).into(), Kind::Unprocessable),
        ] {
            assert_eq!(problem.kind, kind);
            assert_eq!(problem.detail.contains("log has the reason"), kind == Kind::Internal, "{problem:?}");
        }
    }
}
