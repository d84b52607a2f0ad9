//! Signature: composes what the profile signs (P-07 … P-13), signs it, and checks S before it goes out,
//! so that a fault in the computation cannot give the key away.

use onetap_apdu_spec::crypto::{Crypto, CryptoError, RsaPrivate, RsaPublic};
use onetap_apdu_spec::digest::{Digester, Subject};
use onetap_apdu_spec::header::Header;
use onetap_apdu_spec::keys::CardKeys;
use onetap_apdu_spec::password::Password;
use onetap_apdu_spec::signed::{SignatureMessage, signed_bytes};
use onetap_apdu_spec::suite::{Owed, Profile};
use zeroize::Zeroizing;

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
        let parts = Parts::compose(crypto, keys, header, transaction, password, envelope);
        let to_sign = parts.signed_bytes(header);
        let algorithm = header.binding.suite.signature();
        let signature = self.private.sign(algorithm, &to_sign)?;
        self.public.verify(algorithm, &to_sign, &signature)?;
        let owed = header.binding.suite.owed().map(|owed| (owed, parts.owed(owed)));
        Ok(Output { message: SignatureMessage { header: *header, signature }, owed })
    }
}

/// The profile's parts. What holds the password in clear (A1) is wiped.
struct Parts {
    profile: Profile,
    transaction: Vec<u8>,
    password: Zeroizing<Vec<u8>>,
    envelope: Vec<u8>,
    envelope_digest: Vec<u8>,
}

impl Parts {
    fn compose(
        crypto: &dyn Crypto,
        keys: &CardKeys,
        header: &Header,
        transaction: &[u8],
        password: &Password,
        envelope: Option<Vec<u8>>,
    ) -> Self {
        let suite = header.binding.suite;
        let profile = suite.profile();
        let bytes = header.to_bytes();
        let digester =
            Digester { crypto, keys, method: suite.digest(), header: &bytes, counter: header.counter };
        let envelope = envelope.unwrap_or_default();
        let signs_password = matches!(profile, Profile::A1 | Profile::A2);
        let password = if signs_password {
            digester.digest(Subject::Password, password.expose().as_bytes())
        } else {
            Vec::new()
        };
        let envelope_digest =
            if profile == Profile::A4 { digester.digest(Subject::Envelope, &envelope) } else { Vec::new() };
        Self {
            profile,
            transaction: digester.digest(Subject::Transaction, transaction),
            password: Zeroizing::new(password),
            envelope,
            envelope_digest,
        }
    }

    /// H and the parts under S.
    fn signed_bytes(&self, header: &Header) -> Zeroizing<Vec<u8>> {
        let second: &[u8] = match self.profile {
            Profile::A1 | Profile::A2 => &self.password,
            Profile::A3 | Profile::A3NoRandom => &self.envelope,
            Profile::A4 => &self.envelope_digest,
            Profile::B1 | Profile::B2 => return Zeroizing::new(signed_bytes(header, &[&self.transaction])),
        };
        Zeroizing::new(signed_bytes(header, &[&self.transaction, second]))
    }

    fn owed(&self, owed: Owed) -> Vec<u8> {
        match owed {
            Owed::Encrypted => self.envelope.clone(),
            Owed::EncryptedDigest => self.envelope_digest.clone(),
            Owed::PasswordDigest => self.password.to_vec(),
        }
    }
}
