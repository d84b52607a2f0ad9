//! Who may ask: clients with a role, and how each shows that it is the one.

mod memory;
mod stored;

use std::fmt;
use std::str::FromStr;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use onetap_apdu_spec::rng::{OsRng, Rng as _};
use onetap_apdu_spec::txn::TerminalId;
use zeroize::Zeroizing;

use crate::domain::Timestamp;
use crate::service::error::ServiceError;

pub use memory::MemoryClients;
pub use stored::StoredClients;

/// Bytes of a token's secret.
const SECRET: usize = 32;
/// Characters of a token's secret in base64url.
const SECRET_TEXT: usize = 43;
const MAX_ID: usize = 64;

/// SHA-256 over a client certificate (DER).
pub type Fingerprint = [u8; 32];

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

    /// In one word.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Terminal(_) => "terminal",
            Self::Operator => "operator",
            Self::Auditor => "auditor",
            Self::Admin => "admin",
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

/// How a client shows that it is the one. With both, it must show both.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// A bearer token; kept as its secret's Argon2id hash (PHC text).
    Token(String),
    /// A certificate of the operator's CA with this fingerprint.
    Certificate(Fingerprint),
    /// Token and certificate.
    Both(String, Fingerprint),
}

impl Credential {
    /// The Argon2id hash of the token's secret.
    #[must_use]
    pub fn secret_hash(&self) -> Option<&str> {
        match self {
            Self::Token(hash) | Self::Both(hash, _) => Some(hash),
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
    /// Since when.
    pub added_at: Timestamp,
    /// Until when; for good.
    pub withdrawn_at: Option<Timestamp>,
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
    /// What is to be kept of the client, and its token if it gets one. Hashes the token's secret: slow.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn make(self, added_at: Timestamp) -> Result<(ClientRecord, Option<Token>), TokenError> {
        let Self { id, role, certificate, token } = self;
        let (credential, token) = match (certificate, token) {
            (Some(certificate), false) => (Credential::Certificate(certificate), None),
            (certificate, _) => {
                let (token, hash) = Token::make(&id)?;
                let credential = match certificate {
                    Some(certificate) => Credential::Both(hash, certificate),
                    None => Credential::Token(hash),
                };
                (credential, Some(token))
            }
        };
        Ok((ClientRecord { id, role, credential, added_at, withdrawn_at: None }, token))
    }
}

/// A table of clients. All functions may block.
pub trait Clients: Send + Sync {
    /// The client of this name, withdrawn or not.
    ///
    /// # Errors
    /// [`ServiceError`] if the store fails.
    fn find(&self, id: &ClientId) -> Result<Option<ClientRecord>, ServiceError>;

    /// The client with this certificate, withdrawn or not.
    ///
    /// # Errors
    /// [`ServiceError`] if the store fails.
    fn find_certificate(&self, fingerprint: &Fingerprint) -> Result<Option<ClientRecord>, ServiceError>;

    /// Adds a client; a name or certificate is never used twice. False if it was.
    ///
    /// # Errors
    /// [`ServiceError::NoSuchTerminal`]; [`ServiceError`] if the store fails.
    fn add(&self, client: &ClientRecord) -> Result<bool, ServiceError>;

    /// Withdraws a client for good. False if there is none, or it is withdrawn already.
    ///
    /// # Errors
    /// [`ServiceError`] if the store fails.
    fn withdraw(&self, id: &ClientId, at: Timestamp) -> Result<bool, ServiceError>;

    /// All clients by name.
    ///
    /// # Errors
    /// [`ServiceError`] if the store fails.
    fn list(&self) -> Result<Vec<ClientRecord>, ServiceError>;
}

/// Argon2 had no memory to work in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no token can be made: the system has no memory for Argon2; free about 20 MB, then repeat")]
pub struct TokenError;

/// A bearer token, `NAME.SECRET`: shown once, when it is made.
pub struct Token(Zeroizing<String>);

impl Token {
    /// A new token of a client, and what is to be kept of it.
    ///
    /// # Errors
    /// [`TokenError`] if Argon2 fails, for want of memory.
    pub fn make(id: &ClientId) -> Result<(Self, String), TokenError> {
        let mut secret = Zeroizing::new([0; SECRET]);
        OsRng.fill(secret.as_mut());
        let secret = Zeroizing::new(URL_SAFE_NO_PAD.encode(secret.as_ref()));
        let hash = Argon2::default().hash_password(secret.as_bytes()).map_err(|_| TokenError)?;
        Ok((Self(Zeroizing::new(format!("{id}.{}", secret.as_str()))), hash.to_string()))
    }

    /// The token itself. For its owner only.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// The two parts of a presented token; none if it cannot be one of ours.
pub(crate) fn split(token: &str) -> Option<(ClientId, &str)> {
    let (id, secret) = token.split_once('.')?;
    let id = id.parse().ok()?;
    (secret.len() == SECRET_TEXT).then_some((id, secret))
}

/// Whether the secret is the one that was hashed. Takes tens of milliseconds and about 19 MB.
pub(crate) fn secret_fits(secret: &str, hash: &str) -> bool {
    let Ok(hash) = PasswordHash::new(hash) else { return false };
    Argon2::default().verify_password(secret.as_bytes(), &hash).is_ok()
}
