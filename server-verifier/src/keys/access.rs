//! What opens the keys: given from outside, never written by us.

use std::fmt;
use std::path::PathBuf;

use onetap_apdu_spec::crypto::Key256;
use onetap_apdu_spec::foreign::unframed;
use zeroize::Zeroizing;

/// A text that opens something. Wiped when dropped, never printed.
#[derive(Clone)]
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// Takes the text without what editors put around it; none if nothing is left.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let text = unframed(text);
        (!text.is_empty()).then(|| Self(Zeroizing::new(text.to_owned())))
    }

    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(redacted)")
    }
}

/// What the key file is sealed with.
#[derive(Debug, Clone, Default)]
pub enum KeyProtection {
    /// Nothing but the file's mode (0600).
    #[default]
    Plain,
    /// A key made of a passphrase by argon2id (RFC 9106).
    Passphrase(Passphrase),
    /// A key derived from the 32 bytes of a key file (HKDF, RFC 5869).
    KeyFile(Key256),
}

/// Where a PKCS#11 token is.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenPlace {
    /// The shared library that the token's maker supplies.
    pub module: PathBuf,
    /// The token's label.
    pub label: String,
}

/// All that it takes to make keys, or to open them.
#[derive(Debug, Clone, Default)]
pub struct KeyAccess {
    /// What seals the key file.
    pub protection: KeyProtection,
    /// Where new keys are made that never leave it. Keys that exist are found where their file says.
    pub token: Option<TokenPlace>,
    /// The token's user PIN.
    pub pin: Option<Passphrase>,
}

impl KeyAccess {
    /// For a key file that is sealed with `protection`.
    #[must_use]
    pub fn sealed(protection: KeyProtection) -> Self {
        Self { protection, ..Self::default() }
    }
}
