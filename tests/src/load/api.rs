//! The service's JSON, as docs/spec/http.md has it.

use onetap_apdu_spec::service::{AUTHORISATIONS, AuthorisationRequest, IDEMPOTENCY_KEY};

use super::wire;

/// What a refusal's body is, whatever the reason.
pub const REFUSED: &[u8] = br#"{"outcome":"refused"}"#;
/// How the body of an execution begins; the receipt follows.
pub const EXECUTED: &[u8] = br#"{"outcome":"executed","#;

/// The bytes of an authorisation request to a server of this machine, by the client whose bearer token this is.
#[must_use]
pub fn authorise(token: &str, key: &str, request: &AuthorisationRequest) -> Vec<u8> {
    authorise_at("localhost", token, key, request)
}

/// The same to a server of this name, with its port if that is not the usual one.
#[must_use]
pub fn authorise_at(host: &str, token: &str, key: &str, request: &AuthorisationRequest) -> Vec<u8> {
    let body = serde_json::to_string(request).unwrap_or_default();
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str()), (IDEMPOTENCY_KEY, key)];
    wire::request_to(host, "POST", AUTHORISATIONS, &headers, &body)
}
