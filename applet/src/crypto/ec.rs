//! What keys on elliptic curves do: ECDSA (FIPS 186-5 §6) and ECDH (SP 800-56A §5.7.1.2).

use onetap_apdu_spec::crypto::CryptoError;
use zeroize::Zeroizing;

use super::key::{EcPair, EcPublic, Key};
use super::reason::Reason;
use crate::runtime::{Context, Fault, Work};

impl Key<EcPair> {
    /// The public key, an uncompressed point: 04, X, Y (`ECPublicKey.getW`).
    ///
    /// # Errors
    /// [`Reason::UninitializedKey`], [`Fault`].
    pub fn public(&self, cx: &Context<'_>) -> Result<Vec<u8>, Fault> {
        let pair = self.value(cx)?;
        Ok(pair.get(self.kind.0.bytes()..).unwrap_or_default().to_vec())
    }

    /// Signs a message in parts, hashed with the curve's own hash (`Signature.sign`, `ALG_ECDSA_SHA_256` or `_384`).
    /// The signature is ASN.1; its random number is the operating system's.
    ///
    /// # Errors
    /// [`Reason::UninitializedKey`], [`Fault`].
    pub fn sign(&self, cx: &Context<'_>, parts: &[&[u8]]) -> Result<Vec<u8>, Fault> {
        let pair = self.value(cx)?;
        hashed(cx, parts);
        cx.worked(Work::Curve);
        let signature = self.kind.0.sign(&pair, &self.kind.0.hash(parts));
        signature.map_err(|_| CryptoError::Provider.into())
    }

    /// Signs a digest that was made before, of the curve's own hash (`Signature.signPreComputedHash`).
    ///
    /// # Errors
    /// [`Reason::IllegalValue`], if its length is not that of the hash; [`Reason::UninitializedKey`], [`Fault`].
    pub fn sign_digest(&self, cx: &Context<'_>, digest: &[u8]) -> Result<Vec<u8>, Fault> {
        let pair = self.value(cx)?;
        let digest = self.kind.0.hashed(digest).ok_or(Reason::IllegalValue)?;
        cx.worked(Work::Curve);
        self.kind.0.sign(&pair, &digest).map_err(|_| CryptoError::Provider.into())
    }

    /// The secret that is shared with the owner of another key, given as an uncompressed point: the coordinate X
    /// (`KeyAgreement.generateSecret`, `ALG_EC_SVDP_DH_PLAIN`). It is no key yet: hash it.
    ///
    /// # Errors
    /// [`Reason::IllegalValue`], if `peer` is no point of the curve; [`Reason::UninitializedKey`], [`Fault`].
    pub fn agree(&self, cx: &Context<'_>, peer: &[u8]) -> Result<Zeroizing<Vec<u8>>, Fault> {
        let pair = self.value(cx)?;
        cx.worked(Work::Curve);
        Ok(self.kind.0.agree(&pair, peer).ok_or(Reason::IllegalValue)?)
    }
}

impl Key<EcPublic> {
    /// True if the owner of this key signed a message, in parts, so (`Signature.verify`).
    ///
    /// # Errors
    /// [`Reason::UninitializedKey`], [`Fault`].
    pub fn verify(&self, cx: &Context<'_>, parts: &[&[u8]], signature: &[u8]) -> Result<bool, Fault> {
        let point = self.value(cx)?;
        hashed(cx, parts);
        cx.worked(Work::Curve);
        Ok(self.kind.0.verifies(&point, &self.kind.0.hash(parts), signature))
    }

    /// As [`Key::verify`], for a digest of the curve's own hash (`Signature.verifyPreComputedHash`).
    ///
    /// # Errors
    /// [`Reason::IllegalValue`], if its length is not that of the hash; [`Reason::UninitializedKey`], [`Fault`].
    pub fn verify_digest(&self, cx: &Context<'_>, digest: &[u8], signature: &[u8]) -> Result<bool, Fault> {
        let point = self.value(cx)?;
        let digest = self.kind.0.hashed(digest).ok_or(Reason::IllegalValue)?;
        cx.worked(Work::Curve);
        Ok(self.kind.0.verifies(&point, &digest, signature))
    }
}

fn hashed(cx: &Context<'_>, parts: &[&[u8]]) {
    cx.worked(Work::Hash(parts.iter().map(|part| part.len()).sum()));
}
