//! Signature: signs what the profile composes. An RSA signature is verified before it goes out: a fault in its CRT arithmetic would give the key
//! away (REQ-S-15).

use onetap_apdu_spec::crypto::{self, Crypto, CryptoError, SigningKeyType, VerifyingKey};
use onetap_apdu_spec::header::Header;
use onetap_apdu_spec::keys::CardKeys;
use onetap_apdu_spec::password::Password;
use onetap_apdu_spec::signed::{SignatureMessage, SignedParts};
use onetap_apdu_spec::suite::{Owed, Suite};

/// The signing key, both halves parsed once.
#[derive(Debug)]
pub(crate) struct SigningKey {
    private: Box<dyn crypto::SigningKey>,
    public: Box<dyn VerifyingKey>,
}

/// What goes to the terminal.
pub(crate) struct Output {
    /// H and S.
    pub(crate) message: SignatureMessage,
    /// E, D(E) or D(pw), if the profile owes one.
    pub(crate) owed: Option<(Owed, Vec<u8>)>,
}

impl SigningKey {
    /// Parses PKCS#8, for the algorithm of `suite`.
    pub(crate) fn parse(crypto: &dyn Crypto, suite: Suite, pkcs8: &[u8]) -> Result<Self, CryptoError> {
        let private = crypto.signing_key(suite.signature(), pkcs8)?;
        let public = crypto.verifying_key(suite.signature(), &private.public_spki())?;
        Ok(Self { private, public })
    }

    /// The private half.
    pub(crate) fn private(&self) -> &dyn crypto::SigningKey {
        &*self.private
    }

    /// What kind of key it is.
    pub(crate) fn key_type(&self) -> SigningKeyType {
        self.public.key_type()
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
        if matches!(self.key_type(), SigningKeyType::Rsa(_)) {
            self.public.verify(algorithm, &to_sign, &signature)?;
        }
        Ok(Output { message: SignatureMessage { header: *header, signature }, owed: parts.owed() })
    }
}
