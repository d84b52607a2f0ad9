//! Who may ask the service: clients with a role, and how each shows that it is the one.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use onetap_apdu_spec::crypto::{Digest, default_provider};
use onetap_apdu_spec::rng::{OsRng, Rng as _};
use onetap_apdu_spec::txn::TerminalId;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::domain::Timestamp;

/// Bytes of a token's secret: 256 random bits, which nobody finds by trying, so that a fast hash of them is enough.
const SECRET: usize = 32;
/// Characters of a token's secret in base64url.
const SECRET_TEXT: usize = 43;
/// Longest name of a client, in characters.
const MAX_ID: usize = 64;

/// SHA-256 over a client certificate (DER).
pub type Fingerprint = Digest;

/// A client's name: 1 to 64 letters, digits, `-` and `_`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClientId(String);

/// Not a client's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a client's name has 1 to 64 letters, digits, - or _, such as pos-00001")]
pub struct BadClientId;

impl ClientId {
    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ClientId {
    type Err = BadClientId;
    fn from_str(text: &str) -> Result<Self, BadClientId> {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let fits = (1..=MAX_ID).contains(&text.len()) && text.bytes().all(good);
        if fits { Ok(Self(text.to_owned())) } else { Err(BadClientId) }
    }
}

impl TryFrom<String> for ClientId {
    type Error = BadClientId;
    fn try_from(text: String) -> Result<Self, BadClientId> {
        text.parse()
    }
}

impl From<ClientId> for String {
    fn from(id: ClientId) -> Self {
        id.0
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a client may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// Sends what this terminal's holders signed, and asks what became of it.
    Terminal(TerminalId),
    /// Runs accounts and cards, unlocks.
    Operator,
    /// Reads everything, changes nothing.
    Auditor,
    /// Says who may ask: clients and terminals. Moves money by hand, makes checkpoints.
    Admin,
}

pub use onetap_apdu_spec::service::Role as RoleName;

/// A terminal's role without a terminal, or another with one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the role `terminal` needs a terminal, the others have none")]
pub struct BadRole;

impl Role {
    /// The role of this name, with its terminal if it is a terminal's.
    ///
    /// # Errors
    /// [`BadRole`].
    pub fn new(name: RoleName, terminal: Option<TerminalId>) -> Result<Self, BadRole> {
        match (name, terminal) {
            (RoleName::Terminal, Some(terminal)) => Ok(Self::Terminal(terminal)),
            (RoleName::Operator, None) => Ok(Self::Operator),
            (RoleName::Auditor, None) => Ok(Self::Auditor),
            (RoleName::Admin, None) => Ok(Self::Admin),
            _ => Err(BadRole),
        }
    }

    /// Its name, without the terminal.
    #[must_use]
    pub fn kind(&self) -> RoleName {
        match self {
            Self::Terminal(_) => RoleName::Terminal,
            Self::Operator => RoleName::Operator,
            Self::Auditor => RoleName::Auditor,
            Self::Admin => RoleName::Admin,
        }
    }

    /// The terminal that it speaks for.
    #[must_use]
    pub fn terminal(&self) -> Option<&TerminalId> {
        match self {
            Self::Terminal(terminal) => Some(terminal),
            _ => None,
        }
    }
}

/// What is kept of a token's secret.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Secret {
    /// SHA-256 over the secret's characters.
    Sha256(Digest),
    /// A hash of an earlier version of this program. Nobody is let in by it.
    Outdated,
}

impl Secret {
    fn of(secret: &str) -> Self {
        Self::Sha256(default_provider().sha256(&[secret.as_bytes()]))
    }

    /// Whether this is the secret of which it was made; in constant time.
    #[must_use]
    pub fn fits(&self, secret: &str) -> bool {
        match (self, Self::of(secret)) {
            (Self::Sha256(kept), Self::Sha256(shown)) => kept.ct_eq(&shown).into(),
            _ => false,
        }
    }

    /// Reads what `Display` writes; anything else is of an earlier version.
    #[must_use]
    pub fn parse(kept: &str) -> Self {
        let mut digest = Digest::default();
        hex::decode_to_slice(kept, &mut digest).map_or(Self::Outdated, |()| Self::Sha256(digest))
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha256(digest) => f.write_str(&hex::encode(digest)),
            Self::Outdated => f.write_str("outdated"),
        }
    }
}

/// How a client shows that it is the one. With both, it must show both.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// A bearer token.
    Token(Secret),
    /// A certificate of the operator's CA with this fingerprint.
    Certificate(Fingerprint),
    /// Token and certificate.
    Both(Secret, Fingerprint),
}

impl Credential {
    /// What is kept of the token's secret.
    #[must_use]
    pub fn secret(&self) -> Option<&Secret> {
        match self {
            Self::Token(secret) | Self::Both(secret, _) => Some(secret),
            Self::Certificate(_) => None,
        }
    }

    /// The certificate's fingerprint.
    #[must_use]
    pub fn certificate(&self) -> Option<&Fingerprint> {
        match self {
            Self::Certificate(fingerprint) | Self::Both(_, fingerprint) => Some(fingerprint),
            Self::Token(_) => None,
        }
    }

    /// True if its token is of an earlier version of this program, which lets nobody in: a new client is needed.
    #[must_use]
    pub fn is_outdated(&self) -> bool {
        self.secret() == Some(&Secret::Outdated)
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Token(_) => "Token",
            Self::Certificate(_) => "Certificate",
            Self::Both(..) => "Both",
        })
    }
}

/// A client as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientRecord {
    /// Its name.
    pub id: ClientId,
    /// What it may do.
    pub role: Role,
    /// How it shows that it is the one.
    pub credential: Credential,
    /// When it was added.
    pub added_at: Timestamp,
    /// When it was withdrawn, for good.
    pub withdrawn_at: Option<Timestamp>,
}

/// What a client is found by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ClientKey {
    /// Its name.
    Name(ClientId),
    /// The fingerprint of its certificate.
    Certificate(Fingerprint),
}

impl fmt::Display for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(id) => write!(f, "client {id}"),
            Self::Certificate(fingerprint) => {
                write!(f, "client with the certificate {}", hex::encode(fingerprint))
            }
        }
    }
}

/// A client to be added. Without a certificate it gets a token; with one, a token only if asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewClient {
    /// Its name.
    pub id: ClientId,
    /// What it may do.
    pub role: Role,
    /// Its certificate, which it must show.
    pub certificate: Option<Fingerprint>,
    /// Asks for a token besides the certificate; both must be shown then.
    pub token: bool,
}

impl NewClient {
    /// A client that shows a token only.
    #[must_use]
    pub fn with_token(id: ClientId, role: Role) -> Self {
        Self { id, role, certificate: None, token: true }
    }

    /// What is to be kept of the client, and its token if it gets one.
    #[must_use]
    pub fn make(self, added_at: Timestamp) -> (ClientRecord, Option<Token>) {
        let Self { id, role, certificate, token } = self;
        let (credential, token) = match (certificate, token) {
            (Some(certificate), false) => (Credential::Certificate(certificate), None),
            (certificate, _) => {
                let (token, secret) = Token::make(&id);
                let both = |certificate| Credential::Both(secret, certificate);
                (certificate.map_or(Credential::Token(secret), both), Some(token))
            }
        };
        (ClientRecord { id, role, credential, added_at, withdrawn_at: None }, token)
    }
}

/// A bearer token, `NAME.SECRET`: shown once, when it is made.
pub struct Token(Zeroizing<String>);

impl Token {
    /// A new token of a client, and what is to be kept of it.
    #[must_use]
    pub fn make(id: &ClientId) -> (Self, Secret) {
        let mut secret = Zeroizing::new([0; SECRET]);
        OsRng.fill(secret.as_mut());
        let secret = Zeroizing::new(URL_SAFE_NO_PAD.encode(secret.as_ref()));
        let kept = Secret::of(&secret);
        (Self(Zeroizing::new(format!("{id}.{}", secret.as_str()))), kept)
    }

    /// The token itself. For its owner only.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The two parts of a presented token; none if it cannot be one of ours.
    #[must_use]
    pub fn split(token: &str) -> Option<(ClientId, &str)> {
        let (id, secret) = token.split_once('.')?;
        let id = id.parse().ok()?;
        (secret.len() == SECRET_TEXT).then_some((id, secret))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SHA-256 of the 43 characters, by `printf %s … | sha256sum`.
    #[test]
    fn a_secret_is_kept_as_its_sha_256() {
        let secret = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
        let kept = "ea866a757e4c38babfa8127cbe9a409d3e1f93a00ff1488ff735fcf917afffd0";
        assert_eq!(Secret::of(secret).to_string(), kept);
        assert!(Secret::parse(kept).fits(secret));
        assert!(!Secret::parse(kept).fits("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9"));
    }

    #[test]
    fn what_an_earlier_version_kept_lets_nobody_in() {
        let secret = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
        for kept in ["$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaA", "outdated", "", secret] {
            let kept = Secret::parse(kept);
            assert!(kept == Secret::Outdated && !kept.fits(secret) && !kept.fits("outdated"));
        }
    }
}
