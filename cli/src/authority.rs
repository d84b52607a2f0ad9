//! An authority of our own, which issues the server's certificate and is gone then: nobody can issue another in its name.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use crate::exit::Failure;

/// The authority and its key, which is never written.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Result<Self, Failure> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
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
        let params = CertificateParams::new(names).map_err(|why| failed(&why))?;
        let certificate = params.signed_by(&key, &self.0).map_err(|why| failed(&why))?;
        Ok((certificate.pem(), key.serialize_pem()))
    }
}

fn failed(why: &rcgen::Error) -> Failure {
    Failure::NotAsExpected(format!("no certificate can be made: {why}"))
}
