//! What may be shown of the keys.

use onetap_apdu_spec::crypto::Crypto;
use onetap_apdu_spec::header::{KeyId, ServerId};

use super::access::TokenPlace;

/// The keys of a server, without any secret.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct KeySummary {
    /// Whose keys these are.
    pub server: ServerId,
    /// What seals the key file: `passphrase`, `key`, or nothing.
    pub sealed_by: Option<&'static str>,
    /// The token that holds the keys below, if one does.
    pub token: Option<TokenPlace>,
    /// Versions of the RSA key that opens E, ascending.
    pub server_keys: Vec<VersionSummary>,
    /// Versions of the issuer master key, ascending.
    pub issuer_keys: Vec<VersionSummary>,
    /// Fingerprint of the key that signs checkpoints of the audit log.
    pub checkpoint: String,
}

/// One version of a key.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct VersionSummary {
    /// Its version.
    pub id: KeyId,
    /// True if new cards get it.
    pub newest: bool,
    /// Of a public key the first half of SHA-256 over its SubjectPublicKeyInfo; of a master key its check
    /// value (docs/keys.md). In hex.
    pub fingerprint: String,
}

pub(super) fn fingerprint(crypto: &dyn Crypto, spki: &[u8]) -> String {
    let digest = crypto.sha256(&[spki]);
    hex::encode(&digest[..digest.len() / 2])
}
