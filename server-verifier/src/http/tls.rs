//! TLS 1.3 with AWS-LC, and clients' certificates.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use onetap_apdu_spec::crypto::Crypto;
use rustls::pki_types::pem::{Error as PemError, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection};
use tokio_rustls::TlsAcceptor;
use x509_cert::Certificate;
use x509_cert::certificate::Version;
use x509_cert::der::Decode as _;
use x509_cert::der::oid::db::rfc5280::ID_KP_CLIENT_AUTH;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage};

use super::config::TlsFiles;
use crate::domain::Timestamp;
use crate::domain::client::Fingerprint;

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read as PEM, or holds nothing of the kind.
    #[error("{path} holds no {what} in PEM: {source}; give another file")]
    Pem {
        /// Which file.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
        /// What is wrong.
        source: PemError,
    },
    /// A certificate that nobody would accept.
    #[error("the certificate in {path} has expired at {at}; renew it")]
    Expired {
        /// Which file.
        path: PathBuf,
        /// When.
        at: Timestamp,
    },
    /// A certificate that cannot be read.
    #[error("{0} holds a certificate that is not X.509; give another file")]
    NotX509(PathBuf),
    /// A certificate that TLS refuses in each handshake.
    #[error(
        "the certificate in {path} {why}; issue it again, with `openssl x509 -req … -extfile <(echo {extension})`"
    )]
    Unfit {
        /// Which file.
        path: PathBuf,
        /// What it is.
        why: &'static str,
        /// What it must say, as OpenSSL's configuration has it.
        extension: &'static str,
    },
    /// A certificate or key that does not fit.
    #[error("the certificate and key cannot be used: {0}; give a certificate with its own PKCS #8 key")]
    Rustls(#[from] rustls::Error),
    /// A CA that clients' certificates cannot be verified against.
    #[error("the clients' CA cannot be used: {0}; give CA certificates in PEM")]
    ClientCa(#[from] rustls::server::VerifierBuilderError),
}

/// Days before the end of a certificate from which on it is told once a day.
const SOON: i64 = 30;
const DAY: i64 = 24 * 60 * 60;

/// The acceptor of TLS connections, as its files were when they were last read.
pub(crate) struct Tls(RwLock<Current>);

#[derive(Clone)]
struct Current {
    acceptor: TlsAcceptor,
    expires: Timestamp,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// [`TlsError`].
    pub(crate) fn open(files: &TlsFiles, now: Timestamp) -> Result<Self, TlsError> {
        Current::read(files, now).map(|current| Self(RwLock::new(current)))
    }

    /// Reads the files again: from the next connection on they count. Those that are open go on.
    ///
    /// # Errors
    /// [`TlsError`]: it goes on with what it has.
    pub(crate) fn reopen(&self, files: &TlsFiles, now: Timestamp) -> Result<(), TlsError> {
        let new = Current::read(files, now)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }

    fn current(&self) -> Current {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        self.current().acceptor
    }

    /// When the first certificate of the server's chain expires.
    pub(crate) fn expires(&self) -> Timestamp {
        self.current().expires
    }

    /// Tells if a certificate expires soon, or has.
    pub(crate) fn tell_expiry(&self, now: Timestamp) {
        let at = self.expires();
        let days = (at.0 - now.0).div_euclid(DAY);
        if days < SOON {
            tracing::warn!(%at, days, "the server's certificate expires: renew it, then send SIGHUP");
        }
    }
}

impl Current {
    fn read(files: &TlsFiles, now: Timestamp) -> Result<Self, TlsError> {
        let chain = certificates(&files.certificates)?;
        let expires = chain.iter().map(expiry).min().flatten();
        let expires = expires.ok_or_else(|| TlsError::NotX509(files.certificates.clone()))?;
        check(&files.certificates, chain.first(), Purpose::Server)?;
        if expires <= now {
            return Err(TlsError::Expired { path: files.certificates.clone(), at: expires });
        }
        Ok(Self { acceptor: acceptor(files, chain)?, expires })
    }
}

/// The end of a certificate's validity (RFC 5280 §4.1.2.5); none if it cannot be read.
fn expiry(certificate: &CertificateDer<'static>) -> Option<Timestamp> {
    let certificate = Certificate::from_der(certificate).ok()?;
    let end = certificate.tbs_certificate.validity.not_after.to_unix_duration();
    i64::try_from(end.as_secs()).ok().map(Timestamp)
}

/// Makes the acceptor of connections.
fn acceptor(files: &TlsFiles, chain: Vec<CertificateDer<'static>>) -> Result<TlsAcceptor, TlsError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let pem = |source| TlsError::Pem { path: files.key.clone(), what: "private key", source };
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(pem)?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path)? {
                roots.add(certificate)?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            let verifier =
                if files.require_client_certificate { verifier } else { verifier.allow_unauthenticated() };
            let verifier: Arc<dyn ClientCertVerifier> = verifier.build()?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = |source| TlsError::Pem { path: path.to_owned(), what: "certificate", source };
    let found: Vec<_> =
        CertificateDer::pem_file_iter(path).map_err(pem)?.collect::<Result<_, _>>().map_err(pem)?;
    if found.is_empty() { Err(pem(PemError::NoItemsFound)) } else { Ok(found) }
}

/// The fingerprint of the certificate that the client has shown, and TLS has verified.
pub(crate) fn fingerprint(crypto: &dyn Crypto, connection: &ServerConnection) -> Option<Fingerprint> {
    let leaf = connection.peer_certificates()?.first()?;
    Some(crypto.sha256(&[leaf.as_ref()]))
}

/// What a certificate is shown for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Server,
    Client,
}

/// Refuses a certificate that no handshake would take: of version 1, which is what `openssl x509 -req` makes without extensions;
/// and a client's that is an authority's, or says that it is for something else (RFC 5280 §4.2.1.9, §4.2.1.12).
fn check(path: &Path, first: Option<&CertificateDer<'_>>, purpose: Purpose) -> Result<(), TlsError> {
    let read = first.and_then(|certificate| Certificate::from_der(certificate).ok());
    let certificate = read.ok_or_else(|| TlsError::NotX509(path.to_owned()))?.tbs_certificate;
    let extension = match purpose {
        Purpose::Server => "subjectAltName=DNS:NAME",
        Purpose::Client => "extendedKeyUsage=clientAuth",
    };
    let unfit = |why| Err(TlsError::Unfit { path: path.to_owned(), why, extension });
    if certificate.version != Version::V3 {
        return unfit("is not of X.509 version 3, which TLS demands");
    }
    if purpose == Purpose::Server {
        return Ok(());
    }
    match (certificate.get::<BasicConstraints>(), certificate.get::<ExtendedKeyUsage>()) {
        (Err(_), _) | (_, Err(_)) => Err(TlsError::NotX509(path.to_owned())),
        (Ok(Some((_, BasicConstraints { ca: true, .. }))), _) => unfit("is an authority's, not a client's"),
        (_, Ok(Some((_, usage)))) if !usage.0.contains(&ID_KP_CLIENT_AUTH) => {
            unfit("is not for clients, as its extended key usage says")
        }
        _ => Ok(()),
    }
}

/// The fingerprint of the first certificate in a PEM file: what a client is registered by.
///
/// # Errors
/// [`TlsError::Pem`]; [`TlsError::Unfit`], [`TlsError::NotX509`] if the client could never show it.
pub fn certificate_fingerprint(crypto: &dyn Crypto, path: &Path) -> Result<Fingerprint, TlsError> {
    let first = certificates(path)?;
    check(path, first.first(), Purpose::Client)?;
    let first = first.first().map(|certificate| crypto.sha256(&[certificate.as_ref()]));
    first.ok_or_else(|| TlsError::Pem {
        path: path.to_owned(),
        what: "certificate",
        source: PemError::NoItemsFound,
    })
}
