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
    /// Sends what the holders at these terminals signed, one of them at least, and asks what became of it.
    Terminal(Vec<TerminalId>),
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
#[error("the role `terminal` needs a terminal or several, the others have none")]
pub struct BadRole;

impl Role {
    /// The role of this name, with its terminals if it is a terminal's.
    ///
    /// # Errors
    /// [`BadRole`].
    pub fn new(name: RoleName, terminals: Vec<TerminalId>) -> Result<Self, BadRole> {
        if (name == RoleName::Terminal) == terminals.is_empty() {
            return Err(BadRole);
        }
        Ok(match name {
            RoleName::Terminal => Self::Terminal(terminals),
            RoleName::Operator => Self::Operator,
            RoleName::Auditor => Self::Auditor,
            RoleName::Admin => Self::Admin,
        })
    }

    /// The role of one terminal.
    #[must_use]
    pub fn terminal(terminal: TerminalId) -> Self {
        Self::Terminal(vec![terminal])
    }

    /// Its name, without the terminals.
    #[must_use]
    pub fn kind(&self) -> RoleName {
        match self {
            Self::Terminal(_) => RoleName::Terminal,
            Self::Operator => RoleName::Operator,
            Self::Auditor => RoleName::Auditor,
            Self::Admin => RoleName::Admin,
        }
    }

    /// The terminals that it speaks for.
    #[must_use]
    pub fn terminals(&self) -> &[TerminalId] {
        match self {
            Self::Terminal(terminals) => terminals,
            _ => &[],
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

/// Number of a client's first token.
pub const FIRST_TOKEN: u32 = 1;

/// A token as it is kept.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenRecord {
    /// Its number, from [`FIRST_TOKEN`] on.
    pub number: u32,
    /// What is kept of its secret.
    pub secret: Secret,
    /// When it was made.
    pub made_at: Timestamp,
    /// From when on it is not good any more; without, it is good until its client is withdrawn.
    pub expires_at: Option<Timestamp>,
}

impl TokenRecord {
    /// A client's first token, without end.
    #[must_use]
    pub fn first(secret: Secret, made_at: Timestamp) -> Self {
        Self { number: FIRST_TOKEN, secret, made_at, expires_at: None }
    }

    /// Whether it is good at this moment.
    #[must_use]
    pub fn is_good(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }
}

impl fmt::Debug for TokenRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenRecord").field("number", &self.number).finish_non_exhaustive()
    }
}

/// A client as it is kept. With tokens and a certificate it must show both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientRecord {
    /// Its name.
    pub id: ClientId,
    /// What it may do.
    pub role: Role,
    /// Its tokens, those too that have expired; one of them must be shown.
    pub tokens: Vec<TokenRecord>,
    /// The fingerprint of its certificate, which must be shown.
    pub certificate: Option<Fingerprint>,
    /// When it was added.
    pub added_at: Timestamp,
    /// When it was withdrawn, for good.
    pub withdrawn_at: Option<Timestamp>,
}

impl ClientRecord {
    /// True if all of its tokens are of an earlier version of this program, which let nobody in: it needs a new one.
    #[must_use]
    pub fn needs_new_token(&self) -> bool {
        !self.tokens.is_empty() && self.tokens.iter().all(|token| token.secret == Secret::Outdated)
    }
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
    /// Until when its token is good.
    pub expires_at: Option<Timestamp>,
}

impl NewClient {
    /// A client that shows a token only, which does not expire.
    #[must_use]
    pub fn with_token(id: ClientId, role: Role) -> Self {
        Self { id, role, certificate: None, token: true, expires_at: None }
    }

    /// What is to be kept of the client, and its token if it gets one.
    #[must_use]
    pub fn make(self, added_at: Timestamp) -> (ClientRecord, Option<Token>) {
        let Self { id, role, certificate, token, expires_at } = self;
        let made = (token || certificate.is_none()).then(|| Token::make(&id));
        let kept = |(_, secret): &(Token, Secret)| TokenRecord {
            expires_at,
            ..TokenRecord::first(*secret, added_at)
        };
        let tokens = made.iter().map(kept).collect();
        let record = ClientRecord { id, role, tokens, certificate, added_at, withdrawn_at: None };
        (record, made.map(|(token, _)| token))
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
