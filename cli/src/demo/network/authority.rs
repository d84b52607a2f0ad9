//! An authority of the demonstration's own, which issues the server's certificate.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use crate::exit::Failure;

/// It lives as long as the demonstration.
pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(super) fn new() -> Result<Self, Failure> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let made = KeyPair::generate().and_then(|key| CertifiedIssuer::self_signed(params, key));
        Ok(Self(made.map_err(|why| failed(&why))?))
    }

    /// Its own certificate.
    pub(super) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for this address, and its private key.
    pub(super) fn issue(&self, address: &str) -> Result<(String, String), Failure> {
        let key = KeyPair::generate().map_err(|why| failed(&why))?;
        let params = CertificateParams::new(vec![address.to_owned()]).map_err(|why| failed(&why))?;
        let certificate = params.signed_by(&key, &self.0).map_err(|why| failed(&why))?;
        Ok((certificate.pem(), key.serialize_pem()))
    }
}

fn failed(why: &rcgen::Error) -> Failure {
    Failure::NotAsExpected(format!("no certificate can be made: {why}"))
}
