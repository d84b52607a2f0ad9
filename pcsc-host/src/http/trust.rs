//! Whom the terminal trusts, and how it proves who it is.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, parse_pem};
use zeroize::Zeroizing;

/// Longest token.
const MAX_TOKEN: usize = 512;

/// Whom to trust for the server's certificate.
#[derive(Clone)]
pub enum Roots {
    /// The authorities that the system trusts.
    System,
    /// These and no others.
    Only(Vec<Certificate<'static>>),
}

impl Roots {
    /// The certificates of a PEM text, and no others.
    ///
    /// # Errors
    /// [`CredentialsError::NoCertificate`].
    pub fn from_pem(pem: &[u8]) -> Result<Self, CredentialsError> {
        Ok(Self::Only(certificates(pem)?))
    }

    pub(crate) fn into_ureq(self) -> RootCerts {
        match self {
            Self::System => RootCerts::PlatformVerifier,
            Self::Only(certificates) => RootCerts::Specific(Arc::new(certificates)),
        }
    }
}

/// What proves who this terminal is: a token, a certificate, or both, as the server's operator has it on record.
#[derive(Clone)]
pub struct Credentials {
    pub(super) token: Option<Zeroizing<String>>,
    pub(super) identity: Option<ClientCert>,
}

/// Credentials that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// Not one line of printable characters.
    #[error("this is no token: it has one line, as `onetap verifier client add` showed it")]
    Token,
    /// No certificate in PEM.
    #[error("this holds no certificate that can be read: give one in PEM")]
    NoCertificate,
    /// No private key in PEM.
    #[error("this holds no private key that can be read: give one in PEM, not encrypted")]
    NoKey,
}

impl Credentials {
    /// A token; space and line ends around it do not count.
    ///
    /// # Errors
    /// [`CredentialsError::Token`].
    pub fn token(token: &str) -> Result<Self, CredentialsError> {
        let token = token.trim_start_matches('\u{FEFF}').trim();
        let fits =
            (1..=MAX_TOKEN).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic());
        if !fits {
            return Err(CredentialsError::Token);
        }
        Ok(Self { token: Some(Zeroizing::new(token.to_owned())), identity: None })
    }

    /// A certificate, with those that lead to its root, and its private key, each in PEM.
    ///
    /// # Errors
    /// [`CredentialsError`].
    pub fn certificate(chain: &[u8], key: &[u8]) -> Result<Self, CredentialsError> {
        let key = PrivateKey::from_pem(key).map_err(|_| CredentialsError::NoKey)?;
        let identity = ClientCert::new_with_certs(&certificates(chain)?, key);
        Ok(Self { token: None, identity: Some(identity) })
    }

    /// These, and what `other` has besides.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { token: self.token.or(other.token), identity: self.identity.or(other.identity) }
    }
}

/// The cryptography of TLS that is linked anyway.
pub(crate) fn aws_lc() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// TLS 1.3 for whoever keeps connections of his own: trusts these roots, and shows the certificate if there is one.
pub(super) fn client_config(
    roots: &Roots,
    credentials: &Credentials,
    provider: &Arc<CryptoProvider>,
) -> Result<ClientConfig, rustls::Error> {
    let builder = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?;
    let builder = match roots {
        Roots::System => builder.with_platform_verifier()?,
        Roots::Only(certificates) => {
            let mut store = RootCertStore::empty();
            store.add_parsable_certificates(certificates.iter().map(|it| CertificateDer::from(it.der())));
            builder.with_root_certificates(store)
        }
    };
    let Some(identity) = &credentials.identity else { return Ok(builder.with_no_client_auth()) };
    let chain = identity.certs().iter().map(|it| CertificateDer::from(it.der()).into_owned()).collect();
    let key = PrivateKeyDer::try_from(identity.private_key().der());
    let key = key.map_err(|why| rustls::Error::General(why.to_owned()))?.clone_key();
    builder.with_client_auth_cert(chain, key)
}

fn certificates(pem: &[u8]) -> Result<Vec<Certificate<'static>>, CredentialsError> {
    let items: Result<Vec<_>, _> = parse_pem(pem).collect();
    let items = items.map_err(|_| CredentialsError::NoCertificate)?;
    let found = items.into_iter().filter_map(|item| match item {
        PemItem::Certificate(certificate) => Some(certificate),
        _ => None,
    });
    let found: Vec<_> = found.collect();
    if found.is_empty() { Err(CredentialsError::NoCertificate) } else { Ok(found) }
}
