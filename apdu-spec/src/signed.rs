//! The bytes that are signed, and the signature message that carries header and signature.
//!
//! Signed: H (fixed width), then each part that the profile names, each behind its length in four
//! bytes. Distinct tuples give distinct bytes, because H says how many parts there are.

use crate::header::{BadHeader, Header};
use crate::objects;
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
    /// Not as long as an RSA modulus of 2048, 3072 or 4096 bits.
    #[error("a signature of {0} bytes; 256, 384 or 512 are possible")]
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
        if !matches!(signature.len(), 256 | 384 | 512) {
            return Err(SignatureMessageError::SignatureLength(signature.len()));
        }
        Ok(Self { header: Header::parse(&header)?, signature })
    }
}
