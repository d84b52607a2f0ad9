//! The bytes that are signed, and the signature message that carries header and signature.
//!
//! Signed: H (fixed width), then each part that the profile names, each behind its length in four
//! bytes. Distinct tuples give distinct bytes, because H says how many parts there are.

use zeroize::Zeroizing;

use crate::crypto::{Crypto, SigningKeyType};
use crate::digest::{Digester, Subject};
use crate::header::{BadHeader, Header};
use crate::keys::CardKeys;
use crate::objects;
use crate::password::Password;
use crate::suite::{Owed, Profile};
use crate::tlv::{self, Template, TlvError};

/// H ‖ \[len\]₃₂ part ‖ … for the one or two parts of the profile.
#[must_use]
pub fn signed_bytes(header: &Header, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len() + 4).sum();
    let mut out = Vec::with_capacity(crate::header::HEADER_LEN + length);
    out.extend(header.to_bytes());
    for part in parts {
        let [.., a, b, c, d] = part.len().to_be_bytes();
        out.extend([a, b, c, d]);
        out.extend(*part);
    }
    out
}

/// What a card signs of one transaction, by its profile (P-07 … P-13). What may hold the password in clear (A1) is wiped.
pub struct SignedParts {
    header: Header,
    transaction: Vec<u8>,
    /// D(pw), E or D(E); none where the transaction is signed alone.
    second: Option<Zeroizing<Vec<u8>>>,
    envelope: Vec<u8>,
}

impl SignedParts {
    /// The parts of T, pw and E, which is empty where the profile has none.
    #[must_use]
    pub fn compose(
        crypto: &dyn Crypto,
        keys: &CardKeys,
        header: &Header,
        transaction: &[u8],
        password: &Password,
        envelope: Vec<u8>,
    ) -> Self {
        let (suite, bytes) = (header.binding.suite, header.to_bytes());
        let (method, counter) = (suite.digest(), header.counter);
        let digester = Digester { crypto, keys, method, header: &bytes, counter };
        let second = match suite.profile() {
            Profile::A1 | Profile::A2 => {
                Some(digester.digest(Subject::Password, password.expose().as_bytes()))
            }
            Profile::A3 | Profile::A3NoRandom => Some(envelope.clone()),
            Profile::A4 => Some(digester.digest(Subject::Envelope, &envelope)),
            Profile::B1 | Profile::B2 => None,
        };
        let transaction = digester.digest(Subject::Transaction, transaction);
        Self { header: *header, transaction, second: second.map(Zeroizing::new), envelope }
    }

    /// The bytes under S.
    #[must_use]
    pub fn signed_bytes(&self) -> Zeroizing<Vec<u8>> {
        let parts = [Some(&self.transaction), self.second.as_deref()];
        let parts: Vec<&[u8]> = parts.into_iter().flatten().map(Vec::as_slice).collect();
        Zeroizing::new(signed_bytes(&self.header, &parts))
    }

    /// What travels besides S (P-17), if the profile owes something.
    #[must_use]
    pub fn owed(&self) -> Option<(Owed, Vec<u8>)> {
        let owed = self.header.binding.suite.owed()?;
        let bytes = match owed {
            Owed::Encrypted => &self.envelope,
            Owed::EncryptedDigest | Owed::PasswordDigest => self.second.as_deref()?,
        };
        Some((owed, bytes.clone()))
    }
}

/// What GET SIGNATURE returns: H and S.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureMessage {
    /// H.
    pub header: Header,
    /// S.
    pub signature: Vec<u8>,
}

/// Why bytes are not a signature message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureMessageError {
    /// Not the canonical template.
    #[error(transparent)]
    Tlv(#[from] TlvError),
    /// Not exactly header and signature.
    #[error("the signature message must hold header and signature, in this order")]
    Objects,
    /// See [`BadHeader`].
    #[error(transparent)]
    Header(#[from] BadHeader),
    /// Not as long as a signature by the algorithm in H may be.
    #[error("a signature of {0} bytes; 64 are possible with ecdsa, 256, 384 or 512 with pkcs1 and pss")]
    SignatureLength(usize),
}

impl SignatureMessage {
    /// Writes the template.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut inner = Vec::with_capacity(self.signature.len() + 64);
        tlv::write(objects::HEADER, &self.header.to_bytes(), &mut inner);
        tlv::write(objects::SIGNATURE, &self.signature, &mut inner);
        tlv::object(objects::SIGNATURE_MESSAGE, &inner)
    }

    /// Reads the template.
    ///
    /// # Errors
    /// [`SignatureMessageError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, SignatureMessageError> {
        let template = Template::parse(bytes, objects::SIGNATURE_MESSAGE)?;
        let [header, signature] = template
            .into_exactly([objects::HEADER, objects::SIGNATURE])
            .ok_or(SignatureMessageError::Objects)?;
        let header = Header::parse(&header)?;
        let algorithm = header.binding.suite.signature();
        let fits = |key: SigningKeyType| key.signs_by(algorithm) && key.signature_len() == signature.len();
        if !SigningKeyType::ALL.into_iter().any(fits) {
            return Err(SignatureMessageError::SignatureLength(signature.len()));
        }
        Ok(Self { header, signature })
    }
}
