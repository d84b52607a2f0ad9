//! Why cryptography fails.

/// Why a cryptographic operation did not succeed. Deliberately coarse: a decryption that failed
/// does not say how (no padding oracle).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CryptoError {
    /// The bytes are no key of the wanted kind: not the one DER encoding; RSA of another size than 2048, 3072 or 4096 bits, or with
    /// another exponent than 65537 (REQ-S-18); no point of P-256 (REQ-S-21).
    #[error(
        "not an RSA key of 2048, 3072 or 4096 bits with exponent 65537, or not one of P-256, in DER; make another key"
    )]
    BadKey,
    /// The modulus is known to be factored easily (REQ-S-19, REQ-S-20).
    #[error(
        "the RSA key is weak: its modulus has a small factor, or the form of CVE-2017-15361; make another key"
    )]
    WeakKey,
    /// The bytes are no AES key.
    #[error("not an AES key of 16, 24 or 32 bytes")]
    BadAesKey,
    /// A signature does not verify.
    #[error("the signature does not verify")]
    BadSignature,
    /// A ciphertext does not decrypt: wrong key, wrong length, wrong padding.
    #[error("the ciphertext does not decrypt")]
    BadCiphertext,
    /// The plaintext is too long for the key.
    #[error("the plaintext is too long for the key")]
    TooLong,
    /// The provider itself failed (no memory, no randomness).
    #[error("the cryptographic provider failed")]
    Provider,
    /// The HSM that holds the key does not answer, so that nothing is known about the input.
    #[error("the token that holds the key does not answer; check that it is connected")]
    Unavailable,
}
