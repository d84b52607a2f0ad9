//! The curves (FIPS 186-5, SP 800-186 §3.2.1), on AWS-LC.

use aws_lc_rs::agreement::{self, ECDH_P256, ECDH_P384, PrivateKey};
use aws_lc_rs::digest::{self, SHA256, SHA384};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1,
    ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, EcdsaVerificationAlgorithm,
    ParsedPublicKey,
};
use zeroize::Zeroizing;

/// An elliptic curve. What is signed on it is hashed to its own size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Curve {
    /// NIST P-256 (secp256r1), with SHA-256.
    P256,
    /// NIST P-384 (secp384r1), with SHA-384.
    P384,
}

/// First byte of an uncompressed point (SEC 1 §2.3.3).
const UNCOMPRESSED: u8 = 0x04;

impl Curve {
    /// Its size in bits.
    #[must_use]
    pub const fn bits(self) -> u16 {
        match self {
            Self::P256 => 256,
            Self::P384 => 384,
        }
    }

    /// Length in bytes of a private number, of a coordinate, of a digest that is signed, and of a shared secret.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
        }
    }

    fn agreement(self) -> &'static agreement::Algorithm {
        match self {
            Self::P256 => &ECDH_P256,
            Self::P384 => &ECDH_P384,
        }
    }

    fn signing(self) -> &'static EcdsaSigningAlgorithm {
        match self {
            Self::P256 => &ECDSA_P256_SHA256_ASN1_SIGNING,
            Self::P384 => &ECDSA_P384_SHA384_ASN1_SIGNING,
        }
    }

    fn verification(self) -> &'static EcdsaVerificationAlgorithm {
        match self {
            Self::P256 => &ECDSA_P256_SHA256_ASN1,
            Self::P384 => &ECDSA_P384_SHA384_ASN1,
        }
    }

    fn digest(self) -> &'static digest::Algorithm {
        match self {
            Self::P256 => &SHA256,
            Self::P384 => &SHA384,
        }
    }

    /// The hash of all parts, as it is signed.
    pub(super) fn hash(self, parts: &[&[u8]]) -> digest::Digest {
        let mut hash = digest::Context::new(self.digest());
        parts.iter().for_each(|part| hash.update(part));
        hash.finish()
    }

    /// A hash that was made elsewhere; `None` if its length is wrong.
    pub(super) fn hashed(self, digest: &[u8]) -> Option<digest::Digest> {
        digest::Digest::import_less_safe(digest, self.digest()).ok()
    }

    /// A private number, 1 … n − 1, followed by its public point; `None` if it is out of range or not of the curve's
    /// length.
    pub(super) fn pair_of(self, number: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let key = PrivateKey::from_private_key(self.agreement(), number).ok()?;
        let point = key.compute_public_key().ok()?;
        let mut pair = Zeroizing::new(Vec::with_capacity(number.len() + point.as_ref().len()));
        pair.extend_from_slice(number);
        pair.extend_from_slice(point.as_ref());
        Some(pair)
    }

    /// True if the bytes are an uncompressed point of the curve.
    pub(super) fn has_point(self, bytes: &[u8]) -> bool {
        self.has_form(bytes) && ParsedPublicKey::new(self.verification(), bytes).is_ok()
    }

    /// The library takes other encodings as well.
    fn has_form(self, bytes: &[u8]) -> bool {
        bytes.len() == 1 + 2 * self.bytes() && bytes.first() == Some(&UNCOMPRESSED)
    }

    /// Signs a digest: an ASN.1 sequence of two numbers (RFC 3279 §2.2.3). `pair` is of [`Curve::pair_of`].
    pub(super) fn sign(self, pair: &[u8], digest: &digest::Digest) -> Result<Vec<u8>, Unspecified> {
        let (number, point) = pair.split_at_checked(self.bytes()).ok_or(Unspecified)?;
        let key = EcdsaKeyPair::from_private_key_and_public_key(self.signing(), number, point);
        Ok(key.map_err(|_| Unspecified)?.sign_digest(digest)?.as_ref().to_vec())
    }

    /// True if a point signed a digest so.
    pub(super) fn verifies(self, point: &[u8], digest: &digest::Digest, signature: &[u8]) -> bool {
        let key = ParsedPublicKey::new(self.verification(), point);
        key.is_ok_and(|key| key.verify_digest_sig(digest, signature).is_ok())
    }

    /// The coordinate X of the shared point (SP 800-56A §5.7.1.2); `None` if the peer's bytes are no point of the
    /// curve.
    pub(super) fn agree(self, pair: &[u8], peer: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let number = pair.get(..self.bytes())?;
        let peer = self.has_form(peer).then(|| agreement::UnparsedPublicKey::new(self.agreement(), peer))?;
        let key = PrivateKey::from_private_key(self.agreement(), number).ok()?;
        agreement::agree(&key, peer, Unspecified, |secret| Ok(Zeroizing::new(secret.to_vec()))).ok()
    }
}
