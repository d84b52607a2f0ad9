//! An authority of our own, which issues the server's certificate and is gone then: nobody can issue another in its name.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa};
use rcgen::{KeyPair, KeyUsagePurpose};

use crate::exit::Failure;

/// The authority and its key, which is never written.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Result<Self, Failure> {
        let mut params = named("Authority of a OneTap quickstart");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let made = KeyPair::generate().and_then(|key| CertifiedIssuer::self_signed(params, key));
        Ok(Self(made.map_err(|why| failed(&why))?))
    }

    /// Its own certificate.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for these addresses and names, and its private key.
    pub(crate) fn issue(&self, names: &[String]) -> Result<(String, String), Failure> {
        let key = KeyPair::generate().map_err(|why| failed(&why))?;
        let mut params = named("OneTap verifier");
        params.subject_alt_names =
            CertificateParams::new(names).map_err(|why| failed(&why))?.subject_alt_names;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.0).map_err(|why| failed(&why))?;
        Ok((certificate.pem(), key.serialize_pem()))
    }
}

/// A certificate's parameters, with the common name of its subject: OpenSSL takes a certificate whose issuer has the subject's
/// name for one that signed itself.
fn named(subject: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, subject);
    params
}

fn failed(why: &rcgen::Error) -> Failure {
    Failure::NotAsExpected(format!("no certificate can be made: {why}"))
}
