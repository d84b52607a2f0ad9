//! Signature: signs what the profile composes, and checks S before it goes out, so that a fault in the computation cannot give the key away.

use onetap_apdu_spec::crypto::{Crypto, CryptoError, RsaPrivate, RsaPublic};
use onetap_apdu_spec::header::Header;
use onetap_apdu_spec::keys::CardKeys;
use onetap_apdu_spec::password::Password;
use onetap_apdu_spec::signed::{SignatureMessage, SignedParts};
use onetap_apdu_spec::suite::Owed;

/// The signing key, both halves parsed once.
#[derive(Debug)]
pub(crate) struct SigningKey {
    private: Box<dyn RsaPrivate>,
    public: Box<dyn RsaPublic>,
}

/// What goes to the terminal.
pub(crate) struct Output {
    /// H and S.
    pub(crate) message: SignatureMessage,
    /// E, D(E) or D(pw), if the profile owes one.
    pub(crate) owed: Option<(Owed, Vec<u8>)>,
}

impl SigningKey {
    /// Parses PKCS#8.
    pub(crate) fn parse(crypto: &dyn Crypto, pkcs8: &[u8]) -> Result<Self, CryptoError> {
        let private = crypto.rsa_private(pkcs8)?;
        let public = crypto.rsa_public(&private.public_spki())?;
        Ok(Self { private, public })
    }

    /// The private half.
    pub(crate) fn private(&self) -> &dyn RsaPrivate {
        &*self.private
    }

    /// Length of the modulus in bits.
    pub(crate) fn bits(&self) -> usize {
        self.public.modulus_len() * 8
    }

    /// Signs one transaction.
    pub(crate) fn sign(
        &self,
        crypto: &dyn Crypto,
        keys: &CardKeys,
        header: &Header,
        transaction: &[u8],
        password: &Password,
        envelope: Option<Vec<u8>>,
    ) -> Result<Output, CryptoError> {
        let parts =
            SignedParts::compose(crypto, keys, header, transaction, password, envelope.unwrap_or_default());
        let to_sign = parts.signed_bytes();
        let algorithm = header.binding.suite.signature();
        let signature = self.private.sign(algorithm, &to_sign)?;
        self.public.verify(algorithm, &to_sign, &signature)?;
        Ok(Output { message: SignatureMessage { header: *header, signature }, owed: parts.owed() })
    }
}
