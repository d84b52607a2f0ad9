//! Kinds of keys that the server has versions of.

use std::fmt;

/// The keys that have versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyKind {
    /// The RSA key that opens E.
    Server,
    /// The issuer master key.
    Issuer,
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Server => "server",
            Self::Issuer => "issuer",
        })
    }
}
