//! Keys in a PKCS#11 token (OASIS PKCS #11 v2.40): made there, never leave it.

#[cfg(not(feature = "pkcs11"))]
mod absent;
#[cfg(feature = "pkcs11")]
mod keys;
#[cfg(feature = "pkcs11")]
mod oaep;
#[cfg(feature = "pkcs11")]
mod sessions;

#[cfg(not(feature = "pkcs11"))]
pub(super) use absent::Token;
#[cfg(feature = "pkcs11")]
pub(super) use keys::Token;
