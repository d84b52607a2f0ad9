//! The service's JSON, as docs/spec/http.md has it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use onetap_apdu_spec::request::AuthorisationRequest;
use onetap_apdu_spec::suite::Owed;

use super::wire;

/// Where transactions are sent to.
pub const AUTHORISATIONS: &str = "/v1/authorisations";
/// What a refusal's body is, whatever the reason.
pub const REFUSED: &[u8] = br#"{"outcome":"refused"}"#;
/// How the body of an execution begins; the receipt follows.
pub const EXECUTED: &[u8] = br#"{"outcome":"executed","#;

/// The bytes of an authorisation request, by the client whose bearer token this is.
#[must_use]
pub fn authorise(token: &str, key: &str, request: &AuthorisationRequest) -> Vec<u8> {
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str()), ("idempotency-key", key)];
    wire::request("POST", AUTHORISATIONS, &headers, &body(request))
}

fn body(request: &AuthorisationRequest) -> String {
    let object = request.password_object.as_ref().map(|object| {
        let kind = match object.kind {
            Owed::Encrypted => "encrypted",
            Owed::EncryptedDigest => "encrypted-digest",
            Owed::PasswordDigest => "password-digest",
        };
        serde_json::json!({ "kind": kind, "bytes": STANDARD.encode(&object.bytes) })
    });
    serde_json::json!({
        "transaction": STANDARD.encode(&request.transaction),
        "signature_message": STANDARD.encode(&request.signature_message),
        "verification_password": request.verification_password.expose(),
        "password_object": object,
    })
    .to_string()
}
