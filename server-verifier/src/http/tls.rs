//! TLS 1.3 with AWS-LC, and clients' certificates.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use onetap_apdu_spec::crypto::Crypto;
use rustls::pki_types::pem::{Error as PemError, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection};
use tokio_rustls::TlsAcceptor;

use super::config::TlsFiles;
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
    /// A certificate or key that does not fit.
    #[error("the certificate and key cannot be used: {0}; give a certificate with its own PKCS #8 key")]
    Rustls(#[from] rustls::Error),
    /// A CA that clients' certificates cannot be verified against.
    #[error("the clients' CA cannot be used: {0}; give CA certificates in PEM")]
    ClientCa(#[from] rustls::server::VerifierBuilderError),
}

/// Makes the acceptor of connections.
pub(crate) fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor, TlsError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let chain = certificates(&files.certificates)?;
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

/// The fingerprint of the first certificate in a PEM file: what a client is registered by.
///
/// # Errors
/// [`TlsError::Pem`].
pub fn certificate_fingerprint(crypto: &dyn Crypto, path: &Path) -> Result<Fingerprint, TlsError> {
    let first = certificates(path)?;
    let first = first.first().map(|certificate| crypto.sha256(&[certificate.as_ref()]));
    first.ok_or_else(|| TlsError::Pem {
        path: path.to_owned(),
        what: "certificate",
        source: PemError::NoItemsFound,
    })
}
