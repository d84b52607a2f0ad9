//! What is secret is not printed.

#![allow(clippy::unwrap_used, reason = "test code")]

use onetap_apdu_spec::crypto::Key256;
use onetap_apdu_spec::service::AuthorisationRequest;
use serde_json::json;

#[test]
fn passwords_are_not_printed() {
    let request = json!({ "transaction": "", "signature_message": "", "verification_password": "12345678" });
    let request: AuthorisationRequest = serde_json::from_value(request).unwrap();
    for printed in [format!("{request:?}"), format!("{:?}", request.verification_password)] {
        assert!(!printed.contains("1234"), "{printed}");
    }
}

#[test]
fn keys_are_not_printed() {
    let printed = format!("{:?}", Key256::new([0xab; 32]));
    assert!(["171", "ab, ab", "abab", "ABAB"].iter().all(|text| !printed.contains(text)), "{printed}");
}
