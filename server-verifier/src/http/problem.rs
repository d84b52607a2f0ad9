//! Errors as the client sees them: problem+json (RFC 9457), one table for all of them.

use std::borrow::Cow;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use onetap_apdu_spec::service::PROBLEM_JSON;
pub(crate) use onetap_apdu_spec::service::{Problem as ProblemBody, ProblemKind as Kind};

use crate::domain::{LedgerError, StoreError, causes};
use crate::service::error::ServiceError;

/// What a client is told of a failure inside.
const SEE_LOG: &str = "the server's log has the reason; give its operator this request's id";

/// An error on its way to the client. The request's id is put in where the answer leaves.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    kind: Kind,
    detail: Cow<'static, str>,
    /// What the log has besides, or instead.
    cause: Option<Arc<str>>,
    retry_after: Option<u64>,
    /// Ends the connection after the answer.
    closes: bool,
}

impl Problem {
    pub(crate) fn new(kind: Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, detail: detail.into(), cause: None, retry_after: None, closes: false }
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

    /// For the log only: why.
    pub(crate) fn because(self, cause: impl Into<Arc<str>>) -> Self {
        Self { cause: Some(cause.into()), ..self }
    }

    /// The connection ends after this answer.
    pub(crate) fn closing(self) -> Self {
        Self { closes: true, ..self }
    }

    /// The code that was to answer has panicked; the log has the panic.
    pub(crate) fn panicked() -> Self {
        Self::new(Kind::Internal, SEE_LOG).because("the code that was to answer has panicked")
    }

    pub(crate) fn busy(detail: &'static str) -> Self {
        Self::new(Kind::Busy, detail).after(1)
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// Its kind in a word.
    pub(crate) fn word(&self) -> &'static str {
        self.kind.name()
    }

    /// What the log has as the reason.
    pub(crate) fn reason(&self) -> &str {
        self.cause.as_deref().unwrap_or(&self.detail)
    }

    /// Whether something has failed inside.
    pub(crate) fn is_failure(&self) -> bool {
        matches!(self.kind, Kind::Internal | Kind::Busy) && self.cause.is_some()
    }

    /// Whether it turns somebody away who may be a stranger.
    pub(crate) fn turns_away(&self) -> bool {
        matches!(
            self.kind,
            Kind::NotAuthenticated
                | Kind::NotAllowed
                | Kind::TooSlow
                | Kind::TooLarge
                | Kind::TooMany
                | Kind::Busy
        )
    }

    fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The whole answer, once the request's id is known. Of the header fields of an empty answer in its place it keeps the methods that
    /// an address has.
    pub(crate) fn render(&self, request: &str, instead_of: &HeaderMap) -> Response {
        let body = ProblemBody::new(self.kind, &self.detail, request);
        let body = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if let Some(methods) = instead_of.get(header::ALLOW) {
            headers.insert(header::ALLOW, methods.clone());
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if self.closes {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
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
        *response.status_mut() = self.status();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<ServiceError> for Problem {
    fn from(error: ServiceError) -> Self {
        use ServiceError as E;
        if let E::Store(StoreError::AccountMoved) = error {
            return Self::busy("the account has moved to another shard; repeat the same there");
        }
        let kind = match &error {
            E::NoSuchAccount
            | E::NoSuchCard
            | E::NoSuchClient
            | E::NoSuchTerminal
            | E::NoSuchToken
            | E::NoSuchProposal
            | E::NoSuchTransaction => Kind::NotFound,
            E::AccountExists
            | E::ClientExists
            | E::AccountNotEmpty
            | E::AccountClosed
            | E::NotLocked
            | E::CardNotActive
            | E::DoneBefore(_)
            | E::KeyTaken
            | E::NoToken
            | E::TakesTwo
            | E::OwnProposal
            | E::TooManyTokens
            | E::NotATerminals
            | E::LastTerminal
            | E::KeyRetired
            | E::CardNotOrdered
            | E::CardBlocked => Kind::Conflict,
            E::ReasonNeeded(_)
            | E::Policy(_)
            | E::BalanceTooLarge
            | E::HolderName
            | E::Edition(_)
            | E::DangerRefused { .. }
            | E::ConfirmationCurrency
            | E::StatementMismatch
            | E::CannotCancel
            | E::StatementForged
            | E::UnusableKey(_)
            | E::ServersKey => Kind::Unprocessable,
            E::Ledger(error) => of_ledger(*error),
            E::Store(error) if !is_lasting(error) => Kind::Busy,
            _ => Kind::Internal,
        };
        match kind {
            Kind::Busy => {
                let busy =
                    Self::busy("the store cannot be written now; repeat with the same idempotency key");
                busy.because(causes(&error))
            }
            // The client learns nothing but that the log has it.
            Kind::Internal => Self::new(Kind::Internal, SEE_LOG).because(causes(&error)),
            _ => Self::new(kind, error.to_string()),
        }
    }
}

/// Whether the store's error stays when the request is repeated.
fn is_lasting(error: &StoreError) -> bool {
    matches!(error, StoreError::Defect | StoreError::BadRow { .. } | StoreError::TooLarge)
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        ServiceError::from(error).into()
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
        | E::BookedElsewhere
        | E::AlreadyAnswered => Kind::Conflict,
        E::Amount | E::MoreThanHeld | E::Payee | E::KeptElsewhere | E::CannotReverse => Kind::Unprocessable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_has_the_cause_that_the_client_is_not_told() {
        let failed = rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(1),
            Some("no such table: some".to_owned()),
        );
        let problem = Problem::from(StoreError::from(failed));
        assert!(problem.is_failure());
        assert!(problem.reason().contains("no such table: some"), "{}", problem.reason());
        assert!(!problem.detail.contains("table"), "{}", problem.detail);
    }

    #[test]
    fn each_error_has_its_kind_and_only_clients_errors_are_told() {
        for (problem, kind) in [
            (Problem::panicked(), Kind::Internal),
            (StoreError::Defect.into(), Kind::Internal),
            (StoreError::BadRow { what: "row of accounts" }.into(), Kind::Internal),
            (StoreError::TooLarge.into(), Kind::Internal),
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
