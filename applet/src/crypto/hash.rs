//! Message digests (FIPS 180-4) and HMAC (FIPS 198-1), on AWS-LC.

use aws_lc_rs::{digest, hmac};
use subtle::ConstantTimeEq as _;

use super::key::{Hmac, Key};
use crate::runtime::{Context, Fault, Work};

/// A hash function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    /// SHA-1, for old hosts: collisions are known.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl Hash {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Sha1, Self::Sha256, Self::Sha384, Self::Sha512];

    /// Length in bytes of its digests.
    #[must_use]
    pub fn bytes(self) -> usize {
        self.algorithm().output_len()
    }

    fn algorithm(self) -> &'static digest::Algorithm {
        match self {
            Self::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
            Self::Sha512 => &digest::SHA512,
        }
    }

    fn hmac(self) -> hmac::Algorithm {
        match self {
            Self::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha384 => hmac::HMAC_SHA384,
            Self::Sha512 => hmac::HMAC_SHA512,
        }
    }
}

/// A digest in the making (`MessageDigest`). In a field of the applet's struct it lasts from command to command, until
/// the card loses power.
#[derive(Clone)]
pub struct MessageDigest(digest::Context);

impl std::fmt::Debug for MessageDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MessageDigest")
    }
}

impl MessageDigest {
    /// Of nothing yet.
    #[must_use]
    pub fn new(hash: Hash) -> Self {
        Self(digest::Context::new(hash.algorithm()))
    }

    /// Takes the next part.
    pub fn update(&mut self, cx: &Context<'_>, part: &[u8]) {
        cx.worked(Work::Hash(part.len()));
        self.0.update(part);
    }

    /// The digest of all parts (`doFinal`).
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.0.finish().as_ref().to_vec()
    }
}

impl Key<Hmac> {
    /// The HMAC of a message in parts, whole (`Signature.sign`, `ALG_HMAC_…`).
    ///
    /// # Errors
    /// [`Reason::UninitializedKey`](super::Reason::UninitializedKey), [`Fault`].
    pub fn hmac(&self, cx: &Context<'_>, hash: Hash, parts: &[&[u8]]) -> Result<Vec<u8>, Fault> {
        let mut mac = hmac::Context::with_key(&hmac::Key::new(hash.hmac(), &self.value(cx)?));
        cx.worked(Work::Hash(parts.iter().map(|part| part.len()).sum()));
        parts.iter().for_each(|part| mac.update(part));
        Ok(mac.sign().as_ref().to_vec())
    }

    /// True if `tag` is the HMAC of a message in parts (`Signature.verify`). Compared in constant time.
    ///
    /// # Errors
    /// [`Reason::UninitializedKey`](super::Reason::UninitializedKey), [`Fault`].
    pub fn verify_hmac(
        &self,
        cx: &Context<'_>,
        hash: Hash,
        parts: &[&[u8]],
        tag: &[u8],
    ) -> Result<bool, Fault> {
        Ok(self.hmac(cx, hash, parts)?.ct_eq(tag).into())
    }
}
