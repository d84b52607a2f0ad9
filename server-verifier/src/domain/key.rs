//! Kinds of keys that the server has versions of.

/// The keys that have versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, strum::Display)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum KeyKind {
    /// The RSA key that opens E.
    Server,
    /// The issuer master key.
    Issuer,
}
