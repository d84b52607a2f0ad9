//! What went wrong, as `application/problem+json` (RFC 9457), and what to do about it.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// A refusal. Clients tell refusals apart by `code`, people by `detail`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Problem {
    #[serde(serialize_with = "status_number")]
    status: StatusCode,
    code: &'static str,
    title: &'static str,
    detail: String,
    /// Number of the latest event, where something happened before the refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    /// Keys pressed before the one that was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pressed: Option<usize>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn status_number<S: serde::Serializer>(status: &StatusCode, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u16(status.as_u16())
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Refused");
        Self { status, code, title, detail: detail.into(), seq: None, pressed: None }
    }

    /// The request itself makes no sense.
    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", detail)
    }

    /// The request makes sense, but not now.
    pub(crate) fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, detail)
    }

    /// This card was started without what the request needs.
    pub(crate) fn not_here(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-here", detail)
    }

    pub(crate) fn after_keys(self, seq: u64, pressed: usize) -> Self {
        Self { seq: Some(seq), pressed: Some(pressed), ..self }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response =
            (self.status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
        }
        response
    }
}
